/* Rooms of a scratch: private folders that go with their owner, or with the next start. */
#define _GNU_SOURCE
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/scratch.h"
#include "tests/support/scratch_folder.h"

#define MIB (UINT64_C(1) << 20)

static void make_file(int folder_fd, const char *name)
{
    int fd = openat(folder_fd, name, O_CREAT | O_WRONLY, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static void test_a_room_is_private_and_goes(void **unused)
{
    mim_scratch *scratch = create_scratch(MIM_IO_AUTO, 0, 0);
    mim_scratch_room *one = NULL, *two = NULL;
    struct stat st;

    (void)unused;
    assert_int_equal(mim_scratch_room_create(scratch, MIB, &one), MIM_OK);
    assert_int_equal(mim_scratch_room_create(scratch, MIB, &two), MIM_OK);
    assert_int_equal(n_names(), 2);
    assert_string_not_equal(mim_scratch_room_path(one), mim_scratch_room_path(two));
    assert_int_equal(stat(mim_scratch_room_path(one), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 077, 0);
    make_file(mim_scratch_room_fd(one), "a");
    make_file(mim_scratch_room_fd(one), "b");
    mim_scratch_room_destroy(&one);
    assert_null(one);
    assert_int_equal(n_names(), 1);
    mim_scratch_room_destroy(&two);
    mim_scratch_room_destroy(&two);
    assert_int_equal(n_names(), 0);
    mim_scratch_destroy(&scratch);
}

static void test_misuse_is_refused(void **unused)
{
    mim_scratch *scratch = create_scratch(MIM_IO_AUTO, 0, 0);
    mim_scratch_room *room = NULL;
    struct rlimit before, small = {64 << 10, 64 << 10};

    (void)unused;
    assert_int_equal(mim_scratch_room_create(NULL, MIB, &room), MIM_EINVAL);
    assert_int_equal(mim_scratch_room_create(scratch, MIB, NULL), MIM_EINVAL);
    assert_int_equal(mim_scratch_room_create(scratch, 100, &room), MIM_EINVAL);
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(mim_scratch_room_create(scratch, MIB, &room), MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), "ulimit -f"));
    setrlimit(RLIMIT_FSIZE, &before);
    mim_scratch_destroy(&scratch);
    scratch = create_scratch(MIM_IO_AUTO, 1 << 20, 0);
    assert_int_equal(mim_scratch_room_create(scratch, UINT64_C(1) << 60, &room), MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), "floor"));
    assert_null(room);
    mim_scratch_room_destroy(NULL);
    mim_scratch_destroy(&scratch);
}

static void test_a_file_system_gone_read_only(void **unused)
{
    mim_scratch *scratch = NULL;
    mim_scratch_room *room = NULL;

    (void)unused;
    if (!mount_small("size=8m", 0))
        skip();
    scratch = create_scratch(MIM_IO_BUFFERED, 0, 0);
    assert_int_equal(remount_read_only(true), 0);
    assert_int_equal(mim_scratch_room_create(scratch, MIB, &room), MIM_EIO);
    assert_non_null(strstr(mim_error(), "Read-only"));
    assert_null(room);
    assert_int_equal(remount_read_only(false), 0);
    mim_scratch_destroy(&scratch);
    assert_int_equal(unmount_small(), 0);
}

/* A child that is killed with a room and files in it; gives its room's name. */
static pid_t leave_room(char path[512])
{
    int ends[2], status = 0;
    ssize_t n;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    if ((child = fork()) == 0) {
        const mim_scratch_options options = {folder, 0, 0, MIM_IO_AUTO};
        mim_scratch *scratch = NULL;
        mim_scratch_room *room = NULL;
        const char *made;

        if (mim_scratch_create(&options, &scratch) != MIM_OK ||
            mim_scratch_room_create(scratch, MIB, &room) != MIM_OK)
            _exit(1);
        make_file(mim_scratch_room_fd(room), "file");
        make_file(mim_scratch_room_fd(room), "b17");
        made = mim_scratch_room_path(room);
        if (write(ends[1], made, strlen(made) + 1) < 0)
            _exit(1);
        raise(SIGKILL);
        _exit(1);
    }
    n = read(ends[0], path, 512);
    close(ends[0]);
    close(ends[1]);
    assert_true(n > 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return child;
}

static void test_next_start_sweeps_what_a_kill_left(void **unused)
{
    char left[512], kept[512], locked[512], path[600];
    mim_scratch *scratch;
    mim_scratch_room *own = NULL;
    int lock, fd;

    (void)unused;
    leave_room(left);
    assert_int_equal(n_names(), 1);
    leave_room(locked); /* and the first is swept by the second */
    assert_int_equal(access(left, F_OK), -1);
    lock = open(locked, O_RDONLY | O_DIRECTORY); /* in use by a process we cannot see */
    assert_int_equal(flock(lock, LOCK_EX), 0);
    scratch = create_scratch(MIM_IO_AUTO, 0, 0);
    assert_int_equal(access(locked, F_OK), 0);
    close(lock);
    /* A folder inside is not ours: the room stays, without its files. */
    snprintf(path, sizeof path, "%s/mine", locked);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mim_scratch_room_create(scratch, MIB, &own), MIM_OK);
    snprintf(kept, sizeof kept, "%s", mim_scratch_room_path(own));
    mim_scratch_destroy(&scratch);
    scratch = create_scratch(MIM_IO_AUTO, 0, 0); /* own pid lives */
    assert_int_equal(access(kept, F_OK), 0);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/file", locked);
    fd = open(path, O_RDONLY);
    assert_int_equal(fd, -1);
    snprintf(path, sizeof path, "%s/mine", locked);
    assert_int_equal(rmdir(path), 0);
    mim_scratch_destroy(&scratch);
    scratch = create_scratch(MIM_IO_AUTO, 0, 0);
    assert_int_equal(access(locked, F_OK), -1);
    mim_scratch_room_destroy(&own);
    mim_scratch_destroy(&scratch);
    assert_int_equal(n_names(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_a_room_is_private_and_goes),
        WITH_FOLDER(test_misuse_is_refused),
        WITH_FOLDER(test_a_file_system_gone_read_only),
        WITH_FOLDER(test_next_start_sweeps_what_a_kill_left),
    };
    return cmocka_run_group_tests_name("rooms", tests, NULL, NULL);
}
