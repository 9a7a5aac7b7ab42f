#define _GNU_SOURCE /* O_TMPFILE */
#include "core/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/text.h"

struct mim_atomic_file {
    char *path;      /* as the caller named it, for sentences */
    char *target;    /* final name, links followed */
    char *folder;    /* its folder */
    char *temporary; /* name until the rename; NULL when written directly (a pipe) */
    FILE *stream;
    bool is_named; /* `temporary` exists */
};

static char *folder_of(const char *path)
{
    char *folder = mim_strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash == folder && slash)
        slash[1] = 0;
    else if (slash)
        *slash = 0;
    else if (folder) {
        free(folder);
        folder = mim_strdup(".");
    }
    return folder;
}

/* A temporary file belongs to a dead process when that process is not here and nobody holds the
 * writer's lock: the writer may run on another machine that shares the file system. Where there are
 * no locks, an hour without a write tells. */
static bool is_left_over(int folder_fd, const char *name, pid_t pid)
{
    enum { ABANDONED_S = 3600 };
    struct stat status;
    if (pid != getpid() && (kill(pid, 0) == 0 || errno != ESRCH))
        return false;
    int fd = openat(folder_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is_dead = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (!is_dead && errno != EWOULDBLOCK)
        is_dead = fstat(fd, &status) == 0 && time(NULL) - status.st_mtime > ABANDONED_S;
    close(fd);
    return is_dead;
}

/* Removes name.tmp.<pid> of processes that are gone. */
static void sweep(const char *folder, const char *path)
{
    const char *name = mim_basename(path);
    size_t n = strlen(name);
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        const char *digits = entry->d_name + n + 5;
        if (strncmp(entry->d_name, name, n) != 0 || strncmp(entry->d_name + n, ".tmp.", 5) != 0 ||
            !*digits || strlen(digits) > 9 || digits[strspn(digits, "0123456789")])
            continue;
        pid_t pid = (pid_t)strtol(digits, NULL, 10);
        if (pid > 0 && is_left_over(dirfd(dir), entry->d_name, pid))
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

/* Unnamed where the file system can, else under the temporary name, locked while it is written. */
static int open_aside(mim_atomic_file *file)
{
    int fd = open(file->folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        file->is_named = fd >= 0;
        if (fd >= 0)
            flock(fd, LOCK_EX | LOCK_NB);
    }
    return fd;
}

/* N of /dev/stdout and /dev/fd/N, else -1. Opening such a name would start at the beginning of a
 * file that the shell may have opened for appending; its descriptor does what the user meant. */
static int descriptor_of(const char *path)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    int64_t fd;
    if (strcmp(path, "/dev/stdout") == 0 || strcmp(path, "/dev/stderr") == 0)
        return path[strlen("/dev/std")] == 'o' ? STDOUT_FILENO : STDERR_FILENO;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        size_t n = strlen(folders[i]);
        if (strncmp(path, folders[i], n) == 0 &&
            mim_parse_i64(path, path + n, 0, INT_MAX, &fd) == MIM_OK)
            return (int)fd;
    }
    return -1;
}

/* A file beside the target: `made` gets the names, `fd` the open file. A link is followed, so that
 * it stays a link; a write-protected file stays as it is; a file's permissions are kept. */
static int begin_aside(mim_atomic_file *made, bool is_there, mode_t mode, int *fd)
{
    if (!*made->path)
        return mim_fail(MIM_EIO, "expected the name of a file to write, found an empty text");
    made->target = is_there ? realpath(made->path, NULL) : mim_strdup(made->path);
    if (!made->target)
        return mim_fail(MIM_EIO, "%s: cannot be written: %s", made->path, strerror(errno));
    made->folder = folder_of(made->target);
    made->temporary = mim_format("%s.tmp.%ld", made->target, (long)getpid());
    if (!made->folder || !made->temporary)
        return mim_fail(MIM_ENOMEM, "%s: file handle", made->path);
    if (strlen(mim_basename(made->temporary)) > NAME_MAX)
        return mim_fail(MIM_EIO, "%s: cannot be written: %s", made->path, strerror(ENAMETOOLONG));
    if (is_there && access(made->target, W_OK) != 0)
        return mim_fail(MIM_EIO, "%s: cannot be written: %s", made->path, strerror(errno));
    sweep(made->folder, made->target);
    *fd = open_aside(made);
    if (*fd >= 0 && is_there)
        fchmod(*fd, mode & 07777);
    return MIM_OK;
}

/* A named pipe or a character device: nothing to be atomic about. Does not wait for a reader. */
static int open_pipe(const char *path)
{
    int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

int mim_atomic_file_open(const char *path, mim_atomic_file **file)
{
    int rc = MIM_OK, fd = -1, known = descriptor_of(path);
    struct stat status;
    mim_atomic_file *made = calloc(1, sizeof *made);
    if (!made || !(made->path = mim_strdup(path))) {
        rc = mim_fail(MIM_ENOMEM, "%s: file handle", path);
        goto done;
    }
    bool is_there = stat(path, &status) == 0;
    if (known >= 0) {
        fd = fcntl(known, F_DUPFD_CLOEXEC, 3);
    } else if (is_there && (S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode))) {
        rc = mim_fail(MIM_EIO, "%s: expected a file to write, found a %s", path,
                      S_ISDIR(status.st_mode) ? "folder" : "block device");
        goto done;
    } else if (is_there && !S_ISREG(status.st_mode)) {
        fd = open_pipe(path);
    } else if ((rc = begin_aside(made, is_there, is_there ? status.st_mode : 0, &fd)) != MIM_OK) {
        goto done;
    }
    if (fd < 0 || !(made->stream = fdopen(fd, "w"))) {
        rc = mim_fail(MIM_EIO, "%s: cannot be written: %s", path,
                      errno == ENXIO ? "nobody reads this pipe" : strerror(errno));
        goto done;
    }
    fd = -1;
    *file = made;
    made = NULL;
done:
    if (fd >= 0)
        close(fd);
    mim_atomic_file_destroy(&made);
    return rc;
}

FILE *mim_atomic_file_stream(mim_atomic_file *file) { return file->stream; }

static int give_temporary_name(mim_atomic_file *file)
{
    if (file->is_named)
        return 0;
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fileno(file->stream));
    flock(fileno(file->stream), LOCK_EX | LOCK_NB); /* before another writer can see it */
    unlink(file->temporary);
    if (linkat(AT_FDCWD, self, AT_FDCWD, file->temporary, AT_SYMLINK_FOLLOW) != 0)
        return -1;
    file->is_named = true;
    return 0;
}

static int sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : -1; /* a folder that may be written but not listed */
    int status = fsync(fd) == 0 || errno == EINVAL ? 0 : -1; /* not every file system can */
    close(fd);
    return status;
}

/* Why an earlier write failed: stdio keeps no errno, but one more byte fails for the same reason.
 * The file is thrown away anyway. */
static int error_again(const mim_atomic_file *file)
{
    errno = 0;
    return file->temporary && write(fileno(file->stream), "", 1) < 0 ? errno : EIO;
}

int mim_atomic_file_commit(mim_atomic_file **file)
{
    mim_atomic_file *f = *file;
    int rc = mim_fault(f->path);
    if (rc != MIM_OK) {
        mim_atomic_file_destroy(file);
        return rc;
    }
    bool failed = fflush(f->stream) != 0;
    int saved = errno;
    if (!failed && ferror(f->stream)) {
        failed = true;
        saved = error_again(f);
    } else if (!failed && f->temporary) {
        failed = fsync(fileno(f->stream)) != 0 || give_temporary_name(f) != 0;
        saved = errno;
    }
    if (fclose(f->stream) != 0 && !failed) {
        failed = true;
        saved = errno;
    }
    f->stream = NULL;
    if (!failed && f->temporary) {
        failed = rename(f->temporary, f->target) != 0;
        if (!failed) {
            f->is_named = false;
            failed = sync_folder(f->folder) != 0;
        }
        saved = errno;
    }
    if (failed)
        rc = mim_fail(MIM_EIO, "%s: cannot be written: %s", f->path, strerror(saved));
    mim_atomic_file_destroy(file);
    return rc;
}

void mim_atomic_file_destroy(mim_atomic_file **file)
{
    mim_atomic_file *f = *file;
    if (!f)
        return;
    if (f->stream)
        fclose(f->stream);
    if (f->is_named)
        unlink(f->temporary);
    free(f->path);
    free(f->target);
    free(f->folder);
    free(f->temporary);
    free(f);
    *file = NULL;
}

int mim_output_check(const char *output, const char *input)
{
    struct stat a, b;
    if (stat(output, &a) == 0 && stat(input, &b) == 0 && S_ISREG(a.st_mode) &&
        a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return mim_fail(MIM_EUSAGE, "%s: is an input; expected another name for the output",
                        output);
    return MIM_OK;
}

int mim_atomic_write(const char *path, const void *bytes, size_t n_bytes)
{
    mim_atomic_file *file = NULL;
    int rc = mim_atomic_file_open(path, &file);
    if (rc != MIM_OK)
        return rc;
    fwrite(bytes, 1, n_bytes, file->stream); /* commit looks at the stream's error flag */
    return mim_atomic_file_commit(&file);
}

int mim_read_file(const char *path, size_t max_bytes, char **bytes, size_t *n_bytes)
{
    int rc = MIM_OK;
    char *buffer = NULL;
    size_t size = 0, capacity = 0;
    struct stat status;
    FILE *stream = NULL;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe shall not block */
    if (fd < 0 || fstat(fd, &status) != 0) {
        rc = mim_fail(MIM_EIO, "%s: cannot be read: %s", path, strerror(errno));
        goto done;
    }
    if (!S_ISREG(status.st_mode)) {
        rc = mim_fail(MIM_EIO, "%s: expected a %s", path,
                      S_ISDIR(status.st_mode) ? "file, found a folder" : "regular file");
        goto done;
    }
    if (!(stream = fdopen(fd, "rb"))) {
        rc = mim_fail(MIM_ENOMEM, "%s: stream", path);
        goto done;
    }
    fd = -1;
    if (status.st_size > 0 && (uintmax_t)status.st_size > max_bytes) {
        rc = mim_fail(MIM_EDATA, "%s: expected at most %zu bytes, found %jd", path, max_bytes,
                      (intmax_t)status.st_size);
        goto done;
    }
    capacity = status.st_size > 0 ? (size_t)status.st_size : max_bytes < 4096 ? max_bytes : 4096;
    for (;;) { /* a growing file, or one in /proc, holds more than its size says */
        char *larger = realloc(buffer, capacity + 1);
        if (!larger) {
            rc = mim_fail(MIM_ENOMEM, "%s: %zu bytes", path, capacity);
            goto done;
        }
        buffer = larger;
        size += fread(buffer + size, 1, capacity + 1 - size, stream);
        if (size <= capacity)
            break;
        if (capacity == max_bytes) {
            rc = mim_fail(MIM_EDATA, "%s: expected at most %zu bytes, found more", path, max_bytes);
            goto done;
        }
        capacity = capacity > max_bytes / 2 ? max_bytes : 2 * capacity;
    }
    if (ferror(stream)) {
        rc = mim_fail(MIM_EIO, "%s: cannot be read: %s", path, strerror(errno));
        goto done;
    }
    buffer[size] = 0;
    *bytes = buffer;
    *n_bytes = size;
    buffer = NULL;
done:
    free(buffer);
    if (stream)
        fclose(stream);
    if (fd >= 0)
        close(fd);
    return rc;
}

int mim_make_folder(const char *path)
{
    if (!*path)
        return mim_fail(MIM_EIO, "expected the name of a folder, found an empty text");
    char *copy = mim_strdup(path);
    if (!copy)
        return mim_fail(MIM_ENOMEM, "%s: path", path);
    int rc = MIM_OK;
    for (char *at = copy + 1; rc == MIM_OK; at++) {
        char c = *at;
        if (c != '/' && c != 0)
            continue;
        *at = 0;
        struct stat status;
        if (mkdir(copy, 0777) != 0) {
            int saved = errno; /* a folder that is there may be refused otherwise than by EEXIST */
            if (stat(copy, &status) != 0 || !S_ISDIR(status.st_mode))
                rc = mim_fail(MIM_EIO, "%s: cannot be made a folder: %s", copy,
                              saved == EEXIST ? "a file of that name is there" : strerror(saved));
        }
        if (c == 0)
            break;
        *at = c;
    }
    free(copy);
    return rc;
}
