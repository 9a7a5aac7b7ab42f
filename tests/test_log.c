#define _GNU_SOURCE /* posix_openpt and cfmakeraw */
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/log.h"

static void assert_matches(const char *text, const char *pattern)
{
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&regex, text, 0, NULL, 0) != 0)
        fail_msg("expected %s, found \"%s\"", pattern, text);
    regfree(&regex);
}

#define STAMP "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]Z"

static void test_lines_by_level(void **state)
{
    (void)state;
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (int allowed = MIM_LOG_ERROR; allowed <= MIM_LOG_DEBUG; allowed++)
        for (int rank = 0; rank < 2; rank++)
            for (int level = MIM_LOG_ERROR; level <= MIM_LOG_DEBUG; level++) {
                char *text = NULL, pattern[128];
                size_t n = 0;
                FILE *out = open_memstream(&text, &n);
                mim_log *log = NULL;
                assert_int_equal(mim_log_create(out, (mim_log_level)allowed, rank, 2, &log),
                                 MIM_OK);
                mim_log_line(log, (mim_log_level)level, "executor", "slot=%d", 3);
                mim_log_destroy(&log);
                assert_null(log);
                fclose(out);
                snprintf(pattern, sizeof pattern, "^" STAMP " %s %d/2 executor: slot=3\n$",
                         names[level], rank);
                /* others than rank 0 warn and complain only */
                if (level <= allowed && (rank == 0 || level <= MIM_LOG_WARN))
                    assert_matches(text, pattern);
                else
                    assert_int_equal(n, 0);
                free(text);
            }
}

static void test_null_log_is_silent(void **state)
{
    (void)state;
    mim_log *log = NULL;
    mim_progress *progress = NULL;
    mim_log_line(NULL, MIM_LOG_ERROR, "x", "y");
    mim_log_info(NULL, "x", "%d", 1);
    mim_log_destroy(&log);
    assert_int_equal(mim_progress_create(NULL, "x", 3, 0.0, &progress), MIM_OK);
    mim_progress_step(progress, 1);
    mim_progress_destroy(&progress);
    assert_null(progress);
    mim_progress_destroy(&progress);
}

static void test_a_line_stays_one_line(void **state)
{
    (void)state;
    char *text = NULL, long_text[5000];
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    mim_log *log = NULL;
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    assert_int_equal(mim_log_create(out, MIM_LOG_INFO, 0, 1, &log), MIM_OK);
    mim_log_info(log, "x", "file=a\nb\033[2J");
    mim_log_info(log, "x", "%s", long_text);
    mim_log_destroy(&log);
    fclose(out);
    assert_matches(text, "^" STAMP " info 0/1 x: file=a\\?b\\?\\[2J\n" STAMP " info 0/1 x: x+\n$");
    free(text);
}

static void test_progress_without_terminal(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    mim_log *log = NULL;
    mim_progress *progress = NULL;
    assert_int_equal(mim_log_create(out, MIM_LOG_INFO, 0, 1, &log), MIM_OK);
    assert_int_equal(mim_progress_create(log, "slots", 10, 3600.0, &progress), MIM_OK);
    for (size_t i = 0; i <= 10; i++)
        mim_progress_step(progress, i);
    mim_progress_destroy(&progress);
    fflush(out);
    assert_int_equal(n, 0); /* an hour has not passed */
    assert_int_equal(mim_progress_create(log, "slots", 10, 0.0, &progress), MIM_OK);
    mim_progress_step(progress, 0);
    mim_progress_step(progress, 20); /* more than all */
    mim_progress_destroy(&progress);
    mim_log_destroy(&log);
    fclose(out);
    assert_matches(text, "^" STAMP " info 0/1 slots: done=0 of=10 spent_s=0 left_s=0\n" STAMP
                         " info 0/1 slots: done=20 of=10 spent_s=0 left_s=0\n$");
    free(text);
}

/* On a terminal the line moves; a log line in between begins on a line of its own. */
static void test_progress_on_terminal(void **state)
{
    (void)state;
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) {
        print_message("skip: no pseudo terminals here\n");
        skip();
    }
    int end = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(end >= 0);
    struct termios raw;
    assert_int_equal(tcgetattr(end, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(end, TCSANOW, &raw), 0);
    FILE *out = fdopen(end, "w");
    mim_log *log = NULL;
    mim_progress *progress = NULL;
    assert_int_equal(mim_log_create(out, MIM_LOG_INFO, 0, 1, &log), MIM_OK);
    assert_int_equal(mim_progress_create(log, "slots", 10, 3600.0, &progress), MIM_OK);
    mim_progress_step(progress, 1);
    mim_log_info(log, "disk", "slow");
    mim_progress_destroy(&progress); /* no second line end */
    assert_int_equal(mim_progress_create(log, "slots", 10, 3600.0, &progress), MIM_OK);
    mim_progress_step(progress, 2);
    mim_progress_destroy(&progress);
    mim_log_destroy(&log);
    char text[1000] = "";
    ssize_t n = 1;
    for (size_t n_text = 0; n > 0 && n_text < sizeof text - 1; n_text += (size_t)n) {
        const char *last = strstr(text, "slots: 2 of"); /* a terminal hands out pieces */
        if (last && strchr(last, '\n'))
            break;
        n = read(terminal, text + n_text, sizeof text - 1 - n_text);
        assert_true(n > 0);
    }
    assert_matches(text, "^\rslots: 1 of 10, 0 s spent, 0 s left +\n" STAMP
                         " info 0/1 disk: slow\n\rslots: 2 of 10, 0 s spent, 0 s left +\n$");
    fclose(out);
    close(terminal);
}

enum { N_THREADS = 4, N_LINES = 500 };

static void *write_lines(void *log)
{
    for (int i = 0; i < N_LINES; i++)
        mim_log_info(log, "thread", "%040d", i);
    return NULL;
}

static void test_lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0, n_lines = 0;
    FILE *out = open_memstream(&text, &n);
    mim_log *log = NULL;
    pthread_t threads[N_THREADS];
    assert_int_equal(mim_log_create(out, MIM_LOG_INFO, 0, 1, &log), MIM_OK);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, log), 0);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    mim_log_destroy(&log);
    fclose(out);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
        assert_int_equal(strcspn(line, "\n"),
                         strlen("2026-01-02T03:04:05Z info 0/1 thread: ") + 40);
        n_lines++;
    }
    assert_int_equal(n_lines, N_THREADS * N_LINES);
    free(text);
}

/* `date -u -d @S +%FT%TZ` */
static void test_time_stamps(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00Z"},
                 {951782400, "2000-02-29T00:00:00Z"},
                 {1767323045, "2026-01-02T03:04:05Z"},
                 {4102444799, "2099-12-31T23:59:59Z"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[MIM_UTC_TEXT_BYTES];
        mim_clock_utc_text(cases[i].seconds * MIM_NS_PER_S + 999999999, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_clocks(void **state)
{
    (void)state;
    int64_t before = mim_clock_mono_ns(), cpu = mim_clock_thread_cpu_ns();
    mim_clock_sleep_until(before + 20000000);
    assert_true(mim_clock_mono_ns() >= before + 20000000); /* never early */
    mim_clock_sleep_until(before);                         /* the past: returns */
    mim_clock_sleep_until(-1);
    assert_true(mim_clock_thread_cpu_ns() >= cpu);
    assert_true(mim_clock_process_cpu_ns() >= mim_clock_thread_cpu_ns() - cpu);
    assert_true(llabs(mim_clock_real_ns() / MIM_NS_PER_S - (int64_t)time(NULL)) <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_by_level),
        cmocka_unit_test(test_null_log_is_silent),
        cmocka_unit_test(test_a_line_stays_one_line),
        cmocka_unit_test(test_progress_without_terminal),
        cmocka_unit_test(test_progress_on_terminal),
        cmocka_unit_test(test_lines_of_threads_do_not_mix),
        cmocka_unit_test(test_time_stamps),
        cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
