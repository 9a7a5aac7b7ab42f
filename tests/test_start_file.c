/* The handshake by a file: both sides, what else may stand there, time-outs and signals. */
#define _DEFAULT_SOURCE /* usleep */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/atomic_file.h"
#include "core/clock.h"
#include "core/signals.h"
#include "core/text.h"
#include "node/start_file.h"

static char folder[64], path[80];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/mim-start-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/start", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void put(const char *text)
{
    assert_int_equal(mim_atomic_write(path, text, strlen(text)), MIM_OK);
}

static char look(void)
{
    char *text = NULL, first = '?';
    size_t n = 0;
    if (mim_read_file(path, 100, &text, &n) == MIM_OK && n > 0)
        first = text[0];
    free(text);
    return first;
}

/* The other side: ready when it sees a 1. It says what it saw before. */
static void *answer(void *saw_zero)
{
    for (int i = 0; i < 1000; i++) {
        char now = look();
        if (now == '0')
            *(bool *)saw_zero = true;
        if (now == '1') {
            usleep(50000);
            if (mim_atomic_write(path, "2\n", 2) != MIM_OK)
                break;
            return saw_zero;
        }
        usleep(5000);
    }
    return NULL;
}

static void test_both_sides(void **state)
{
    (void)state;
    const mim_start_file file = {.path = path, .timeout_s = 20.0};
    pthread_t other;
    bool saw_zero = false;
    void *answered = NULL;
    int64_t start_ns = 0;
    put("2\n"); /* of an earlier run: no answer to us */
    assert_int_equal(mim_start_file_prepare(&file), MIM_OK);
    assert_int_equal(look(), '0');
    assert_int_equal(pthread_create(&other, NULL, answer, &saw_zero), 0);
    usleep(100000);
    int64_t before_ns = mim_clock_mono_ns();
    assert_int_equal(mim_start_file_agree((void *)&file, MIM_OK, &start_ns), MIM_OK);
    assert_int_equal(pthread_join(other, &answered), 0);
    assert_non_null(answered);
    assert_true(saw_zero);
    assert_true(start_ns - before_ns >= 50000000); /* it waited for the answer */
    assert_int_equal(look(), '2');
}

/* Without an answer, and with an old one that came before we were ready. */
static void test_time_out(void **state)
{
    (void)state;
    const mim_start_file file = {.path = path, .timeout_s = 0.1};
    static const char *const before[] = {"0\n", "2\n", "1\n"};
    for (size_t i = 0; i < 3; i++) {
        int64_t start_ns = -7;
        put(before[i]);
        assert_int_equal(mim_start_file_agree((void *)&file, MIM_OK, &start_ns), MIM_EIO);
        assert_non_null(strstr(mim_error(), "expected 2 from the other program within 0.1 s"));
        assert_int_equal(look(), '0'); /* the other side shall not start either */
        assert_int_equal(start_ns, -7);
    }
}

/* What set-up failed with is passed on, and the file still says that nobody is ready. */
static void test_failed_set_up(void **state)
{
    (void)state;
    const mim_start_file file = {.path = path, .timeout_s = 20.0};
    int64_t start_ns = 0;
    assert_int_equal(mim_start_file_prepare(&file), MIM_OK);
    int rc = mim_fail(MIM_ENOMEM, "row 3");
    assert_int_equal(mim_start_file_agree((void *)&file, rc, &start_ns), MIM_ENOMEM);
    assert_string_equal(mim_error(), "out of memory: row 3");
    assert_int_equal(look(), '0');
}

/* Puts the text there once we are ready. */
static void *disturb(void *text)
{
    for (int i = 0; i < 1000 && look() != '1'; i++)
        usleep(5000);
    mim_atomic_write(path, text, strlen(text));
    return NULL;
}

static void test_other_contents(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        const char *says;
    } table[] = {
        {"2", MIM_OK, NULL},
        {"2\r\n", MIM_OK, NULL},
        {"3\n", MIM_EDATA, "expected 0, 1 or 2, found \"3\""},
        {"go\n", MIM_EDATA, "found \"go\""},
        {"22\n", MIM_EDATA, "found \"22\""},
        {"\n", MIM_EIO, "within 0.5 s, found \"\""},
        {"0\n", MIM_EIO, "found \"0\""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const mim_start_file file = {.path = path, .timeout_s = 0.5};
        pthread_t other;
        int64_t start_ns = 0;
        assert_int_equal(mim_start_file_prepare(&file), MIM_OK);
        assert_int_equal(pthread_create(&other, NULL, disturb, (void *)table[i].text), 0);
        assert_int_equal(mim_start_file_agree((void *)&file, MIM_OK, &start_ns), table[i].rc);
        if (table[i].says)
            assert_non_null(strstr(mim_error(), table[i].says));
        assert_int_equal(pthread_join(other, NULL), 0);
    }
}

static void test_paths_that_cannot_be(void **state)
{
    (void)state;
    const mim_start_file nowhere = {.path = "/proc/nowhere/start", .timeout_s = 0.1};
    const mim_start_file is_folder = {.path = folder, .timeout_s = 0.1};
    int64_t start_ns = 0;
    assert_int_equal(mim_start_file_prepare(&nowhere), MIM_EIO);
    assert_non_null(strstr(mim_error(), "start file: /proc/nowhere/start"));
    assert_int_equal(mim_start_file_agree((void *)&nowhere, MIM_OK, &start_ns), MIM_EIO);
    assert_int_equal(mim_start_file_prepare(&is_folder), MIM_EIO);
}

/* The file may be away for a moment, as with programs that remove it and write it anew. */
static void *remove_and_write(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000 && look() != '1'; i++)
        usleep(5000);
    unlink(path);
    usleep(100000);
    mim_atomic_write(path, "2", 1);
    return NULL;
}

static void test_a_file_that_is_away(void **state)
{
    (void)state;
    const mim_start_file file = {.path = path, .timeout_s = 20.0};
    pthread_t other;
    int64_t start_ns = 0;
    assert_int_equal(mim_start_file_prepare(&file), MIM_OK);
    assert_int_equal(pthread_create(&other, NULL, remove_and_write, NULL), 0);
    assert_int_equal(mim_start_file_agree((void *)&file, MIM_OK, &start_ns), MIM_OK);
    assert_int_equal(pthread_join(other, NULL), 0);
}

static void test_a_signal_ends_the_waiting(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        const mim_start_file file = {.path = path, .timeout_s = 60.0};
        int64_t start_ns = 0;
        if (mim_signals_install() != MIM_OK)
            _exit(10);
        int rc = mim_start_file_agree((void *)&file, MIM_OK, &start_ns);
        _exit(rc == MIM_ESTOPPED && strstr(mim_error(), "stopped by a signal") ? 0 : 11);
    }
    for (int i = 0; i < 1000 && look() != '1'; i++)
        usleep(5000);
    kill(child, SIGTERM);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(look(), '0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_sides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_time_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failed_set_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_contents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_paths_that_cannot_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_that_is_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_signal_ends_the_waiting, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
