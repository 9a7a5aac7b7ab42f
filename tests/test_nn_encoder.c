/* nn/encoder: the layer put together from single functions, gradients against finite differences in
 * double, float beside double, samples that do not see each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/encoder.h"
#include "support/gradient.h"

enum { B = 2, T = 3, N = B * T, D = 6, H = 2, W = 8 };

static const mim_encoder_shape small = {.width = D, .n_heads = H, .n_blocks = 2, .n_hidden = W};
static const uint32_t samples[B] = {7, 2};
static const mim_dropout thin = {
    .rate = 0.25, .seed = 3, .step = 5, .site = 40, .samples = samples};

typedef struct net {
    mim_params_d *params;
    mim_encoder_d *encoder;
    mim_encoder_call call;
    double tokens[N * D], weights[N * D];
} net;

static mim_params_d *make_params(const mim_encoder_shape *shape)
{
    mim_tensors *layout = NULL;
    mim_params_d *params = NULL;
    size_t first = 0;
    assert_int_equal(mim_tensors_create(&layout), MIM_OK);
    assert_int_equal(mim_tensors_add_linear(layout, "before", 3, 2, false, NULL), MIM_OK);
    assert_int_equal(mim_encoder_add_tensors(shape, "e.", layout, &first), MIM_OK);
    assert_int_equal(first, 2);
    assert_int_equal(mim_params_create_d(layout, &params), MIM_OK);
    mim_tensors_destroy(&layout);
    return params;
}

static void make(net *n, const mim_dropout *dropout)
{
    const mim_encoder_options options = {&mim_gemm_plain, B, T, true};
    n->params = make_params(&small);
    mim_test_fill(n->params->n_values, 1, n->params->values);
    n->call = (mim_encoder_call){B, T, dropout};
    mim_test_fill(N * D, 2, n->tokens);
    mim_test_fill(N * D, 3, n->weights);
    assert_int_equal(mim_encoder_create_d(&small, n->params->layout, 2, &options, &n->encoder),
                     MIM_OK);
}

static void clear(net *n)
{
    mim_params_destroy_d(&n->params);
    mim_encoder_destroy_d(&n->encoder);
}

static const double *ask(net *n)
{
    memcpy(mim_encoder_tokens_d(n->encoder), n->tokens, sizeof n->tokens);
    return mim_encoder_forward_d(n->encoder, n->params->values, &n->call);
}

static double loss(void *context)
{
    net *n = context;
    return mim_test_dot(N * D, ask(n), n->weights);
}

static const double *value(const net *n, size_t block, const char *name)
{
    char full[MIM_TENSOR_MAX_NAME];
    snprintf(full, sizeof full, "e.block%zu.%s", block, name);
    const size_t at = mim_tensors_find(n->params->layout, full);
    assert_true(at != SIZE_MAX);
    return mim_params_value_d(n->params, at);
}

static void linear(const net *n, size_t block, const char *name, size_t n_in, size_t n_out,
                   const double *x, double *y)
{
    char weight[32], bias[32];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    mim_linear_forward_d(&mim_gemm_plain, N, n_in, n_out, x, n_in, value(n, block, weight),
                         value(n, block, bias), MIM_SET, y, n_out);
}

/* Function by function; of every dropout a site of its own. */
static void test_reference(void **state)
{
    (void)state;
    const mim_dropout *const rates[2] = {NULL, &thin};
    for (size_t r = 0; r < 2; r++) {
        net n;
        make(&n, rates[r]);
        double x[N * D], qkv[N * 3 * D], heads[N * D], y[N * D], z[N * D], hidden[N * W];
        double probs[B * H * T * T], work[B * H * T * T], stats[2 * N];
        memcpy(x, n.tokens, sizeof x);
        for (uint32_t i = 0; i < small.n_blocks; i++) {
            mim_dropout sites[4];
            for (uint32_t k = 0; k < 4; k++) {
                sites[k] = rates[r] ? thin : (mim_dropout){0};
                sites[k].site += 4 * i + k;
            }
            const mim_attention attention = {B,     H,     D / H, T,     T,    3 * D,
                                             3 * D, 3 * D, D,     false, NULL, &sites[0]};
            linear(&n, i, "qkv", D, 3 * D, x, qkv);
            mim_attention_forward_d(&mim_gemm_plain, &attention, qkv, qkv + D, qkv + 2 * D, probs,
                                    work, heads);
            linear(&n, i, "mix", D, D, heads, y);
            mim_dropout_apply_d(&sites[1], B, T * D, y, y);
            for (size_t k = 0; k < N * D; k++)
                y[k] += x[k];
            mim_layer_norm_forward_d(N, D, 1e-5, y, value(&n, i, "norm1.gain"),
                                     value(&n, i, "norm1.bias"), x, stats);
            linear(&n, i, "mlp1", D, W, x, hidden);
            mim_activation_forward_d(MIM_GELU, N * W, hidden, hidden);
            mim_dropout_apply_d(&sites[2], B, T * W, hidden, hidden);
            linear(&n, i, "mlp2", W, D, hidden, z);
            mim_dropout_apply_d(&sites[3], B, T * D, z, z);
            for (size_t k = 0; k < N * D; k++)
                z[k] += x[k];
            mim_layer_norm_forward_d(N, D, 1e-5, z, value(&n, i, "norm2.gain"),
                                     value(&n, i, "norm2.bias"), x, stats);
        }
        const double *answer = ask(&n);
        for (size_t k = 0; k < N * D; k++)
            assert_true(fabs(answer[k] - x[k]) < 1e-12);
        clear(&n);
    }
}

static void test_gradients(void **state)
{
    (void)state;
    const mim_dropout *const rates[2] = {NULL, &thin};
    for (size_t r = 0; r < 2; r++) {
        net n;
        double d_tokens[N * D];
        make(&n, rates[r]);
        loss(&n);
        for (size_t v = 0; v < n.params->n_values; v++)
            n.params->grads[v] = 1; /* is added to */
        memcpy(mim_encoder_d_answer_d(n.encoder), n.weights, sizeof n.weights);
        memcpy(d_tokens,
               mim_encoder_backward_d(n.encoder, n.params->values, &n.call, n.params->grads),
               sizeof d_tokens);
        for (size_t v = 0; v < n.params->n_values; v++)
            n.params->grads[v] -= 1;
        assert_true(mim_test_gradient(n.params->n_values, n.params->values, n.params->grads, loss,
                                      &n) <= 3e-7);
        assert_true(mim_test_gradient(N * D, n.tokens, d_tokens, loss, &n) <= 3e-7);
        for (size_t k = 2; k < n.params->layout->n_tensors; k++) { /* else nothing was compared */
            const mim_tensor *t = &n.params->layout->tensors[k];
            double largest = 0;
            for (size_t v = t->offset; v < t->offset + t->n_values; v++)
                largest = fmax(largest, fabs(n.params->grads[v]));
            if (!(largest > 1e-6))
                fail_msg("%s: largest gradient %g", t->name, largest);
        }
        clear(&n);
    }
}

static void test_float_follows_double(void **state)
{
    (void)state;
    const mim_gemm *const gemms[2] = {&mim_gemm_plain, &mim_gemm_onednn};
    for (size_t g = 0; g < 2; g++) {
        net n;
        const mim_encoder_options options = {gemms[g], B, T, true};
        mim_encoder_f *encoder = NULL;
        mim_params_f *params = NULL;
        make(&n, &thin);
        assert_int_equal(mim_params_create_f(n.params->layout, &params), MIM_OK);
        assert_int_equal(mim_encoder_create_f(&small, params->layout, 2, &options, &encoder),
                         MIM_OK);
        for (size_t i = 0; i < params->n_values; i++)
            params->values[i] = (float)n.params->values[i];
        for (size_t i = 0; i < N * D; i++)
            mim_encoder_tokens_f(encoder)[i] = (float)n.tokens[i];
        const double *y = ask(&n);
        const float *z = mim_encoder_forward_f(encoder, params->values, &n.call);
        for (size_t i = 0; i < N * D; i++) {
            assert_true(fabs((double)z[i] - y[i]) < 2e-5);
            mim_encoder_d_answer_d(n.encoder)[i] = n.weights[i];
            mim_encoder_d_answer_f(encoder)[i] = (float)n.weights[i];
        }
        const double *dx =
            mim_encoder_backward_d(n.encoder, n.params->values, &n.call, n.params->grads);
        const float *df = mim_encoder_backward_f(encoder, params->values, &n.call, params->grads);
        for (size_t i = 0; i < N * D; i++)
            assert_true(fabs((double)df[i] - dx[i]) < 2e-5 * fmax(1, fabs(dx[i])));
        for (size_t i = 0; i < params->n_values; i++)
            assert_true(fabs((double)params->grads[i] - n.params->grads[i]) < 1e-4);
        mim_encoder_destroy_f(&encoder);
        mim_params_destroy_f(&params);
        clear(&n);
    }
}

/* Without memory for training the answer is the same; a sample does not hear of its neighbours. */
static void test_samples_and_memory(void **state)
{
    (void)state;
    net n;
    double before[N * D];
    mim_encoder_d *lean = NULL;
    const mim_encoder_options options = {&mim_gemm_plain, B, T, false};
    make(&n, NULL);
    memcpy(before, ask(&n), sizeof before);
    assert_int_equal(mim_encoder_create_d(&small, n.params->layout, 2, &options, &lean), MIM_OK);
    assert_true(mim_encoder_n_bytes_d(lean) < mim_encoder_n_bytes_d(n.encoder));
    assert_null(mim_encoder_d_answer_d(lean));
    memcpy(mim_encoder_tokens_d(lean), n.tokens, sizeof n.tokens);
    assert_memory_equal(mim_encoder_forward_d(lean, n.params->values, &n.call), before,
                        sizeof before);
    mim_encoder_destroy_d(&lean);
    n.tokens[0] += 0.5;
    const double *after = ask(&n);
    assert_memory_equal(before + T * D, after + T * D, (B - 1) * T * D * sizeof *after);
    assert_memory_not_equal(before, after, T * D * sizeof *after);
    clear(&n);
}

/* As many parameters as the library's layer of the published sizes, and its first values. */
static void test_tensors(void **state)
{
    (void)state;
    static const mim_encoder_shape published = {256, 4, 1, 1024};
    mim_params_d *p = make_params(&published);
    assert_int_equal(p->n_values - 8, 789760);
    mim_params_init_d(p, 1);
    const mim_tensors *l = p->layout;
    const mim_tensor *qkv = &l->tensors[mim_tensors_find(l, "e.block0.qkv.weight")];
    assert_true(fabs(qkv->scale - sqrt(6.0 / (4 * 256))) < 1e-15);
    assert_true(p->values[qkv[1].offset] == 0 && p->values[qkv[3].offset] == 0);
    assert_true(p->values[l->tensors[mim_tensors_find(l, "e.block0.norm1.gain")].offset] == 1);
    assert_true(mim_encoder_flop(&published, 2, 3) ==
                2.0 * 6 * (4 * 256 * 256 + 2 * 256 * 1024 + 2 * 3 * 256));
    mim_params_destroy_d(&p);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        mim_encoder_shape s;
        const char *part;
    } cases[] = {
        {{0, 1, 1, 8}, "width: expected 1 to"},
        {{8, 3, 1, 8}, "no multiple of 3 heads"},
        {{8, 2, 65, 8}, "blocks: expected 1 to 64, found 65"},
        {{8, 2, 1, 0}, "hidden width"},
    };
    mim_tensors *layout = NULL;
    mim_encoder_d *encoder = NULL;
    const mim_encoder_options none = {NULL, 0, 1, false};
    size_t first;
    assert_int_equal(mim_tensors_create(&layout), MIM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mim_encoder_add_tensors(&cases[i].s, "", layout, &first), MIM_EINVAL);
        assert_non_null(strstr(mim_error(), cases[i].part));
    }
    assert_int_equal(mim_encoder_add_tensors(&small, "", layout, &first), MIM_OK);
    assert_int_equal(mim_encoder_create_d(&small, layout, 0, &none, &encoder), MIM_EINVAL);
    assert_null(encoder);
    mim_tensors_destroy(&layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_float_follows_double),
        cmocka_unit_test(test_samples_and_memory),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
