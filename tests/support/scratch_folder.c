#define _GNU_SOURCE /* unshare */
#include "tests/support/scratch_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

char folder[256];

int make_folder(void **unused)
{
    const char *parent = getenv("TMPDIR");

    (void)unused;
    snprintf(folder, sizeof folder, "%s/mim-test-scratch.XXXXXX", parent ? parent : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

int remove_folder(void **unused)
{
    (void)unused;
    umount(folder); /* only after a test that failed half-way */
    return rmdir(folder);
}

size_t n_names(void)
{
    size_t n = 0;
    DIR *dir = opendir(folder);
    struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return n;
}

mim_scratch *create_scratch(mim_io_mode mode, uint64_t min_free, uint64_t max_written)
{
    const mim_scratch_options options = {folder, min_free, max_written, mode};
    mim_scratch *scratch = NULL;

    if (mim_scratch_create(&options, &scratch) != MIM_OK)
        fail_msg("%s", mim_error());
    return scratch;
}

bool mount_small(const char *size, unsigned long flags)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", flags, size) != 0) {
        print_message("skipped: mounting a small file system needs root\n");
        return false;
    }
    return true;
}

int remount_read_only(bool is_read_only)
{
    return mount("tmpfs", folder, "tmpfs", MS_REMOUNT | (is_read_only ? MS_RDONLY : 0), NULL);
}

int unmount_small(void) { return umount(folder); }

bool write_foreign_file(const char *path, size_t n_mib)
{
    static char block[1 << 20];
    bool fits = true;
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    assert_true(fd >= 0);
    for (size_t i = 0; i < n_mib && fits; i++)
        fits = write(fd, block, sizeof block) == (ssize_t)sizeof block;
    close(fd);
    return fits;
}
