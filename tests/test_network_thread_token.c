/* The network of one token a thread (diffusion/network_thread_token.c), beyond what all kinds
 * promise (test_network): symmetries, a free number of threads, sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "diffusion/network.h"

enum { B = 3, T = 4, S = 3, G = 2 };

/* n_threads is left at 0: the parameters are of any number. */
static const mim_architecture small = {.kind = MIM_NETWORK_THREAD_TOKEN,
                                       .n_stressors = S,
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

static mim_network_input_d view(const inputs *in)
{
    return (mim_network_input_d){.n_samples = B,
                                 .n_threads = T,
                                 .noisy = in->noisy,
                                 .previous = in->previous,
                                 .cpu = in->cpu,
                                 .cpu_mask = in->cpu_mask,
                                 .node = in->node,
                                 .node_mask = in->node_mask,
                                 .has_previous = in->has_previous,
                                 .time = in->time,
                                 .socket = sockets};
}

/* A net with all its parameters away from zero: fresh ones answer 0. */
typedef struct net {
    mim_params_d *params;
    mim_network_d *network;
} net;

static net make_net(const mim_architecture *a)
{
    const mim_network_options options = {&mim_gemm_plain, MIM_PRECISION_F32, NULL, B, T, true};
    net n = {NULL, NULL};
    mim_tensors *layout = NULL;
    assert_int_equal(mim_network_layout(a, &layout), MIM_OK);
    assert_int_equal(mim_params_create_d(layout, &n.params), MIM_OK);
    mim_tensors_destroy(&layout);
    for (size_t i = 0; i < n.params->n_values; i++)
        n.params->values[i] = 0.4 * draw(6, i);
    assert_int_equal(mim_network_create_d(a, &options, &n.network), MIM_OK);
    return n;
}

static void free_net(net *n)
{
    mim_params_destroy_d(&n->params);
    mim_network_destroy_d(&n->network);
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
        const mim_network_input_d v = view(&in), w = view(&moved);
        mim_network_forward_d(n.network, n.params->values, &v, y);
        mim_network_forward_d(n.network, n.params->values, &w, z);
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

/* Everything that is asked has a say; the number of threads is free. */
static void test_inputs_matter(void **state)
{
    (void)state;
    inputs in = make_inputs();
    net n = make_net(&small);
    const mim_network_input_d v = view(&in);
    double *const places[] = {&in.noisy[0], &in.previous[0],  &in.cpu[0],          &in.cpu_mask[0],
                              &in.node[0],  &in.node_mask[0], &in.has_previous[0], &in.time[0]};
    double y[B * T * S], z[B * T * S];
    mim_network_forward_d(n.network, n.params->values, &v, y);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        double worst = 0;
        const double kept = *places[i];
        *places[i] = kept + 0.25;
        mim_network_forward_d(n.network, n.params->values, &v, z);
        *places[i] = kept;
        for (size_t k = 0; k < T * S; k++)
            worst = fmax(worst, fabs(y[k] - z[k]));
        if (!(worst > 1e-6))
            fail_msg("input %zu does not matter", i);
    }
    mim_network_input_d two = v;
    two.n_threads = 2;
    two.n_samples = 1;
    mim_network_forward_d(n.network, n.params->values, &two, z);
    double worst = 0; /* fewer threads to look at */
    for (size_t k = 0; k < 2 * S; k++)
        worst = fmax(worst, fabs(y[k] - z[k]));
    assert_true(worst > 1e-6 && isfinite(worst));
    free_net(&n);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *field, *text, *part;
    } cases[] = {
        {"stressors", "0", "stressors: expected 1 to"},
        {"sockets", "0", "sockets: expected 1 to"},
        {"width", "9", "odd"},
        {"heads", "3", "no multiple of 3 heads"},
        {"blocks", "65", "blocks: expected 1 to 64, found 65"},
        {"mlp_ratio", "0", "MLP ratio"},
        {"width", "1048576", "width"},
    };
    const mim_network_options one = {.max_samples = 1, .max_threads = 1};
    const mim_network_options none = {.max_samples = 0, .max_threads = 1};
    mim_tensors *layout = NULL;
    mim_network_f *network = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_architecture bad = small;
        assert_int_equal(mim_architecture_set(&bad, cases[i].field, cases[i].text), MIM_OK);
        assert_int_equal(mim_network_layout(&bad, &layout), MIM_EINVAL);
        assert_int_equal(mim_network_create_f(&bad, &one, &network), MIM_EINVAL);
        assert_non_null(strstr(mim_error(), cases[i].part));
    }
    assert_int_equal(mim_network_create_f(&small, &none, &network), MIM_EINVAL);
    assert_null(network);
    mim_architecture without_metrics = small;
    without_metrics.n_node_metrics = 0;
    assert_int_equal(mim_network_layout(&without_metrics, &layout), MIM_OK);
    mim_tensors_destroy(&layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_of_a_socket_are_alike),
        cmocka_unit_test(test_inputs_matter),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
