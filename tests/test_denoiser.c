/* diffusion/denoiser: gradients against finite differences in double, symmetries, masks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "diffusion/denoiser.h"

enum { B = 3, T = 4, S = 3, G = 2 };

static const mim_denoiser_shape small = {.n_stressors = S,
                                         .n_node_metrics = G,
                                         .n_sockets = 2,
                                         .width = 8,
                                         .n_blocks = 2,
                                         .n_heads = 2,
                                         .mlp_ratio = 2};

static const uint32_t sockets[T] = {0, 0, 1, 1};

typedef struct inputs {
    double noisy[B * T * S], previous[B * T * S], cpu[B * T], cpu_mask[B * T];
    double node[B * G], node_mask[B * G], has_previous[B], time[B];
} inputs;

static double draw(uint64_t a, size_t i)
{
    return 2 * mim_rng_u01(5, MIM_STREAM_TEST, a, 0, (uint32_t)i) - 1;
}

static inputs make_inputs(void)
{
    inputs in = {.has_previous = {1, 0, 1}, .time = {0, 7, 24}};
    for (size_t i = 0; i < B * T * S; i++) {
        in.noisy[i] = draw(1, i);
        in.previous[i] = i / (T * S) == 1 ? -1 : draw(2, i);
    }
    for (size_t i = 0; i < B * T; i++) {
        in.cpu_mask[i] = i % 5 != 3;
        in.cpu[i] = in.cpu_mask[i] * draw(3, i);
    }
    for (size_t i = 0; i < B * G; i++) {
        in.node_mask[i] = i != 2;
        in.node[i] = in.node_mask[i] * draw(4, i);
    }
    return in;
}

static mim_denoiser_input_d view(const inputs *in)
{
    return (mim_denoiser_input_d){B,
                                  T,
                                  in->noisy,
                                  in->previous,
                                  in->cpu,
                                  in->cpu_mask,
                                  in->node,
                                  in->node_mask,
                                  in->has_previous,
                                  in->time,
                                  sockets,
                                  false,
                                  NULL};
}

/* A net with all its parameters away from zero: fresh ones answer 0. */
typedef struct net {
    mim_params_d *params;
    mim_denoiser_d *denoiser;
} net;

static net make_net(const mim_denoiser_shape *a)
{
    const mim_denoiser_options options = {&mim_gemm_plain, MIM_PRECISION_F32, B, T, true};
    net n = {NULL, NULL};
    mim_tensors *layout = NULL;
    assert_int_equal(mim_denoiser_layout(a, &layout), MIM_OK);
    assert_int_equal(mim_params_create_d(layout, &n.params), MIM_OK);
    mim_tensors_destroy(&layout);
    for (size_t i = 0; i < n.params->n_values; i++)
        n.params->values[i] = 0.4 * draw(6, i);
    assert_int_equal(mim_denoiser_create_d(a, &options, &n.denoiser), MIM_OK);
    return n;
}

static void free_net(net *n)
{
    mim_params_destroy_d(&n->params);
    mim_denoiser_destroy_d(&n->denoiser);
}

/* Some smooth function of the answer, with its gradient. */
static double loss_of(const double *y, double *dy)
{
    double sum = 0;
    for (size_t i = 0; i < B * T * S; i++) {
        const double error = y[i] - draw(7, i), weight = 1 + 0.1 * (double)i;
        sum += weight * error * error;
        if (dy)
            dy[i] = 2 * weight * error;
    }
    return sum;
}

static double loss_at(net *n, const mim_denoiser_input_d *in)
{
    double y[B * T * S];
    mim_denoiser_forward_d(n->denoiser, n->params->values, in, y);
    return loss_of(y, NULL);
}

static void test_gradient(void **state)
{
    (void)state;
    const inputs in = make_inputs();
    const mim_denoiser_input_d v = view(&in);
    net n = make_net(&small);
    double y[B * T * S], dy[B * T * S];
    mim_denoiser_forward_d(n.denoiser, n.params->values, &v, y);
    loss_of(y, dy);
    for (size_t i = 0; i < n.params->n_values; i++)
        n.params->grads[i] = 1; /* is added to */
    mim_denoiser_backward_d(n.denoiser, n.params->values, &v, dy, n.params->grads);
    for (size_t k = 0; k < n.params->layout->n_tensors; k++) {
        const mim_tensor *tensor = &n.params->layout->tensors[k];
        double largest = 0;
        for (size_t i = tensor->offset; i < tensor->offset + tensor->n_values; i++) {
            double *w = &n.params->values[i];
            const double kept = *w, h = cbrt(DBL_EPSILON) * fmax(1, fabs(kept));
            *w = kept + h;
            const double above = loss_at(&n, &v);
            *w = kept - h;
            const double below = loss_at(&n, &v);
            *w = kept;
            const double fd = (above - below) / (2 * h), grad = n.params->grads[i] - 1;
            if (!(fabs(grad - fd) <= 2e-7 * fmax(1, fabs(fd))))
                fail_msg("%s[%zu]: gradient %.12g, difference quotient %.12g", tensor->name,
                         i - tensor->offset, grad, fd);
            largest = fmax(largest, fabs(grad));
        }
        if (!(largest > 1e-6)) /* else nothing was compared */
            fail_msg("%s does not matter", tensor->name);
    }
    free_net(&n);
}

/* Threads of a socket change places, with their metrics: so does the answer. Across sockets it does
 * not. */
static void test_threads_of_a_socket_are_alike(void **state)
{
    (void)state;
    static const size_t within[T] = {1, 0, 3, 2}, across[T] = {2, 1, 0, 3};
    inputs in = make_inputs(), moved = in;
    net n = make_net(&small);
    for (int is_across = 0; is_across < 2; is_across++) {
        const size_t *order = is_across ? across : within;
        double y[B * T * S], z[B * T * S], worst = 0;
        for (size_t b = 0; b < B; b++) {
            for (size_t t = 0; t < T; t++) {
                const size_t to = b * T + t, from = b * T + order[t];
                memcpy(moved.noisy + to * S, in.noisy + from * S, S * sizeof *y);
                memcpy(moved.previous + to * S, in.previous + from * S, S * sizeof *y);
                moved.cpu[to] = in.cpu[from];
                moved.cpu_mask[to] = in.cpu_mask[from];
            }
        }
        const mim_denoiser_input_d v = view(&in), w = view(&moved);
        mim_denoiser_forward_d(n.denoiser, n.params->values, &v, y);
        mim_denoiser_forward_d(n.denoiser, n.params->values, &w, z);
        for (size_t b = 0; b < B; b++)
            for (size_t t = 0; t < T; t++)
                for (size_t s = 0; s < S; s++)
                    worst =
                        fmax(worst, fabs(z[(b * T + t) * S + s] - y[(b * T + order[t]) * S + s]));
        if (is_across)
            assert_true(worst > 1e-3);
        else
            assert_true(worst < 1e-13);
    }
    free_net(&n);
}

static void test_samples_do_not_see_each_other(void **state)
{
    (void)state;
    inputs in = make_inputs();
    net n = make_net(&small);
    double y[B * T * S], z[B * T * S];
    const mim_denoiser_input_d v = view(&in);
    mim_denoiser_forward_d(n.denoiser, n.params->values, &v, y);
    for (size_t i = 0; i < T * S; i++)
        in.noisy[i] = -in.noisy[i];
    in.node[0] += 0.5;
    in.time[0] = 3;
    mim_denoiser_forward_d(n.denoiser, n.params->values, &v, z);
    assert_memory_equal(y + T * S, z + T * S, (B - 1) * T * S * sizeof *y);
    assert_memory_not_equal(y, z, T * S * sizeof *y);
    /* and one sample alone gets the same answer */
    mim_denoiser_input_d first = v;
    first.n_samples = 1;
    mim_denoiser_forward_d(n.denoiser, n.params->values, &first, y);
    for (size_t i = 0; i < T * S; i++)
        assert_true(fabs(y[i] - z[i]) < 1e-13);
    free_net(&n);
}

/* Everything that is asked has a say; the number of threads is free. */
static void test_inputs_matter(void **state)
{
    (void)state;
    inputs in = make_inputs();
    net n = make_net(&small);
    const mim_denoiser_input_d v = view(&in);
    double *const places[] = {&in.noisy[0], &in.previous[0],  &in.cpu[0],          &in.cpu_mask[0],
                              &in.node[0],  &in.node_mask[0], &in.has_previous[0], &in.time[0]};
    double y[B * T * S], z[B * T * S];
    mim_denoiser_forward_d(n.denoiser, n.params->values, &v, y);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        double worst = 0;
        const double kept = *places[i];
        *places[i] = kept + 0.25;
        mim_denoiser_forward_d(n.denoiser, n.params->values, &v, z);
        *places[i] = kept;
        for (size_t k = 0; k < T * S; k++)
            worst = fmax(worst, fabs(y[k] - z[k]));
        if (!(worst > 1e-6))
            fail_msg("input %zu does not matter", i);
    }
    mim_denoiser_input_d two = v;
    two.n_threads = 2;
    two.n_samples = 1;
    mim_denoiser_forward_d(n.denoiser, n.params->values, &two, z);
    double worst = 0; /* fewer threads to look at */
    for (size_t k = 0; k < 2 * S; k++)
        worst = fmax(worst, fabs(y[k] - z[k]));
    assert_true(worst > 1e-6 && isfinite(worst));
    free_net(&n);
}

/* Fresh parameters answer 0, in float and double; float follows double, with either product. */
static void test_float_follows_double(void **state)
{
    (void)state;
    const inputs in = make_inputs();
    const mim_denoiser_input_d v = view(&in);
    net n = make_net(&small);
    mim_tensors *layout = NULL;
    mim_params_f *params = NULL;
    double y[B * T * S], dy[B * T * S];
    float single[sizeof in / sizeof(double)], z[B * T * S], dz[B * T * S];
    assert_int_equal(mim_denoiser_layout(&small, &layout), MIM_OK);
    assert_int_equal(mim_params_create_f(layout, &params), MIM_OK);
    mim_tensors_destroy(&layout);
    for (size_t i = 0; i < sizeof single / sizeof *single; i++)
        single[i] = (float)((const double *)&in)[i];
    const float *at = single;
    mim_denoiser_input_f w = {.n_samples = B, .n_threads = T, .time = in.time, .socket = sockets};
    w.noisy = at;
    w.previous = w.noisy + B * T * S;
    w.cpu = w.previous + B * T * S;
    w.cpu_mask = w.cpu + B * T;
    w.node = w.cpu_mask + B * T;
    w.node_mask = w.node + B * G;
    w.has_previous = w.node_mask + B * G;
    mim_denoiser_forward_d(n.denoiser, n.params->values, &v, y);
    loss_of(y, dy);
    mim_denoiser_backward_d(n.denoiser, n.params->values, &v, dy, n.params->grads);
    const mim_gemm *const gemms[2] = {&mim_gemm_plain, &mim_gemm_onednn};
    for (size_t g = 0; g < 2; g++) {
        const mim_denoiser_options options = {gemms[g], MIM_PRECISION_F32, B, T, true};
        mim_denoiser_f *denoiser = NULL;
        double worst = 0, largest = 0;
        assert_int_equal(mim_denoiser_create_f(&small, &options, &denoiser), MIM_OK);
        mim_params_init_f(params, 11);
        mim_denoiser_forward_f(denoiser, params->values, &w, z);
        for (size_t i = 0; i < B * T * S; i++)
            assert_true(z[i] == 0);
        for (size_t i = 0; i < params->n_values; i++)
            params->values[i] = (float)n.params->values[i];
        mim_denoiser_forward_f(denoiser, params->values, &w, z);
        for (size_t i = 0; i < B * T * S; i++) {
            assert_true(fabs((double)z[i] - y[i]) < 1e-5);
            dz[i] = (float)dy[i];
        }
        mim_params_zero_grads_f(params);
        mim_denoiser_backward_f(denoiser, params->values, &w, dz, params->grads);
        for (size_t i = 0; i < params->n_values; i++) {
            worst = fmax(worst, fabs((double)params->grads[i] - n.params->grads[i]));
            largest = fmax(largest, fabs(n.params->grads[i]));
        }
        assert_true(worst < 1e-5 * largest);
        mim_denoiser_destroy_f(&denoiser);
    }
    mim_params_destroy_f(&params);
    free_net(&n);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        mim_denoiser_shape a;
        const char *part;
    } cases[] = {
        {{0, 2, 1, 8, 1, 2, 2}, "stressors: expected 1 to"},
        {{3, 2, 0, 8, 1, 2, 2}, "sockets: expected 1 to"},
        {{3, 2, 1, 9, 1, 3, 2}, "odd"},
        {{3, 2, 1, 8, 1, 3, 2}, "no multiple of 3 heads"},
        {{3, 2, 1, 8, 65, 2, 2}, "blocks: expected 1 to 64, found 65"},
        {{3, 2, 1, 8, 1, 2, 0}, "MLP ratio"},
        {{3, 2, 1, 1 << 20, 1, 2, 1}, "width"},
    };
    const mim_denoiser_options one = {.max_samples = 1, .max_threads = 1};
    const mim_denoiser_options none = {.max_samples = 0, .max_threads = 1};
    mim_tensors *layout = NULL;
    mim_denoiser_f *denoiser = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mim_denoiser_layout(&cases[i].a, &layout), MIM_EINVAL);
        assert_int_equal(mim_denoiser_create_f(&cases[i].a, &one, &denoiser), MIM_EINVAL);
        assert_non_null(strstr(mim_error(), cases[i].part));
    }
    assert_int_equal(mim_denoiser_create_f(&small, &none, &denoiser), MIM_EINVAL);
    assert_null(denoiser);
    const mim_denoiser_shape without_metrics = {3, 0, 1, 8, 1, 2, 2};
    assert_int_equal(mim_denoiser_layout(&without_metrics, &layout), MIM_OK);
    mim_tensors_destroy(&layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_threads_of_a_socket_are_alike),
        cmocka_unit_test(test_samples_do_not_see_each_other),
        cmocka_unit_test(test_inputs_matter),
        cmocka_unit_test(test_float_follows_double),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
