/* nn/mlp: closed form of two layers, gradients against finite differences in double, float beside
 * double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "nn/mlp.h"
#include "nn/optim.h"
#include "support/gradient.h"

enum { ROWS = 5 };

typedef struct net {
    mim_params_d *params;
    mim_mlp_d *mlp;
    mim_mlp_shape shape;
    double x[ROWS * 8], weights[ROWS * 8];
    double base[ROWS * 8]; /* what is added to */
} net;

static void make(net *n, const mim_mlp_shape *shape)
{
    const mim_mlp_options options = {&mim_gemm_plain, ROWS, true};
    mim_tensors *layout = NULL;
    size_t first = 0;
    n->shape = *shape;
    assert_int_equal(mim_tensors_create(&layout), MIM_OK);
    assert_int_equal(mim_tensors_add_linear(layout, "before", 3, 2, false, NULL), MIM_OK);
    assert_int_equal(mim_mlp_add_tensors(shape, "a", layout, &first), MIM_OK);
    assert_int_equal(first, 2);
    assert_string_equal(layout->tensors[first].name, "a1.weight");
    assert_int_equal(layout->n_tensors, 2 + 2 * shape->n_layers);
    assert_int_equal(mim_params_create_d(layout, &n->params), MIM_OK);
    assert_int_equal(mim_mlp_create_d(shape, layout, first, &options, &n->mlp), MIM_OK);
    mim_tensors_destroy(&layout);
    mim_test_fill(n->params->n_values, 1, n->params->values);
    mim_test_fill(ROWS * 8, 2, n->x);
    mim_test_fill(ROWS * 8, 3, n->weights);
    mim_test_fill(ROWS * 8, 4, n->base);
}

static void clear(net *n)
{
    mim_params_destroy_d(&n->params);
    mim_mlp_destroy_d(&n->mlp);
}

static double loss(void *context)
{
    net *n = context;
    double y[ROWS * 8];
    memcpy(y, n->base, sizeof y);
    mim_mlp_forward_d(n->mlp, n->params->values, ROWS, n->x, MIM_ADD, y);
    return mim_test_dot(ROWS * n->shape.widths[n->shape.n_layers], y, n->weights);
}

static void test_closed_form(void **state)
{
    (void)state;
    static const mim_mlp_shape shape = {2, {2, 2, 1}, MIM_RELU, false};
    net n;
    double y[ROWS];
    make(&n, &shape);
    const double values[] = {1, 2, -1, 1, 0.5, 0, 3, -2, 1}; /* W1, b1, W2, b2 */
    memcpy(n.params->values + 8, values, sizeof values);
    const double x[2 * ROWS] = {1, 1, -1, 0, 0, 0, 2, -1, 0, 1};
    mim_mlp_forward_d(n.mlp, n.params->values, ROWS, x, MIM_SET, y);
    const double expected[ROWS] = {3 * 3.5 - 2 * 0 + 1, -2 * 1 + 1, 3 * 0.5 + 1, 3 * 0.5 + 1,
                                   3 * 2.5 - 2 * 1 + 1};
    for (size_t i = 0; i < ROWS; i++)
        assert_true(fabs(y[i] - expected[i]) < 1e-14);
    assert_true(mim_mlp_flop(&shape, 10) == 2 * 10 * (2 * 2 + 2 * 1));
    clear(&n);
}

static void test_gradients(void **state)
{
    (void)state;
    static const mim_mlp_shape shapes[] = {{1, {3, 4}, MIM_MISH, false},
                                           {2, {1, 5, 4}, MIM_MISH, false},
                                           {3, {4, 6, 3, 2}, MIM_SILU, false},
                                           {4, {2, 3, 4, 5, 6}, MIM_GELU, true}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        net n;
        double dx[ROWS * 8];
        make(&n, &shapes[i]);
        loss(&n);
        for (size_t v = 0; v < n.params->n_values; v++)
            n.params->grads[v] = 1; /* is added to */
        mim_mlp_backward_d(n.mlp, n.params->values, ROWS, n.x, n.weights, dx, n.params->grads);
        for (size_t v = 0; v < n.params->n_values; v++)
            n.params->grads[v] -= 1;
        assert_true(mim_test_gradient(n.params->n_values, n.params->values, n.params->grads, loss,
                                      &n) < 1e-8);
        assert_true(mim_test_gradient(ROWS * shapes[i].widths[0], n.x, dx, loss, &n) < 1e-8);
        mim_params_zero_grads_d(n.params);
        mim_mlp_backward_d(n.mlp, n.params->values, ROWS, n.x, n.weights, NULL, n.params->grads);
        assert_true(mim_grad_norm_d(n.params) > 0.1);
        clear(&n);
    }
}

/* A last layer of zeros answers 0. */
static void test_first_values(void **state)
{
    (void)state;
    static const mim_mlp_shape shape = {2, {2, 8, 3}, MIM_MISH, true};
    net n;
    double y[ROWS * 3];
    make(&n, &shape);
    mim_params_init_d(n.params, 1);
    mim_mlp_forward_d(n.mlp, n.params->values, ROWS, n.x, MIM_SET, y);
    for (size_t i = 0; i < ROWS * 3; i++)
        assert_true(y[i] == 0);
    double largest = 0;
    for (size_t i = 8; i < 8 + 16; i++)
        largest = fmax(largest, fabs(n.params->values[i]));
    assert_true(largest > 0.4 && largest < sqrt(0.5));
    clear(&n);
}

static void test_float_follows_double(void **state)
{
    (void)state;
    static const mim_mlp_shape shape = {3, {4, 6, 7, 5}, MIM_MISH, false};
    const mim_gemm *const gemms[2] = {&mim_gemm_plain, &mim_gemm_onednn};
    net n;
    double y[ROWS * 5], dx[ROWS * 4];
    make(&n, &shape);
    mim_mlp_forward_d(n.mlp, n.params->values, ROWS, n.x, MIM_SET, y);
    mim_mlp_backward_d(n.mlp, n.params->values, ROWS, n.x, n.weights, dx, n.params->grads);
    for (size_t g = 0; g < 2; g++) {
        const mim_mlp_options options = {gemms[g], ROWS, true};
        float x[ROWS * 4], dy[ROWS * 5], z[ROWS * 5], dz[ROWS * 4];
        mim_mlp_f *mlp = NULL;
        mim_params_f *params = NULL;
        assert_int_equal(mim_params_create_f(n.params->layout, &params), MIM_OK);
        assert_int_equal(mim_mlp_create_f(&shape, params->layout, 2, &options, &mlp), MIM_OK);
        for (size_t i = 0; i < params->n_values; i++)
            params->values[i] = (float)n.params->values[i];
        for (size_t i = 0; i < ROWS * 4; i++)
            x[i] = (float)n.x[i];
        for (size_t i = 0; i < ROWS * 5; i++)
            dy[i] = (float)n.weights[i];
        mim_mlp_forward_f(mlp, params->values, ROWS, x, MIM_SET, z);
        mim_mlp_backward_f(mlp, params->values, ROWS, x, dy, dz, params->grads);
        for (size_t i = 0; i < ROWS * 5; i++)
            assert_true(fabs((double)z[i] - y[i]) < 1e-5);
        for (size_t i = 0; i < ROWS * 4; i++)
            assert_true(fabs((double)dz[i] - dx[i]) < 1e-5);
        for (size_t i = 0; i < params->n_values; i++)
            assert_true(fabs((double)params->grads[i] - n.params->grads[i]) < 3e-5);
        assert_true(mim_mlp_n_bytes_f(mlp) < mim_mlp_n_bytes_d(n.mlp));
        mim_mlp_destroy_f(&mlp);
        mim_params_destroy_f(&params);
    }
    clear(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed_form),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_first_values),
        cmocka_unit_test(test_float_follows_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
