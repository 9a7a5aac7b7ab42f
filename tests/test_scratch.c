/* Scratch files and the kernels that use them: guard, ceiling, names, sweep, direct and buffered.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/kernel.h"
#include "node/kernel_family.h"
#include "node/scratch.h"
#include "tests/support/scratch_folder.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

static void expect_create(const char *where, int expected, const char *expected_word)
{
    const mim_scratch_options options = {where, 0, 0, MIM_IO_AUTO};
    mim_scratch *scratch = NULL;
    int rc = mim_scratch_create(&options, &scratch);

    if (rc != expected || !strstr(mim_error(), expected_word))
        fail_msg("%s: code %d, \"%s\", expected %d with \"%s\"", where, rc, mim_error(), expected,
                 expected_word);
    assert_null(scratch);
}

static void test_bad_folders_are_refused(void **unused)
{
    char path[512];
    mim_scratch *scratch = NULL;
    const mim_scratch_options nowhere = {NULL, 0, 0, MIM_IO_AUTO};

    (void)unused;
    assert_int_equal(mim_scratch_create(NULL, &scratch), MIM_EINVAL);
    assert_int_equal(mim_scratch_create(&nowhere, &scratch), MIM_EINVAL);
    snprintf(path, sizeof path, "%s/missing", folder);
    expect_create(path, MIM_EIO, "No such file");
    expect_create("/dev/null", MIM_EIO, "not a folder");
    expect_create("/proc/self", MIM_EIO, "/proc/self");
    if (geteuid() != 0) { /* root may write to it all the same */
        assert_int_equal(chmod(folder, 0500), 0);
        expect_create(folder, MIM_EIO, "Permission denied");
        assert_int_equal(chmod(folder, 0700), 0);
    }
}

static void test_read_only_file_system_is_refused(void **unused)
{
    (void)unused;
    if (!mount_small("size=1m", MS_RDONLY))
        skip();
    expect_create(folder, MIM_EIO, "Read-only");
    assert_int_equal(umount(folder), 0);
}

static void test_files_are_filled_and_have_no_names(void **unused)
{
    static const mim_io_mode modes[] = {MIM_IO_AUTO, MIM_IO_BUFFERED};
    enum { SIZE = 2 * 1024 * 1024 + 8192 };
    unsigned char *bytes = aligned_alloc(4096, SIZE);

    (void)unused;
    assert_non_null(bytes);
    for (size_t m = 0; m < 2; m++) {
        mim_scratch *scratch = create_scratch(modes[m], 0, 0);
        uint64_t before = mim_scratch_written_bytes(scratch);
        struct stat st;
        int fd = -1;

        assert_string_equal(mim_scratch_folder(scratch), folder);
        if (modes[m] == MIM_IO_BUFFERED)
            assert_false(mim_scratch_is_direct(scratch));
        assert_int_equal(mim_scratch_file(scratch, SIZE, 'q', &fd), MIM_OK);
        assert_int_equal(mim_scratch_written_bytes(scratch) - before, SIZE);
        assert_int_equal((fcntl(fd, F_GETFL) & O_DIRECT) != 0, mim_scratch_is_direct(scratch));
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, SIZE);
        assert_int_equal(st.st_nlink, 0);
        /* Really there: not a hole, not promised space. */
        assert_true(st.st_blocks * 512 >= SIZE);
        assert_int_equal(pread(fd, bytes, SIZE, 0), SIZE);
        for (size_t i = 0; i < SIZE; i++)
            if (bytes[i] != 'q')
                fail_msg("byte %zu is %d", i, bytes[i]);
        assert_int_equal(n_names(), 0);
        close(fd);
        mim_scratch_destroy(&scratch);
        assert_null(scratch);
        assert_int_equal(n_names(), 0);
    }
    free(bytes);
}

static void test_sizes_are_checked(void **unused)
{
    static const uint64_t sizes[] = {0, 1, 4095, 4097, UINT64_MAX, UINT64_MAX - 4095};
    mim_scratch *scratch = create_scratch(MIM_IO_AUTO, 0, 0);
    int fd = -7;

    (void)unused;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(mim_scratch_file(scratch, sizes[i], 0, &fd), MIM_EINVAL);
        assert_int_equal(mim_scratch_shared_file(scratch, sizes[i], &fd), MIM_EINVAL);
    }
    assert_int_equal(mim_scratch_file(NULL, 4096, 0, &fd), MIM_EINVAL);
    assert_int_equal(mim_scratch_file(scratch, 4096, 0, NULL), MIM_EINVAL);
    assert_int_equal(fd, -7);
    mim_scratch_destroy(&scratch);
}

/* A write past the limit would end the process by a signal. */
static void test_file_size_limit_is_respected(void **unused)
{
    struct rlimit before, low;
    mim_scratch *scratch = create_scratch(MIM_IO_AUTO, 0, 0);
    int fd = -1, rc;

    (void)unused;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = before;
    low.rlim_cur = 64 * KIB;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    rc = mim_scratch_file(scratch, 1 * MIB, 0, &fd);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rc, MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), "ulimit"));
    mim_scratch_destroy(&scratch);
}

static void test_shared_file_is_made_once_and_grows(void **unused)
{
    mim_scratch *scratch = create_scratch(MIM_IO_BUFFERED, 0, 0);
    struct stat one_st, two_st;
    int one = -1, two = -1;
    char byte = 0;

    (void)unused;
    assert_int_equal(mim_scratch_shared_file(scratch, 1 * MIB, &one), MIM_OK);
    assert_int_equal(mim_scratch_written_bytes(scratch), 1 * MIB);
    assert_int_equal(mim_scratch_shared_file(scratch, 512 * KIB, &two), MIM_OK);
    assert_int_equal(mim_scratch_written_bytes(scratch), 1 * MIB);
    assert_int_not_equal(one, two);
    assert_int_equal(fstat(one, &one_st), 0);
    assert_int_equal(fstat(two, &two_st), 0);
    assert_int_equal(one_st.st_ino, two_st.st_ino);
    close(two);
    assert_int_equal(mim_scratch_shared_file(scratch, 3 * MIB, &two), MIM_OK);
    assert_int_equal(mim_scratch_written_bytes(scratch), 3 * MIB);
    assert_int_equal(pread(one, &byte, 1, 3 * MIB - 1), 1);
    assert_int_equal(byte, 'R');
    assert_int_equal(write(two, &byte, 1), -1); /* read-only */
    close(one);
    close(two);
    mim_scratch_destroy(&scratch);
}

static void test_ceiling_on_written_bytes(void **unused)
{
    mim_scratch *scratch = create_scratch(MIM_IO_BUFFERED, 0, 10 * MIB);
    char first[512];
    int fd = -1;

    (void)unused;
    assert_null(mim_scratch_refusal(scratch));
    assert_int_equal(mim_scratch_file(scratch, 11 * MIB, 0, &fd), MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), "ceiling"));
    assert_int_equal(mim_scratch_written_bytes(scratch), 0);
    assert_int_equal(mim_scratch_file(scratch, 4 * MIB, 0, &fd), MIM_OK);
    assert_true(mim_scratch_may_write(scratch, 6 * MIB - 1));
    assert_false(mim_scratch_may_write(scratch, 2));
    assert_false(mim_scratch_may_write(scratch, UINT64_MAX));
    assert_true(mim_scratch_may_write(scratch, 1));
    assert_int_equal(mim_scratch_written_bytes(scratch), 10 * MIB);
    snprintf(first, sizeof first, "%s", mim_scratch_refusal(scratch));
    assert_non_null(strstr(first, "ceiling"));
    assert_false(mim_scratch_may_write(scratch, 1));
    assert_string_equal(mim_scratch_refusal(scratch), first);
    close(fd);
    mim_scratch_destroy(&scratch);
}

static void *ask_often(void *scratch)
{
    uintptr_t n = 0;

    for (int i = 0; i < 5000; i++)
        n += mim_scratch_may_write(scratch, 1 * MIB);
    return (void *)n;
}

static void test_ceiling_holds_among_threads(void **unused)
{
    enum { N = 4 };
    pthread_t threads[N];
    uintptr_t total = 0;
    mim_scratch *scratch = create_scratch(MIM_IO_BUFFERED, 0, 10000 * MIB);

    (void)unused;
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, scratch), 0);
    for (int i = 0; i < N; i++) {
        void *n = NULL;

        pthread_join(threads[i], &n);
        total += (uintptr_t)n;
    }
    assert_int_equal(total, 10000);
    assert_int_equal(mim_scratch_written_bytes(scratch), 10000 * MIB);
    mim_scratch_destroy(&scratch);
}

/* 8 MiB in all: what does not fit, or would go below the floor, is refused before it is written. */
static void test_small_file_system_is_not_filled(void **unused)
{
    const mim_scratch_options too_high = {folder, 16 * MIB, 0, MIM_IO_AUTO};
    char path[512];
    mim_scratch *scratch = NULL;
    int fd = -1;

    (void)unused;
    if (!mount_small("size=8m", 0))
        skip();
    assert_int_equal(mim_scratch_create(&too_high, &scratch), MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), "below the floor"));
    scratch = create_scratch(MIM_IO_AUTO, 4 * MIB, 0);
    assert_true(mim_scratch_is_memory(scratch));
    assert_int_equal(mim_scratch_file(scratch, 6 * MIB, 0, &fd), MIM_EUNSUP);
    assert_int_equal(mim_scratch_file(scratch, 16 * MIB, 0, &fd), MIM_EUNSUP);
    assert_int_equal(mim_scratch_shared_file(scratch, 6 * MIB, &fd), MIM_EUNSUP);
    assert_int_equal(mim_scratch_file(scratch, 2 * MIB, 0, &fd), MIM_OK);
    /* Someone else takes the space: seen at the next look, and again when there is room. */
    snprintf(path, sizeof path, "%s/foreign", folder);
    assert_true(write_foreign_file(path, 4));
    assert_false(mim_scratch_may_write(scratch, 64 * MIB));
    assert_false(mim_scratch_may_write(scratch, 4096));
    assert_non_null(mim_scratch_refusal(scratch));
    assert_int_equal(unlink(path), 0);
    assert_true(mim_scratch_may_write(scratch, 4096));
    close(fd);
    mim_scratch_destroy(&scratch);
    assert_int_equal(n_names(), 0);
    assert_int_equal(umount(folder), 0);
}

/* Full without any floor: the file system's own refusal, in one sentence. */
static void test_full_file_system(void **unused)
{
    const mim_stressor stressor = {.name = "w", .file_bytes = 1 * MIB, .op_bytes = 256 * KIB};
    char path[512];
    mim_scratch *scratch = NULL;
    mim_kernel_place place = {.row = 1};
    void *state = NULL;

    (void)unused;
    if (!mount_small("size=8m", 0))
        skip();
    scratch = create_scratch(MIM_IO_AUTO, 0, 0);
    snprintf(path, sizeof path, "%s/foreign", folder);
    assert_true(write_foreign_file(path, 7));
    assert_true(write_foreign_file(path, 8)); /* same bytes again, and the last MiB */
    place.scratch = scratch;
    assert_int_equal(mim_kernel_hdd_write.create(&stressor, &place, &state), MIM_EUNSUP);
    assert_null(state);
    assert_non_null(strstr(mim_error(), "free"));
    mim_scratch_destroy(&scratch);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(umount(folder), 0);
}

static void touch(const char *name)
{
    char path[512];
    int fd;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static bool is_there(const char *name)
{
    char path[1024];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return lstat(path, &st) == 0;
}

static void test_sweep_takes_orphans_only(void **unused)
{
    static const struct {
        const char *format; /* with the pid of a process that is no more */
        bool stays;
    } cases[] = {
        {"mimesys-scratch.%ld.abcdef", false}, {"mimesys-scratch.%ld.AbC123", false},
        {"mimesys-scratch.%ld.abc", true},     {"mimesys-scratch.%ldabcdef", true},
        {"mimesys-scratch.%ld.", true},        {"mimesys-scratch.x%ld.abcdef", true},
        {"mimesys-scratch.-%ld.abcdef", true}, {"other-scratch.%ld.abcdef", true},
        {"mimesys-scratch.%ld.locked", true},
    };
    enum { N = sizeof cases / sizeof cases[0] };
    char name[128], path[512];
    mim_scratch *scratch;
    int locked;
    pid_t dead = fork();

    (void)unused;
    if (dead == 0)
        _exit(0);
    assert_int_equal(waitpid(dead, NULL, 0), dead);
    for (size_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, cases[i].format, (long)dead);
        touch(name);
    }
    snprintf(path, sizeof path, "%s/%s", folder, name); /* in use by a process we cannot see */
    locked = open(path, O_RDONLY);
    assert_int_equal(flock(locked, LOCK_EX), 0);
    snprintf(name, sizeof name, "mimesys-scratch.%ld.living", (long)getpid());
    touch(name);
    scratch = create_scratch(MIM_IO_AUTO, 0, 0);
    assert_true(is_there(name));
    for (size_t i = 0; i < N; i++) {
        snprintf(path, sizeof path, cases[i].format, (long)dead);
        if (is_there(path) != cases[i].stays)
            fail_msg("%s: %s", path, cases[i].stays ? "removed" : "left");
    }
    mim_scratch_destroy(&scratch);
    close(locked);
    for (size_t i = 0; i <= N; i++) {
        if (i < N)
            snprintf(name, sizeof name, cases[i].format, (long)dead);
        else
            snprintf(name, sizeof name, "mimesys-scratch.%ld.living", (long)getpid());
        snprintf(path, sizeof path, "%s/%s", folder, name);
        unlink(path);
    }
}

static void test_killed_process_leaves_nothing(void **unused)
{
    int status = 0;
    pid_t child = fork();

    (void)unused;
    if (child == 0) {
        const mim_scratch_options options = {folder, 0, 0, MIM_IO_AUTO};
        mim_scratch *scratch = NULL;
        int fd = -1;

        if (mim_scratch_create(&options, &scratch) == MIM_OK &&
            mim_scratch_file(scratch, 1 * MIB, 1, &fd) == MIM_OK &&
            mim_scratch_shared_file(scratch, 1 * MIB, &fd) == MIM_OK)
            raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(n_names(), 0);
}

/* Bytes this process caused to be read from and written to a device; false without such counts. */
static bool device_bytes(uint64_t *read_bytes, uint64_t *written_bytes)
{
    char line[128];
    unsigned long long value;
    int n = 0;
    FILE *file = fopen("/proc/self/io", "r");

    if (!file)
        return false;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "read_bytes: %llu", &value) == 1)
            n++, *read_bytes = value;
        else if (sscanf(line, "write_bytes: %llu", &value) == 1)
            n++, *written_bytes = value;
    }
    fclose(file);
    return n == 2;
}

static void run_io(mim_scratch *scratch, const mim_kernel *kernel, bool is_read)
{
    enum { OP = 128 * 1024, N_BLOCKS = 6, N_OPS = 20 };
    const mim_stressor stressor = {.name = "io",
                                   .is_paced = true,
                                   .file_bytes = is_read ? 0 : OP * N_BLOCKS + 4096,
                                   .shared_file_bytes = is_read ? OP * N_BLOCKS + 4096 : 0,
                                   .op_bytes = OP};
    mim_work work = {0};
    uint64_t read_0 = 0, read_1 = 0, written_0 = 0, written_1 = 0, asked;

    for (size_t row = 0; row < 3; row++) {
        const mim_kernel_place place = {.row = row, .scratch = scratch, .seed = 3};
        bool is_counted;
        void *state = NULL;

        if (kernel->create(&stressor, &place, &state) != MIM_OK)
            fail_msg("%s: %s", kernel->name, mim_error());
        assert_int_equal(kernel->verify(state), MIM_OK);
        is_counted = device_bytes(&read_0, &written_0) && !mim_scratch_is_memory(scratch);
        asked = mim_scratch_written_bytes(scratch);
        work = (mim_work){0};
        for (int i = 0; i < N_OPS; i++)
            if (kernel->run(state, 1, &work) != MIM_OK)
                fail_msg("%s: %s", kernel->name, mim_error());
        assert_int_equal(work.n_ops, N_OPS);
        assert_int_equal(work.n_bytes, N_OPS * OP);
        assert_int_equal(mim_scratch_written_bytes(scratch) - asked, is_read ? 0 : N_OPS * OP);
        /* The kernel's count and the system's must agree: each byte once, none from the cache. */
        if (is_counted && device_bytes(&read_1, &written_1)) {
            uint64_t n = is_read ? read_1 - read_0 : written_1 - written_0;

            if (n < N_OPS * OP || n > N_OPS * OP * 11 / 10)
                fail_msg("%s: %llu bytes at the device, expected %d", kernel->name,
                         (unsigned long long)n, N_OPS * OP);
        }
        if (kernel->verify(state) != MIM_OK)
            fail_msg("%s: %s", kernel->name, mim_error());
        (*(unsigned char **)state)[OP - 1] ^= 1; /* see kernel_family.h */
        assert_int_equal(kernel->verify(state), MIM_ECHECK);
        kernel->destroy(state);
    }
}

static void test_kernels_read_and_write_buffered(void **unused)
{
    mim_scratch *scratch = create_scratch(MIM_IO_BUFFERED, 0, 0);

    (void)unused;
    run_io(scratch, &mim_kernel_hdd_read, true);
    run_io(scratch, &mim_kernel_hdd_write, false);
    assert_int_equal(n_names(), 0);
    mim_scratch_destroy(&scratch);
}

static void test_kernels_read_and_write_directly(void **unused)
{
    const mim_scratch_options options = {folder, 0, 0, MIM_IO_DIRECT};
    mim_scratch *scratch = NULL;
    int rc = mim_scratch_create(&options, &scratch);

    (void)unused;
    if (rc != MIM_OK) {
        assert_int_equal(rc, MIM_EUNSUP);
        print_message("skipped: %s\n", mim_error());
        skip();
    }
    assert_true(mim_scratch_is_direct(scratch));
    run_io(scratch, &mim_kernel_hdd_read, true);
    run_io(scratch, &mim_kernel_hdd_write, false);
    mim_scratch_destroy(&scratch);
}

static void test_refused_write_says_why(void **unused)
{
    const mim_stressor stressor = {.name = "w", .file_bytes = 1 * MIB, .op_bytes = 256 * KIB};
    mim_scratch *scratch = create_scratch(MIM_IO_BUFFERED, 0, 2 * MIB);
    const mim_kernel_place place = {.row = 0, .scratch = scratch};
    mim_work work = {0};
    void *state = NULL;

    (void)unused;
    assert_int_equal(mim_kernel_hdd_write.create(&stressor, &place, &state), MIM_OK);
    assert_int_equal(mim_kernel_hdd_write.run(state, 4, &work), MIM_OK);
    assert_int_equal(mim_kernel_hdd_write.run(state, 1, &work), MIM_EUNSUP);
    assert_string_equal(mim_error(), mim_scratch_refusal(scratch));
    assert_int_equal(work.n_ops, 4);
    assert_int_equal(mim_kernel_hdd_write.verify(state), MIM_OK);
    mim_kernel_hdd_write.destroy(state);
    mim_scratch_destroy(&scratch);
}

static void test_io_kernels_refuse_bad_sizes(void **unused)
{
    static const mim_stressor bad[] = {
        {.name = "none"},
        {.name = "unaligned", .op_bytes = 1000, .file_bytes = MIB, .shared_file_bytes = MIB},
        {.name = "larger than its file",
         .op_bytes = MIB,
         .file_bytes = 4096,
         .shared_file_bytes = 4096},
    };
    mim_scratch *scratch = create_scratch(MIM_IO_AUTO, 0, 0);
    const mim_kernel_place place = {.row = 0, .scratch = scratch};

    (void)unused;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        void *state = NULL;

        assert_int_equal(mim_kernel_hdd_read.create(&bad[i], &place, &state), MIM_EINVAL);
        assert_int_equal(mim_kernel_hdd_write.create(&bad[i], &place, &state), MIM_EINVAL);
        assert_null(state);
    }
    mim_scratch_destroy(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_bad_folders_are_refused),
        WITH_FOLDER(test_read_only_file_system_is_refused),
        WITH_FOLDER(test_files_are_filled_and_have_no_names),
        WITH_FOLDER(test_sizes_are_checked),
        WITH_FOLDER(test_file_size_limit_is_respected),
        WITH_FOLDER(test_shared_file_is_made_once_and_grows),
        WITH_FOLDER(test_ceiling_on_written_bytes),
        WITH_FOLDER(test_ceiling_holds_among_threads),
        WITH_FOLDER(test_small_file_system_is_not_filled),
        WITH_FOLDER(test_full_file_system),
        WITH_FOLDER(test_sweep_takes_orphans_only),
        WITH_FOLDER(test_killed_process_leaves_nothing),
        WITH_FOLDER(test_kernels_read_and_write_buffered),
        WITH_FOLDER(test_kernels_read_and_write_directly),
        WITH_FOLDER(test_refused_write_says_why),
        WITH_FOLDER(test_io_kernels_refuse_bad_sizes),
    };
    return cmocka_run_group_tests_name("scratch", tests, NULL, NULL);
}
