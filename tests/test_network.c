/* diffusion/network: what all kinds of networks have in common. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "diffusion/network.h"
#include "support/gradient.h"

enum { B = 3, T = 4, S = 3, G = 2, CELLS = T * S };

static const mim_architecture thread_token = {.kind = MIM_NETWORK_THREAD_TOKEN,
                                              .n_stressors = S,
                                              .n_threads = T,
                                              .n_node_metrics = G,
                                              .n_sockets = 2,
                                              .width = 8,
                                              .n_blocks = 2,
                                              .n_heads = 2,
                                              .mlp_ratio = 2};

static const uint32_t sockets[T] = {0, 0, 1, 1};

typedef struct net {
    mim_params_d *params;
    mim_network_d *network;
    double noisy[B * CELLS], previous[B * CELLS], cpu[B * T], node[B * G];
    double cpu_mask[B * T], node_mask[B * G], has_previous[B], is_conditional[B], time[B];
    mim_network_input_d input; /* points to the above */
} net;

static void make(net *n, const mim_architecture *a)
{
    const mim_network_options options = {&mim_gemm_plain, MIM_PRECISION_F32, B, T, true};
    mim_tensors *layout = NULL;
    memset(n, 0, sizeof *n);
    assert_int_equal(mim_network_layout(a, &layout), MIM_OK);
    assert_int_equal(mim_params_create_d(layout, &n->params), MIM_OK);
    mim_tensors_destroy(&layout);
    mim_test_fill(n->params->n_values, 1, n->params->values);
    for (size_t i = 0; i < n->params->n_values; i++)
        n->params->values[i] *= 0.4;
    mim_test_fill(B * CELLS, 2, n->noisy);
    mim_test_fill(B * CELLS, 3, n->previous);
    mim_test_fill(B * T, 4, n->cpu);
    mim_test_fill(B * G, 5, n->node);
    for (size_t i = 0; i < B * T; i++)
        n->cpu_mask[i] = 1;
    for (size_t i = 0; i < B * G; i++)
        n->node_mask[i] = 1;
    for (size_t b = 0; b < B; b++) {
        n->has_previous[b] = n->is_conditional[b] = 1;
        n->time[b] = 3 + 9 * (double)b;
    }
    n->input = (mim_network_input_d){.n_samples = B,
                                     .n_threads = T,
                                     .noisy = n->noisy,
                                     .previous = n->previous,
                                     .cpu = n->cpu,
                                     .cpu_mask = n->cpu_mask,
                                     .node = n->node,
                                     .node_mask = n->node_mask,
                                     .has_previous = n->has_previous,
                                     .is_conditional = n->is_conditional,
                                     .time = n->time,
                                     .socket = sockets};
    assert_int_equal(mim_network_create_d(a, &options, &n->network), MIM_OK);
    assert_true(mim_network_n_bytes_d(n->network) > 0);
}

static void clear(net *n)
{
    mim_params_destroy_d(&n->params);
    mim_network_destroy_d(&n->network);
}

static void ask(net *n, double *y)
{
    mim_network_forward_d(n->network, n->params->values, &n->input, y);
}

/* An unconditional sample does not hear of metrics; its neighbours do not hear of that. */
static void test_unconditional(void **state)
{
    (void)state;
    net n;
    double all[B * CELLS], some[B * CELLS], other[B * CELLS];
    make(&n, &thread_token);
    ask(&n, all);
    n.input.is_conditional = NULL;
    ask(&n, other);
    assert_memory_equal(all, other, sizeof all);
    n.input.is_conditional = n.is_conditional;
    n.is_conditional[1] = 0;
    ask(&n, some);
    assert_memory_equal(all, some, CELLS * sizeof *all);
    assert_memory_equal(all + 2 * CELLS, some + 2 * CELLS, CELLS * sizeof *all);
    assert_memory_not_equal(all + CELLS, some + CELLS, CELLS * sizeof *all);
    n.cpu[T + 2] += 0.5;
    n.node[G] -= 0.5;
    n.cpu_mask[T] = n.node_mask[G + 1] = 0;
    ask(&n, other);
    assert_memory_equal(some, other, sizeof some);
    clear(&n);
}

static void test_refusals(void **state)
{
    (void)state;
    mim_network_options options = {.max_samples = 0, .max_threads = 1};
    mim_architecture bad = thread_token;
    mim_network_f *network = NULL;
    mim_tensors *layout = NULL;
    assert_int_equal(mim_network_create_f(&bad, &options, &network), MIM_EINVAL);
    options.max_samples = 1;
    options.max_threads = 1 << 20;
    assert_int_equal(mim_network_create_f(&bad, &options, &network), MIM_EINVAL);
    bad.width = 9;
    options.max_threads = 1;
    assert_int_equal(mim_network_create_f(&bad, &options, &network), MIM_EINVAL);
    bad.kind = MIM_N_NETWORKS;
    assert_int_equal(mim_network_layout(&bad, &layout), MIM_EINVAL);
    assert_non_null(strstr(mim_error(), "there is no kind"));
    assert_true(!network && !layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unconditional),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
