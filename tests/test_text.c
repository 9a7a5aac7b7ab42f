#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/text.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static void test_whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t min, max, value;
        const char *sentence; /* NULL: accepted */
    } cases[] = {
        {"0", 0, 9, 0, NULL},
        {"-5", -9, 9, -5, NULL},
        {"+5", -9, 9, 5, NULL},
        {"010", 0, 99, 10, NULL}, /* decimal, never octal */
        {"9223372036854775807", 0, INT64_MAX, INT64_MAX, NULL},
        {"-9223372036854775808", INT64_MIN, 0, INT64_MIN, NULL},
        {"9223372036854775808", 0, 9, 0, "n: expected 0 to 9, found 9223372036854775808"},
        {"10", 0, 9, 0, "n: expected 0 to 9, found 10"},
        {"-1", 0, 9, 0, "n: expected 0 to 9, found -1"},
        {"12abc", 0, 99, 0, "n: expected a whole number, found \"12abc\""},
        {"", 0, 9, 0, "n: expected a whole number, found \"\""},
        {" 5", 0, 9, 0, "n: expected a whole number, found \" 5\""},
        {"5 ", 0, 9, 0, "n: expected a whole number, found \"5 \""},
        {"0x5", 0, 9, 0, "n: expected a whole number, found \"0x5\""},
        {"1e3", 0, 9, 0, "n: expected a whole number, found \"1e3\""},
        {"1.0", 0, 9, 0, "n: expected a whole number, found \"1.0\""},
        {"-", 0, 9, 0, "n: expected a whole number, found \"-\""},
        {"+-5", 0, 9, 0, "n: expected a whole number, found \"+-5\""},
        {"- 5", -9, 9, 0, "n: expected a whole number, found \"- 5\""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        int64_t value = 777;
        int rc = mim_parse_i64("n", cases[i].text, cases[i].min, cases[i].max, &value);
        assert_int_equal(rc, cases[i].sentence ? MIM_EUSAGE : MIM_OK);
        assert_int_equal(value, cases[i].sentence ? 777 : cases[i].value);
        if (cases[i].sentence)
            assert_string_equal(mim_error(), cases[i].sentence);
    }
}

static void test_real_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
        const char *sentence;
    } cases[] = {
        {"0", 0.0, NULL},
        {"1.25", 1.25, NULL},
        {"-.5", -0.5, NULL},
        {"2e2", 200.0, NULL},
        {"1e-400", 0.0, NULL},
        {"1e999", 0, "x: expected -1 to 200, found 1e999"},
        {"200.01", 0, "x: expected -1 to 200, found 200.01"},
        {"nan", 0, "x: expected a number, found \"nan\""},
        {"inf", 0, "x: expected a number, found \"inf\""},
        {"0x1p3", 0, "x: expected a number, found \"0x1p3\""},
        {"1,5", 0, "x: expected a number, found \"1,5\""},
        {"1.5.2", 0, "x: expected a number, found \"1.5.2\""},
        {"1e", 0, "x: expected a number, found \"1e\""},
        {".", 0, "x: expected a number, found \".\""},
        {"", 0, "x: expected a number, found \"\""},
        {" 1", 0, "x: expected a number, found \" 1\""},
        {"1 ", 0, "x: expected a number, found \"1 \""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        double value = 777.0;
        int rc = mim_parse_real("x", cases[i].text, -1.0, 200.0, &value);
        assert_int_equal(rc, cases[i].sentence ? MIM_EUSAGE : MIM_OK);
        assert_true(value == (cases[i].sentence ? 777.0 : cases[i].value));
        if (cases[i].sentence)
            assert_string_equal(mim_error(), cases[i].sentence);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
        const char *sentence;
    } cases[] = {
        {"0", 0, NULL},
        {"300", 300, NULL},
        {"1K", 1024, NULL},
        {"1k", 1024, NULL},
        {"3M", 3 * UINT64_C(1048576), NULL},
        {"16G", UINT64_C(17179869184), NULL},
        {"2GiB", UINT64_C(2147483648), NULL},
        {"2gb", UINT64_C(2147483648), NULL},
        {"1T", UINT64_C(1099511627776), NULL},
        {"18446744073709551615", UINT64_MAX, NULL},
        {"18446744073709551616", 0, "b: 18446744073709551616 is more than 64 bits hold"},
        {"16777216T", 0, "b: 16777216T is more than 64 bits hold"},
        {"-1", 0, "b: expected bytes such as 512M or 16G, found \"-1\""},
        {"1.5G", 0, "b: expected bytes such as 512M or 16G, found \"1.5G\""},
        {"G", 0, "b: expected bytes such as 512M or 16G, found \"G\""},
        {"1X", 0, "b: expected bytes such as 512M or 16G, found \"1X\""},
        {"1GG", 0, "b: expected bytes such as 512M or 16G, found \"1GG\""},
        {"1 G", 0, "b: expected bytes such as 512M or 16G, found \"1 G\""},
        {"", 0, "b: expected bytes such as 512M or 16G, found \"\""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        uint64_t value = 777;
        int rc = mim_parse_bytes("b", cases[i].text, &value);
        assert_int_equal(rc, cases[i].sentence ? MIM_EUSAGE : MIM_OK);
        assert_true(value == (cases[i].sentence ? 777 : cases[i].value));
        if (cases[i].sentence)
            assert_string_equal(mim_error(), cases[i].sentence);
    }
}

static void test_truth(void **state)
{
    (void)state;
    static const char *const yes[] = {"true", "YES", "on", "1"};
    static const char *const no[] = {"False", "no", "OFF", "0"};
    static const char *const neither[] = {"", "2", "tru", "y", " true", "truee"};
    for (size_t i = 0; i < 4; i++) {
        bool value = false;
        assert_int_equal(mim_parse_bool("f", yes[i], &value), MIM_OK);
        assert_true(value);
        assert_int_equal(mim_parse_bool("f", no[i], &value), MIM_OK);
        assert_false(value);
    }
    for (size_t i = 0; i < N_OF(neither); i++) {
        bool value = true;
        assert_int_equal(mim_parse_bool("f", neither[i], &value), MIM_EUSAGE);
        assert_true(value);
    }
    assert_string_equal(mim_error(), "f: expected true or false, found \"truee\"");
}

static void test_bytes_in_words(void **state)
{
    (void)state;
    static const struct {
        double bytes;
        const char *text;
    } cases[] = {{0, "0 B"},          {1023, "1023 B"},
                 {1024, "1.0 KiB"},   {1.5 * 1073741824.0, "1.5 GiB"},
                 {-2048, "-2.0 KiB"}, {1e18, "909494.7 TiB"}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        char text[MIM_BYTES_TEXT_BYTES];
        assert_string_equal(mim_bytes_text(cases[i].bytes, text), cases[i].text);
    }
}

static void test_paths(void **state)
{
    (void)state;
    char *path = mim_join_path("a", "b");
    assert_string_equal(path, "a/b");
    free(path);
    path = mim_join_path("/", "b");
    assert_string_equal(path, "/b");
    free(path);
    assert_string_equal(mim_basename("a/b.txt"), "b.txt");
    assert_string_equal(mim_basename("b.txt"), "b.txt");
    assert_string_equal(mim_basename("a/"), "");
}

static void test_one_line(void **state)
{
    (void)state;
    char text[] = "a\nb\tc\x01\x7f\xc3\xa9";
    mim_make_one_line(text);
    assert_string_equal(text, "a?b?c??\xc3\xa9");
}

/* Textbook distances (kitten/sitting is everyone's example; "ca"/"abc" is 3 unless a swapped pair
 * may be edited again). */
static void test_edit_distances(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {{"", "", 0},
                 {"", "abc", 3},
                 {"kitten", "sitting", 3},
                 {"flaw", "lawn", 2},
                 {"saturday", "sunday", 3},
                 {"same", "same", 0},
                 {"ab", "ba", 1},
                 {"ca", "abc", 3}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(mim_edit_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(mim_edit_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
    char text[300];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    assert_true(mim_edit_distance(text, "x") == SIZE_MAX);
    assert_true(mim_edit_distance("x", text) == SIZE_MAX);
}

static void test_closest_name(void **state)
{
    (void)state;
    static const char *const names[] = {"batch_size", "slots", "slot", "seed"};
    assert_string_equal(mim_closest("batchsize", names, 4), "batch_size");
    assert_string_equal(mim_closest("slot", names, 4), "slot");
    assert_string_equal(mim_closest("slto", names, 4), "slot");
    assert_string_equal(mim_closest("sed", names, 4), "seed");
    assert_null(mim_closest("temperature", names, 4));
    assert_null(mim_closest("x", names, 4));
    assert_null(mim_closest("slot", names, 0));
}

static void test_suffixes(void **state)
{
    (void)state;
    assert_true(mim_has_suffix("a.png", ".png"));
    assert_false(mim_has_suffix(".png", ".png")); /* no name */
    assert_false(mim_has_suffix("a.PNG", ".png"));
    assert_false(mim_has_suffix("a.png.h5", ".png"));
    assert_false(mim_has_suffix("", ".png"));
}

/* Published test values of FNV-1a with 64 bits. */
static void test_hashes(void **state)
{
    (void)state;
    assert_true(mim_hash_text(MIM_HASH_START, "", 0) == UINT64_C(0xcbf29ce484222325));
    assert_true(mim_hash_text(MIM_HASH_START, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(mim_hash_text(MIM_HASH_START, "foobar", 6) == UINT64_C(0x85944171f73967e8));
    assert_true(mim_hash_text(mim_hash_text(MIM_HASH_START, "foo", 3), "bar", 3) ==
                UINT64_C(0x85944171f73967e8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_numbers),  cmocka_unit_test(test_real_numbers),
        cmocka_unit_test(test_bytes),          cmocka_unit_test(test_truth),
        cmocka_unit_test(test_bytes_in_words), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_one_line),       cmocka_unit_test(test_edit_distances),
        cmocka_unit_test(test_closest_name),   cmocka_unit_test(test_suffixes),
        cmocka_unit_test(test_hashes),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
