#define _GNU_SOURCE /* O_TMPFILE */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/atomic_file.h"
#include "core/text.h"

static char folder[256];
static bool is_without_unnamed; /* as on network file systems */

/* Stands before the C library's: file systems without unnamed files are rare on a test machine. */
int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (is_without_unnamed && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return openat(AT_FDCWD, path, flags, mode);
}

/* Name in the folder, in one of a few buffers that take turns. */
static const char *in(const char *name)
{
    static char paths[6][600];
    static size_t turn;
    char *path = paths[turn++ % 6];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void put(const char *path, const char *text)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void assert_content(const char *path, const char *expected)
{
    char *bytes = NULL;
    size_t n = 0;
    assert_int_equal(mim_read_file(path, 1 << 24, &bytes, &n), MIM_OK);
    assert_int_equal(n, strlen(expected));
    assert_string_equal(bytes, expected);
    free(bytes);
}

/* Entries of a folder besides . and .. */
static size_t n_entries(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

static void assert_sentence(const char *format, const char *path)
{
    char *expected = mim_format("%s%s", path, format);
    assert_string_equal(mim_error(), expected);
    free(expected);
}

static bool has_unnamed_files(const char *path)
{
    int fd = open(path, O_TMPFILE | O_WRONLY, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void test_visible_only_after_commit(void **state)
{
    (void)state;
    mim_atomic_file *file = NULL;
    assert_int_equal(mim_atomic_file_open(in("new"), &file), MIM_OK);
    assert_true(fputs("hello\n", mim_atomic_file_stream(file)) >= 0);
    assert_int_equal(fflush(mim_atomic_file_stream(file)), 0);
    assert_int_equal(access(in("new"), F_OK), -1);
    if (has_unnamed_files(folder))
        assert_int_equal(n_entries(folder), 0);
    assert_int_equal(mim_atomic_file_commit(&file), MIM_OK);
    assert_null(file);
    assert_content(in("new"), "hello\n");
    assert_int_equal(n_entries(folder), 1);

    /* the old content is there until the commit, and an abandoned file leaves it */
    assert_int_equal(mim_atomic_file_open(in("new"), &file), MIM_OK);
    assert_true(fputs("second\n", mim_atomic_file_stream(file)) >= 0);
    assert_int_equal(fflush(mim_atomic_file_stream(file)), 0);
    assert_content(in("new"), "hello\n");
    mim_atomic_file_destroy(&file);
    mim_atomic_file_destroy(&file);
    assert_content(in("new"), "hello\n");
    assert_int_equal(n_entries(folder), 1);

    assert_int_equal(mim_atomic_write(in("new"), "third", 5), MIM_OK);
    assert_content(in("new"), "third");
    assert_int_equal(mim_atomic_write(in("new"), "", 0), MIM_OK);
    assert_content(in("new"), "");
    assert_int_equal(unlink(in("new")), 0);
}

static void test_name_without_folder(void **state)
{
    (void)state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    int rc = mim_atomic_write("plain", "x", 1);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rc, MIM_OK);
    assert_content(in("plain"), "x");
    assert_int_equal(unlink(in("plain")), 0);
}

static void test_permissions(void **state)
{
    (void)state;
    struct stat status;
    mode_t mask = umask(027);
    assert_int_equal(mim_atomic_write(in("new"), "x", 1), MIM_OK);
    umask(mask);
    assert_int_equal(stat(in("new"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(chmod(in("new"), 0604), 0);
    assert_int_equal(mim_atomic_write(in("new"), "y", 1), MIM_OK);
    assert_int_equal(stat(in("new"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0604);
    assert_int_equal(unlink(in("new")), 0);
}

static void test_links_stay_links(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(mkdir(in("elsewhere"), 0700), 0);
    put(in("elsewhere/target"), "old");
    assert_int_equal(symlink("elsewhere/target", in("link")), 0);
    assert_int_equal(mim_atomic_write(in("link"), "new", 3), MIM_OK);
    assert_int_equal(lstat(in("link"), &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_content(in("elsewhere/target"), "new");
    assert_int_equal(n_entries(in("elsewhere")), 1);
    unlink(in("link"));
    unlink(in("elsewhere/target"));
    assert_int_equal(rmdir(in("elsewhere")), 0);
}

static void test_refusals_at_open(void **state)
{
    (void)state;
    mim_atomic_file *file = NULL;
    char long_name[300];
    memset(long_name, 'x', 250); /* itself allowed, but with .tmp.<pid> too long */
    long_name[250] = 0;
    put(in("file"), "x");
    const struct {
        const char *path, *sentence;
    } cases[] = {
        {folder, ": expected a file to write, found a folder"},
        {in("no/such"), ": cannot be written: No such file or directory"},
        {in("file/below"), ": cannot be written: Not a directory"},
        {in("missing/"), ": cannot be written: No such file or directory"},
        {in(long_name), ": cannot be written: File name too long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mim_atomic_file_open(cases[i].path, &file), MIM_EIO);
        assert_null(file);
        assert_sentence(cases[i].sentence, cases[i].path);
    }
    assert_int_equal(mim_atomic_file_open("", &file), MIM_EIO);
    assert_string_equal(mim_error(), "expected the name of a file to write, found an empty text");
    assert_int_equal(unlink(in("file")), 0);
    assert_int_equal(n_entries(folder), 0);
}

/* Root may write everywhere: a child goes on as somebody else. */
static int as_user(void (*act)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(99);
        act();
        _exit(98);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static const char *closed_path;

static void write_closed(void)
{
    char *expected = mim_format("%s: cannot be written: Permission denied", closed_path);
    int rc = mim_atomic_write(closed_path, "new", 3);
    _exit(rc == MIM_EIO && expected && strcmp(mim_error(), expected) == 0 ? 0 : 1);
}

static void test_unwritable(void **state)
{
    (void)state;
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(mkdir(in("closed"), 0755), 0);
    put(in("closed/file"), "old");
    assert_int_equal(chmod(in("closed"), 0555), 0);
    closed_path = in("closed/new");
    assert_int_equal(as_user(write_closed), 0);
    closed_path = in("closed/file");
    assert_int_equal(as_user(write_closed), 0);

    /* the folder is open, but the file is write-protected */
    assert_int_equal(chmod(in("closed"), 0777), 0);
    assert_int_equal(chmod(in("closed/file"), 0444), 0);
    assert_int_equal(as_user(write_closed), 0);
    assert_content(in("closed/file"), "old");
    assert_int_equal(n_entries(in("closed")), 1);
    assert_int_equal(unlink(in("closed/file")), 0);
    assert_int_equal(rmdir(in("closed")), 0);
    assert_int_equal(chmod(folder, 0700), 0);
}

static void test_full_disk(void **state)
{
    (void)state;
    if (getuid() != 0) {
        print_message("skip: mounting a small file system needs root rights\n");
        skip();
    }
    assert_int_equal(mkdir(in("small"), 0700), 0);
    if (mount("none", in("small"), "tmpfs", 0, "size=1m") != 0) {
        print_message("skip: mounting is not permitted here: %s\n", strerror(errno));
        rmdir(in("small"));
        skip();
    }
    const size_t n = 4 << 20;
    char *bytes = calloc(1, n);
    const char *path = in("small/file");
    int first = bytes ? mim_atomic_write(path, "old", 3) : MIM_ENOMEM;
    int second = mim_atomic_write(path, bytes, n); /* fails while it is written */
    char *sentence = mim_strdup(mim_error());
    mim_atomic_file *file = NULL;
    int third = mim_atomic_file_open(path, &file);
    for (size_t i = 0; third == MIM_OK && i < n; i += 4096)
        fwrite(bytes + i, 1, 4096, mim_atomic_file_stream(file));
    third = third == MIM_OK ? mim_atomic_file_commit(&file) : third;
    char *content = NULL;
    size_t n_content = 0, n_left = n_entries(in("small"));
    mim_read_file(path, 100, &content, &n_content);
    int fourth = mim_atomic_write(path, "again", 5); /* space is free again */
    umount(in("small"));
    rmdir(in("small"));
    free(bytes);
    assert_int_equal(first, MIM_OK);
    assert_int_equal(second, MIM_EIO);
    assert_non_null(sentence);
    assert_non_null(strstr(sentence, "small/file: cannot be written: No space left on device"));
    assert_int_equal(third, MIM_EIO);
    assert_string_equal(mim_error(), sentence);
    assert_null(file);
    assert_int_equal(n_left, 1);
    assert_non_null(content);
    assert_string_equal(content, "old");
    assert_int_equal(fourth, MIM_OK);
    free(content);
    free(sentence);
}

static void test_devices_and_pipes(void **state)
{
    (void)state;
    assert_int_equal(mim_atomic_write("/dev/null", "x", 1), MIM_OK);
    assert_int_equal(mim_atomic_write("/dev/full", "x", 1), MIM_EIO);
    assert_string_equal(mim_error(), "/dev/full: cannot be written: No space left on device");
    struct stat status;
    assert_int_equal(lstat("/dev/null", &status), 0);
    assert_true(S_ISCHR(status.st_mode));

    int ends[2];
    char name[64], found[8] = "";
    assert_int_equal(pipe(ends), 0);
    snprintf(name, sizeof name, "/dev/fd/%d", ends[1]);
    assert_int_equal(mim_atomic_write(name, "by fd", 5), MIM_OK);
    assert_int_equal(read(ends[0], found, sizeof found), 5);
    assert_memory_equal(found, "by fd", 5);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(mim_atomic_write("/dev/fd/999", "x", 1), MIM_EIO);
    assert_string_equal(mim_error(), "/dev/fd/999: cannot be written: Bad file descriptor");
}

/* The shell's `>> log`: what is there stays there, and /dev/stdout stays what it is. */
static void test_standard_output_into_a_file(void **state)
{
    (void)state;
    struct stat before, after;
    assert_int_equal(lstat("/dev/stdout", &before), 0);
    put(in("log"), "first\n");
    pid_t child = fork();
    if (child == 0) {
        int fd = open(in("log"), O_WRONLY | O_APPEND);
        dup2(fd, STDOUT_FILENO);
        int rc = mim_atomic_write("/dev/stdout", "second\n", 7);
        _exit(rc == MIM_OK && write(STDOUT_FILENO, "third\n", 6) == 6 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_content(in("log"), "first\nsecond\nthird\n");
    assert_int_equal(lstat("/dev/stdout", &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(unlink(in("log")), 0);
}

static pid_t dead_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    return child;
}

static void test_leftovers_are_swept(void **state)
{
    (void)state;
    char name[64], own[64], alive[64];
    pid_t dead = dead_process();
    snprintf(name, sizeof name, "file.tmp.%ld", (long)dead);
    snprintf(own, sizeof own, "file.tmp.%ld", (long)getpid());
    snprintf(alive, sizeof alive, "file.tmp.%ld", (long)getppid());
    static const char *const others[] = {
        "file.tmp.", "file.tmp.x", "file.tmp.1x", "file.tmp.-1", "file.tmp.99999999999999",
        "file.tmpx", "other.tmp.1"};
    enum { N_OTHERS = sizeof others / sizeof *others };
    put(in(name), "stale");
    put(in(own), "of an earlier process with this id");
    put(in(alive), "being written");
    for (size_t i = 0; i < N_OTHERS; i++)
        put(in(others[i]), "x");
    assert_int_equal(mim_atomic_write(in("file"), "x", 1), MIM_OK);
    assert_int_equal(access(in(name), F_OK), -1);
    assert_int_equal(access(in(own), F_OK), -1);
    assert_int_equal(unlink(in(alive)), 0);
    for (size_t i = 0; i < N_OTHERS; i++)
        assert_int_equal(unlink(in(others[i])), 0);

    /* locked: its writer lives, perhaps on another machine */
    put(in(name), "locked");
    int fd = open(in(name), O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(mim_atomic_write(in("file"), "y", 1), MIM_OK);
    assert_int_equal(unlink(in(name)), 0);
    close(fd);
    assert_int_equal(unlink(in("file")), 0);
    assert_int_equal(n_entries(folder), 0);
}

/* Files of one letter, so that a mixture of old and new would show. */
_Noreturn static void keep_writing(const char *path)
{
    enum { N = 300000 };
    char *bytes = malloc(N);
    for (char letter = 'a'; bytes; letter = letter == 'z' ? 'a' : (char)(letter + 1)) {
        memset(bytes, letter, N);
        if (mim_atomic_write(path, bytes, (size_t)(N - letter)) != MIM_OK)
            break;
    }
    _exit(1);
}

static void assert_whole(const char *path)
{
    char *bytes = NULL;
    size_t n = 0;
    assert_int_equal(mim_read_file(path, 1 << 20, &bytes, &n), MIM_OK);
    if (!(n == 3 && memcmp(bytes, "old", 3) == 0)) {
        assert_int_equal(n, 300000 - (size_t)bytes[0]);
        for (size_t i = 1; i < n; i++)
            assert_true(bytes[i] == bytes[0]);
    }
    free(bytes);
}

static void test_kills_at_random_moments(void **state)
{
    (void)state;
    enum { N_KILLS = 40 };
    unsigned seed = 12345;
    put(in("victim"), "old");
    for (int i = 0; i < N_KILLS; i++) {
        pid_t child = fork();
        if (child == 0)
            keep_writing(in("victim"));
        seed = seed * 1103515245u + 12345u;
        struct timespec wait = {0, (long)(seed >> 16) % 1000 * 20000}; /* 0 to 20 ms */
        nanosleep(&wait, NULL);
        int status;
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_whole(in("victim"));
        assert_true(n_entries(folder) <= 2);
    }
    /* killed between link and rename a name is left; the next writer removes it */
    assert_int_equal(mim_atomic_write(in("victim"), "last", 4), MIM_OK);
    assert_int_equal(n_entries(folder), 1);
    assert_content(in("victim"), "last");
    assert_int_equal(unlink(in("victim")), 0);
}

static void test_reading_whole_files(void **state)
{
    (void)state;
    char *bytes = NULL;
    size_t n = 77;
    const struct {
        const char *text;
        size_t max;
        int rc;
    } cases[] = {{"", 0, MIM_OK},         {"", 10, MIM_OK},        {"12345", 5, MIM_OK},
                 {"12345", 4, MIM_EDATA}, {"12345", 5000, MIM_OK}, {"1", 0, MIM_EDATA}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(in("file"), cases[i].text);
        bytes = NULL;
        n = 77;
        assert_int_equal(mim_read_file(in("file"), cases[i].max, &bytes, &n), cases[i].rc);
        if (cases[i].rc == MIM_OK) {
            assert_int_equal(n, strlen(cases[i].text));
            assert_string_equal(bytes, cases[i].text);
        } else {
            assert_null(bytes);
            assert_int_equal(n, 77);
        }
        free(bytes);
    }
    /* files in /proc have size 0 and content all the same */
    assert_int_equal(mim_read_file("/proc/self/status", 1 << 20, &bytes, &n), MIM_OK);
    assert_true(n > 100 && strstr(bytes, "VmRSS") && strlen(bytes) == n);
    free(bytes);
    bytes = NULL;
    assert_int_equal(mim_read_file("/proc/self/status", 100, &bytes, &n), MIM_EDATA);
    assert_string_equal(mim_error(), "/proc/self/status: expected at most 100 bytes, found more");

    assert_int_equal(mim_read_file(folder, 100, &bytes, &n), MIM_EIO);
    assert_sentence(": expected a file, found a folder", folder);
    assert_int_equal(mim_read_file("/dev/null", 100, &bytes, &n), MIM_EIO);
    assert_string_equal(mim_error(), "/dev/null: expected a regular file");
    assert_int_equal(mim_read_file(in("none"), 100, &bytes, &n), MIM_EIO);
    assert_int_equal(unlink(in("file")), 0);
    assert_int_equal(mkfifo(in("file"), 0600), 0); /* nobody writes: must not wait */
    assert_int_equal(mim_read_file(in("file"), 100, &bytes, &n), MIM_EIO);
    assert_null(bytes);
    assert_int_equal(unlink(in("file")), 0);

    /* a hole of a terabyte: refused by its size, not after reading */
    put(in("file"), "");
    if (truncate(in("file"), (off_t)1 << 40) == 0)
        assert_int_equal(mim_read_file(in("file"), 1 << 20, &bytes, &n), MIM_EDATA);
    assert_int_equal(unlink(in("file")), 0);
}

static void test_making_folders(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(mim_make_folder(in("a/b//c/")), MIM_OK);
    assert_int_equal(stat(in("a/b/c"), &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_int_equal(mim_make_folder(in("a/b/c")), MIM_OK);
    assert_int_equal(mim_make_folder("/"), MIM_OK);
    assert_int_equal(mim_make_folder("."), MIM_OK);
    put(in("a/file"), "x");
    assert_int_equal(mim_make_folder(in("a/file")), MIM_EIO);
    assert_sentence(": cannot be made a folder: a file of that name is there", in("a/file"));
    assert_int_equal(mim_make_folder(in("a/file/d")), MIM_EIO);
    assert_int_equal(mim_make_folder(""), MIM_EIO);
    assert_int_equal(symlink("nowhere", in("a/link")), 0);
    assert_int_equal(mim_make_folder(in("a/link")), MIM_EIO);
    assert_int_equal(symlink("b", in("a/good")), 0);
    assert_int_equal(mim_make_folder(in("a/good/e")), MIM_OK);
    unlink(in("a/link"));
    unlink(in("a/good"));
    unlink(in("a/file"));
    rmdir(in("a/b/e"));
    rmdir(in("a/b/c"));
    rmdir(in("a/b"));
    assert_int_equal(rmdir(in("a")), 0);
}

/* Two writers of one file in one process: the second is told, the first is not harmed. */
static void test_named_file_has_one_writer(void **state)
{
    (void)state;
    mim_atomic_file *first = NULL, *second = NULL;
    is_without_unnamed = true;
    assert_int_equal(mim_atomic_file_open(in("file"), &first), MIM_OK);
    assert_int_equal(n_entries(folder), 1);
    assert_int_equal(mim_atomic_file_open(in("file"), &second), MIM_EIO);
    assert_null(second);
    assert_true(fputs("first", mim_atomic_file_stream(first)) >= 0);
    assert_int_equal(mim_atomic_file_commit(&first), MIM_OK);
    is_without_unnamed = false;
    assert_content(in("file"), "first");
    assert_int_equal(unlink(in("file")), 0);
}

static int leave_unnamed_out(void **state)
{
    (void)state;
    is_without_unnamed = true;
    return 0;
}

static int let_unnamed_in(void **state)
{
    (void)state;
    is_without_unnamed = false;
    return 0;
}

static int open_folder(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/mimesys-test-XXXXXX", parent ? parent : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int close_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

#define WITHOUT_UNNAMED(test)                                                                      \
    {                                                                                              \
#test "_without_unnamed_files", test, leave_unnamed_out, let_unnamed_in, NULL              \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_visible_only_after_commit),
        cmocka_unit_test(test_name_without_folder),
        cmocka_unit_test(test_permissions),
        cmocka_unit_test(test_links_stay_links),
        cmocka_unit_test(test_refusals_at_open),
        cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_devices_and_pipes),
        cmocka_unit_test(test_standard_output_into_a_file),
        cmocka_unit_test(test_leftovers_are_swept),
        cmocka_unit_test(test_kills_at_random_moments),
        cmocka_unit_test(test_reading_whole_files),
        cmocka_unit_test(test_making_folders),
        cmocka_unit_test(test_named_file_has_one_writer),
        WITHOUT_UNNAMED(test_visible_only_after_commit),
        WITHOUT_UNNAMED(test_permissions),
        WITHOUT_UNNAMED(test_links_stay_links),
        WITHOUT_UNNAMED(test_refusals_at_open),
        WITHOUT_UNNAMED(test_unwritable),
        WITHOUT_UNNAMED(test_full_disk),
        WITHOUT_UNNAMED(test_leftovers_are_swept),
        WITHOUT_UNNAMED(test_kills_at_random_moments),
    };
    return cmocka_run_group_tests_name("atomic_file", tests, open_folder, close_folder);
}
