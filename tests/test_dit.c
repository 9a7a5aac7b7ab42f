/* nn/dit: gradients against finite differences in double, float beside double, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/dit.h"
#include "support/gradient.h"

enum { B = 2, S = 3, T = 2, N = S * T, D = 6, C = 5 };

static const mim_dit_shape small = {.width = D,
                                    .n_heads = 2,
                                    .n_blocks = 2,
                                    .n_hidden = 8,
                                    .condition_width = C,
                                    .activation = MIM_SILU};

static const uint32_t samples[B] = {7, 2};
static const mim_dit_dropout thin = {
    .attention = 0.2, .mlp = 0.3, .seed = 3, .step = 5, .first_site = 40, .samples = samples};

/* A transformer with all its parameters away from zero, and what it is asked. */
typedef struct net {
    mim_params_d *params;
    mim_dit_d *dit;
    mim_dit_call call;
    double tokens[B * N * D], condition[B * T * C], weights[B * N * D];
} net;

static mim_params_d *make_params(const mim_dit_shape *shape, const char *prefix, size_t *first)
{
    mim_tensors *layout = NULL;
    mim_params_d *params = NULL;
    assert_int_equal(mim_tensors_create(&layout), MIM_OK);
    assert_int_equal(mim_tensors_add_linear(layout, "before", 3, 2, false, NULL), MIM_OK);
    assert_int_equal(mim_dit_add_tensors(shape, prefix, layout, first), MIM_OK);
    assert_int_equal(mim_tensors_add_linear(layout, "after", 3, 2, false, NULL), MIM_OK);
    assert_int_equal(mim_params_create_d(layout, &params), MIM_OK);
    mim_tensors_destroy(&layout);
    return params;
}

static void make(net *n, const mim_dit_shape *shape, size_t n_conditions,
                 const mim_dit_dropout *dropout)
{
    const mim_dit_options options = {&mim_gemm_plain, MIM_PRECISION_F32, B, N, T, true};
    size_t first = 0;
    n->params = make_params(shape, "", &first);
    mim_test_fill(n->params->n_values, 1, n->params->values);
    for (size_t i = 0; i < n->params->n_values; i++)
        n->params->values[i] *= 0.4;
    n->call = (mim_dit_call){B, N, n_conditions, dropout, false};
    mim_test_fill(B * N * D, 2, n->tokens);
    mim_test_fill(B * T * C, 3, n->condition);
    mim_test_fill(B * N * D, 4, n->weights);
    assert_int_equal(mim_dit_create_d(shape, n->params->layout, first, &options, &n->dit), MIM_OK);
}

static void clear(net *n)
{
    mim_params_destroy_d(&n->params);
    mim_dit_destroy_d(&n->dit);
}

static double loss(void *context)
{
    net *n = context;
    memcpy(mim_dit_tokens_d(n->dit), n->tokens, sizeof n->tokens);
    return mim_test_dot(B * N * D,
                        mim_dit_forward_d(n->dit, n->params->values, &n->call, n->condition),
                        n->weights);
}

/* Parameters, tokens and conditions; a condition a sample and one a thread; with dropout; and with
 * a condition that is projected as it is. */
static void test_gradients(void **state)
{
    (void)state;
    mim_dit_shape plain = small;
    plain.activation = MIM_IDENTITY;
    const struct {
        const mim_dit_shape *shape;
        size_t n_conditions;
        const mim_dit_dropout *dropout;
    } cases[] = {{&small, 1, NULL}, {&small, T, NULL}, {&plain, 1, NULL}, {&small, T, &thin}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        net n;
        double d_condition[B * T * C], d_tokens[B * N * D];
        make(&n, cases[i].shape, cases[i].n_conditions, cases[i].dropout);
        loss(&n);
        for (size_t v = 0; v < n.params->n_values; v++)
            n.params->grads[v] = 1; /* is added to */
        memcpy(mim_dit_d_answer_d(n.dit), n.weights, sizeof n.weights);
        memcpy(d_tokens,
               mim_dit_backward_d(n.dit, n.params->values, &n.call, n.condition, n.params->grads,
                                  d_condition),
               sizeof d_tokens);
        for (size_t v = 0; v < n.params->n_values; v++)
            n.params->grads[v] -= 1;
        assert_true(mim_test_gradient(n.params->n_values, n.params->values, n.params->grads, loss,
                                      &n) <= 2e-7);
        assert_true(mim_test_gradient(B * N * D, n.tokens, d_tokens, loss, &n) <= 2e-7);
        assert_true(mim_test_gradient(B * cases[i].n_conditions * C, n.condition, d_condition, loss,
                                      &n) <= 2e-7);
        for (size_t k = 0; k < n.params->layout->n_tensors; k++) { /* else nothing was compared */
            const mim_tensor *t = &n.params->layout->tensors[k];
            const bool is_own =
                strncmp(t->name, "block", 5) == 0 || strncmp(t->name, "last", 4) == 0;
            double largest = 0;
            for (size_t v = t->offset; v < t->offset + t->n_values; v++)
                largest = fmax(largest, fabs(n.params->grads[v]));
            if (is_own != (largest > 1e-6))
                fail_msg("%s: largest gradient %g", t->name, largest);
        }
        clear(&n);
    }
}

/* The condition's tensors stand together, weights first; fresh ones let tokens pass to the norm
 * unchanged. */
static void test_tensors(void **state)
{
    (void)state;
    size_t first = 0;
    mim_dit_shape shape = small;
    mim_params_d *p = make_params(&shape, "body.", &first);
    const mim_tensors *l = p->layout;
    size_t at = l->tensors[first].offset;
    static const char *const names[] = {
        "body.block0.condition.weight", "body.block1.condition.weight",
        "body.last.condition.weight",   "body.block0.condition.bias",
        "body.block1.condition.bias",   "body.last.condition.bias"};
    for (size_t i = 0; i < 6; i++) {
        const mim_tensor *t = &l->tensors[first + i];
        assert_string_equal(t->name, names[i]);
        assert_int_equal(t->offset, at);
        assert_int_equal(t->shape[0], i % 3 == 2 ? 2 * D : 6 * D);
        at += t->n_values;
    }
    assert_int_equal(mim_tensors_find(l, "body.block0.qkv.weight"), first + 6);
    assert_int_equal(mim_tensors_find(l, "after.weight"), l->n_tensors - 2);
    mim_params_destroy_d(&p);
    shape.is_xavier = true;
    p = make_params(&shape, "", &first);
    mim_params_init_d(p, 1);
    const mim_tensor *qkv = &p->layout->tensors[mim_tensors_find(p->layout, "block0.qkv.weight")];
    assert_true(fabs(qkv->scale - sqrt(6.0 / (D + 3 * D))) < 1e-15);
    for (size_t i = 0; i < 3 * D; i++) /* the bias follows */
        assert_true(p->values[qkv[1].offset + i] == 0);
    mim_params_destroy_d(&p);
}

static void test_fresh_parameters(void **state)
{
    (void)state;
    net n;
    make(&n, &small, 1, NULL);
    mim_params_init_d(n.params, 1);
    memcpy(mim_dit_tokens_d(n.dit), n.tokens, sizeof n.tokens);
    const double *y = mim_dit_forward_d(n.dit, n.params->values, &n.call, n.condition);
    for (size_t r = 0; r < B * N; r++) {
        double z[D], stats[2];
        mim_layer_norm_forward_d(1, D, 1e-6, n.tokens + r * D, NULL, NULL, z, stats);
        for (size_t i = 0; i < D; i++)
            assert_true(fabs(y[r * D + i] - z[i]) < 1e-12);
    }
    clear(&n);
}

/* A token hears of its own condition row at once, of others' through attention only: with the
 * gates of attention at 0, not at all. */
static void test_conditions_belong_to_threads(void **state)
{
    (void)state;
    net n;
    double before[B * N * D];
    make(&n, &small, T, NULL);
    for (size_t i = 0; i < small.n_blocks; i++) {
        const mim_tensor *t = n.params->layout->tensors;
        const size_t weight = mim_tensors_find(n.params->layout, i ? "block1.condition.weight"
                                                                   : "block0.condition.weight");
        const size_t bias = mim_tensors_find(n.params->layout,
                                             i ? "block1.condition.bias" : "block0.condition.bias");
        memset(n.params->values + t[weight].offset + 2 * D * C, 0, D * C * sizeof(double));
        memset(n.params->values + t[bias].offset + 2 * D, 0, D * sizeof(double));
    }
    loss(&n);
    memcpy(before, mim_dit_forward_d(n.dit, n.params->values, &n.call, n.condition), sizeof before);
    n.condition[1 * C] += 0.5; /* thread 1 of sample 0 */
    const double *after = mim_dit_forward_d(n.dit, n.params->values, &n.call, n.condition);
    for (size_t r = 0; r < B * N; r++) {
        const bool is_hit = r < N && r % T == 1;
        assert_int_equal(memcmp(before + r * D, after + r * D, D * sizeof *after) != 0, is_hit);
    }
    clear(&n);
}

/* Without memory for training the answer is the same. */
static void test_forward_only(void **state)
{
    (void)state;
    net n;
    mim_dit_d *lean = NULL;
    const mim_dit_options options = {&mim_gemm_plain, MIM_PRECISION_F32, B, N, T, false};
    make(&n, &small, T, NULL);
    assert_int_equal(mim_dit_create_d(&small, n.params->layout, 2, &options, &lean), MIM_OK);
    assert_true(mim_dit_n_bytes_d(lean) < mim_dit_n_bytes_d(n.dit));
    assert_null(mim_dit_d_answer_d(lean));
    memcpy(mim_dit_tokens_d(lean), n.tokens, sizeof n.tokens);
    loss(&n);
    const double *y = mim_dit_forward_d(n.dit, n.params->values, &n.call, n.condition);
    const double *z = mim_dit_forward_d(lean, n.params->values, &n.call, n.condition);
    assert_memory_equal(y, z, sizeof n.tokens);
    mim_dit_destroy_d(&lean);
    clear(&n);
}

static void test_float_follows_double(void **state)
{
    (void)state;
    const mim_gemm *const gemms[2] = {&mim_gemm_plain, &mim_gemm_onednn};
    for (size_t g = 0; g < 2; g++) {
        net n;
        double d_condition[B * T * C];
        float condition[B * T * C], df_condition[B * T * C];
        mim_dit_f *dit = NULL;
        mim_params_f *params = NULL;
        const mim_dit_options options = {gemms[g], MIM_PRECISION_F32, B, N, T, true};
        make(&n, &small, T, &thin);
        assert_int_equal(mim_params_create_f(n.params->layout, &params), MIM_OK);
        assert_int_equal(mim_dit_create_f(&small, params->layout, 2, &options, &dit), MIM_OK);
        for (size_t i = 0; i < params->n_values; i++)
            params->values[i] = (float)n.params->values[i];
        for (size_t i = 0; i < B * T * C; i++)
            condition[i] = (float)n.condition[i];
        for (size_t i = 0; i < B * N * D; i++)
            mim_dit_tokens_f(dit)[i] = (float)n.tokens[i];
        loss(&n);
        const double *y = mim_dit_forward_d(n.dit, n.params->values, &n.call, n.condition);
        const float *z = mim_dit_forward_f(dit, params->values, &n.call, condition);
        for (size_t i = 0; i < B * N * D; i++) {
            assert_true(fabs((double)z[i] - y[i]) < 1e-5);
            mim_dit_d_answer_d(n.dit)[i] = n.weights[i];
            mim_dit_d_answer_f(dit)[i] = (float)n.weights[i];
        }
        const double *dx = mim_dit_backward_d(n.dit, n.params->values, &n.call, n.condition,
                                              n.params->grads, d_condition);
        const float *df = mim_dit_backward_f(dit, params->values, &n.call, condition, params->grads,
                                             df_condition);
        for (size_t i = 0; i < B * N * D; i++)
            assert_true(fabs((double)df[i] - dx[i]) < 1e-5);
        for (size_t i = 0; i < B * T * C; i++)
            assert_true(fabs((double)df_condition[i] - d_condition[i]) < 1e-5);
        for (size_t i = 0; i < params->n_values; i++)
            assert_true(fabs((double)params->grads[i] - n.params->grads[i]) < 2e-5);
        mim_dit_destroy_f(&dit);
        mim_params_destroy_f(&params);
        clear(&n);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        mim_dit_shape s;
        const char *part;
    } cases[] = {
        {{0, 1, 1, 8, 4, MIM_SILU, false}, "width: expected 1 to"},
        {{8, 3, 1, 8, 4, MIM_SILU, false}, "no multiple of 3 heads"},
        {{8, 2, 65, 8, 4, MIM_SILU, false}, "blocks: expected 1 to 64, found 65"},
        {{8, 2, 1, 0, 4, MIM_SILU, false}, "hidden width"},
        {{8, 2, 1, 8, 0, MIM_SILU, false}, "condition width"},
    };
    mim_tensors *layout = NULL;
    mim_dit_d *dit = NULL;
    mim_dit_options options = {NULL, MIM_PRECISION_BF16, B, N, T, false};
    size_t first;
    assert_int_equal(mim_tensors_create(&layout), MIM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mim_dit_add_tensors(&cases[i].s, "", layout, &first), MIM_EINVAL);
        assert_non_null(strstr(mim_error(), cases[i].part));
    }
    assert_int_equal(mim_dit_add_tensors(&small, "", layout, &first), MIM_OK);
    assert_int_equal(mim_dit_add_tensors(&small, "", layout, &first), MIM_EINVAL); /* names taken */
    assert_int_equal(mim_dit_create_d(&small, layout, 0, &options, &dit), MIM_EINVAL);
    assert_non_null(strstr(mim_error(), "not rounded to bf16"));
    options.precision = MIM_PRECISION_F32;
    options.max_tokens = 0;
    assert_int_equal(mim_dit_create_d(&small, layout, 0, &options, &dit), MIM_EINVAL);
    assert_null(dit);
    mim_tensors_destroy(&layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_fresh_parameters),
        cmocka_unit_test(test_conditions_belong_to_threads),
        cmocka_unit_test(test_forward_only),
        cmocka_unit_test(test_float_follows_double),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
