/* diffusion/network: what all kinds of networks promise, one by one over a table of them: gradients
 * against finite differences in double, float beside double, samples that do not see each other,
 * what an unconditional one hears, dropout, first values, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "diffusion/network.h"
#include "nn/optim.h"
#include "support/bench.h"
#include "support/gradient.h"

enum { B = 3, T = 4, S = 3, G = 2, CELLS = T * S };

#define DOMAIN .n_stressors = S, .n_threads = T, .n_node_metrics = G, .n_sockets = 2
#define CELL_TOKEN                                                                                 \
    .kind = MIM_NETWORK_CELL_TOKEN, DOMAIN, .width = 4, .n_blocks = 2, .n_heads = 2,               \
    .mlp_ratio = 2, .encoder_width = 4, .context_width = 3

#define UNET                                                                                       \
    .kind = MIM_NETWORK_UNET, DOMAIN, .width = 4, .n_heads = 2, .head_width = 2,                   \
    .encoder_width = 4, .context_width = 3

static const struct {
    const char *name;
    mim_architecture a;
    bool hears_previous, answers_zero; /* when fresh */
} cases[] = {
    {"thread_token",
     {.kind = MIM_NETWORK_THREAD_TOKEN,
      DOMAIN,
      .width = 8,
      .n_blocks = 2,
      .n_heads = 2,
      .mlp_ratio = 2},
     true,
     true},
    {"cell_token", {CELL_TOKEN}, false, true},
    {"cells, previous", {CELL_TOKEN, .previous = MIM_PREVIOUS_TOKEN}, true, true},
    {"cells, masks", {CELL_TOKEN, .previous = MIM_PREVIOUS_TOKEN, .has_masks = true}, true, true},
    {"cells, frozen",
     {CELL_TOKEN, .previous = MIM_PREVIOUS_TOKEN, .has_masks = true, .is_previous_frozen = true},
     false,
     true},
    {"cells, bias", {CELL_TOKEN, .thread = MIM_THREAD_BIAS}, false, true},
    {"cells, quiet bias",
     {CELL_TOKEN, .thread = MIM_THREAD_BIAS, .has_masks = true, .quiet_rows = "1"},
     false,
     true},
    {"cells, film", {CELL_TOKEN, .thread = MIM_THREAD_FILM, .has_masks = true}, false, true},
    {"cells, quiet film",
     {CELL_TOKEN, .thread = MIM_THREAD_FILM, .previous = MIM_PREVIOUS_TOKEN,
      .encoder = MIM_CONTEXT_CONCAT, .quiet_rows = "0,2"},
     true,
     true},
    {"cells, film_enc",
     {CELL_TOKEN, .thread = MIM_THREAD_FILM_ENC, .encoder = MIM_CONTEXT_PER_POSITION,
      .has_masks = true},
     false,
     true},
    {"cells, transformer",
     {CELL_TOKEN, .encoder = MIM_CONTEXT_TRANSFORMER_TOKENS, .encoder_blocks = 1,
      .encoder_heads = 2, .encoder_ratio = 2},
     true,
     true},
    {"unet", {UNET, .multipliers = "1,2,3"}, false, false},
    {"unet of one level",
     {UNET, .multipliers = "1", .encoder = MIM_CONTEXT_CONCAT, .has_masks = true},
     true,
     false},
    {"unet, more levels than positions", {UNET, .multipliers = "1,1,2,1"}, false, false},
    {"unet, pointwise", {UNET, .multipliers = "2,1", .is_pointwise = true}, false, false},
    {"unet, bias",
     {UNET, .multipliers = "1,2", .thread = MIM_THREAD_BIAS, .has_masks = true},
     false,
     false},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static const uint32_t sockets[T] = {0, 0, 1, 1};
static const uint32_t samples[B] = {4, 0, 9};
static const mim_network_dropout thin = {3, 5, samples};

/* A network with all its parameters away from zero, and what it is asked. */
typedef struct net {
    const char *name;
    mim_params_d *params;
    mim_network_d *network;
    double noisy[B * CELLS], previous[B * CELLS], cpu[B * T], node[B * G];
    double cpu_mask[B * T], node_mask[B * G], has_previous[B], is_conditional[B], time[B];
    double weights[B * CELLS];
    mim_network_input_d input; /* points to the above */
} net;

static void make(net *n, size_t which)
{
    const mim_architecture *a = &cases[which].a;
    const mim_network_options options = {&mim_gemm_plain, MIM_PRECISION_F32, NULL, B, T, true};
    mim_tensors *layout = NULL;
    memset(n, 0, sizeof *n);
    n->name = cases[which].name;
    if (mim_network_layout(a, &layout) != MIM_OK)
        fail_msg("%s: %s", n->name, mim_error());
    assert_int_equal(mim_params_create_d(layout, &n->params), MIM_OK);
    mim_tensors_destroy(&layout);
    mim_test_fill(n->params->n_values, 1, n->params->values);
    for (size_t i = 0; i < n->params->n_values; i++)
        n->params->values[i] *= 0.4;
    mim_test_fill(B * CELLS, 2, n->noisy);
    mim_test_fill(B * CELLS, 3, n->previous);
    mim_test_fill(B * T, 4, n->cpu);
    mim_test_fill(B * G, 5, n->node);
    mim_test_fill(B * CELLS, 6, n->weights);
    for (size_t i = 0; i < B * T; i++)
        n->cpu[i] *= n->cpu_mask[i] = i % 5 != 3;
    for (size_t i = 0; i < B * G; i++)
        n->node[i] *= n->node_mask[i] = i != 3;
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
    if (mim_network_create_d(a, &options, &n->network) != MIM_OK)
        fail_msg("%s: %s", n->name, mim_error());
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

static double loss(void *context)
{
    double y[B * CELLS];
    net *n = context;
    ask(n, y);
    return mim_test_dot(B * CELLS, y, n->weights);
}

/* A network that drops, where its kind does. */
static void make_thin(net *n, size_t which)
{
    mim_architecture a = cases[which].a;
    const mim_network_options options = {&mim_gemm_plain, MIM_PRECISION_F32, NULL, B, T, true};
    make(n, which);
    if (a.kind == MIM_NETWORK_THREAD_TOKEN)
        return;
    a.dropout = a.encoder_dropout = 0.25;
    mim_network_destroy_d(&n->network);
    assert_int_equal(mim_network_create_d(&a, &options, &n->network), MIM_OK);
    n->input.dropout = &thin;
}

/* Largest error of a tensor's gradient; of many tensors, at both ends of each. */
static double worst_of(net *n, const mim_tensor *t, bool at_ends_only)
{
    enum { AT_END = 4 };
    double *values = n->params->values + t->offset, *grads = n->params->grads + t->offset;
    if (!at_ends_only || t->n_values <= 2 * AT_END)
        return mim_test_gradient(t->n_values, values, grads, loss, n);
    const size_t last = t->n_values - AT_END;
    return fmax(mim_test_gradient(AT_END, values, grads, loss, n),
                mim_test_gradient(AT_END, values + last, grads + last, loss, n));
}

static void test_gradients(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * N_CASES; i++) {
        net n;
        if (i % 2)
            make_thin(&n, i / 2);
        else
            make(&n, i / 2);
        n.is_conditional[1] = 0;
        loss(&n);
        for (size_t v = 0; v < n.params->n_values; v++)
            n.params->grads[v] = 1; /* is added to */
        mim_network_backward_d(n.network, n.params->values, &n.input, n.weights, n.params->grads);
        for (size_t v = 0; v < n.params->n_values; v++)
            n.params->grads[v] -= 1;
        for (size_t k = 0; k < n.params->layout->n_tensors; k++) {
            const mim_tensor *t = &n.params->layout->tensors[k];
            const double *g = n.params->grads + t->offset;
            const double worst = worst_of(&n, t, cases[i / 2].a.kind == MIM_NETWORK_UNET);
            if (!(worst <= 3e-7))
                fail_msg("%s: gradient of %s off by %g", n.name, t->name, worst);
            if (!(mim_test_dot(t->n_values, g, g) > 1e-14)) /* nothing was compared */
                fail_msg("%s: %s does not matter", n.name, t->name);
        }
        clear(&n);
    }
}

/* The same parameters and questions as floats. */
typedef struct single {
    mim_params_f *params;
    float numbers[8][B * CELLS];
    mim_network_input_f input; /* points to the above */
} single;

static void make_single(single *f, const net *n)
{
    const double *const from[8] = {n->noisy,    n->previous,  n->cpu,          n->node,
                                   n->cpu_mask, n->node_mask, n->has_previous, n->is_conditional};
    static const size_t sizes[8] = {B * CELLS, B * CELLS, B * T, B * G, B * T, B * G, B, B};
    for (size_t k = 0; k < 8; k++)
        for (size_t v = 0; v < sizes[k]; v++)
            f->numbers[k][v] = (float)from[k][v];
    f->input = (mim_network_input_f){.n_samples = B,
                                     .n_threads = T,
                                     .noisy = f->numbers[0],
                                     .previous = f->numbers[1],
                                     .cpu = f->numbers[2],
                                     .node = f->numbers[3],
                                     .cpu_mask = f->numbers[4],
                                     .node_mask = f->numbers[5],
                                     .has_previous = f->numbers[6],
                                     .is_conditional = f->numbers[7],
                                     .time = n->time,
                                     .socket = sockets};
    f->params = NULL;
    assert_int_equal(mim_params_create_f(n->params->layout, &f->params), MIM_OK);
    for (size_t v = 0; v < f->params->n_values; v++)
        f->params->values[v] = (float)n->params->values[v];
}

/* Answers within `apart`, gradients within that of the largest. */
static void check_single(const mim_architecture *a, const mim_network_options *options,
                         double apart, double gradients_apart, net *n)
{
    double y[B * CELLS], worst = 0, largest = 0;
    float z[B * CELLS], dz[B * CELLS];
    single f;
    mim_network_f *network = NULL;
    make_single(&f, n);
    if (mim_network_create_f(a, options, &network) != MIM_OK)
        fail_msg("%s: %s", n->name, mim_error());
    ask(n, y);
    mim_network_forward_f(network, f.params->values, &f.input, z);
    for (size_t v = 0; v < B * CELLS; v++) {
        if (!(fabs((double)z[v] - y[v]) < apart))
            fail_msg("%s: %.9g in float, %.9g in double", n->name, (double)z[v], y[v]);
        dz[v] = (float)n->weights[v];
    }
    mim_network_backward_d(n->network, n->params->values, &n->input, n->weights, n->params->grads);
    mim_network_backward_f(network, f.params->values, &f.input, dz, f.params->grads);
    for (size_t v = 0; v < f.params->n_values; v++) {
        worst = fmax(worst, fabs((double)f.params->grads[v] - n->params->grads[v]));
        largest = fmax(largest, fabs(n->params->grads[v]));
    }
    if (!(worst < gradients_apart * largest))
        fail_msg("%s: gradients %g apart of %g", n->name, worst, largest);
    mim_network_destroy_f(&network);
    mim_params_destroy_f(&f.params);
}

static void test_float_follows_double(void **state)
{
    (void)state;
    const mim_gemm *const gemms[2] = {&mim_gemm_plain, &mim_gemm_onednn};
    for (size_t i = 0; i < 2 * N_CASES; i++) {
        const mim_network_options options = {gemms[i % 2], MIM_PRECISION_F32, NULL, B, T, true};
        net n;
        make(&n, i / 2);
        check_single(&cases[i / 2].a, &options, 3e-5, 1e-5, &n);
        clear(&n);
    }
}

/* Products of transformers in bf16, whose 8 bits are good to 0.4 %. */
static void test_bf16_follows_double(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        const mim_network_options options = {NULL, MIM_PRECISION_BF16, NULL, B, T, true};
        net n;
        if (cases[i].a.kind == MIM_NETWORK_UNET)
            continue; /* refused: test_refusals */
        make(&n, i);
        check_single(&cases[i].a, &options, 0.03, 0.03, &n);
        clear(&n);
    }
}

static void test_samples_do_not_see_each_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        net n;
        double y[B * CELLS], z[B * CELLS];
        make(&n, i);
        ask(&n, y);
        for (size_t k = 0; k < CELLS; k++) {
            n.noisy[k] = -n.noisy[k];
            n.previous[k] = -n.previous[k];
        }
        n.node[0] += 0.5;
        n.cpu[1] -= 0.5;
        n.time[0] = 7;
        n.is_conditional[0] = 0;
        ask(&n, z);
        assert_memory_equal(y + CELLS, z + CELLS, (B - 1) * CELLS * sizeof *y);
        assert_memory_not_equal(y, z, CELLS * sizeof *y);
        n.input.n_samples = 1; /* alone, to rounding */
        ask(&n, y);
        for (size_t k = 0; k < CELLS; k++)
            assert_true(fabs(y[k] - z[k]) < 1e-13);
        clear(&n);
    }
}

/* An unconditional sample hears of no metric, and of the slot before as thread_token does only;
 * its neighbours hear nothing of that. */
static void test_unconditional(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        net n;
        double all[B * CELLS], some[B * CELLS], other[B * CELLS];
        make(&n, i);
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
        if (cases[i].a.kind != MIM_NETWORK_THREAD_TOKEN) {
            n.previous[CELLS + 1] += 0.5;
            n.has_previous[1] = 0;
        }
        ask(&n, other);
        if (memcmp(some, other, sizeof some) != 0)
            fail_msg("%s: an unconditional sample hears of conditions", n.name);
        clear(&n);
    }
}

static bool is_heard(net *n, double *place)
{
    const double kept = *place;
    double y[B * CELLS], z[B * CELLS], worst = 0;
    ask(n, y);
    *place += 0.25;
    ask(n, z);
    *place = kept;
    for (size_t k = 0; k < B * CELLS; k++)
        worst = fmax(worst, fabs(y[k] - z[k]));
    return worst > 1e-7;
}

/* Everything that is told has a say, masks where the network is told them. */
static void test_inputs_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        const mim_architecture *a = &cases[i].a;
        net n;
        make(&n, i);
        const bool has_masks = a->has_masks || a->kind == MIM_NETWORK_THREAD_TOKEN;
        assert_true(is_heard(&n, &n.noisy[5]) && is_heard(&n, &n.time[1]));
        assert_true(is_heard(&n, &n.cpu[0]) && is_heard(&n, &n.node[2]));
        assert_int_equal(is_heard(&n, &n.cpu_mask[0]), has_masks);
        assert_int_equal(is_heard(&n, &n.node_mask[2]), has_masks);
        assert_int_equal(is_heard(&n, &n.previous[3]), cases[i].hears_previous);
        assert_int_equal(is_heard(&n, &n.has_previous[0]), cases[i].hears_previous && has_masks);
        clear(&n);
    }
}

/* Dropout changes the answer, as a function of its numbers alone. */
static void test_dropout(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        net n;
        double y[B * CELLS], z[B * CELLS];
        make_thin(&n, i);
        if (n.input.dropout) {
            static const uint32_t others[B] = {4, 1, 9};
            const mim_network_dropout other = {3, 5, others};
            ask(&n, y);
            ask(&n, z);
            assert_memory_equal(y, z, sizeof y);
            n.input.dropout = &other; /* another number of the middle sample */
            ask(&n, z);
            assert_memory_equal(y, z, CELLS * sizeof *y);
            assert_memory_not_equal(y + CELLS, z + CELLS, CELLS * sizeof *y);
            n.input.dropout = NULL;
            ask(&n, z);
            assert_memory_not_equal(y, z, CELLS * sizeof *y);
        }
        clear(&n);
    }
}

/* Fresh transformers answer 0; of such ones only the last layer has a gradient. */
static void test_first_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        net n;
        double y[B * CELLS], largest = 0;
        make(&n, i);
        mim_params_init_d(n.params, 11);
        ask(&n, y);
        for (size_t k = 0; k < B * CELLS; k++)
            largest = fmax(largest, fabs(y[k]));
        assert_int_equal(largest == 0, cases[i].answers_zero);
        mim_network_backward_d(n.network, n.params->values, &n.input, n.weights, n.params->grads);
        for (size_t k = 0; k < n.params->layout->n_tensors && cases[i].answers_zero; k++) {
            const mim_tensor *t = &n.params->layout->tensors[k];
            const double *g = n.params->grads + t->offset;
            const bool is_last =
                strcmp(t->name, "last.weight") == 0 || strcmp(t->name, "last.bias") == 0;
            if (is_last != (mim_test_dot(t->n_values, g, g) > 0))
                fail_msg("%s: gradient of %s", n.name, t->name);
        }
        assert_true(mim_grad_norm_d(n.params) > 1e-3);
        clear(&n);
    }
}

/* Without memory for training the answer is the same. */
static void test_forward_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        const mim_network_options options = {&mim_gemm_plain, MIM_PRECISION_F32, NULL, B, T, false};
        mim_network_d *lean = NULL;
        net n;
        double y[B * CELLS], z[B * CELLS];
        make(&n, i);
        ask(&n, y);
        assert_int_equal(mim_network_create_d(&cases[i].a, &options, &lean), MIM_OK);
        assert_true(mim_network_n_bytes_d(lean) < mim_network_n_bytes_d(n.network));
        mim_network_forward_d(lean, n.params->values, &n.input, z);
        assert_memory_equal(y, z, sizeof y);
        mim_network_destroy_d(&lean);
        clear(&n);
    }
}

static void test_flop(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        const double one = mim_network_flop(&cases[i].a, 1, T);
        assert_true(one > 0 && fabs(mim_network_flop(&cases[i].a, 5, T) - 5 * one) < 1e-9 * one);
    }
}

/* What a kind refuses, and what all do. */
static void test_refusals(void **state)
{
    (void)state;
    mim_network_options options = {.max_samples = 0, .max_threads = T};
    mim_architecture bad = cases[0].a;
    mim_network_f *network = NULL;
    mim_tensors *layout = NULL;
    assert_int_equal(mim_network_create_f(&bad, &options, &network), MIM_EINVAL);
    options.max_samples = 1;
    options.max_threads = 1 << 20;
    assert_int_equal(mim_network_create_f(&bad, &options, &network), MIM_EINVAL);
    bad.width = 9;
    options.max_threads = T;
    assert_int_equal(mim_network_create_f(&bad, &options, &network), MIM_EINVAL);
    bad.kind = MIM_N_NETWORKS;
    assert_int_equal(mim_network_layout(&bad, &layout), MIM_EINVAL);
    assert_non_null(strstr(mim_error(), "there is no kind"));
    options.max_threads = T - 1; /* a network of cells is made for its threads */
    assert_int_equal(mim_network_create_f(&cases[1].a, &options, &network), MIM_EINVAL);
    assert_non_null(strstr(mim_error(), "made for 4 threads, asked for 3"));
    const mim_architecture unet = {UNET, .multipliers = "1,2"};
    assert_int_equal(mim_network_create_f(&unet, &options, &network), MIM_EINVAL);
    options.max_threads = T;
    options.precision = MIM_PRECISION_BF16;
    assert_int_equal(mim_network_create_f(&unet, &options, &network), MIM_EUNSUP);
    assert_true(!network && !layout);
}

static void test_refused_architectures(void **state)
{
    (void)state;
    static const struct {
        mim_architecture a;
        const char *part;
    } bad[] = {
        {{.kind = MIM_NETWORK_CELL_TOKEN}, "0 threads of 0 stressors"},
        {{CELL_TOKEN, .thread = MIM_THREAD_FILM_ENC}, "film_enc goes with encoder = per_position"},
        {{CELL_TOKEN, .quiet_rows = "1"}, "quiet_rows goes with"},
        {{CELL_TOKEN, .thread = MIM_THREAD_BIAS, .quiet_rows = "1-3"}, "rows \"1-3\""},
        {{CELL_TOKEN, .thread = MIM_THREAD_BIAS, .quiet_rows = "one"}, "rows \"one\""},
        {{CELL_TOKEN, .dropout = 1}, "dropout: expected 0 to less than 1"},
        {{UNET}, "multipliers"},
        {{UNET, .multipliers = "1,,2"}, "multipliers"},
        {{UNET, .multipliers = "0"}, "multipliers"},
        {{UNET, .multipliers = "1,1,1,1,1,1,1"}, "expected 1 to 6 numbers"},
        {{UNET, .multipliers = "1", .thread = MIM_THREAD_FILM}, "none or bias"},
        {{.kind = MIM_NETWORK_UNET, DOMAIN, .width = 5, .n_heads = 1, .head_width = 1}, "odd"},
        {{.kind = MIM_NETWORK_UNET, DOMAIN, .width = 4, .n_heads = 1}, "head_width: expected 1"},
    };
    mim_tensors *layout = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(mim_network_layout(&bad[i].a, &layout), MIM_EINVAL);
        if (!strstr(mim_error(), bad[i].part))
            fail_msg("\"%s\" has no \"%s\"", mim_error(), bad[i].part);
    }
    assert_null(layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_float_follows_double),
        cmocka_unit_test(test_bf16_follows_double),
        cmocka_unit_test(test_samples_do_not_see_each_other),
        cmocka_unit_test(test_unconditional),
        cmocka_unit_test(test_inputs_matter),
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_first_values),
        cmocka_unit_test(test_forward_only),
        cmocka_unit_test(test_flop),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refused_architectures),
    };
    bench_set_threads(1); /* many calls of small networks: others would mostly wait */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
