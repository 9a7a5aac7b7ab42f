#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nn/optim.h"

static mim_params_d *two_values(double first, double second)
{
    const size_t shape = 2;
    mim_tensors *tensors = NULL;
    mim_params_d *params = NULL;
    assert_int_equal(mim_tensors_create(&tensors), MIM_OK);
    assert_int_equal(mim_tensors_add(tensors, "p", 1, &shape, MIM_INIT_ZERO, 0, true, NULL),
                     MIM_OK);
    assert_int_equal(mim_params_create_d(tensors, &params), MIM_OK);
    mim_tensors_destroy(&tensors);
    params->values[0] = first;
    params->values[1] = second;
    return params;
}

static void set_grads(mim_params_d *params, double first, double second)
{
    params->grads[0] = first;
    params->grads[1] = second;
}

static void expect(const double *found, double first, double second, double tolerance)
{
    assert_true(fabs(found[0] - first) <= tolerance);
    assert_true(fabs(found[1] - second) <= tolerance);
}

/* Published vector. */
static void test_adam_known(void **state)
{
    (void)state;
    mim_params_d *params = two_values(1, -2);
    set_grads(params, .1, -.3);
    mim_adam_step_d(&mim_adam_default, 1e-4, 1, params);
    expect(params->values, 0.999900000010, -1.999900000003, 1e-12);
    set_grads(params, .2, .1);
    mim_adam_step_d(&mim_adam_default, 1e-4, 2, params);
    expect(params->values, 0.999803481814, -1.999859978148, 1e-12);
    mim_params_destroy_d(&params);
}

/* The first step is lr times the sign of the gradient, whatever its size; AdamW first shrinks the
 * value by lr weight_decay, Adam adds weight_decay times the value to the gradient. */
static void test_decay(void **state)
{
    (void)state;
    mim_adam adam = mim_adam_default;
    mim_params_d *params = two_values(4, -4);
    adam.weight_decay = 0.5;
    adam.is_decoupled = true;
    set_grads(params, 3, 3);
    mim_adam_step_d(&adam, 0.01, 1, params);
    expect(params->values, 4 * (1 - 0.005) - 0.01, -4 * (1 - 0.005) - 0.01, 1e-9);
    mim_params_destroy_d(&params);

    params = two_values(4, -4);
    adam.is_decoupled = false;
    set_grads(params, 1, 1); /* 1 + 2 and 1 - 2 */
    mim_adam_step_d(&adam, 0.01, 1, params);
    expect(params->values, 4 - 0.01, -4 + 0.01, 1e-9);
    expect(params->moment_1, 0.3, -0.1, 1e-15);
    mim_params_destroy_d(&params);

    params = two_values(4, -4);
    params->layout->tensors[0].is_decayed = false;
    set_grads(params, 1, 1);
    mim_adam_step_d(&adam, 0.01, 1, params);
    expect(params->values, 4 - 0.01, -4 - 0.01, 1e-9);
    mim_params_destroy_d(&params);
}

/* Published vector; and gradients below the bound, or not finite, stay. */
static void test_clip(void **state)
{
    (void)state;
    mim_params_d *params = two_values(0, 0);
    set_grads(params, 3, 4);
    assert_true(mim_clip_grads_d(1, params) == 5);
    expect(params->grads, 0.59999988, 0.79999984, 1e-12);
    set_grads(params, 3, 4);
    assert_true(mim_clip_grads_d(10, params) == 5);
    expect(params->grads, 3, 4, 0);
    assert_true(mim_clip_grads_d(0, params) == 5);
    expect(params->grads, 3, 4, 0);
    set_grads(params, 3, NAN);
    assert_true(isnan(mim_clip_grads_d(1, params)));
    assert_true(params->grads[0] == 3);
    mim_params_destroy_d(&params);
}

/* Published vector. */
static void test_ema(void **state)
{
    (void)state;
    const mim_ema ema = {.beta = 0.995, .n_copies = 1000};
    mim_params_d *params = two_values(7, 1);
    params->ema[0] = NAN;
    mim_ema_update_d(&ema, 999, params);
    expect(params->ema, 7, 1, 0);
    params->values[0] = 1;
    params->ema[0] = 0;
    mim_ema_update_d(&ema, 1000, params);
    expect(params->ema, 0.005, 1, 1e-15);
    mim_ema_update_d(&ema, 1001, params);
    expect(params->ema, 0.009975, 1, 1e-15);
    mim_params_destroy_d(&params);

    const mim_ema warming = {.beta = 0.9, .n_copies = 2, .is_warming = true};
    assert_true(mim_ema_beta_at(&warming, 1) == 0);
    assert_true(mim_ema_beta_at(&warming, 2) == 0.1);
    assert_true(mim_ema_beta_at(&warming, 3) == 2.0 / 11);
    assert_true(mim_ema_beta_at(&warming, 1000) == 0.9);
}

static void test_schedules(void **state)
{
    (void)state;
    mim_lr_schedule s = {.base = 2, .floor = 0.1, .n_warmup = 4, .n_steps = 105};
    assert_true(mim_lr_at(&s, 0) == 0.5);
    assert_true(mim_lr_at(&s, 3) == 2);
    assert_true(mim_lr_at(&s, 4) == 2 && mim_lr_at(&s, 1000) == 2);
    s.decay = MIM_LR_LINEAR;
    assert_true(mim_lr_at(&s, 4) == 2);
    assert_true(fabs(mim_lr_at(&s, 54) - 1.1) < 1e-12);
    assert_true(fabs(mim_lr_at(&s, 104) - 0.2) < 1e-12 && fabs(mim_lr_at(&s, 999) - 0.2) < 1e-12);
    s.decay = MIM_LR_COSINE;
    assert_true(mim_lr_at(&s, 4) == 2);
    assert_true(fabs(mim_lr_at(&s, 29) - (0.2 + 1.8 * 0.5 * (1 + sqrt(0.5)))) < 1e-12);
    assert_true(fabs(mim_lr_at(&s, 54) - 1.1) < 1e-12);
    assert_true(fabs(mim_lr_at(&s, 104) - 0.2) < 1e-12 && fabs(mim_lr_at(&s, 999) - 0.2) < 1e-12);
    s.n_warmup = 0;
    s.n_steps = 1;
    assert_true(isfinite(mim_lr_at(&s, 0)));
}

/* Float follows double over many steps. */
static void test_float_is_near_double(void **state)
{
    (void)state;
    const size_t shape = 100;
    const mim_ema ema = {.beta = 0.9};
    mim_tensors *tensors = NULL;
    mim_params_d *d = NULL;
    mim_params_f *f = NULL;
    assert_int_equal(mim_tensors_create(&tensors), MIM_OK);
    assert_int_equal(mim_tensors_add(tensors, "p", 1, &shape, MIM_INIT_NORMAL, 1, true, NULL),
                     MIM_OK);
    assert_int_equal(mim_params_create_d(tensors, &d), MIM_OK);
    assert_int_equal(mim_params_create_f(tensors, &f), MIM_OK);
    mim_params_init_d(d, 3);
    mim_params_init_f(f, 3);
    for (uint64_t step = 1; step <= 50; step++) {
        for (size_t i = 0; i < shape; i++)
            f->grads[i] = (float)(d->grads[i] = sin(0.37 * (double)(step * (i + 1))));
        assert_true(fabs(mim_clip_grads_f(1, f) - mim_clip_grads_d(1, d)) < 1e-6);
        mim_adam_step_f(&mim_adam_default, 1e-2, step, f);
        mim_adam_step_d(&mim_adam_default, 1e-2, step, d);
        mim_ema_update_f(&ema, step, f);
        mim_ema_update_d(&ema, step, d);
    }
    for (size_t i = 0; i < shape; i++) {
        assert_true(fabs((double)f->values[i] - d->values[i]) < 1e-5);
        assert_true(fabs((double)f->ema[i] - d->ema[i]) < 1e-5);
    }
    mim_params_destroy_f(&f);
    mim_params_destroy_d(&d);
    mim_tensors_destroy(&tensors);
}

/* About 110,000 values, of which the middle tensor's are not decayed. */
static mim_params_f *three_tensors(void)
{
    const size_t shapes[3] = {40000, 70001, 13};
    mim_tensors *tensors = NULL;
    mim_params_f *params = NULL;
    assert_int_equal(mim_tensors_create(&tensors), MIM_OK);
    for (size_t t = 0; t < 3; t++) {
        const char name[2] = {(char)('a' + (int)t), 0};
        assert_int_equal(
            mim_tensors_add(tensors, name, 1, &shapes[t], MIM_INIT_NORMAL, 1, t != 1, NULL),
            MIM_OK);
    }
    assert_int_equal(mim_params_create_f(tensors, &params), MIM_OK);
    mim_params_init_f(params, 3);
    mim_tensors_destroy(&tensors);
    return params;
}

/* Nor does it matter whether a gradient was summed up before: from one to three arrays whose sum is
 * that of the step, which are 0 afterwards. `wanted` has had its step. */
static void check_apart(uint64_t step, const mim_update *update, const mim_params_f *wanted,
                        mim_params_f *apart)
{
    const size_t n = apart->n_values, n_parts = 1 + (step - 1) % 3;
    float *more = calloc(2 * n, sizeof *more);
    float *const all[] = {apart->grads, more, more + n};
    const mim_gradient_f gradient = {NULL, all, n_parts};
    assert_non_null(more);
    for (size_t i = 0; i < n; i++) {
        const float whole = (float)sin(0.37 * (double)(step * (i + 1)));
        all[0][i] = n_parts == 1 ? whole : 0.5f * whole;
        if (n_parts == 2)
            all[1][i] = 0.5f * whole;
        else if (n_parts == 3)
            all[1][i] = all[2][i] = 0.25f * whole;
    }
    assert_true(mim_gradient_norm_f(n, &gradient) == update->norm);
    mim_update_step_f(update, &gradient, apart);
    assert_memory_equal(apart->values, wanted->values, n * sizeof(float));
    assert_memory_equal(apart->moment_1, wanted->moment_1, n * sizeof(float));
    assert_memory_equal(apart->moment_2, wanted->moment_2, n * sizeof(float));
    assert_memory_equal(apart->ema, wanted->ema, n * sizeof(float));
    for (size_t k = 0; k < n_parts; k++)
        for (size_t i = 0; i < n; i++)
            assert_true(all[k][i] == 0);
    free(more);
}

/* One pass does what three did, to the bit, over chunks and tensors that end elsewhere. */
static void test_update_is_its_parts(void **state)
{
    (void)state;
    const mim_adam adam = {0.9, 0.99, 1e-8, 0.05, true};
    const mim_ema ema = {.beta = 0.9, .n_copies = 2};
    mim_params_f *whole = three_tensors(), *parts = three_tensors(), *apart = three_tensors();
    const size_t n = whole->n_values;
    double *sums = calloc(n, sizeof *sums);
    float *other = calloc(n, sizeof *other);
    assert_true(sums && other);
    const mim_gradient_f gradient = {.sums = sums};
    for (uint64_t step = 1; step <= 4; step++) {
        const double max_norm = step == 3 ? 0 : 50; /* of about 235 */
        for (size_t i = 0; i < n; i++) {
            parts->grads[i] = (float)sin(0.37 * (double)(step * (i + 1)));
            whole->grads[i] = 0.25f * parts->grads[i];
            other[i] = 0.25f * parts->grads[i];
            sums[i] = 0.5 * (double)parts->grads[i];
        }
        float *const both[] = {whole->grads, other};
        mim_grads_move_f(0, 1, 2, both, true, sums);
        if (step % 2) {
            mim_grads_move_f(1, n - 1, 2, both, true, sums);
        } else { /* set, then grow by the rest */
            for (size_t i = 1; i < n; i++)
                whole->grads[i] = 2 * other[i];
            mim_grads_move_f(1, n - 1, 1, both, false, sums);
            for (size_t i = 1; i < n; i++)
                whole->grads[i] = other[i];
            mim_grads_move_f(1, n - 1, 2, both, true, sums);
        }
        for (size_t i = 0; i < n; i++)
            assert_true(whole->grads[i] == 0 && other[i] == 0 && (float)sums[i] == parts->grads[i]);
        const double norm = mim_gradient_norm_f(n, &gradient);
        assert_true(norm == mim_clip_grads_f(max_norm, parts));
        mim_adam_step_f(&adam, 1e-2, step, parts);
        mim_ema_update_f(&ema, step - 1, parts);
        const mim_update update = {&adam, &ema, 1e-2, step, norm, max_norm};
        mim_update_step_f(&update, &gradient, whole);
        assert_memory_equal(whole->values, parts->values, n * sizeof(float));
        assert_memory_equal(whole->moment_1, parts->moment_1, n * sizeof(float));
        assert_memory_equal(whole->moment_2, parts->moment_2, n * sizeof(float));
        assert_memory_equal(whole->ema, parts->ema, n * sizeof(float));
        for (size_t i = 0; i < n; i++)
            assert_true(whole->grads[i] == 0);
        check_apart(step, &update, parts, apart);
    }
    free(sums);
    free(other);
    mim_params_destroy_f(&whole);
    mim_params_destroy_f(&parts);
    mim_params_destroy_f(&apart);
}

/* Instances that each update a part come together to what one does, to the bit, when they hand each
 * other the values: parts end within tensors, and are longer or shorter than a chunk. */
static void test_parts_update_as_whole(void **state)
{
    enum { MAX_PARTS = 4 };
    const mim_adam adam = {0.9, 0.99, 1e-8, 0.05, true};
    const mim_ema ema = {.beta = 0.9, .n_copies = 2};
    (void)state;
    for (size_t n_parts = 1; n_parts <= MAX_PARTS; n_parts++) {
        mim_params_f *whole = three_tensors(), *parts[MAX_PARTS] = {NULL};
        const size_t n = whole->n_values, n_bytes = n * sizeof(float);
        double *sums = calloc(n, sizeof *sums);
        const mim_gradient_f gradient = {.sums = sums};
        assert_non_null(sums);
        for (size_t k = 0; k < n_parts; k++) {
            const mim_part part = {k, n_parts};
            parts[k] = three_tensors();
            assert_int_equal(mim_params_keep_part_f(&part, parts[k]), MIM_OK);
        }
        for (uint64_t step = 1; step <= 4; step++) {
            for (size_t i = 0; i < n; i++)
                sums[i] = sin(0.37 * (double)(step * (i + 1)));
            const mim_update update = {&adam, &ema, 1e-2, step, mim_gradient_norm_f(n, &gradient),
                                       50};
            mim_update_step_f(&update, &gradient, whole);
            for (size_t k = 0; k < n_parts; k++) {
                const mim_params_f *p = parts[k];
                const size_t first = p->first_own, n_own = p->n_own * sizeof(float);
                mim_update_step_f(&update, &gradient, parts[k]);
                assert_memory_equal(p->grads, whole->grads, n_bytes);
                assert_memory_equal(p->values + first, whole->values + first, n_own);
                assert_memory_equal(p->moment_1, whole->moment_1 + first, n_own);
                assert_memory_equal(p->moment_2, whole->moment_2 + first, n_own);
                assert_memory_equal(p->own_ema, whole->ema + first, n_own);
                assert_true(n_own == n_bytes || memcmp(p->values, whole->values, n_bytes) != 0);
            }
            for (size_t k = 0; k < n_parts; k++)
                memcpy(parts[k]->values, whole->values, n_bytes);
        }
        for (size_t k = 0; k < n_parts; k++)
            mim_params_destroy_f(&parts[k]);
        mim_params_destroy_f(&whole);
        free(sums);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adam_known),
        cmocka_unit_test(test_decay),
        cmocka_unit_test(test_clip),
        cmocka_unit_test(test_ema),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_float_is_near_double),
        cmocka_unit_test(test_update_is_its_parts),
        cmocka_unit_test(test_parts_update_as_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
