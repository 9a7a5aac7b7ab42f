/* Stats files that records are appended to: what is continued, trimmed, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "node/record_file.h"

#define HEADER "$hpcperfstats 2.4\n$hostname a\n$uname x\n$uptime 1\n!cpu user,E idle,E\n!ps n\n"
#define FIRST "\n1000.000000 7 a\n%begin 7\ncpu 0 1 2\nps - 1\n"
#define SECOND "\n1001.000000 8 a\ncpu 0 2 3\nps - 2\n"

static char folder[256], path[300];

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/mim_record.XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/stats.txt", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void put(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void assert_content(const char *expected)
{
    char *text = NULL;
    size_t n = 0;

    assert_int_equal(mim_read_file(path, 1 << 24, &text, &n), MIM_OK);
    assert_string_equal(text, expected);
    free(text);
}

static mim_record_file *open_path(double lock_limit_s)
{
    mim_record_file *file = NULL;

    assert_int_equal(mim_record_file_create(path, HEADER, lock_limit_s, &file), MIM_OK);
    return file;
}

static void append(mim_record_file *file, const char *record)
{
    if (mim_record_file_lock(file) != MIM_OK ||
        mim_record_file_append(file, record, strlen(record)) != MIM_OK)
        fail_msg("%s", mim_error());
    mim_record_file_unlock(file);
}

/* What is found, and what it is when one record has been added (NULL: refused and untouched). */
static void test_continue(void **state)
{
    (void)state;
    static const struct {
        const char *found, *after;
    } cases[] = {
        {"", HEADER SECOND},
        {HEADER FIRST, HEADER FIRST SECOND},
        {HEADER, HEADER SECOND},                        /* a header, no record yet */
        {"$hpcperf", HEADER SECOND},                    /* cut off in the first line */
        {"$hpcperfstats 2.4\n$host", HEADER SECOND},    /* cut off in the header */
        {HEADER FIRST "\n1000.5", HEADER FIRST SECOND}, /* cut off in a record */
        {HEADER FIRST "\n1000.5 7 a\ncpu 0 1", HEADER FIRST SECOND},
        {HEADER "\n1000.5 7 a\ncpu 0 1", HEADER SECOND}, /* in the only record */
        {"hello\n", NULL},
        {"$", HEADER SECOND},
        {"x", NULL},
        {"$tacc_stats 2.3.5\n$hostname a\n\n", NULL},
        {"$hpcperfstats 2.4\n$hostname b\n!cpu user,E idle,E\n!ps n\n" FIRST, NULL},
        {"$hpcperfstats 2.4\n$hostname a\n!cpu user,E idle,E\n" FIRST, NULL},
        {"$hpcperfstats 2.4\n$hostname a\n!cpu user,E\n!ps n\n" FIRST, NULL},
        {"$hpcperfstats 2.4\n$hostname a\n!cpu user,E idle,E\n!ps n\n!vm x\n" FIRST, NULL},
        {"$hpcperfstats 2.4\n$hostname a\n!ps n\n!cpu user,E idle,E\n" FIRST, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_record_file *file = open_path(1);
        uint64_t n_bytes = 0;
        put(cases[i].found);
        int expected = cases[i].after ? MIM_OK : MIM_EDATA;
        int checked = mim_record_file_check(file, &n_bytes);
        if (checked != expected)
            fail_msg("case %zu: check gives %d: %s", i, checked, mim_error());
        assert_content(cases[i].found);
        if (cases[i].after) {
            append(file, SECOND);
            assert_content(cases[i].after);
        } else {
            assert_int_equal(mim_record_file_lock(file), MIM_EDATA);
            assert_content(cases[i].found);
        }
        mim_record_file_destroy(&file);
        assert_null(file);
    }
}

static void assert_ends_with_own(mim_record_file *file, bool expected)
{
    assert_int_equal(mim_record_file_lock(file), MIM_OK);
    assert_int_equal(mim_record_file_is_own(file), expected);
    mim_record_file_unlock(file);
}

static void test_new_file_and_two_writers(void **state)
{
    (void)state;
    mim_record_file *one = open_path(1), *two = open_path(0.05);
    uint64_t n_bytes = 1;

    unlink(path);
    assert_int_equal(mim_record_file_check(one, &n_bytes), MIM_OK);
    assert_int_equal(n_bytes, 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(mim_record_file_lock(one), MIM_OK);
    assert_true(mim_record_file_is_empty(one));
    assert_int_equal(mim_record_file_lock(two), MIM_EIO); /* held by `one` */
    assert_non_null(strstr(mim_error(), "locked by another process"));
    assert_false(mim_record_file_is_own(one));
    assert_int_equal(mim_record_file_append(one, FIRST, strlen(FIRST)), MIM_OK);
    assert_true(mim_record_file_is_own(one));
    mim_record_file_unlock(one);
    assert_ends_with_own(one, true);
    assert_ends_with_own(two, false);
    append(two, SECOND);
    assert_ends_with_own(one, false);
    assert_ends_with_own(two, true);
    append(one, SECOND);
    assert_ends_with_own(one, true);
    assert_content(HEADER FIRST SECOND SECOND);
    assert_int_equal(mim_record_file_sync(one), MIM_OK);
    mim_record_file_destroy(&one);
    mim_record_file_destroy(&two);
}

/* Moved away, or removed, by someone who keeps old records elsewhere. */
static void test_replaced_file(void **state)
{
    (void)state;
    mim_record_file *file = open_path(1);

    unlink(path);
    append(file, FIRST);
    unlink(path);
    assert_ends_with_own(file, false);
    append(file, SECOND);
    assert_content(HEADER SECOND);
    unlink(path);
    put(HEADER FIRST);
    assert_ends_with_own(file, false);
    unlink(path);
    put("something else\n");
    assert_int_equal(mim_record_file_lock(file), MIM_EDATA);
    assert_content("something else\n");
    mim_record_file_destroy(&file);
}

static void test_not_a_file(void **state)
{
    (void)state;
    mim_record_file *file = NULL;
    uint64_t n_bytes;

    assert_int_equal(mim_record_file_create(folder, HEADER, 1, &file), MIM_OK);
    assert_int_equal(mim_record_file_lock(file), MIM_EIO);
    assert_int_equal(mim_record_file_check(file, &n_bytes), MIM_EIO);
    mim_record_file_destroy(&file);

    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    file = open_path(1);
    assert_int_equal(mim_record_file_lock(file), MIM_EIO); /* and does not wait for a reader */
    assert_int_equal(mim_record_file_check(file, &n_bytes), MIM_EIO);
    mim_record_file_destroy(&file);
    unlink(path);

    char *missing = mim_format("%s/none/stats.txt", folder);
    assert_int_equal(mim_record_file_create(missing, HEADER, 1, &file), MIM_OK);
    assert_int_equal(mim_record_file_lock(file), MIM_EIO);
    assert_non_null(strstr(mim_error(), missing));
    assert_int_equal(mim_record_file_check(file, &n_bytes), MIM_EIO);
    mim_record_file_destroy(&file);
    free(missing);
}

/* In a child, as a limit on the size of files cannot be raised again. Exit status 0: as expected.
 */
static int append_beyond_limit(rlim_t limit, int is_new)
{
    struct rlimit size = {.rlim_cur = limit, .rlim_max = limit};
    mim_record_file *file = NULL;

    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &size) != 0 ||
        mim_record_file_create(path, HEADER, 1, &file) != MIM_OK ||
        mim_record_file_lock(file) != MIM_OK)
        return 2;
    int rc = mim_record_file_append(file, SECOND, strlen(SECOND));
    mim_record_file_destroy(&file);
    if (is_new && access(path, F_OK) == 0)
        return 3;
    return rc == MIM_EIO ? 0 : 1;
}

static void in_child(rlim_t limit, int is_new)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        _exit(append_beyond_limit(limit, is_new));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* A record that fits in part, or not at all, leaves the file as it was; a file that was made for
 * it does not stay. */
static void test_no_room(void **state)
{
    (void)state;
    size_t n = strlen(HEADER FIRST);

    for (size_t room = 0; room < strlen(SECOND); room += 7) {
        put(HEADER FIRST);
        in_child(n + room, 0);
        assert_content(HEADER FIRST);
    }
    unlink(path);
    in_child(10, 1);
    mim_record_file *file = open_path(1);
    put(HEADER FIRST);
    append(file, SECOND);
    assert_content(HEADER FIRST SECOND);
    mim_record_file_destroy(&file);
}

static void test_last_job(void **state)
{
    (void)state;
    static const struct {
        const char *text, *job;
    } cases[] = {{HEADER FIRST, "7"},  {HEADER FIRST SECOND, "8"},   {HEADER, ""}, {"", ""},
                 {"text\n\nmore", ""}, {HEADER FIRST "\n1000.5", ""}};
    char job[MIM_RECORD_JOB_BYTES];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(cases[i].text);
        mim_record_file_last_job(path, job);
        assert_string_equal(job, cases[i].job);
    }
    mim_record_file_last_job("/nonexistent/file", job);
    assert_string_equal(job, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_continue),      cmocka_unit_test(test_new_file_and_two_writers),
        cmocka_unit_test(test_replaced_file), cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_no_room),       cmocka_unit_test(test_last_job),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
