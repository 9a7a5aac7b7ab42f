/* diffusion/context: every encoder against its formula in plain loops, gradients against finite
 * differences in double, float beside double, samples that do not see each other, sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "diffusion/context.h"
#include "nn/encoder.h"
#include "nn/optim.h"
#include "support/gradient.h"

enum { B = 3, T = 3, S = 2, G = 2, M = T + G, H = 4, C = 3, MOST = 64 };

static const mim_architecture base = {.kind = MIM_NETWORK_CELL_TOKEN,
                                      .n_stressors = S,
                                      .n_threads = T,
                                      .n_node_metrics = G,
                                      .n_sockets = 1,
                                      .encoder_width = H,
                                      .context_width = C,
                                      .encoder_blocks = 2,
                                      .encoder_heads = 2,
                                      .encoder_ratio = 2};

static const uint32_t samples[B] = {4, 0, 9};
static const mim_network_dropout thin = {3, 5, samples};

/* An encoder with all its parameters away from zero, and what it is asked. */
typedef struct net {
    mim_architecture a;
    mim_params_d *params;
    mim_context_d *context;
    double previous[B * T * S], cpu[B * T], node[B * G], cpu_mask[B * T], node_mask[B * G];
    double has_previous[B], weights[B * T * C];
    mim_network_input_d input; /* points to the above */
    size_t n_out;
} net;

static mim_architecture architecture(size_t encoder, bool has_masks)
{
    mim_architecture a = base;
    a.encoder = (mim_context_name)encoder;
    a.has_masks = has_masks;
    return a;
}

static mim_params_d *make_params(const mim_architecture *a)
{
    mim_tensors *layout = NULL;
    mim_params_d *params = NULL;
    size_t first = 0;
    assert_int_equal(mim_tensors_create(&layout), MIM_OK);
    assert_int_equal(mim_tensors_add_linear(layout, "before", 3, 2, false, NULL), MIM_OK);
    assert_int_equal(mim_context_add_tensors(a, layout, &first), MIM_OK);
    assert_int_equal(first, 2);
    assert_int_equal(mim_params_create_d(layout, &params), MIM_OK);
    mim_tensors_destroy(&layout);
    return params;
}

static void make(net *n, const mim_architecture *a)
{
    const mim_context_options options = {&mim_gemm_plain, B, true};
    memset(n, 0, sizeof *n);
    n->a = *a;
    n->params = make_params(a);
    mim_test_fill(n->params->n_values, 1, n->params->values);
    mim_test_fill(B * T * S, 2, n->previous);
    mim_test_fill(B * T, 3, n->cpu);
    mim_test_fill(B * G, 4, n->node);
    mim_test_fill(B * T * C, 5, n->weights);
    for (size_t i = 0; i < B * T; i++)
        n->cpu_mask[i] = i % 4 != 1;
    for (size_t i = 0; i < B * G; i++)
        n->node_mask[i] = i % 3 != 2;
    n->has_previous[0] = n->has_previous[2] = 1;
    n->input = (mim_network_input_d){.n_samples = B,
                                     .n_threads = T,
                                     .previous = n->previous,
                                     .cpu = n->cpu,
                                     .cpu_mask = n->cpu_mask,
                                     .node = n->node,
                                     .node_mask = n->node_mask,
                                     .has_previous = n->has_previous};
    n->n_out = B * C * (mim_context_is_per_thread(a) ? T : 1);
    assert_int_equal(mim_context_create_d(a, n->params->layout, 2, &options, &n->context), MIM_OK);
    assert_true(mim_context_n_bytes_d(n->context) > 0);
}

static void clear(net *n)
{
    mim_params_destroy_d(&n->params);
    mim_context_destroy_d(&n->context);
}

static void ask(net *n, double *y)
{
    mim_context_forward_d(n->context, n->params->values, &n->input, y);
}

/* ---- formulas ------------------------------------------------------------------------------- */

static double mish(double x) { return x * tanh(log1p(exp(x))); }

static const double *tensor(const net *n, const char *name, const char *end)
{
    char full[MIM_TENSOR_MAX_NAME];
    snprintf(full, sizeof full, "%s%s", name, end);
    const size_t at = mim_tensors_find(n->params->layout, full);
    if (at == SIZE_MAX)
        fail_msg("there is no tensor %s", full);
    return mim_params_value_d(n->params, at);
}

/* y = W x + b of one row. */
static void map(const net *n, const char *name, size_t n_in, size_t n_out, const double *x,
                double *y)
{
    const double *w = tensor(n, name, ".weight"), *b = tensor(n, name, ".bias");
    for (size_t o = 0; o < n_out; o++)
        y[o] = b[o] + mim_test_dot(n_in, w + o * n_in, x);
}

/* W3 f(W2 f(W1 x)), and W2 f(W1 x). */
static void mlp(const net *n, const char *name, size_t n_layers, size_t n_in, const double *x,
                double *y)
{
    double hidden[MOST], active[MOST];
    memcpy(active, x, n_in * sizeof *x);
    for (size_t i = 1; i <= n_layers; i++) {
        char numbered[32];
        snprintf(numbered, sizeof numbered, "%s%zu", name, i);
        const size_t n_out = i == n_layers ? C : H;
        map(n, numbered, n_in, n_out, active, i == n_layers ? y : hidden);
        for (size_t k = 0; k < H; k++)
            active[k] = mish(hidden[k]);
        n_in = H;
    }
}

/* What every encoder may look at, of sample b. */
typedef struct row {
    double k[2 * M + 1], p[S * T], of_threads[T], of_stressors[S], shares[S];
    size_t n_k;
} row;

static row row_of(const net *n, size_t b, bool looks_at_previous)
{
    row r = {.n_k = n->a.has_masks ? 2 * M + (looks_at_previous ? 1 : 0) : M};
    for (size_t i = 0; i < M; i++) {
        r.k[i] = i < T ? n->cpu[b * T + i] : n->node[b * G + i - T];
        if (n->a.has_masks)
            r.k[M + i] = i < T ? n->cpu_mask[b * T + i] : n->node_mask[b * G + i - T];
    }
    if (n->a.has_masks && looks_at_previous)
        r.k[2 * M] = n->has_previous[b];
    for (size_t s = 0; s < S; s++)
        for (size_t t = 0; t < T; t++) {
            const double p = n->previous[(b * T + t) * S + s];
            r.p[s * T + t] = p;
            r.of_threads[t] += p;
            r.of_stressors[s] += p;
            r.shares[s] += (p + 1) / 2 / T;
        }
    return r;
}

static size_t join(double *to, size_t n, const double *x, size_t n_x)
{
    memcpy(to + n, x, n_x * sizeof *x);
    return n + n_x;
}

static void layers(const net *n, size_t n_tokens, const double *x, double *y)
{
    const mim_encoder_shape shape = {H, 2, 2, 2 * H};
    const mim_encoder_options options = {&mim_gemm_plain, 1, n_tokens, false};
    const mim_encoder_call call = {1, n_tokens, NULL};
    mim_encoder_d *encoder = NULL;
    const size_t first = mim_tensors_find(n->params->layout, "context.block0.qkv.weight");
    assert_int_equal(mim_encoder_create_d(&shape, n->params->layout, first, &options, &encoder),
                     MIM_OK);
    memcpy(mim_encoder_tokens_d(encoder), x, n_tokens * H * sizeof *x);
    memcpy(y, mim_encoder_forward_d(encoder, n->params->values, &call), n_tokens * H * sizeof *y);
    mim_encoder_destroy_d(&encoder);
}

static void expect_linear(const net *n, const row *r, double *y)
{
    double x[MOST], z[MOST];
    size_t n_x = 0;
    if (n->a.encoder == MIM_CONTEXT_CONCAT)
        n_x = join(x, n_x, r->p, S * T);
    if (n->a.encoder == MIM_CONTEXT_CONCAT_SYM)
        n_x = join(x, join(x, n_x, r->of_threads, T), r->of_stressors, S);
    n_x = join(x, n_x, r->k, r->n_k);
    mlp(n, "context", 3, n_x, x, y);
    if (n->a.encoder == MIM_CONTEXT_PREV_SUMS)
        mlp(n, "context_previous", 2, S, r->shares, z);
    else if (n->a.encoder == MIM_CONTEXT_RESIDUAL_PREV)
        mlp(n, "context_previous", 2, S * T, r->p, z);
    else
        return;
    for (size_t i = 0; i < C; i++)
        y[i] +=
            n->a.encoder == MIM_CONTEXT_PREV_SUMS ? z[i] : *tensor(n, "context_gate", "") * z[i];
}

static void expect_mix(const net *n, const row *r, double *y)
{
    double action[H], first[H], second[H] = {0}, x[H];
    const bool is_film = n->a.encoder == MIM_CONTEXT_FILM;
    map(n, "context_action", S * T, H, r->p, action);
    map(n, is_film ? "context_beta" : "context_metrics", r->n_k, H, r->k, first);
    if (n->a.encoder != MIM_CONTEXT_ADDITION)
        map(n, is_film ? "context_gamma" : "context_gate", r->n_k, H, r->k, second);
    for (size_t i = 0; i < H; i++) {
        const double a = action[i];
        x[i] = mish(is_film                             ? fmax(a, 0) * (1 + second[i]) + first[i]
                    : n->a.encoder == MIM_CONTEXT_GATED ? first[i] + a / (1 + exp(-second[i]))
                                                        : first[i] + a);
    }
    mlp(n, "context", 2, H, x, y);
}

static void expect_positions(const net *n, const row *r, double *each)
{
    for (size_t t = 0; t < T; t++) {
        double x[MOST];
        size_t n_x = join(x, 0, r->k + t, 1);
        if (n->a.has_masks)
            n_x = join(x, n_x, r->k + M + t, 1);
        n_x = join(x, n_x, r->k, r->n_k);
        n_x = join(x, n_x, tensor(n, "context_position", "") + t * H, H);
        mlp(n, "context", 3, n_x, x, each + t * C);
    }
}

static void expect_transformer(const net *n, const row *r, const double *previous, double *y)
{
    double x[MOST], z[MOST], a[MOST], m[MOST];
    size_t n_tokens = 1;
    if (n->a.encoder == MIM_CONTEXT_TRANSFORMER_METRICS_ONLY) {
        n_tokens = M;
        for (size_t i = 0; i < M; i++) {
            const double one[2] = {r->k[i], n->a.has_masks ? r->k[M + i] : 0};
            map(n, "context_metrics", n->a.has_masks ? 2 : 1, H, one, x + i * H);
        }
    } else if (n->a.encoder == MIM_CONTEXT_TRANSFORMER ||
               n->a.encoder == MIM_CONTEXT_TRANSFORMER_FULL) {
        const bool is_full = n->a.encoder == MIM_CONTEXT_TRANSFORMER_FULL;
        join(z, join(z, 0, r->of_threads, T), r->of_stressors, S);
        map(n, "context_metrics", r->n_k, H, r->k, m);
        map(n, "context_action", is_full ? S * T : S + T, H, is_full ? r->p : z, a);
        for (size_t i = 0; i < H; i++)
            x[i] = mish(0.9 * m[i] + 0.1 * a[i]);
    } else {
        n_tokens = T + 1;
        map(n, "context_metrics", r->n_k, H, r->k, x);
        for (size_t t = 0; t < T; t++)
            map(n, "context_action", S, H, previous + t * S, x + (1 + t) * H);
    }
    for (size_t i = 0; i < n_tokens * H && n_tokens > 1; i++)
        x[i] += tensor(n, "context_position", "")[i];
    layers(n, n_tokens, x, z);
    if (n_tokens == M)
        for (size_t i = 0; i < H; i++)
            for (size_t k = 1; k < M; k++)
                z[i] += z[k * H + i];
    for (size_t i = 0; i < H; i++)
        x[i] = n_tokens == M ? z[i] / M : z[i];
    if (n->a.encoder != MIM_CONTEXT_CONCAT_TRANSFORMER)
        map(n, "context1", H, C, x, y);
    else
        mlp(n, "context", 3, join(x, join(x, H, r->p, S * T), r->k, r->n_k), x, y);
}

static bool looks_at_previous(size_t encoder)
{
    return encoder != MIM_CONTEXT_METRICS_ONLY && encoder != MIM_CONTEXT_PER_POSITION &&
           encoder != MIM_CONTEXT_TRANSFORMER_METRICS_ONLY;
}

static void expect(const net *n, double *y)
{
    for (size_t b = 0; b < B; b++) {
        const row r = row_of(n, b, looks_at_previous(n->a.encoder));
        double each[T * C];
        if (n->a.encoder <= MIM_CONTEXT_RESIDUAL_PREV)
            expect_linear(n, &r, y + b * C);
        else if (n->a.encoder <= MIM_CONTEXT_FILM)
            expect_mix(n, &r, y + b * C);
        else if (n->a.encoder > MIM_CONTEXT_PER_POSITION)
            expect_transformer(n, &r, n->previous + b * T * S, y + b * C);
        else if (mim_context_is_per_thread(&n->a))
            expect_positions(n, &r, y + b * T * C);
        else
            expect_positions(n, &r, each);
        for (size_t i = 0;
             i < C && n->a.encoder == MIM_CONTEXT_PER_POSITION && !mim_context_is_per_thread(&n->a);
             i++)
            y[b * C + i] = (each[i] + each[C + i] + each[2 * C + i]) / T;
    }
}

/* Every encoder without and with masks; per_position also with a row a thread. */
static const size_t n_cases = 2 * MIM_N_CONTEXTS + 1;

static mim_architecture case_of(size_t i)
{
    mim_architecture a =
        architecture(i < 2 * MIM_N_CONTEXTS ? i / 2 : MIM_CONTEXT_PER_POSITION, i % 2);
    if (i == 2 * MIM_N_CONTEXTS)
        a.thread = MIM_THREAD_FILM_ENC;
    return a;
}

static void test_formulas(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_cases; i++) {
        const mim_architecture a = case_of(i);
        net n;
        double y[B * T * C], z[B * T * C];
        make(&n, &a);
        ask(&n, y);
        expect(&n, z);
        for (size_t k = 0; k < n.n_out; k++)
            if (!(fabs(y[k] - z[k]) < 1e-12))
                fail_msg("encoder %d: %.15g, expected %.15g", (int)a.encoder, y[k], z[k]);
        clear(&n);
    }
}

/* ---- gradients ------------------------------------------------------------------------------ */

static double loss(void *context)
{
    net *n = context;
    double y[B * T * C];
    ask(n, y);
    return mim_test_dot(n->n_out, y, n->weights);
}

static void test_gradients(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_cases; i++)
        for (int is_thin = 0; is_thin < 2; is_thin++) {
            mim_architecture a = case_of(i);
            net n;
            a.encoder_dropout = 0.3;
            if (is_thin && a.encoder < MIM_CONTEXT_TRANSFORMER_METRICS_ONLY)
                continue; /* the others drop nothing */
            make(&n, &a);
            n.input.dropout = is_thin ? &thin : NULL;
            loss(&n);
            for (size_t v = 0; v < n.params->n_values; v++)
                n.params->grads[v] = 1; /* is added to */
            mim_context_backward_d(n.context, n.params->values, &n.input, n.weights,
                                   n.params->grads);
            for (size_t v = 0; v < n.params->n_values; v++)
                n.params->grads[v] -= 1;
            const double worst =
                mim_test_gradient(n.params->n_values, n.params->values, n.params->grads, loss, &n);
            if (!(worst <= 3e-7))
                fail_msg("encoder %d: gradient off by %g", (int)a.encoder, worst);
            for (size_t k = 2; k < n.params->layout->n_tensors; k++) {
                const mim_tensor *t = &n.params->layout->tensors[k];
                const double *g = n.params->grads + t->offset;
                if (!(mim_test_dot(t->n_values, g, g) > 1e-14)) /* nothing was compared */
                    fail_msg("encoder %d: %s does not matter", (int)a.encoder, t->name);
            }
            clear(&n);
        }
}

static void test_float_follows_double(void **state)
{
    (void)state;
    const mim_gemm *const gemms[2] = {&mim_gemm_plain, &mim_gemm_onednn};
    for (size_t i = 0; i < 2 * n_cases; i++) {
        const mim_architecture a = case_of(i / 2);
        const mim_context_options options = {gemms[i % 2], B, true};
        net n;
        double y[B * T * C];
        float z[B * T * C], dz[B * T * C], numbers[7][B * T * S];
        mim_params_f *params = NULL;
        mim_context_f *context = NULL;
        make(&n, &a);
        const double *const from[7] = {n.previous,  n.cpu,          n.node,   n.cpu_mask,
                                       n.node_mask, n.has_previous, n.weights};
        static const size_t sizes[7] = {B * T * S, B * T, B * G, B * T, B * G, B, 0};
        for (size_t k = 0; k < 7; k++)
            for (size_t v = 0; v < sizes[k]; v++)
                numbers[k][v] = (float)from[k][v];
        for (size_t v = 0; v < n.n_out; v++)
            dz[v] = (float)n.weights[v];
        const mim_network_input_f input = {.n_samples = B,
                                           .n_threads = T,
                                           .previous = numbers[0],
                                           .cpu = numbers[1],
                                           .node = numbers[2],
                                           .cpu_mask = numbers[3],
                                           .node_mask = numbers[4],
                                           .has_previous = numbers[5]};
        assert_int_equal(mim_params_create_f(n.params->layout, &params), MIM_OK);
        for (size_t v = 0; v < params->n_values; v++)
            params->values[v] = (float)n.params->values[v];
        assert_int_equal(mim_context_create_f(&a, params->layout, 2, &options, &context), MIM_OK);
        ask(&n, y);
        mim_context_forward_f(context, params->values, &input, z);
        for (size_t v = 0; v < n.n_out; v++)
            assert_true(fabs((double)z[v] - y[v]) < 2e-5);
        mim_context_backward_d(n.context, n.params->values, &n.input, n.weights, n.params->grads);
        mim_context_backward_f(context, params->values, &input, dz, params->grads);
        for (size_t v = 0; v < params->n_values; v++)
            assert_true(fabs((double)params->grads[v] - n.params->grads[v]) < 1e-4);
        mim_context_destroy_f(&context);
        mim_params_destroy_f(&params);
        clear(&n);
    }
}

/* ---- what the answer depends on ------------------------------------------------------------- */

/* A sample's row does not change with the other rows of the batch, whatever the encoder. */
static void test_samples_do_not_see_each_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_cases; i++) {
        const mim_architecture a = case_of(i);
        net n;
        double y[B * T * C], z[B * T * C];
        make(&n, &a);
        const size_t own = n.n_out / B;
        ask(&n, y);
        for (size_t k = 0; k < T * S; k++)
            n.previous[k] = -n.previous[k];
        n.cpu[1] += 0.5;
        n.node[0] -= 0.5;
        ask(&n, z);
        assert_memory_equal(y + own, z + own, (B - 1) * own * sizeof *y);
        assert_memory_not_equal(y, z, own * sizeof *y);
        n.input.n_samples = 1; /* alone, to rounding */
        ask(&n, y);
        for (size_t k = 0; k < own; k++)
            assert_true(fabs(y[k] - z[k]) < 1e-13);
        clear(&n);
    }
}

/* The slot before matters where the encoder looks at it, and is not frozen. */
static void test_previous(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * n_cases; i++) {
        mim_architecture a = case_of(i / 2);
        net n;
        double y[B * T * C], z[B * T * C];
        a.is_previous_frozen = i % 2;
        make(&n, &a);
        ask(&n, y);
        for (size_t k = 0; k < B * T * S; k++)
            n.previous[k] = -n.previous[k];
        ask(&n, z);
        const bool matters = memcmp(y, z, n.n_out * sizeof *y) != 0;
        assert_int_equal(matters, looks_at_previous(a.encoder) && !a.is_previous_frozen);
        n.has_previous[0] = 0;
        ask(&n, y);
        const bool is_told = memcmp(y, z, n.n_out * sizeof *y) != 0;
        assert_int_equal(is_told, matters && a.has_masks);
        if (a.is_previous_frozen) { /* as if there was none */
            a.is_previous_frozen = false;
            mim_context_destroy_d(&n.context);
            const mim_context_options options = {&mim_gemm_plain, B, true};
            assert_int_equal(mim_context_create_d(&a, n.params->layout, 2, &options, &n.context),
                             MIM_OK);
            for (size_t k = 0; k < B * T * S; k++)
                n.previous[k] = -1;
            memset(n.has_previous, 0, sizeof n.has_previous);
            ask(&n, y);
            assert_memory_equal(y, z, n.n_out * sizeof *y);
        }
        clear(&n);
    }
}

/* Fresh, two encoders say what metrics_only says: their branch starts at zero. */
static void test_first_values(void **state)
{
    (void)state;
    const mim_architecture a = architecture(MIM_CONTEXT_METRICS_ONLY, false);
    net plain;
    double y[B * C], z[B * C];
    make(&plain, &a);
    mim_params_init_d(plain.params, 3);
    ask(&plain, y);
    for (size_t i = 0; i < 2; i++) {
        const mim_architecture b =
            architecture(i ? MIM_CONTEXT_PREV_SUMS : MIM_CONTEXT_RESIDUAL_PREV, false);
        net n;
        make(&n, &b);
        mim_params_init_d(n.params, 3);
        ask(&n, z);
        assert_memory_equal(y, z, sizeof y);
        clear(&n);
    }
    clear(&plain);
}

/* As many parameters as the published ones of 28 metrics, 20 threads and 20 stressors. */
static void test_published_sizes(void **state)
{
    (void)state;
    static const size_t expected[MIM_N_CONTEXTS] = {[MIM_CONTEXT_METRICS_ONLY] = 139008,
                                                    [MIM_CONTEXT_CONCAT] = 241408,
                                                    [MIM_CONTEXT_CONCAT_SYM] = 149248,
                                                    [MIM_CONTEXT_PREV_SUMS] = 210176,
                                                    [MIM_CONTEXT_RESIDUAL_PREV] = 307457,
                                                    [MIM_CONTEXT_ADDITION] = 241664,
                                                    [MIM_CONTEXT_GATED] = 249088,
                                                    [MIM_CONTEXT_FILM] = 249088,
                                                    [MIM_CONTEXT_PER_POSITION] = 209920,
                                                    [MIM_CONTEXT_TRANSFORMER_METRICS_ONLY] =
                                                        4812032,
                                                    [MIM_CONTEXT_TRANSFORMER] = 4822272,
                                                    [MIM_CONTEXT_TRANSFORMER_FULL] = 4914432,
                                                    [MIM_CONTEXT_TRANSFORMER_TOKENS] = 4822528,
                                                    [MIM_CONTEXT_CONCAT_TRANSFORMER] = 5063680};
    for (size_t i = 0; i < MIM_N_CONTEXTS; i++) {
        mim_architecture a = architecture(i, false);
        a.n_stressors = a.n_threads = 20;
        a.n_node_metrics = 8;
        a.encoder_width = a.context_width = 256;
        a.encoder_blocks = 6;
        a.encoder_heads = a.encoder_ratio = 4;
        mim_params_d *p = make_params(&a);
        assert_int_equal(p->n_values - 8, expected[i]);
        mim_params_destroy_d(&p);
    }
    /* 13 stressors and 25 metrics of the first generation */
    mim_architecture a = architecture(MIM_CONTEXT_CONCAT, false);
    a.n_stressors = 13;
    a.n_threads = 20;
    a.n_node_metrics = 5;
    a.encoder_width = a.context_width = 256;
    mim_params_d *p = make_params(&a);
    assert_int_equal(p->n_values - 8, 204800);
    mim_params_destroy_d(&p);
    assert_true(mim_context_flop(&a, 2) == 4.0 * (285 * 256 + 2 * 256 * 256));
}

static void test_refusals(void **state)
{
    (void)state;
    mim_architecture cases[6];
    static const char *const parts[6] = {"encoder_width", "context_width", "no multiple of 3",
                                         "film_enc",      "no encoder",    "encoder_dropout"};
    for (size_t i = 0; i < 6; i++)
        cases[i] = architecture(MIM_CONTEXT_TRANSFORMER, true);
    cases[0].encoder_width = 0;
    cases[1].context_width = 1 << 20;
    cases[2].encoder_heads = 3;
    cases[3].thread = MIM_THREAD_FILM_ENC;
    cases[4].encoder = MIM_N_CONTEXTS;
    cases[5].encoder_dropout = 1;
    for (size_t i = 0; i < 6; i++) {
        mim_tensors *layout = NULL;
        size_t first = 0;
        assert_int_equal(mim_tensors_create(&layout), MIM_OK);
        assert_int_equal(mim_context_add_tensors(&cases[i], layout, &first), MIM_EINVAL);
        if (!strstr(mim_error(), parts[i]))
            fail_msg("\"%s\" has no \"%s\"", mim_error(), parts[i]);
        mim_tensors_destroy(&layout);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_float_follows_double),
        cmocka_unit_test(test_samples_do_not_see_each_other),
        cmocka_unit_test(test_previous),
        cmocka_unit_test(test_first_values),
        cmocka_unit_test(test_published_sizes),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
