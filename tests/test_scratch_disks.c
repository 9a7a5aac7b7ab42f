/* Scratch files on disks that are full, die, or go away while they are used, errors of every call
 * (injected by a filter of the kernel's, in a child), and many processes in one folder. Always one
 * sentence, no crash, and nothing left. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/text.h"
#include "node/executor.h"
#include "node/kernel.h"
#include "node/kernel_family.h"
#include "node/scratch.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define N_OF(a) (sizeof(a) / sizeof *(a))

static const mim_stressor writer = {
    .name = "w", .kernel = "hdd_write", .file_bytes = 1 * MIB, .op_bytes = 256 * KIB};
static const mim_stressor reader = {
    .name = "r", .kernel = "hdd_read", .shared_file_bytes = 1 * MIB, .op_bytes = 256 * KIB};

typedef struct bench {
    char folder[128], image[160], inside[192]; /* empty; not there yet; a folder in it */
    bool is_mounted;
} bench;

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    const char *parent = getenv("TMPDIR");
    assert_non_null(b);
    snprintf(b->folder, sizeof b->folder, "%s/mim-test-disk.XXXXXX", parent ? parent : "/tmp");
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->image, sizeof b->image, "%s.image", b->folder);
    snprintf(b->inside, sizeof b->inside, "%s/inside", b->folder);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    if (b->is_mounted)
        umount2(b->folder, MNT_DETACH);
    unlink(b->image);
    rmdir(b->inside);
    assert_int_equal(rmdir(b->folder), 0); /* nothing else was left */
    free(b);
    return 0;
}

/* An ext4 of n MiB in an image, seen by this process only; false: not permitted here. */
static bool mount_disk(bench *b, int n_mib)
{
    char *command = mim_format("truncate -s %dM %s && mkfs.ext4 -q -m 0 %s 2>/dev/null && "
                               "mount -o loop %s %s 2>/dev/null && rmdir %s/lost+found",
                               n_mib, b->image, b->image, b->image, b->folder, b->folder);
    assert_non_null(command);
    b->is_mounted = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                    system(command) == 0;
    free(command);
    if (!b->is_mounted)
        print_message("skipped: mounting an image needs root and a loop device\n");
    return b->is_mounted;
}

static mim_scratch *create(const char *folder, mim_io_mode mode)
{
    const mim_scratch_options options = {folder, 0, 0, mode};
    mim_scratch *scratch = NULL;
    if (mim_scratch_create(&options, &scratch) != MIM_OK)
        fail_msg("%s", mim_error());
    return scratch;
}

static size_t n_names(const char *folder)
{
    size_t n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *at; (at = readdir(dir));)
        n += at->d_name[0] != '.';
    closedir(dir);
    return n;
}

static size_t n_open_files(void) { return n_names("/proc/self/fd"); }

static bool is_one_line(const char *text) { return *text && !strchr(text, '\n'); }

/* ---- errors of the system's calls -------------------------------------------------------------
 */

#if defined(__x86_64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define THIS_ARCHITECTURE 0
#endif

/* From now on this call fails in this process. */
static bool make_fail(long call, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCHITECTURE, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)error & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = N_OF(code), .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

typedef enum { AT_CREATE, AT_FILE, AT_WRITE, AT_READ } stage;

static const struct {
    const char *what;
    long call;
    int error;
    stage stage;
    mim_io_mode mode;
    int rc;
    const char *says[2]; /* both in the sentence; NULL = nothing more */
} failures[] = {
    {"no files may be made",
     SYS_openat,
     EACCES,
     AT_CREATE,
     MIM_IO_AUTO,
     MIM_EIO,
     {"scratch folder ", "Permission denied"}},
    {"too many files",
     SYS_openat,
     EMFILE,
     AT_FILE,
     MIM_IO_AUTO,
     MIM_EIO,
     {"scratch folder ", "Too many open files"}},
    {"no space is told",
     SYS_statfs,
     EIO,
     AT_CREATE,
     MIM_IO_AUTO,
     MIM_EUNSUP,
     {"scratch folder ", "Input/output error"}},
    {"nothing is left to allocate",
     SYS_fallocate,
     ENOSPC,
     AT_FILE,
     MIM_IO_AUTO,
     MIM_EIO,
     {"scratch folder ", "No space left"}},
    {"the quota is used up",
     SYS_pwrite64,
     EDQUOT,
     AT_FILE,
     MIM_IO_AUTO,
     MIM_EIO,
     {"scratch folder ", "quota exceeded"}},
    {"the disk fails when flushed",
     SYS_fdatasync,
     EIO,
     AT_FILE,
     MIM_IO_AUTO,
     MIM_EIO,
     {"flushing", "Input/output error"}},
    {"read-only since",
     SYS_pwrite64,
     EROFS,
     AT_FILE,
     MIM_IO_AUTO,
     MIM_EIO,
     {"scratch folder ", "Read-only"}},
    {"quota, while it runs",
     SYS_pwrite64,
     EDQUOT,
     AT_WRITE,
     MIM_IO_AUTO,
     MIM_EIO,
     {"scratch file: ", "quota exceeded"}},
    {"a bad block, while it runs",
     SYS_pwrite64,
     EIO,
     AT_WRITE,
     MIM_IO_AUTO,
     MIM_EIO,
     {"scratch file: ", "Input/output error"}},
    {"write-back fails, while it runs",
     SYS_sync_file_range,
     EIO,
     AT_WRITE,
     MIM_IO_BUFFERED,
     MIM_EIO,
     {"write-back", "Input/output error"}},
    {"no write-back call here",
     SYS_sync_file_range,
     ENOSYS,
     AT_WRITE,
     MIM_IO_BUFFERED,
     MIM_OK,
     {NULL, NULL}},
    {"a bad block is read",
     SYS_pread64,
     EIO,
     AT_READ,
     MIM_IO_AUTO,
     MIM_EIO,
     {"Input/output error", NULL}},
};

/* In a child: 0 when the call failed as expected with one sentence and nothing was left open. */
static int run_failure(const bench *b, size_t i)
{
    const mim_scratch_options options = {b->folder, 0, 0, failures[i].mode};
    const stage at = failures[i].stage;
    mim_scratch *scratch = NULL;
    void *state = NULL;
    mim_work work = {0};
    const mim_kernel *kernel = at == AT_READ ? &mim_kernel_hdd_read : &mim_kernel_hdd_write;
    const mim_stressor *stressor = at == AT_READ ? &reader : &writer;
    if (at == AT_CREATE && !make_fail(failures[i].call, failures[i].error))
        return 99;
    int rc = mim_scratch_create(&options, &scratch);
    const mim_kernel_place place = {.row = 0, .scratch = scratch};
    if (at == AT_FILE && !make_fail(failures[i].call, failures[i].error))
        return 99;
    if (rc == MIM_OK)
        rc = kernel->create(stressor, &place, &state);
    if ((at == AT_WRITE || at == AT_READ) && !make_fail(failures[i].call, failures[i].error))
        return 99;
    for (int k = 0; rc == MIM_OK && k < 8; k++)
        rc = kernel->run(state, 1, &work);
    if (rc != failures[i].rc)
        return 1;
    for (size_t k = 0; k < 2 && rc != MIM_OK; k++)
        if (failures[i].says[k] && !strstr(mim_error(), failures[i].says[k]))
            return 2;
    if (rc != MIM_OK && !is_one_line(mim_error()))
        return 3;
    kernel->destroy(state);
    mim_scratch_destroy(&scratch);
    return 0;
}

static void test_errors_of_the_system(void **state)
{
    const bench *b = *state;
    for (size_t i = 0; i < N_OF(failures); i++) {
        int how = 0;
        const pid_t child = fork();
        if (child == 0) {
            const int rc = run_failure(b, i);
            if (rc == 1 || rc == 2)
                fprintf(stderr, "%s: %s\n", failures[i].what, mim_error());
            _exit(rc);
        }
        assert_int_equal(waitpid(child, &how, 0), child);
        if (WIFEXITED(how) && WEXITSTATUS(how) == 99)
            skip(); /* a kernel without filters */
        if (how != 0)
            fail_msg("%s: status %d", failures[i].what, how);
        assert_int_equal(n_names(b->folder), 0);
    }
}

/* ---- disks ------------------------------------------------------------------------------------
 */

/* Two users of one small disk: the one who comes late is refused, the other's work goes on. */
static void test_full_disk(void **state)
{
    static const mim_io_mode modes[] = {MIM_IO_DIRECT, MIM_IO_BUFFERED};
    bench *b = *state;
    if (!mount_disk(b, 48))
        skip();
    for (size_t m = 0; m < N_OF(modes); m++) {
        mim_scratch *first = create(b->folder, modes[m]), *second = create(b->folder, modes[m]);
        const mim_kernel_place place = {.row = 0, .scratch = first};
        mim_work work = {0};
        void *kernel = NULL;
        int fd = -1, filler = -1, rc;
        assert_int_equal(mim_kernel_hdd_write.create(&writer, &place, &kernel), MIM_OK);
        uint64_t n_bytes = 16 * MIB;
        assert_int_equal(mim_scratch_file(second, n_bytes, 'f', &filler), MIM_OK);
        /* Until nothing goes in any more: refused by the guard, or by the file system. */
        size_t n_more = 0;
        int fds[64];
        while ((rc = mim_scratch_file(second, 4 * MIB, 'g', &fd)) == MIM_OK && n_more < 64)
            fds[n_more++] = fd;
        assert_true(rc == MIM_EUNSUP || rc == MIM_EIO);
        assert_non_null(strstr(mim_error(), "scratch folder "));
        assert_true(is_one_line(mim_error()));
        assert_int_equal(mim_kernel_hdd_write.run(kernel, 16, &work), MIM_OK); /* its own blocks */
        assert_int_equal(mim_kernel_hdd_write.verify(kernel), MIM_OK);
        for (size_t i = 0; i < n_more; i++)
            close(fds[i]);
        close(filler);
        mim_kernel_hdd_write.destroy(kernel);
        mim_scratch_destroy(&first);
        mim_scratch_destroy(&second);
        assert_int_equal(n_names(b->folder), 0);
    }
    assert_int_equal(umount(b->folder), 0); /* nobody holds a file of it */
    b->is_mounted = false;
}

/* What the file system of a disk that is gone does from now on. */
static bool end_disk(const bench *b)
{
    const uint32_t at_once = 2; /* without flushing */
    const int fd = open(b->folder, O_RDONLY | O_DIRECTORY);
    const bool is_ended = fd >= 0 && ioctl(fd, _IOR('X', 125, uint32_t), &at_once) == 0;
    if (fd >= 0)
        close(fd);
    return is_ended;
}

static void test_disk_dies(void **state)
{
    static const mim_io_mode modes[] = {MIM_IO_DIRECT, MIM_IO_BUFFERED};
    bench *b = *state;
    for (size_t m = 0; m < N_OF(modes); m++) {
        if (!mount_disk(b, 48))
            skip();
        mim_scratch *scratch = create(b->folder, modes[m]);
        const mim_kernel_place place = {.row = 0, .scratch = scratch};
        mim_work work = {0};
        void *kernel = NULL;
        int fd = -1;
        assert_int_equal(mim_kernel_hdd_write.create(&writer, &place, &kernel), MIM_OK);
        assert_int_equal(mim_kernel_hdd_write.run(kernel, 2, &work), MIM_OK);
        if (!end_disk(b)) {
            mim_kernel_hdd_write.destroy(kernel);
            mim_scratch_destroy(&scratch);
            skip(); /* this file system cannot be ended */
        }
        assert_int_equal(mim_kernel_hdd_write.run(kernel, 2, &work), MIM_EIO);
        assert_non_null(strstr(mim_error(), b->folder));
        assert_true(is_one_line(mim_error()));
        assert_int_equal(work.n_ops, 2);
        assert_true(mim_scratch_file(scratch, 1 * MIB, 'x', &fd) != MIM_OK);
        assert_true(is_one_line(mim_error()));
        mim_kernel_hdd_write.destroy(kernel);
        mim_scratch_destroy(&scratch);
        const mim_scratch_options options = {b->folder, 0, 0, modes[m]};
        assert_true(mim_scratch_create(&options, &scratch) != MIM_OK);
        assert_true(is_one_line(mim_error()));
        assert_int_equal(umount(b->folder), 0);
        b->is_mounted = false;
    }
}

/* A whole run on it: ends in time, with the failure counted and the CPU stressors' slots kept. */
static void test_run_on_a_dying_disk(void **state)
{
    bench *b = *state;
    static const char writes[] = "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_25ms";
    mim_cost cost = {.ops_per_s = 40.0};
    const mim_calibration calibration = {.n_costs = 1, .costs = &cost};
    const mim_execute_options options = {.slot_s = 0.2, .n_iters = 5, .seed = 1};
    mim_machine *machine = NULL;
    mim_actions *actions = NULL;
    mim_plan *plan = NULL;
    mim_run_result *r = NULL;
    if (!mount_disk(b, 160))
        skip();
    strcpy(cost.stressor, writes);
    mim_scratch *scratch = create(b->folder, MIM_IO_AUTO);
    assert_int_equal(mim_machine_create(0, &machine), MIM_OK);
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    assert_int_equal(mim_plan_create(2, 1, actions, &plan), MIM_OK);
    for (size_t w = 0; w < 2; w++)
        mim_plan_row(plan, w, 0)[mim_actions_find(actions, writes)] = 1.0;
    const pid_t ender = fork();
    if (ender == 0) {
        mim_clock_sleep_until(mim_clock_mono_ns() + 700000000);
        _exit(end_disk(b) ? 0 : 1);
    }
    const int rc = mim_execute(plan, machine, &calibration, scratch, &options, NULL, &r);
    int how = 0;
    assert_int_equal(waitpid(ender, &how, 0), ender);
    if (rc == MIM_OK && how == 0) {
        assert_int_equal(r->n_slots, 10);
        assert_int_equal(r->n_failed, 1);
        assert_false(r->is_verified);
    } else { /* it died while the files were written */
        assert_true(how != 0 || is_one_line(mim_error()));
    }
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
    mim_machine_destroy(&machine);
    mim_scratch_destroy(&scratch);
    assert_int_equal(umount(b->folder), 0);
    b->is_mounted = false;
}

/* ---- folders ----------------------------------------------------------------------------------
 */

static void test_folder_is_removed(void **state)
{
    bench *b = *state;
    mim_work work = {0};
    void *kernel = NULL;
    int fd = -1;
    assert_int_equal(mkdir(b->inside, 0700), 0);
    const size_t n_before = n_open_files();
    mim_scratch *scratch = create(b->inside, MIM_IO_AUTO);
    const mim_kernel_place place = {.row = 0, .scratch = scratch};
    assert_int_equal(mim_kernel_hdd_write.create(&writer, &place, &kernel), MIM_OK);
    assert_int_equal(rmdir(b->inside), 0); /* its files have no names */
    /* What is open can be used until the next look at the free space. */
    assert_int_equal(mim_kernel_hdd_write.run(kernel, 4, &work), MIM_OK);
    assert_int_equal(mim_kernel_hdd_write.verify(kernel), MIM_OK);
    assert_int_equal(mim_kernel_hdd_write.run(kernel, 1024, &work), MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), b->inside));
    assert_non_null(strstr(mim_error(), "No such file"));
    assert_true(mim_scratch_file(scratch, 1 * MIB, 'x', &fd) != MIM_OK);
    assert_non_null(strstr(mim_error(), b->inside));
    assert_true(mim_scratch_shared_file(scratch, 1 * MIB, &fd) != MIM_OK);
    mim_kernel_hdd_write.destroy(kernel);
    mim_scratch_destroy(&scratch);
    assert_int_equal(n_open_files(), n_before);
}

/* One of many users of a folder: works, or is killed in the middle of it. */
static _Noreturn void use_folder(const bench *b, uint64_t seed)
{
    const mim_scratch_options options = {b->folder, 0, 0, MIM_IO_AUTO};
    for (;;) {
        mim_scratch *scratch = NULL;
        void *states[2] = {NULL, NULL};
        const mim_kernel *const kernels[2] = {&mim_kernel_hdd_write, &mim_kernel_hdd_read};
        const mim_stressor *const stressors[2] = {&writer, &reader};
        mim_work work = {0};
        if (mim_scratch_create(&options, &scratch) != MIM_OK)
            _exit(1);
        const mim_kernel_place place = {.row = seed, .scratch = scratch, .seed = seed};
        for (size_t k = 0; k < 2; k++)
            if (kernels[k]->create(stressors[k], &place, &states[k]) != MIM_OK ||
                kernels[k]->run(states[k], 5, &work) != MIM_OK ||
                kernels[k]->verify(states[k]) != MIM_OK)
                _exit(2);
        for (size_t k = 0; k < 2; k++)
            kernels[k]->destroy(states[k]);
        mim_scratch_destroy(&scratch);
    }
}

static void test_many_users_of_a_folder(void **state)
{
    enum { N = 6, KILLS = 30 };
    const bench *b = *state;
    pid_t users[N];
    size_t n_bad = 0;
    for (size_t i = 0; i < N; i++)
        if ((users[i] = fork()) == 0)
            use_folder(b, i);
    for (size_t k = 0; k < KILLS; k++) {
        const size_t i = k % N;
        int how = 0;
        mim_clock_sleep_until(mim_clock_mono_ns() + 20000000);
        kill(users[i], SIGKILL);
        assert_int_equal(waitpid(users[i], &how, 0), users[i]);
        n_bad += !WIFSIGNALED(how); /* it had ended by itself: something failed */
        if ((users[i] = fork()) == 0)
            use_folder(b, k);
    }
    for (size_t i = 0; i < N; i++) {
        int how = 0;
        kill(users[i], SIGKILL);
        assert_int_equal(waitpid(users[i], &how, 0), users[i]);
        n_bad += !WIFSIGNALED(how);
    }
    assert_int_equal(n_bad, 0);
    mim_scratch *last = create(b->folder, MIM_IO_AUTO); /* sweeps, if anything had a name */
    mim_scratch_destroy(&last);
    assert_int_equal(n_names(b->folder), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_errors_of_the_system),
        TEST(test_full_disk),
        TEST(test_disk_dies),
        TEST(test_run_on_a_dying_disk),
        TEST(test_folder_is_removed),
        TEST(test_many_users_of_a_folder),
    };
    return cmocka_run_group_tests_name("scratch_disks", tests, NULL, NULL);
}
