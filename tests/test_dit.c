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

#if defined(_OPENMP)
#include <omp.h>
#endif

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
    const mim_dit_options options = {&mim_gemm_plain, MIM_PRECISION_F32, NULL, B, N, T, true};
    size_t first = 0;
    n->params = make_params(shape, "", &first);
    mim_test_fill(n->params->n_values, 1, n->params->values);
    for (size_t i = 0; i < n->params->n_values; i++)
        n->params->values[i] *= 0.4;
    n->call = (mim_dit_call){B, N, n_conditions, dropout, NULL};
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

/* Gradients as they were when backward told of them; else NaN. */
typedef struct told {
    const double *grads;
    double *then;
} told;

static void tell(void *context, size_t first, size_t n)
{
    const told *t = context;
    for (size_t i = first; i < first + n; i++) {
        assert_true(isnan(t->then[i]));
        t->then[i] = t->grads[i];
    }
}

/* More tokens than go through the blocks at once: what each sample gives alone, gradients summed;
 * they are told of when no other group adds to them. */
static void test_groups(void **state)
{
    (void)state;
    enum { n_samples = 5, n_tokens = 300, one = n_tokens * D };
    static const uint32_t numbers[n_samples] = {4, 8, 1, 0, 9};
    mim_dit_dropout dropout = thin;
    size_t first = 0;
    const mim_dit_options options = {
        &mim_gemm_plain, MIM_PRECISION_F32, NULL, n_samples, n_tokens, T, true};
    mim_params_d *p = make_params(&small, "", &first);
    mim_dit_d *dit = NULL;
    assert_int_equal(mim_dit_create_d(&small, p->layout, first, &options, &dit), MIM_OK);
    mim_test_fill(p->n_values, 1, p->values);
    double *tokens = calloc(4 * n_samples * one + p->n_values, sizeof *tokens);
    double *dy = tokens + n_samples * one, *y = dy + n_samples * one, *dx = y + n_samples * one;
    double *grads = dx + n_samples * one;
    double condition[n_samples * T * C], dc[n_samples * T * C], own_dc[T * C];
    mim_test_fill(n_samples * one, 2, tokens);
    mim_test_fill(n_samples * one, 3, dy);
    mim_test_fill(n_samples * T * C, 4, condition);
    dropout.samples = numbers;
    told t = {p->grads, malloc(p->n_values * sizeof *t.then)};
    const mim_grads_ready ready = {tell, &t};
    mim_dit_call call = {n_samples, n_tokens, T, &dropout, &ready};
    assert_non_null(t.then);
    for (size_t i = 0; i < p->n_values; i++)
        t.then[i] = NAN;
    memcpy(mim_dit_tokens_d(dit), tokens, n_samples * one * sizeof *tokens);
    memcpy(y, mim_dit_forward_d(dit, p->values, &call, condition),
           n_samples * one * sizeof *tokens);
    memcpy(mim_dit_d_answer_d(dit), dy, n_samples * one * sizeof *dy);
    memcpy(dx, mim_dit_backward_d(dit, p->values, &call, condition, p->grads, dc),
           n_samples * one * sizeof *tokens);
    for (size_t i = 0; i < p->n_values; i++) /* all but the layers around */
        assert_true(i < p->layout->tensors[first].offset || i >= p->n_values - 8
                        ? isnan(t.then[i])
                        : memcmp(&t.then[i], &p->grads[i], sizeof *t.then) == 0);
    free(t.then);
    call.ready = NULL;
    call.n_samples = 1;
    for (size_t s = 0; s < n_samples; s++) {
        const double *at = condition + s * T * C;
        dropout.samples = numbers + s;
        memcpy(mim_dit_tokens_d(dit), tokens + s * one, one * sizeof *tokens);
        const double *own = mim_dit_forward_d(dit, p->values, &call, at);
        for (size_t i = 0; i < one; i++)
            assert_true(fabs(own[i] - y[s * one + i]) < 1e-12);
        memcpy(mim_dit_d_answer_d(dit), dy + s * one, one * sizeof *dy);
        own = mim_dit_backward_d(dit, p->values, &call, at, grads, own_dc);
        for (size_t i = 0; i < one; i++)
            assert_true(fabs(own[i] - dx[s * one + i]) < 1e-10);
        for (size_t i = 0; i < T * C; i++)
            assert_true(fabs(own_dc[i] - dc[s * T * C + i]) < 1e-9);
    }
    for (size_t i = 0; i < p->n_values; i++)
        assert_true(fabs(grads[i] - p->grads[i]) < 1e-9 * fmax(1, fabs(grads[i])));
    free(tokens);
    mim_params_destroy_d(&p);
    mim_dit_destroy_d(&dit);
}

/* Without memory for training the answer is the same. */
static void test_forward_only(void **state)
{
    (void)state;
    net n;
    mim_dit_d *lean = NULL;
    const mim_dit_options options = {&mim_gemm_plain, MIM_PRECISION_F32, NULL, B, N, T, false};
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
        const mim_dit_options options = {gemms[g], MIM_PRECISION_F32, NULL, B, N, T, true};
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

/* ---- as large as in use --------------------------------------------------------------------- */

enum { BIG_B = 8, BIG_N = 40, BIG_D = 256, BIG_C = 64, BIG_X = BIG_B * BIG_N * BIG_D };

/* A call of a transformer of usual width, in float, and what it gives: answer, gradients of
 * tokens, conditions and parameters. */
typedef struct big {
    mim_params_f *params;
    mim_dit_f *dit;
    mim_dit_dropout dropout;
    uint32_t samples[BIG_B];
    mim_dit_call call;
    float *tokens, *weights, *answer, *d_tokens; /* [BIG_X] */
    float condition[BIG_B * BIG_C], d_condition[BIG_B * BIG_C];
} big;

/* weights: NULL = its own. */
static void make_big(big *b, mim_precision precision, mim_layer_weights *weights)
{
    const mim_dit_shape shape = {BIG_D, 8, 2, 4 * BIG_D, BIG_C, MIM_SILU, false};
    const mim_dit_options options = {NULL, precision, weights, BIG_B, BIG_N, 1, true};
    mim_tensors *layout = NULL;
    size_t first = 0;
    memset(b, 0, sizeof *b);
    assert_int_equal(mim_tensors_create(&layout), MIM_OK);
    assert_int_equal(mim_dit_add_tensors(&shape, "", layout, &first), MIM_OK);
    assert_int_equal(mim_params_create_f(layout, &b->params), MIM_OK);
    assert_int_equal(mim_dit_create_f(&shape, layout, first, &options, &b->dit), MIM_OK);
    mim_tensors_destroy(&layout);
    mim_params_init_f(b->params, 3);
    b->tokens = calloc(4 * BIG_X, sizeof *b->tokens);
    double *numbers = calloc(BIG_X, sizeof *numbers);
    assert_non_null(b->tokens);
    assert_non_null(numbers);
    b->weights = b->tokens + BIG_X;
    b->answer = b->weights + BIG_X;
    b->d_tokens = b->answer + BIG_X;
    for (size_t t = 0; t < b->params->layout->n_tensors; t++) { /* conditions start at zero */
        const mim_tensor *tensor = &b->params->layout->tensors[t];
        mim_test_fill(BIG_X, (unsigned)t, numbers);
        for (size_t i = 0; i < tensor->n_values && tensor->init == MIM_INIT_ZERO; i++)
            b->params->values[tensor->offset + i] = (float)(0.1 * numbers[i % BIG_X]);
    }
    mim_test_fill(BIG_X, 101, numbers);
    for (size_t i = 0; i < BIG_X; i++)
        b->tokens[i] = (float)numbers[i];
    for (size_t i = 0; i < BIG_B * BIG_C; i++)
        b->condition[i] = (float)numbers[BIG_X - 1 - i];
    mim_test_fill(BIG_X, 102, numbers);
    for (size_t i = 0; i < BIG_X; i++)
        b->weights[i] = (float)numbers[i];
    for (uint32_t i = 0; i < BIG_B; i++)
        b->samples[i] = 100 - i;
    b->dropout = (mim_dit_dropout){0.1, 0.1, 5, 6, 7, b->samples};
    b->call = (mim_dit_call){BIG_B, BIG_N, 1, &b->dropout, NULL};
    free(numbers);
}

static void clear_big(big *b)
{
    mim_params_destroy_f(&b->params);
    mim_dit_destroy_f(&b->dit);
    free(b->tokens);
}

static void run_big(big *b)
{
    memcpy(mim_dit_tokens_f(b->dit), b->tokens, BIG_X * sizeof(float));
    mim_params_zero_grads_f(b->params);
    memcpy(b->answer, mim_dit_forward_f(b->dit, b->params->values, &b->call, b->condition),
           BIG_X * sizeof(float));
    memcpy(mim_dit_d_answer_f(b->dit), b->weights, BIG_X * sizeof(float));
    memcpy(b->d_tokens,
           mim_dit_backward_f(b->dit, b->params->values, &b->call, b->condition, b->params->grads,
                              b->d_condition),
           BIG_X * sizeof(float));
}

static void set_threads(int n)
{
#if defined(_OPENMP)
    omp_set_num_threads(n);
#else
    (void)n; /* one in any case */
#endif
}

/* To the bit, in both precisions. */
static void test_threads_do_not_matter(void **state)
{
    (void)state;
    for (int p = 0; p < 2; p++) {
        big one, more;
        make_big(&one, (mim_precision)p, NULL);
        make_big(&more, (mim_precision)p, NULL);
        set_threads(1);
        run_big(&one);
        for (int n = 2; n <= 5; n += 3) {
            set_threads(n);
            run_big(&more);
            assert_memory_equal(one.answer, more.answer, BIG_X * sizeof(float));
            assert_memory_equal(one.d_tokens, more.d_tokens, BIG_X * sizeof(float));
            assert_memory_equal(one.d_condition, more.d_condition, sizeof one.d_condition);
            assert_memory_equal(one.params->grads, more.params->grads,
                                one.params->n_values * sizeof(float));
        }
        set_threads(1);
        clear_big(&one);
        clear_big(&more);
    }
}

/* Of the difference of two arrays, over that of the second. */
static double relative(size_t n, const float *x, const float *y)
{
    double sum = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        size += (double)y[i] * (double)y[i];
    }
    return sqrt(sum / size);
}

/* Operands carry 8 bits, so a product is off by 2^-9 / sqrt(3) = 0.0011 of each operand, and two
 * blocks have some ten products one after the other: 1 % of answer and gradients, in the mean over
 * a tensor. It is not exact either: else nothing would have been rounded. */
static void test_bf16_follows_float(void **state)
{
    (void)state;
    big f, h;
    make_big(&f, MIM_PRECISION_F32, NULL);
    make_big(&h, MIM_PRECISION_BF16, NULL);
    run_big(&f);
    run_big(&h);
    const double answer = relative(BIG_X, h.answer, f.answer);
    assert_true(answer > 1e-5 && answer < 0.01);
    assert_true(relative(BIG_X, h.d_tokens, f.d_tokens) < 0.01);
    assert_true(relative(BIG_B * BIG_C, h.d_condition, f.d_condition) < 0.01);
    for (size_t t = 0; t < f.params->layout->n_tensors; t++) {
        const mim_tensor *tensor = &f.params->layout->tensors[t];
        const double off = relative(tensor->n_values, h.params->grads + tensor->offset,
                                    f.params->grads + tensor->offset);
        if (!(off < 0.015))
            fail_msg("%s: off by %g", tensor->name, off);
    }
    clear_big(&f);
    clear_big(&h);
}

/* Copies in bf16 are made anew in every call. */
static void test_new_values_are_seen(void **state)
{
    (void)state;
    big b;
    make_big(&b, MIM_PRECISION_BF16, NULL);
    float *first = calloc(BIG_X, sizeof *first);
    assert_non_null(first);
    run_big(&b);
    memcpy(first, b.answer, BIG_X * sizeof *first);
    for (size_t i = 0; i < b.params->n_values; i++)
        b.params->values[i] *= 0.5f;
    run_big(&b);
    assert_memory_not_equal(first, b.answer, BIG_X * sizeof *first);
    for (size_t i = 0; i < b.params->n_values; i++)
        b.params->values[i] *= 2;
    run_big(&b);
    assert_memory_equal(first, b.answer, BIG_X * sizeof *first);
    free(first);
    clear_big(&b);
}

/* Two that share weights compute with what was loaded last as one that has none to share does: in
 * bf16 to the bit, in f32 up to the order of sums, as operands are stored another way. */
static void check_shared_weights(mim_precision precision)
{
    big own, both[2];
    mim_layer_weights *weights = NULL;
    make_big(&own, precision, NULL);
    const size_t n = own.params->n_values;
    assert_int_equal(mim_layer_weights_create(NULL, precision, n, &weights), MIM_OK);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; round == 1 && i < n; i++)
            own.params->values[i] *= 0.75f;
        mim_layer_weights_load(weights, own.params->values);
        run_big(&own);
        for (int k = 0; round == 0 && k < 2; k++)
            make_big(&both[k], precision, weights);
        if (precision == MIM_PRECISION_F32) /* whose matrices they have told of now */
            mim_layer_weights_load(weights, own.params->values);
        assert_true(mim_layer_weights_n_bytes(weights) > 0);
        for (int k = 0; k < 2; k++) {
            memcpy(both[k].params->values, own.params->values, n * sizeof(float));
            run_big(&both[k]);
            if (precision == MIM_PRECISION_BF16) {
                assert_memory_equal(own.answer, both[k].answer, BIG_X * sizeof *own.answer);
                assert_memory_equal(own.d_tokens, both[k].d_tokens, BIG_X * sizeof *own.answer);
                assert_memory_equal(own.params->grads, both[k].params->grads, n * sizeof(float));
            } else {
                assert_true(relative(BIG_X, both[k].answer, own.answer) <= 1e-5);
                assert_true(relative(BIG_X, both[k].d_tokens, own.d_tokens) <= 1e-5);
                assert_true(relative(n, both[k].params->grads, own.params->grads) <= 1e-5);
            }
        }
    }
    clear_big(&own);
    for (int k = 0; k < 2; k++)
        clear_big(&both[k]);
    mim_layer_weights_destroy(&weights);
}

static void test_shared_weights(void **state)
{
    (void)state;
    check_shared_weights(MIM_PRECISION_F32);
    check_shared_weights(MIM_PRECISION_BF16);
}

/* ---- memory --------------------------------------------------------------------------------- */

/* The linker sends our own calls here (Makefile); what libraries take is theirs. */
static size_t n_allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size)
{
    n_allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    n_allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    n_allocations++;
    return __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    n_allocations++;
    return __real_aligned_alloc(alignment, size);
}

/* From the second call of a shape on. */
static void test_nothing_is_allocated(void **state)
{
    (void)state;
    for (int p = 0; p < 2; p++) {
        big b;
        n_allocations = 0;
        make_big(&b, (mim_precision)p, NULL);
        assert_true(n_allocations > 0); /* they are counted */
        run_big(&b);
        n_allocations = 0;
        run_big(&b);
        run_big(&b);
        assert_int_equal(n_allocations, 0);
        clear_big(&b);
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
    mim_dit_options options = {NULL, MIM_PRECISION_BF16, NULL, B, N, T, false};
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
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_forward_only),
        cmocka_unit_test(test_float_follows_double),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_bf16_follows_float),
        cmocka_unit_test(test_new_values_are_seen),
        cmocka_unit_test(test_shared_weights),
        cmocka_unit_test(test_nothing_is_allocated),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
