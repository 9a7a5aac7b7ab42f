#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nn/params.h"

static mim_tensors *some_tensors(void)
{
    mim_tensors *t = NULL;
    const size_t shape[] = {100, 30};
    size_t index = 99;
    assert_int_equal(mim_tensors_create(&t), MIM_OK);
    assert_int_equal(mim_tensors_add_linear(t, "first", 4, 3, false, &index), MIM_OK);
    assert_int_equal(index, 0);
    assert_int_equal(mim_tensors_add(t, "gain", 1, shape, MIM_INIT_ONE, 0, false, &index), MIM_OK);
    assert_int_equal(index, 2);
    assert_int_equal(mim_tensors_add(t, "table", 2, shape, MIM_INIT_NORMAL, 2, false, NULL),
                     MIM_OK);
    assert_int_equal(mim_tensors_add_linear(t, "last", 4, 5, true, &index), MIM_OK);
    assert_int_equal(index, 4);
    return t;
}

static void test_tensors_follow_each_other(void **state)
{
    (void)state;
    mim_tensors *t = some_tensors();
    size_t at = 0;
    for (size_t i = 0; i < t->n_tensors; i++) {
        assert_int_equal(t->tensors[i].offset, at);
        at += t->tensors[i].n_values;
    }
    assert_int_equal(at, t->n_values);
    assert_int_equal(t->n_values, 12 + 3 + 100 + 3000 + 20 + 5);
    assert_int_equal(mim_tensors_find(t, "last.bias"), 5);
    assert_true(mim_tensors_find(t, "last") == SIZE_MAX);
    assert_true(t->tensors[0].is_decayed && !t->tensors[1].is_decayed);
    assert_int_equal(t->tensors[0].shape[0], 3); /* [n_out, n_in] */
    mim_tensors_destroy(&t);
    assert_null(t);
    mim_tensors_destroy(&t);
}

static void test_bad_tensors_are_refused(void **state)
{
    (void)state;
    mim_tensors *t = some_tensors();
    const size_t n = t->n_tensors, good[] = {2, 2, 2, 2, 2}, empty[] = {2, 0};
    const size_t huge[] = {SIZE_MAX / 2, 4}, large[] = {1u << 20, 1u << 20};
    char name[MIM_TENSOR_MAX_NAME + 1];
    memset(name, 'x', sizeof name);
    name[MIM_TENSOR_MAX_NAME] = 0;
    const struct {
        const char *name;
        size_t rank;
        const size_t *shape;
        mim_init init;
        double scale;
    } cases[] = {
        {"gain", 1, good, MIM_INIT_ZERO, 0},  {"", 1, good, MIM_INIT_ZERO, 0},
        {name, 1, good, MIM_INIT_ZERO, 0},    {"a", 0, good, MIM_INIT_ZERO, 0},
        {"a", 5, good, MIM_INIT_ZERO, 0},     {"a", 2, empty, MIM_INIT_ZERO, 0},
        {"a", 2, huge, MIM_INIT_ZERO, 0},     {"a", 2, large, MIM_INIT_ZERO, 0},
        {"a", 1, good, MIM_INIT_UNIFORM, 0},  {"a", 1, good, MIM_INIT_NORMAL, -1},
        {"a", 1, good, MIM_INIT_NORMAL, NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t index = 77;
        assert_int_equal(mim_tensors_add(t, cases[i].name, cases[i].rank, cases[i].shape,
                                         cases[i].init, cases[i].scale, false, &index),
                         MIM_EINVAL);
        assert_int_equal(index, 77);
    }
    assert_int_equal(mim_tensors_add_linear(t, "first", 4, 3, false, NULL), MIM_EINVAL);
    assert_int_equal(mim_tensors_add_linear(t, name + 1, 4, 3, false, NULL), MIM_EINVAL);
    assert_int_equal(mim_tensors_add_linear(t, "b", 0, 3, false, NULL), MIM_EINVAL);
    assert_int_equal(t->n_tensors, n);
    mim_tensors_destroy(&t);
}

static void test_match(void **state)
{
    (void)state;
    mim_tensors *a = some_tensors(), *b = some_tensors();
    assert_int_equal(mim_tensors_match(a, b), MIM_OK);
    b->tensors[3].shape[1]++;
    assert_int_equal(mim_tensors_match(a, b), MIM_EDATA);
    assert_string_equal(mim_error(), "tensor table: expected extent 30 on axis 1, found 31");
    b->tensors[3].shape[1]--;
    b->n_tensors--;
    assert_int_equal(mim_tensors_match(a, b), MIM_EDATA);
    assert_int_equal(mim_tensors_match(b, a), MIM_EDATA);
    mim_tensors_destroy(&a);
    mim_tensors_destroy(&b);
}

static void test_first_values(void **state)
{
    (void)state;
    mim_tensors *t = some_tensors();
    mim_params_d *p = NULL;
    double sum = 0, squares = 0;
    assert_int_equal(mim_params_create_d(t, &p), MIM_OK);
    p->grads[1] = p->moment_1[1] = p->moment_2[1] = p->ema[1] = 5;
    mim_params_init_d(p, 8);
    assert_true(p->grads[1] == 0 && p->moment_1[1] == 0 && p->moment_2[1] == 0);
    assert_memory_equal(p->ema, p->values, p->n_values * sizeof *p->ema);
    for (size_t i = 0; i < 15; i++)
        assert_true(fabs(p->values[i]) <= 0.5 && p->values[i] != 0); /* 1 / sqrt(4) */
    for (size_t i = 15; i < 115; i++)
        assert_true(p->values[i] == 1);
    const double *table = mim_params_value_d(p, 3);
    for (size_t i = 0; i < 3000; i++) {
        sum += table[i];
        squares += table[i] * table[i];
    }
    /* 5 standard errors of mean and variance */
    assert_true(fabs(sum / 3000) < 5 * 2 / sqrt(3000));
    assert_true(fabs(squares / 3000 - 4) < 5 * 4 * sqrt(2.0 / 3000));
    for (size_t i = 0; i < 25; i++)
        assert_true(mim_params_value_d(p, 4)[i] == 0);
    *mim_params_grad_d(p, 5) = 3;
    assert_true(p->grads[t->n_values - 5] == 3);
    mim_params_zero_grads_d(p);
    assert_true(p->grads[t->n_values - 5] == 0);
    mim_params_destroy_d(&p);
    assert_null(p);
    mim_params_destroy_d(&p);
    mim_tensors_destroy(&t);
}

/* A tensor starts alike in both precisions and whatever stands before it. */
static void test_first_values_belong_to_the_name(void **state)
{
    (void)state;
    mim_tensors *t = some_tensors(), *other = NULL;
    mim_params_d *d = NULL;
    mim_params_f *f = NULL;
    const size_t shape[] = {100, 30};
    assert_int_equal(mim_tensors_create(&other), MIM_OK);
    assert_int_equal(mim_tensors_add(other, "table", 2, shape, MIM_INIT_NORMAL, 2, false, NULL),
                     MIM_OK);
    assert_int_equal(mim_params_create_d(t, &d), MIM_OK);
    assert_int_equal(mim_params_create_f(other, &f), MIM_OK);
    mim_params_init_d(d, 8);
    mim_params_init_f(f, 8);
    for (size_t i = 0; i < 3000; i++)
        assert_true(f->values[i] == (float)mim_params_value_d(d, 3)[i]);
    mim_params_init_f(f, 9);
    assert_true(f->values[0] != (float)mim_params_value_d(d, 3)[0]);
    mim_params_destroy_f(&f);
    mim_params_destroy_d(&d);
    mim_tensors_destroy(&t);
    mim_tensors_destroy(&other);
}

/* Parts follow each other, cut at multiples of 16, alike in size. */
static void test_parts_are_cut(void **state)
{
    static const struct {
        size_t n_values, n_parts, index, first, n;
    } cases[] = {{160, 1, 0, 0, 160},
                 {160, 2, 0, 0, 80},
                 {160, 2, 1, 80, 80},
                 {100, 2, 0, 0, 64},
                 {100, 2, 1, 64, 36},
                 {100, 3, 0, 0, 48},
                 {100, 3, 1, 48, 32},
                 {100, 3, 2, 80, 20},
                 {16, 2, 0, 0, 16},
                 {16, 2, 1, 16, 0},
                 {5, 4, 0, 0, 5},
                 {5, 4, 3, 5, 0},
                 {1 << 20, 3, 2, 699056, 349520}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mim_part part = {cases[i].index, cases[i].n_parts};
        size_t first = SIZE_MAX, n = SIZE_MAX;
        mim_part_range(&part, cases[i].n_values, &first, &n);
        assert_int_equal(first, cases[i].first);
        assert_int_equal(n, cases[i].n);
    }
}

/* What the part has stays, the rest of the memory goes. */
static void test_a_part_is_kept(void **state)
{
    const mim_part all = {0, 1}, second = {1, 4};
    mim_tensors *t = some_tensors();
    mim_params_f *p = NULL;
    (void)state;
    assert_int_equal(mim_params_create_f(t, &p), MIM_OK);
    mim_params_init_f(p, 8);
    const size_t n_values = p->n_values;
    assert_int_equal(mim_params_keep_part_f(&all, p), MIM_OK);
    assert_true(p->first_own == 0 && p->n_own == n_values && p->ema == p->own_ema);
    for (size_t i = 0; i < n_values; i++) {
        p->moment_1[i] = (float)i;
        p->moment_2[i] = (float)i + 0.25f;
        p->ema[i] = (float)i + 0.5f;
    }
    const float value = p->values[200];
    assert_true(malloc_usable_size(p->moment_1) >= 12 * n_values);
    assert_int_equal(mim_params_keep_part_f(&second, p), MIM_OK);
    assert_true(malloc_usable_size(p->moment_1) < 12 * n_values / 3);
    assert_true(p->n_values == n_values && p->values[200] == value && p->ema == p->grads);
    assert_true(p->first_own % 16 == 0 && p->first_own > n_values / 5);
    assert_true(p->n_own > n_values / 5 && p->n_own <= n_values / 4 + 16);
    for (size_t i = 0; i < p->n_own; i++) {
        const float number = (float)(p->first_own + i);
        assert_true(p->moment_1[i] == number && p->moment_2[i] == number + 0.25f);
        assert_true(p->own_ema[i] == number + 0.5f);
    }
    mim_params_init_f(p, 9);
    assert_true(p->moment_2[0] == 0 && p->grads[n_values - 1] == 0 && p->values[200] != value);
    assert_memory_equal(p->own_ema, p->values + p->first_own, p->n_own * sizeof(float));
    mim_params_destroy_f(&p);
    mim_tensors_destroy(&t);
}

static void test_nothing_is_no_network(void **state)
{
    (void)state;
    mim_tensors *t = NULL;
    mim_params_f *p = NULL;
    assert_int_equal(mim_tensors_create(&t), MIM_OK);
    assert_int_equal(mim_params_create_f(t, &p), MIM_EINVAL);
    assert_null(p);
    mim_tensors_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors_follow_each_other),
        cmocka_unit_test(test_bad_tensors_are_refused),
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_first_values),
        cmocka_unit_test(test_first_values_belong_to_the_name),
        cmocka_unit_test(test_parts_are_cut),
        cmocka_unit_test(test_a_part_is_kept),
        cmocka_unit_test(test_nothing_is_no_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
