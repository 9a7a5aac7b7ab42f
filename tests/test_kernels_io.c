/* Stressors of files: what they ask of the guard, the cache and the file system; full and read-only
 * disks; nothing left behind. */
#define _GNU_SOURCE
#include <dirent.h>
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/kernel.h"
#include "node/kernel_family.h"
#include "tests/support/scratch_folder.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

/* One small stressor of every family that uses files. */
static const mim_stressor families[] = {
    {.name = "reads", .kernel = "hdd_read", .op_bytes = 64 * KIB, .shared_file_bytes = MIB},
    {.name = "writes", .kernel = "hdd_write", .op_bytes = 64 * KIB, .file_bytes = MIB},
    {.name = "direct writes",
     .kernel = "hdd_write",
     .op_bytes = 64 * KIB,
     .file_bytes = MIB,
     .parameter = MIM_STRESSOR_DIRECT},
    {.name = "writes and CRC",
     .kernel = "write_crc",
     .op_bytes = 64 * KIB,
     .file_bytes = MIB,
     .parameter = 1000},
    {.name = "files", .kernel = "hdd_file", .op_bytes = 64 * KIB},
    {.name = "allocations", .kernel = "fallocate", .op_bytes = 256 * KIB},
    {.name = "reads ahead", .kernel = "readahead", .op_bytes = 256 * KIB, .file_bytes = MIB},
    {.name = "reads and writes",
     .kernel = "mixed",
     .op_bytes = 64 * KIB,
     .file_bytes = MIB,
     .shared_file_bytes = MIB,
     .parameter = 70},
    {.name = "cached reads", .kernel = "cache_read", .op_bytes = 64 * KIB, .file_bytes = MIB},
    {.name = "cached writes", .kernel = "cache_write", .op_bytes = 64 * KIB, .file_bytes = MIB},
    {.name = "names", .kernel = "metadata"},
};
enum { N_FAMILIES = sizeof families / sizeof *families };

static const mim_kernel *kernel_of(const mim_stressor *stressor)
{
    return mim_kernel_find(stressor->kernel);
}

static void *create(const mim_stressor *stressor, mim_scratch *scratch)
{
    const mim_kernel_place place = {.row = 1, .scratch = scratch, .seed = 5};
    void *state = NULL;

    if (kernel_of(stressor)->create(stressor, &place, &state) != MIM_OK)
        fail_msg("%s: %s", stressor->name, mim_error());
    return state;
}

static void run(const mim_stressor *stressor, void *state, size_t n, mim_work *work)
{
    if (kernel_of(stressor)->run(state, n, work) != MIM_OK ||
        kernel_of(stressor)->verify(state) != MIM_OK)
        fail_msg("%s: %s", stressor->name, mim_error());
}

static const mim_stressor *family(const char *kernel)
{
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i].kernel, kernel) == 0)
            return &families[i];
    fail_msg("%s", kernel);
    return NULL;
}

/* Every byte that reaches the disk was asked of the guard: `per_op` of one operation. */
static void test_what_the_guard_is_asked(void **unused)
{
    static const struct {
        const char *kernel;
        uint64_t set_up, per_20_ops;
    } cases[] = {
        {"hdd_write", MIB, 20 * 64 * KIB},
        {"write_crc", MIB, 20 * 64 * KIB},
        {"hdd_file", 0, 20 * 64 * KIB},
        {"fallocate", 0, 0},
        {"readahead", MIB, 0},
        {"mixed", 2 * MIB, 6 * 64 * KIB},
        {"cache_read", MIB, 0},
        {"cache_write", MIB, 0},
        {"metadata", 0, 0},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mim_stressor *stressor = family(cases[i].kernel);
        mim_scratch *scratch = create_scratch(MIM_IO_BUFFERED, 0, 0);
        uint64_t before = mim_scratch_written_bytes(scratch), made;
        mim_work work = {0};
        void *state = create(stressor, scratch);

        made = mim_scratch_written_bytes(scratch);
        assert_int_equal(made - before, cases[i].set_up);
        run(stressor, state, 20, &work);
        assert_int_equal(work.n_ops, 20);
        if (mim_scratch_written_bytes(scratch) - made != cases[i].per_20_ops)
            fail_msg("%s: asked for %llu bytes", stressor->name,
                     (unsigned long long)(mim_scratch_written_bytes(scratch) - made));
        kernel_of(stressor)->destroy(state);
        mim_scratch_destroy(&scratch);
        assert_int_equal(n_names(), 0);
    }
}

/* Of any number of operations the share of reads is as near to the ratio as whole ones can be. */
static void test_mixed_keeps_its_ratio(void **unused)
{
    static const uint32_t percents[] = {1, 30, 50, 70, 99};
    mim_scratch *scratch = create_scratch(MIM_IO_BUFFERED, 0, 0);

    (void)unused;
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        mim_stressor stressor = *family("mixed");
        mim_work work = {0};
        void *state;
        uint64_t before;

        stressor.op_bytes = 4096;
        stressor.parameter = percents[i];
        state = create(&stressor, scratch);
        before = mim_scratch_written_bytes(scratch);
        for (uint64_t n = 1; n <= 200; n++) {
            double writes, expected = (double)n * (100 - percents[i]) / 100.0;

            run(&stressor, state, 1, &work);
            writes = (double)(mim_scratch_written_bytes(scratch) - before) / 4096.0;
            if (writes < expected - 0.001 || writes >= expected + 1)
                fail_msg("%u %% reads: %g writes in %llu operations", (unsigned)percents[i], writes,
                         (unsigned long long)n);
        }
        kernel_of(&stressor)->destroy(state);
    }
    mim_scratch_destroy(&scratch);
}

/* A number of /proc/self/io; false when it is not to be had. */
static bool own_io(const char *key, uint64_t *value)
{
    char line[128], wanted[64];
    unsigned long long found;
    bool is_there = false;
    FILE *file = fopen("/proc/self/io", "r");

    snprintf(wanted, sizeof wanted, "%s: %%llu", key);
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), ": %llu", &found)) {
            *value = found;
            is_there = true;
        }
    if (file)
        fclose(file);
    return is_there;
}

static void test_cached_reads_leave_the_device_alone(void **unused)
{
    const mim_stressor *stressor = family("cache_read");
    mim_scratch *scratch = create_scratch(MIM_IO_AUTO, 0, 0); /* direct, where it can */
    void *state = create(stressor, scratch);
    mim_work work = {0};
    uint64_t device_0 = 0, device_1 = 0, asked_0 = 0, asked_1 = 0;

    (void)unused;
    if (!own_io("read_bytes", &device_0) || !own_io("rchar", &asked_0))
        skip();
    run(stressor, state, 200, &work);
    own_io("read_bytes", &device_1);
    own_io("rchar", &asked_1);
    assert_true(asked_1 - asked_0 >= work.n_bytes);
    /* under memory pressure a few pages may have gone */
    assert_true(device_1 - device_0 <= work.n_bytes / 20);
    kernel_of(stressor)->destroy(state);
    mim_scratch_destroy(&scratch);
}

/* The room's path: the only folder in the folder. */
static void room_path(char path[600])
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, "mimesys-scratch.", 16) == 0)
            snprintf(path, 600, "%s/%s", folder, entry->d_name);
    closedir(dir);
}

static void touch(const char *room, const char *name)
{
    char path[700];
    int fd;

    snprintf(path, sizeof path, "%s/%s", room, name);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void test_names_that_no_round_made_are_seen(void **unused)
{
    static const char *const strange[] = {"b32", "c1", "b1x", "b"};
    mim_scratch *scratch = create_scratch(MIM_IO_AUTO, 0, 0);

    (void)unused;
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        const mim_stressor *stressor = family("metadata");
        void *state = create(stressor, scratch);
        mim_work work = {0};
        char room[600] = "";

        run(stressor, state, 3, &work);
        assert_int_equal(work.n_ops, 3);
        assert_int_equal(work.n_bytes, 0);
        room_path(room);
        touch(room, strange[i]);
        assert_int_equal(kernel_of(stressor)->run(state, 1, &work), MIM_OK);
        assert_int_equal(kernel_of(stressor)->verify(state), MIM_ECHECK);
        kernel_of(stressor)->destroy(state);
        assert_int_equal(n_names(), 0);
    }
    mim_scratch_destroy(&scratch);
}

static void test_a_file_that_was_not_removed_is_seen(void **unused)
{
    const mim_stressor *stressor = family("hdd_file");
    mim_scratch *scratch = create_scratch(MIM_IO_AUTO, 0, 0);
    void *state = create(stressor, scratch);
    mim_work work = {0};
    char room[600] = "";

    (void)unused;
    run(stressor, state, 2, &work);
    room_path(room);
    touch(room, "file");
    assert_int_equal(kernel_of(stressor)->verify(state), MIM_ECHECK);
    assert_non_null(strstr(mim_error(), "still there"));
    kernel_of(stressor)->destroy(state);
    mim_scratch_destroy(&scratch);
}

/* ---- disks that refuse ----------------------------------------------------------------------- */

static void test_ceiling_ends_them(void **unused)
{
    static const char *const writers[] = {"hdd_write", "write_crc", "hdd_file", "mixed"};

    (void)unused;
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        const mim_stressor *stressor = family(writers[i]);
        mim_scratch *scratch = create_scratch(MIM_IO_BUFFERED, 0, 2 * MIB + 256 * KIB);
        void *state = create(stressor, scratch);
        mim_work work = {0};
        int rc = MIM_OK;

        for (int k = 0; rc == MIM_OK && k < 100; k++)
            rc = kernel_of(stressor)->run(state, 1, &work);
        assert_int_equal(rc, MIM_EUNSUP);
        assert_string_equal(mim_error(), mim_scratch_refusal(scratch));
        assert_int_equal(kernel_of(stressor)->verify(state), MIM_OK);
        kernel_of(stressor)->destroy(state);
        mim_scratch_destroy(&scratch);
        assert_int_equal(n_names(), 0);
    }
}

static void fill_disk(const char *path)
{
    for (size_t n = 64; n > 0 && write_foreign_file(path, n); n--)
        continue;
}

/* A disk that others fill while we run: what takes new space ends with one sentence, what
 * overwrites its own goes on. */
static void test_a_full_disk(void **unused)
{
    char path[512];

    (void)unused;
    if (!mount_small("size=16m", 0))
        skip();
    snprintf(path, sizeof path, "%s/foreign", folder);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        const mim_stressor *s = &families[i];
        mim_scratch *scratch = create_scratch(MIM_IO_BUFFERED, 0, 0);
        const mim_kernel_place place = {.row = 1, .scratch = scratch, .seed = 5};
        mim_work work = {0};
        void *state = NULL;
        int rc = kernel_of(s)->create(s, &place, &state);

        if (rc != MIM_OK) { /* no O_DIRECT in memory, on some kernels */
            assert_int_equal(rc, MIM_EUNSUP);
            assert_int_equal(s->parameter, MIM_STRESSOR_DIRECT);
            mim_scratch_destroy(&scratch);
            continue;
        }
        run(s, state, 3, &work);
        fill_disk(path);
        rc = kernel_of(s)->run(state, 3, &work);
        if (strcmp(s->kernel, "hdd_file") == 0) {
            assert_int_equal(rc, MIM_EIO);
            assert_non_null(strstr(mim_error(), "No space left"));
        } else if (strcmp(s->kernel, "fallocate") == 0 || strcmp(s->kernel, "metadata") == 0) {
            assert_int_equal(rc, MIM_EUNSUP);
            assert_non_null(strstr(mim_error(), "free"));
        } else {
            assert_int_equal(rc, MIM_OK);
        }
        kernel_of(s)->destroy(state);
        assert_int_equal(unlink(path), 0);
        mim_scratch_destroy(&scratch);
        assert_int_equal(n_names(), 0);
    }
    assert_int_equal(unmount_small(), 0);
}

static void test_a_disk_gone_read_only(void **unused)
{
    static const char *const makers[] = {"hdd_file", "fallocate", "metadata"};

    (void)unused;
    if (!mount_small("size=16m", 0))
        skip();
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        const mim_stressor *s = family(makers[i]);
        mim_scratch *scratch = create_scratch(MIM_IO_BUFFERED, 0, 0);
        mim_work work = {0};
        void *state = create(s, scratch);

        run(s, state, 3, &work);
        assert_int_equal(remount_read_only(true), 0);
        assert_int_equal(kernel_of(s)->run(state, 1, &work), MIM_EIO);
        assert_non_null(strstr(mim_error(), "Read-only file system"));
        assert_int_equal(work.n_ops, 3);
        assert_int_equal(remount_read_only(false), 0);
        kernel_of(s)->destroy(state);
        mim_scratch_destroy(&scratch);
        assert_int_equal(n_names(), 0);
    }
    assert_int_equal(unmount_small(), 0);
}

static void test_sizes_are_checked(void **unused)
{
    static const mim_stressor bad[] = {
        {.name = "no pages", .kernel = "hdd_file", .op_bytes = 1000},
        {.name = "nothing", .kernel = "hdd_file"},
        {.name = "no pages", .kernel = "fallocate", .op_bytes = 1000},
        {.name = "nothing", .kernel = "fallocate"},
        {.name = "no chunks", .kernel = "readahead", .op_bytes = 4096, .file_bytes = MIB},
        {.name = "two pieces", .kernel = "readahead", .op_bytes = MIB, .file_bytes = 2 * MIB},
        {.name = "no whole ones",
         .kernel = "readahead",
         .op_bytes = MIB,
         .file_bytes = 7 * MIB / 2},
        {.name = "small file", .kernel = "cache_read", .op_bytes = MIB, .file_bytes = 4096},
        {.name = "no whole blocks", .kernel = "cache_write", .op_bytes = 8192, .file_bytes = 12288},
        {.name = "no pages", .kernel = "mixed", .op_bytes = 1000, .parameter = 50},
        {.name = "no pages", .kernel = "write_crc", .op_bytes = 1000, .parameter = 50},
    };
    mim_scratch *scratch = create_scratch(MIM_IO_AUTO, 0, 0);
    const mim_kernel_place place = {.row = 1, .scratch = scratch};

    (void)unused;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *state = NULL;

        if (kernel_of(&bad[i])->create(&bad[i], &place, &state) != MIM_EINVAL)
            fail_msg("%s, %s: taken", bad[i].kernel, bad[i].name);
        assert_null(state);
    }
    assert_int_equal(n_names(), 0);
    mim_scratch_destroy(&scratch);
}

/* Writing past this limit would end the process with SIGXFSZ. */
static void test_file_size_limit_is_respected(void **unused)
{
    struct rlimit before, small = {32 << 10, 32 << 10};
    mim_scratch *scratch = create_scratch(MIM_IO_BUFFERED, 0, 0);

    (void)unused;
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        const mim_kernel_place place = {.row = 1, .scratch = scratch};
        void *state = NULL;
        int rc = kernel_of(&families[i])->create(&families[i], &place, &state);

        if (strcmp(families[i].kernel, "metadata") == 0) {
            assert_int_equal(rc, MIM_OK);
            kernel_of(&families[i])->destroy(state);
            continue;
        }
        assert_int_equal(rc, MIM_EUNSUP);
        assert_non_null(strstr(mim_error(), "ulimit -f"));
        assert_null(state);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    mim_scratch_destroy(&scratch);
}

/* ---- kills ----------------------------------------------------------------------------------- */

static void run_until_killed(void)
{
    const mim_scratch_options options = {folder, 0, 0, MIM_IO_AUTO};
    mim_scratch *scratch = NULL;
    void *states[N_FAMILIES] = {NULL};
    mim_work work = {0};

    if (mim_scratch_create(&options, &scratch) != MIM_OK)
        _exit(1);
    const mim_kernel_place place = {.row = 1, .scratch = scratch, .seed = 5};
    for (size_t i = 0; i < N_FAMILIES; i++)
        kernel_of(&families[i])->create(&families[i], &place, &states[i]);
    for (;;)
        for (size_t i = 0; i < N_FAMILIES; i++)
            if (states[i])
                kernel_of(&families[i])->run(states[i], 1, &work);
}

static void test_next_start_removes_what_a_kill_left(void **unused)
{
    (void)unused;
    for (int i = 0; i < 5; i++) {
        int status = 0;
        mim_scratch *scratch;
        pid_t child = fork();

        if (child == 0)
            run_until_killed();
        usleep(30000 + 40000 * (unsigned)i);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        scratch = create_scratch(MIM_IO_AUTO, 0, 0);
        assert_int_equal(n_names(), 0);
        mim_scratch_destroy(&scratch);
    }
}

/* With an argument only the tests whose names match it. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_what_the_guard_is_asked),
        WITH_FOLDER(test_mixed_keeps_its_ratio),
        WITH_FOLDER(test_cached_reads_leave_the_device_alone),
        WITH_FOLDER(test_names_that_no_round_made_are_seen),
        WITH_FOLDER(test_a_file_that_was_not_removed_is_seen),
        WITH_FOLDER(test_ceiling_ends_them),
        WITH_FOLDER(test_a_full_disk),
        WITH_FOLDER(test_a_disk_gone_read_only),
        WITH_FOLDER(test_sizes_are_checked),
        WITH_FOLDER(test_file_size_limit_is_respected),
        WITH_FOLDER(test_next_start_removes_what_a_kill_left),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("kernels of files", tests, NULL, NULL);
}
