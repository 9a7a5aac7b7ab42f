#define _GNU_SOURCE /* O_TMPFILE */
#include "core/atomic_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/text.h"

struct mim_atomic_file {
    char *path;      /* final name */
    char *folder;    /* its folder */
    char *temporary; /* name until the rename */
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

/* name.tmp.<pid> of processes that are gone. */
static void sweep(const char *folder, const char *path)
{
    const char *name = mim_basename(path);
    size_t n = strlen(name);
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        int64_t pid;
        if (strncmp(entry->d_name, name, n) != 0 || strncmp(entry->d_name + n, ".tmp.", 5) != 0 ||
            mim_parse_i64("pid", entry->d_name + n + 5, 1, INT32_MAX, &pid) != MIM_OK)
            continue;
        if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

/* Unnamed where the file system can, else under the temporary name. */
static int open_target(mim_atomic_file *file)
{
    int fd = open(file->folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        fd = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        file->is_named = fd >= 0;
    }
    return fd;
}

int mim_atomic_file_open(const char *path, mim_atomic_file **file)
{
    int rc = MIM_OK, fd = -1;
    struct stat status;
    mim_atomic_file *made = calloc(1, sizeof *made);
    if (!made || !(made->path = mim_strdup(path)) || !(made->folder = folder_of(path)) ||
        !(made->temporary = mim_format("%s.tmp.%ld", path, (long)getpid()))) {
        rc = mim_fail(MIM_ENOMEM, "%s: file handle", path);
        goto done;
    }
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        rc = mim_fail(MIM_EIO, "%s: expected a file to write, found a folder", path);
        goto done;
    }
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        /* /dev/stdout, a pipe: nothing to be atomic about */
        fd = open(path, O_WRONLY | O_CLOEXEC);
        free(made->temporary);
        made->temporary = NULL;
    } else {
        sweep(made->folder, path);
        fd = open_target(made);
    }
    if (fd < 0 || !(made->stream = fdopen(fd, "w"))) {
        rc = mim_fail(MIM_EIO, "%s: cannot be written: %s", path, strerror(errno));
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
    unlink(file->temporary);
    if (linkat(AT_FDCWD, self, AT_FDCWD, file->temporary, AT_SYMLINK_FOLLOW) != 0)
        return -1;
    file->is_named = true;
    return 0;
}

static int sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        close(fd);
    return status == 0 || errno == EINVAL ? 0 : -1; /* some file systems cannot sync folders */
}

int mim_atomic_file_commit(mim_atomic_file **file)
{
    mim_atomic_file *f = *file;
    int rc = MIM_OK;
    bool failed = ferror(f->stream) != 0 || fflush(f->stream) != 0;
    if (!failed && f->temporary)
        failed = fsync(fileno(f->stream)) != 0 || give_temporary_name(f) != 0;
    int saved = errno;
    if (fclose(f->stream) != 0 && !failed) {
        failed = true;
        saved = errno;
    }
    f->stream = NULL;
    if (!failed && f->temporary) {
        failed = rename(f->temporary, f->path) != 0;
        saved = errno;
        if (!failed) {
            f->is_named = false;
            failed = sync_folder(f->folder) != 0;
            saved = errno;
        }
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
    free(f->folder);
    free(f->temporary);
    free(f);
    *file = NULL;
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
    FILE *stream = fopen(path, "rb");
    if (!stream || fstat(fileno(stream), &status) != 0) {
        rc = mim_fail(MIM_EIO, "%s: cannot be read: %s", path, strerror(errno));
        goto done;
    }
    if (S_ISDIR(status.st_mode)) {
        rc = mim_fail(MIM_EIO, "%s: expected a file, found a folder", path);
        goto done;
    }
    capacity = status.st_size > 0 ? (size_t)status.st_size : 4096;
    for (;;) { /* a pipe or a growing file may hold more than its size says */
        if (size > max_bytes || capacity > max_bytes) {
            rc = mim_fail(MIM_EDATA, "%s: expected at most %zu bytes, found more", path, max_bytes);
            goto done;
        }
        char *larger = realloc(buffer, capacity + 1);
        if (!larger) {
            rc = mim_fail(MIM_ENOMEM, "%s: %zu bytes", path, capacity);
            goto done;
        }
        buffer = larger;
        size += fread(buffer + size, 1, capacity + 1 - size, stream);
        if (size <= capacity)
            break;
        capacity *= 2;
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
    return rc;
}

int mim_make_folder(const char *path)
{
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
        if (mkdir(copy, 0777) != 0 &&
            (errno != EEXIST || stat(copy, &status) != 0 || !S_ISDIR(status.st_mode)))
            rc = mim_fail(MIM_EIO, "%s: cannot be made a folder: %s", copy,
                          errno == EEXIST ? "a file of that name is there" : strerror(errno));
        if (c == 0)
            break;
        *at = c;
    }
    free(copy);
    return rc;
}
