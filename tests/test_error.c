#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/error.h"

static void test_sentence_and_code(void **state)
{
    (void)state;
    errno = ENOSPC;
    assert_int_equal(
        mim_fail(MIM_EDATA, "%s:%d: expected %zu columns, found %d", "a.txt", 7, (size_t)12, 9),
        MIM_EDATA);
    assert_int_equal(errno, ENOSPC);
    assert_string_equal(mim_error(), "a.txt:7: expected 12 columns, found 9");
}

static void test_context_comes_in_front(void **state)
{
    (void)state;
    mim_fail(MIM_EIO, "no space");
    errno = EINTR;
    assert_int_equal(mim_fail_in(MIM_EIO, "plan %s", "x.h5"), MIM_EIO);
    assert_int_equal(errno, EINTR);
    assert_string_equal(mim_error(), "plan x.h5: no space");
}

static void test_own_sentence_as_argument(void **state)
{
    (void)state;
    mim_fail(MIM_EIO, "inner");
    mim_fail(MIM_EUSAGE, "%s, outer", mim_error());
    assert_string_equal(mim_error(), "inner, outer");
}

static void test_long_sentences_are_cut(void **state)
{
    (void)state;
    char text[3 * MIM_ERROR_TEXT_BYTES];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    mim_fail(MIM_EIO, "%s", text);
    assert_int_equal(strlen(mim_error()), MIM_ERROR_TEXT_BYTES - 1);
    mim_fail_in(MIM_EIO, "context");
    assert_int_equal(strlen(mim_error()), MIM_ERROR_TEXT_BYTES - 1);
    assert_memory_equal(mim_error(), "context: xxx", 12);
    mim_fail_in(MIM_EIO, "%s", text);
    assert_int_equal(strlen(mim_error()), MIM_ERROR_TEXT_BYTES - 1);
}

/* Names with line ends or terminal commands in them. UTF-8 passes. */
static void test_sentence_stays_one_line(void **state)
{
    (void)state;
    mim_fail(MIM_EIO, "%s: not there", "a\nb\r\t\033[2J\177\xc3\xa9");
    assert_string_equal(mim_error(), "a?b???[2J?\xc3\xa9: not there");
    mim_fail_in(MIM_EIO, "%s", "c\nd");
    assert_string_equal(mim_error(), "c?d: a?b???[2J?\xc3\xa9: not there");
}

static void test_out_of_memory(void **state)
{
    char sentence[2 * MIM_ERROR_TEXT_BYTES];
    (void)state;
    mim_fail(MIM_ENOMEM, "%d rows", 7);
    assert_string_equal(mim_error(), "out of memory: 7 rows");
    mim_fail(MIM_ENOMEM, "%s", mim_error()); /* handed on */
    assert_string_equal(mim_error(), "out of memory: 7 rows");
    memset(sentence, 'a', sizeof sentence - 1);
    sentence[sizeof sentence - 1] = 0;
    mim_fail(MIM_ENOMEM, "%s", sentence);
    assert_int_equal(strlen(mim_error()), MIM_ERROR_TEXT_BYTES - 1);
    assert_int_equal(strncmp(mim_error(), "out of memory: aaa", 18), 0);
}

static void *fail_elsewhere(void *text)
{
    const char *before = mim_error();
    if (*before)
        return "a new thread has a sentence already";
    mim_fail(MIM_ENOMEM, "%s", (const char *)text);
    return NULL;
}

static void test_each_thread_has_its_own(void **state)
{
    (void)state;
    pthread_t thread;
    void *complaint;
    mim_fail(MIM_EIO, "mine");
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, "theirs"), 0);
    assert_int_equal(pthread_join(thread, &complaint), 0);
    assert_null(complaint);
    assert_string_equal(mim_error(), "mine");
}

/* The man pages' table. */
static void test_exit_statuses(void **state)
{
    (void)state;
    static const int expected[][2] = {
        {MIM_OK, 0},     {MIM_EINVAL, 1}, {MIM_ENOMEM, 1}, {MIM_EIO, 1},       {MIM_EUSAGE, 2},
        {MIM_ECHECK, 3}, {MIM_EUNSUP, 4}, {MIM_EDATA, 5},  {MIM_ESTOPPED, 75}, {12345, 1},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(mim_exit_status(expected[i][0]), expected[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentence_and_code),
        cmocka_unit_test(test_context_comes_in_front),
        cmocka_unit_test(test_own_sentence_as_argument),
        cmocka_unit_test(test_long_sentences_are_cut),
        cmocka_unit_test(test_sentence_stays_one_line),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_each_thread_has_its_own),
        cmocka_unit_test(test_exit_statuses),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
