/* core/npy, core/npz, nn/weights: what NumPy wrote, round trips to the bit, refusals by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/npz.h"
#include "core/text.h"
#include "nn/weights.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static char path[64];

static int make_path(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/mimesys_test_npz.%d.npz", (int)getpid());
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

#define WITH_PATH(TEST) cmocka_unit_test_setup_teardown(TEST, make_path, remove_path)

static mim_npz *open_npz(const char *name)
{
    mim_npz *npz = NULL;
    if (mim_npz_open(name, &npz) != MIM_OK)
        fail_msg("%s", mim_error());
    return npz;
}

/* ---- heads ---------------------------------------------------------------------------------- */

/* A head of version 1 around a dictionary. */
static size_t put_text(const char *text, unsigned char *head)
{
    const size_t n = strlen(text);
    memcpy(head, "\x93NUMPY\1\0", 8);
    head[8] = (unsigned char)(n & 255);
    head[9] = (unsigned char)(n >> 8);
    memcpy(head + 10, text, n);
    return 10 + n;
}

#define HEAD(TYPE, ORDER, SHAPE)                                                                   \
    "{'descr': '" TYPE "', 'fortran_order': " ORDER ", 'shape': " SHAPE ", }"

static void test_heads(void **state)
{
    static const struct {
        const char *text, *expected; /* part of the sentence, NULL: none */
        size_t item_bytes, rank, n_values;
    } cases[] = {
        {HEAD("<f4", "False", "(3, 4)"), NULL, 4, 2, 12},
        {HEAD("<f8", "False", "(5,)"), NULL, 8, 1, 5},
        {HEAD("<f2", "False", "()"), NULL, 2, 0, 1},
        {HEAD("<f4", "True", "(5,)"), NULL, 4, 1, 5}, /* one axis has one order */
        {HEAD("<f4", "False", "(0, 18446744073709551615)"), "extent", 0, 0, 0},
        {HEAD("<f4", "False", "(0, 7)"), NULL, 4, 2, 0},
        {HEAD("<f4", "False", "(1, 1, 1, 1, 1, 1, 1, 2)"), NULL, 4, 8, 2},
        {"{\"shape\": (2,), \"fortran_order\": False, \"descr\": \"<f4\"}\n", NULL, 4, 1, 2},
        {HEAD("<f4", "True", "(3, 4)"), "Fortran order", 0, 0, 0},
        {HEAD(">f4", "False", "(3,)"), "'>f4', expected '<f4'", 0, 0, 0},
        {HEAD("<i4", "False", "(3,)"), "'<i4', expected", 0, 0, 0},
        {HEAD("|O", "False", "(3,)"), "'|O', expected", 0, 0, 0},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "records", 0, 0, 0},
        {HEAD("<f4", "0", "(3,)"), "True or False", 0, 0, 0},
        {HEAD("<f4", "False", "(3)"), "comma in the shape", 0, 0, 0},
        {HEAD("<f4", "False", "3"), "a shape like", 0, 0, 0},
        {HEAD("<f4", "False", "(-3,)"), "extent", 0, 0, 0},
        {HEAD("<f4", "False", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), "more than 8 axes", 0, 0, 0},
        {HEAD("<f4", "False", "(4294967296, 4294967296)"), "too many values", 0, 0, 0},
        {"{'descr': '<f4', 'shape': (1,)}", "expected descr, fortran_order and shape", 0, 0, 0},
        {"{'descr': '<f4', 'descr': '<f4'}", "twice", 0, 0, 0},
        {"{'descr': '<f4', 'axes': 3}", "unknown key 'axes'", 0, 0, 0},
        {"{'descr': '<f4'", "a comma or the end", 0, 0, 0},
        {"{'descr': '<f4", "a descr like", 0, 0, 0},
        {"", "a dictionary", 0, 0, 0},
        {"{} x", "nothing after the dictionary", 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        unsigned char head[256];
        const size_t n = put_text(cases[i].text, head);
        mim_npy a = {.item_bytes = 99};
        const int rc = mim_npy_parse(head, n, &a);
        if (!cases[i].expected) {
            assert_int_equal(rc, MIM_OK);
            assert_int_equal(a.item_bytes, cases[i].item_bytes);
            assert_int_equal(a.rank, cases[i].rank);
            assert_int_equal(a.n_values, cases[i].n_values);
            assert_int_equal(a.n_head, n);
            assert_int_equal(mim_npy_parse(head, n - 1, &a), MIM_EDATA); /* cut */
        } else if (rc != MIM_EDATA || !strstr(mim_error(), cases[i].expected) ||
                   a.item_bytes != 99) {
            fail_msg("%s: %d, %s", cases[i].text, rc, mim_error());
        }
    }
}

static void test_starts(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *expected;
    } cases[] = {{"", 0, "begins with"},
                 {"\x93NUMPX\1\0\0\0", 10, "begins with"},
                 {"\x93NUMPY\3\0\0\0\0\0", 12, "version 3.0"},
                 {"\x93NUMPY\1\1\0\0\0\0", 12, "version 1.1"},
                 {"\x93NUMPY\2\0\0\0", 10, "cut off"},
                 {"\x93NUMPY\2\0\xff\xff\xff\xff", 12, "a header of 4294967295 bytes"},
                 {"\x93NUMPY\1\0\xff\xff", 10, "a header of 65535 bytes"}};
    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        size_t n_head = 7;
        assert_int_equal(mim_npy_n_head(cases[i].bytes, cases[i].n, &n_head), MIM_EDATA);
        assert_non_null(strstr(mim_error(), cases[i].expected));
        assert_int_equal(n_head, 7);
    }
}

static void test_values(void **state)
{
    static const uint16_t halves[] = {0x0000, 0x3c00, 0xc100, 0x7bff, 0x0001, 0x0400};
    static const float expected[] = {0, 1, -2.5f, 65504, 0x1p-24f, 0x1p-14f};
    static const uint16_t infinite[] = {0x7c00}, not_a_number[] = {0x7e00};
    static const double wide[] = {1e39};
    const mim_npy six = {.item_bytes = 2, .rank = 1, .shape = {6}, .n_values = 6};
    const mim_npy one = {.item_bytes = 2, .rank = 1, .shape = {1}, .n_values = 1};
    const mim_npy large = {.item_bytes = 8, .rank = 1, .shape = {1}, .n_values = 1};
    float got[6];
    (void)state;
    assert_int_equal(mim_npy_floats(&six, halves, sizeof halves, got), MIM_OK);
    assert_memory_equal(got, expected, sizeof expected);
    assert_int_equal(mim_npy_floats(&six, halves, sizeof halves - 1, got), MIM_EDATA);
    assert_int_equal(mim_npy_floats(&one, infinite, 2, got), MIM_EDATA);
    assert_int_equal(mim_npy_floats(&one, not_a_number, 2, got), MIM_EDATA);
    assert_int_equal(mim_npy_floats(&large, wide, 8, got), MIM_EDATA);
    assert_string_equal(mim_error(), "value 0 is 1e+39");
}

/* ---- archives ------------------------------------------------------------------------------- */

/* tests/data/npz/make.py says how they were made. */
static void test_what_numpy_wrote(void **state)
{
    static const float halves[] = {0, 1, -2.5f, 65504, 0x1p-24f, 0x1p-14f};
    static const char *const names[] = {"f4", "f8", "f2", "version.2", "scalar", "empty"};
    static const size_t n_values[] = {12, 5, 6, 6, 1, 0};
    mim_npz *npz = open_npz("tests/data/npz/numpy.npz");
    (void)state;
    assert_int_equal(mim_npz_n(npz), N_OF(names));
    for (size_t k = 0; k < N_OF(names); k++) {
        float values[16] = {0};
        const size_t i = mim_npz_find(npz, names[k]);
        assert_int_not_equal(i, SIZE_MAX);
        assert_int_equal(mim_npz_array(npz, i)->n_values, n_values[k]);
        assert_int_equal(mim_npz_floats(npz, i, values), MIM_OK);
        for (size_t v = 0; v < n_values[k]; v++) {
            const float expected[] = {
                (float)v / 8, (float)v / 4 - 0.5f, k == 2 ? halves[v] : 0, (float)v, 0.75f, 0};
            assert_true(values[v] == expected[k]);
        }
    }
    const mim_npy *three = mim_npz_array(npz, mim_npz_find(npz, "version.2"));
    assert_true(three->rank == 3 && three->shape[1] == 2 && three->shape[2] == 3);
    assert_int_equal(mim_npz_find(npz, "f4.npy"), SIZE_MAX);
    mim_npz_destroy(&npz);
    npz = open_npz("tests/data/npz/stored.npz");
    assert_int_equal(mim_npz_n(npz), 2);
    mim_npz_destroy(&npz);
}

static void make_layout(mim_tensors **layout)
{
    static const size_t table[] = {3, 5};
    assert_int_equal(mim_tensors_create(layout), MIM_OK);
    assert_int_equal(mim_tensors_add_linear(*layout, "block0.qkv", 7, 4, false, NULL), MIM_OK);
    assert_int_equal(
        mim_tensors_add(*layout, "socket", 2, table, MIM_INIT_NORMAL, 0.1, false, NULL), MIM_OK);
}

static void test_round_trip(void **state)
{
    mim_tensors *layout = NULL;
    mim_params_f *params = NULL;
    char *first = NULL, *second = NULL;
    size_t n_first = 0, n_second = 0;
    float back[64] = {0};
    (void)state;
    make_layout(&layout);
    assert_int_equal(mim_params_create_f(layout, &params), MIM_OK);
    mim_params_init_f(params, 3);
    params->values[0] = -0.0f;
    params->values[1] = 0x1p-149f; /* the smallest there is */
    assert_int_equal(mim_weights_export(layout, params->values, path), MIM_OK);
    assert_int_equal(mim_weights_import(path, layout, back), MIM_OK);
    assert_memory_equal(back, params->values, layout->n_values * sizeof *back);
    assert_int_equal(mim_read_file(path, 1 << 20, &first, &n_first), MIM_OK);
    assert_int_equal(mim_weights_export(layout, back, path), MIM_OK);
    assert_int_equal(mim_read_file(path, 1 << 20, &second, &n_second), MIM_OK);
    assert_int_equal(n_first, n_second);
    assert_memory_equal(first, second, n_first);
    free(first);
    free(second);
    mim_params_destroy_f(&params);
    mim_tensors_destroy(&layout);
}

/* An archive with the tensors of the layout, changed by one line of the table. */
static void test_refused_weights(void **state)
{
    static const size_t right[] = {4, 7}, turned[] = {7, 4}, flat[] = {28}, four[] = {4},
                        table[] = {3, 5};
    static const struct {
        const char *weight; /* name instead of block0.qkv.weight, NULL: left out */
        size_t rank;
        const size_t *shape;
        const char *more; /* one more array, NULL: none */
        float last;
        const char *expected;
    } cases[] = {
        {"block0.qkv.weight", 2, right, NULL, 1, NULL},
        {NULL, 0, NULL, NULL, 1, "block0.qkv.weight: is missing"},
        {"block0.qkv.wait", 2, right, NULL, 1, "block0.qkv.wait: the network has no such tensor"},
        {"block0.qkv.weight", 2, turned, NULL, 1, "expected shape [4, 7], found [7, 4]"},
        {"block0.qkv.weight", 1, flat, NULL, 1, "expected shape [4, 7], found [28]"},
        {"block0.qkv.weight", 2, right, "more", 1, "more: the network has no such tensor"},
        {"block0.qkv.weight", 2, right, NULL, NAN, "socket: value 14 is"},
        {"block0.qkv.weight", 2, right, NULL, INFINITY, "socket: value 14 is inf"},
    };
    mim_tensors *layout = NULL;
    (void)state;
    make_layout(&layout);
    for (size_t i = 0; i < N_OF(cases); i++) {
        mim_npz_writer *writer = NULL;
        float values[64] = {0}, got[64];
        values[14] = cases[i].last;
        got[0] = 7;
        assert_int_equal(mim_npz_create(&writer), MIM_OK);
        if (cases[i].weight)
            assert_int_equal(
                mim_npz_add(writer, cases[i].weight, cases[i].rank, cases[i].shape, got), MIM_OK);
        assert_int_equal(mim_npz_add(writer, "block0.qkv.bias", 1, four, values), MIM_OK);
        assert_int_equal(mim_npz_add(writer, "socket", 2, table, values), MIM_OK);
        if (cases[i].more)
            assert_int_equal(mim_npz_add(writer, cases[i].more, 1, four, values), MIM_OK);
        for (size_t v = 0; v < 64; v++)
            got[v] = 7;
        assert_int_equal(mim_npz_commit(&writer, path), MIM_OK);
        const int rc = mim_weights_import(path, layout, got);
        if (!cases[i].expected)
            continue;
        if (rc != MIM_EDATA || !strstr(mim_error(), cases[i].expected) ||
            strncmp(mim_error(), path, strlen(path)) != 0 || got[60] != 7)
            fail_msg("case %zu: %d, %s", i, rc, mim_error());
    }
    mim_tensors_destroy(&layout);
}

/* Every cut and every changed byte of an archive: read wholly or refused. */
static void test_damage(void **state)
{
    char *bytes = NULL;
    size_t n = 0, n_refused = 0;
    (void)state;
    assert_int_equal(mim_read_file("tests/data/npz/numpy.npz", 1 << 20, &bytes, &n), MIM_OK);
    for (size_t k = 0; k < 2 * n; k++) {
        const size_t at = k / 2;
        mim_npz *npz = NULL;
        const char was = bytes[at];
        bytes[at] = (char)(was ^ 0x15);
        assert_int_equal(mim_atomic_write(path, bytes, k % 2 ? n : at), MIM_OK);
        bytes[at] = was;
        int rc = mim_npz_open(path, &npz);
        for (size_t i = 0; rc == MIM_OK && i < mim_npz_n(npz); i++) {
            float values[16];
            rc = mim_npz_array(npz, i)->n_values <= 16 ? mim_npz_floats(npz, i, values) : MIM_EDATA;
        }
        if (rc != MIM_OK && rc != MIM_EDATA)
            fail_msg("byte %zu: %d, %s", at, rc, mim_error());
        n_refused += rc == MIM_EDATA;
        mim_npz_destroy(&npz);
    }
    assert_true(n_refused > n); /* every cut, and more */
    free(bytes);
}

static void test_other_files(void **state)
{
    static const size_t one = 1;
    static const float value = 1;
    mim_npz *npz = NULL;
    mim_npz_writer *writer = NULL;
    (void)state;
    assert_int_equal(mim_npz_open("/no/such/file.npz", &npz), MIM_EIO);
    assert_int_equal(mim_npz_open("/tmp", &npz), MIM_EIO);
    assert_int_equal(mim_npz_open("tests/test_npz.c", &npz), MIM_EDATA);
    assert_int_equal(mim_atomic_write(path, "", 0), MIM_OK);
    assert_int_equal(mim_npz_open(path, &npz), MIM_EDATA);
    assert_int_equal(mim_npz_create(&writer), MIM_OK);
    assert_int_equal(mim_npz_add(writer, "a", 1, &one, &value), MIM_OK);
    assert_int_equal(mim_npz_commit(&writer, "/no/such/file.npz"), MIM_EIO);
    assert_null(writer);
    assert_null(npz);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),  cmocka_unit_test(test_starts),
        cmocka_unit_test(test_values), cmocka_unit_test(test_what_numpy_wrote),
        WITH_PATH(test_round_trip),    WITH_PATH(test_refused_weights),
        WITH_PATH(test_damage),        WITH_PATH(test_other_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
