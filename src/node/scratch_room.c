/* Rooms of a scratch, and the sweep of what dead processes left. */
#define _DEFAULT_SOURCE /* flock, mkdtemp */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/text.h"
#include "node/scratch_internal.h"

/* Another sweep may take a new room in the moment before it is locked. */
enum { MAX_TRIES = 3 };

struct mim_scratch_room {
    char *path;
    int fd;
};

/* ---- sweep ----------------------------------------------------------------------------------- */

/* The pid in "mimesys-scratch.<pid>.XXXXXX", 0 when the name is another. */
static long pid_in_name(const char *name)
{
    char *end = NULL;
    long pid;

    if (strncmp(name, MIM_SCRATCH_PREFIX, strlen(MIM_SCRATCH_PREFIX)) != 0)
        return 0;
    name += strlen(MIM_SCRATCH_PREFIX);
    if (!isdigit((unsigned char)*name))
        return 0;
    errno = 0;
    pid = strtol(name, &end, 10);
    return errno == 0 && pid > 0 && (pid_t)pid == pid && *end == '.' && strlen(end + 1) == 6 ? pid
                                                                                             : 0;
}

/* Removes the files in a room; other folders are not ours and stay. */
static void empty_room(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    struct dirent *entry;

    if (!dir) {
        if (copy >= 0)
            close(copy);
        return;
    }
    while ((entry = readdir(dir)) != NULL)
        unlinkat(fd, entry->d_name, 0);
    closedir(dir);
}

static void remove_if_orphan(int folder_fd, const char *name)
{
    struct stat st;
    int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) &&
        st.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        if (S_ISDIR(st.st_mode))
            empty_room(fd);
        unlinkat(folder_fd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
    }
    close(fd);
}

void mim_scratch_sweep(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir)) != NULL) {
        long pid = pid_in_name(entry->d_name);

        if (pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
            remove_if_orphan(dirfd(dir), entry->d_name);
    }
    closedir(dir);
}

/* ---- rooms ----------------------------------------------------------------------------------- */

static int make_folder(const char *in, mim_scratch_room *room)
{
    int rc;

    free(room->path);
    if (!(room->path = mim_format("%s/" MIM_SCRATCH_PREFIX "%ld.XXXXXX", in, (long)getpid())))
        return mim_fail(MIM_ENOMEM, "scratch folder name");
    if (!mkdtemp(room->path)) {
        rc =
            mim_fail(MIM_EIO, "scratch folder %s: cannot create a folder: %s", in, strerror(errno));
        free(room->path);
        room->path = NULL;
        return rc;
    }
    if ((room->fd = open(room->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 && errno != ENOENT)
        return mim_fail(MIM_EIO, "%s: cannot be opened: %s", room->path, strerror(errno));
    return MIM_OK;
}

/* Locked against sweeps and, then, still there. Where folders cannot be locked (NFS) no sweep takes
 * them either. */
static bool is_held(const mim_scratch_room *room)
{
    struct stat st;

    if (room->fd < 0 || (flock(room->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK))
        return false;
    return stat(room->path, &st) == 0;
}

int mim_scratch_room_create(mim_scratch *scratch, uint64_t max_file_bytes, mim_scratch_room **room)
{
    int rc;
    mim_scratch_room *r = NULL;

    if (!scratch || !room)
        return mim_fail(MIM_EINVAL, "mim_scratch_room_create: no scratch or no place for the room");
    if ((rc = mim_scratch_check_size(max_file_bytes)) != MIM_OK)
        return rc;
    if (!mim_scratch_may_allocate(scratch, max_file_bytes))
        return mim_fail(MIM_EUNSUP, "%s", mim_scratch_refusal(scratch));
    if (!(r = calloc(1, sizeof *r)))
        return mim_fail(MIM_ENOMEM, "scratch room");
    r->fd = -1;
    for (int i = 0; i < MAX_TRIES; i++) {
        if ((rc = make_folder(mim_scratch_folder(scratch), r)) != MIM_OK)
            goto done;
        if (is_held(r))
            break;
        if (r->fd >= 0)
            close(r->fd);
        r->fd = -1;
    }
    if (r->fd < 0) {
        rc = mim_fail(MIM_EIO, "%s: removed by others as soon as it is made", r->path);
        goto done;
    }
    *room = r;
    r = NULL;
done:
    mim_scratch_room_destroy(&r);
    return rc;
}

void mim_scratch_room_destroy(mim_scratch_room **room)
{
    mim_scratch_room *r = room ? *room : NULL;

    if (!r)
        return;
    *room = NULL;
    if (r->fd >= 0) {
        empty_room(r->fd);
        close(r->fd);
    }
    if (r->path)
        rmdir(r->path);
    free(r->path);
    free(r);
}

int mim_scratch_room_fd(const mim_scratch_room *room) { return room->fd; }

const char *mim_scratch_room_path(const mim_scratch_room *room) { return room->path; }
