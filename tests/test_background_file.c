/* core/background_file: whole files, errors with their sentence, one after the other, an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/background_file.h"
#include "core/text.h"
#include "tests/support/scratch_folder.h"

enum { N_BYTES = 4 << 20 };

static void release(void *bytes, size_t n_bytes)
{
    (void)n_bytes;
    free(bytes);
}

static int start(mim_background_file *writer, const char *path, int letter)
{
    char *bytes = malloc(N_BYTES);
    assert_non_null(bytes);
    memset(bytes, letter, N_BYTES);
    return mim_background_file_start(writer, path, bytes, N_BYTES, release);
}

/* Removes it, too. */
static void assert_whole(const char *path, char letter)
{
    char *bytes = NULL;
    size_t n = 0;
    if (mim_read_file(path, N_BYTES, &bytes, &n) != MIM_OK)
        fail_msg("%s", mim_error());
    assert_int_equal(n, N_BYTES);
    assert_true(bytes[0] == letter && memcmp(bytes, bytes + 1, n - 1) == 0);
    free(bytes);
    unlink(path);
}

static mim_background_file *create(void)
{
    mim_background_file *writer = NULL;
    assert_int_equal(mim_background_file_create(&writer), MIM_OK);
    return writer;
}

static void test_result(void **state)
{
    mim_background_file *writer = create();
    char *path = mim_join_path(folder, "a");
    (void)state;
    assert_int_equal(mim_background_file_wait(writer), MIM_OK); /* for nothing */
    assert_int_equal(start(writer, path, 'a'), MIM_OK);
    assert_int_equal(mim_background_file_wait(writer), MIM_OK);
    assert_int_equal(n_names(), 1);
    assert_whole(path, 'a');
    mim_background_file_destroy(&writer);
    assert_null(writer);
    free(path);
}

/* The sentence of the other thread is this one's, once; the writer is of use after it. */
static void test_errors(void **state)
{
    static const char *const parts[] = {"no/such", "/dev/full"};
    mim_background_file *writer = create();
    char *path = mim_join_path(folder, "a"), *missing = mim_join_path(folder, parts[0]);
    const char *const paths[] = {missing, parts[1]};
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_int_equal(start(writer, paths[i], 'x'), MIM_OK);
        assert_int_equal(mim_background_file_wait(writer), MIM_EIO);
        assert_non_null(strstr(mim_error(), parts[i]));
        assert_int_equal(mim_background_file_wait(writer), MIM_OK);
    }
    assert_int_equal(start(writer, missing, 'x'), MIM_OK);
    assert_int_equal(start(writer, path, 'a'), MIM_EIO); /* tells of the one before */
    assert_non_null(strstr(mim_error(), missing));
    assert_int_equal(n_names(), 0);
    assert_int_equal(start(writer, path, 'a'), MIM_OK);
    assert_int_equal(mim_background_file_wait(writer), MIM_OK);
    assert_whole(path, 'a');
    mim_background_file_destroy(&writer);
    free(missing);
    free(path);
}

static void test_two_in_a_row(void **state)
{
    mim_background_file *writer = create();
    char *a = mim_join_path(folder, "a"), *b = mim_join_path(folder, "b");
    (void)state;
    assert_int_equal(start(writer, a, '1'), MIM_OK);
    assert_int_equal(start(writer, a, '2'), MIM_OK); /* over the first */
    assert_int_equal(start(writer, b, '3'), MIM_OK);
    assert_whole(a, '2'); /* b was begun after it */
    assert_int_equal(mim_background_file_wait(writer), MIM_OK);
    assert_whole(b, '3');
    mim_background_file_destroy(&writer);
    free(a);
    free(b);
}

static void test_destroy_waits(void **state)
{
    mim_background_file *writer = create();
    char *path = mim_join_path(folder, "a");
    (void)state;
    assert_int_equal(start(writer, path, 'a'), MIM_OK);
    mim_background_file_destroy(&writer);
    assert_whole(path, 'a');
    mim_background_file_destroy(&writer); /* NULL */
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_result),
        WITH_FOLDER(test_errors),
        WITH_FOLDER(test_two_in_a_row),
        WITH_FOLDER(test_destroy_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
