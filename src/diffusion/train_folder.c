#include "diffusion/train_folder.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/fault.h"
#include "core/text.h"
#include "diffusion/checkpoint.h"

enum { STEP_DIGITS = 12, MAX_LOG_BYTES = 1 << 30 };

static const char prefix[] = "checkpoint-", suffix[] = ".h5";

char *mim_train_folder_checkpoint(const char *folder, uint64_t step)
{
    return mim_format("%s/%s%0*" PRIu64 "%s", folder, prefix, STEP_DIGITS, step, suffix);
}

/* The step in a checkpoint's name; UINT64_MAX for other names. */
static uint64_t step_of(const char *name)
{
    const size_t n = sizeof prefix - 1;
    int64_t step;
    char digits[STEP_DIGITS + 1] = "";
    if (strncmp(name, prefix, n) != 0 || strlen(name) != n + STEP_DIGITS + sizeof suffix - 1 ||
        strspn(name + n, "0123456789") != STEP_DIGITS ||
        strcmp(name + n + STEP_DIGITS, suffix) != 0)
        return UINT64_MAX;
    memcpy(digits, name + n, STEP_DIGITS);
    size_t zeros = strspn(digits, "0");
    zeros -= zeros == STEP_DIGITS;
    return mim_parse_i64("step", digits + zeros, 0, INT64_MAX, &step) == MIM_OK ? (uint64_t)step
                                                                                : UINT64_MAX;
}

static bool is_folder(DIR *listing, const char *name)
{
    struct stat found;
    return fstatat(dirfd(listing), name, &found, 0) == 0 && S_ISDIR(found.st_mode);
}

static int newest_first(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

int mim_train_folder_steps(const char *folder, size_t *n, uint64_t **steps)
{
    size_t n_found = 0;
    uint64_t *found = NULL;
    DIR *listing = opendir(folder);
    if (!listing && errno != ENOENT)
        return mim_fail(MIM_EIO, "%s: %s", folder, strerror(errno));
    for (struct dirent *entry; listing && (entry = readdir(listing)) != NULL;) {
        const uint64_t step = step_of(entry->d_name);
        if (step == UINT64_MAX || is_folder(listing, entry->d_name))
            continue;
        uint64_t *longer = realloc(found, (n_found + 1) * sizeof *longer);
        if (!longer) {
            free(found);
            closedir(listing);
            return mim_fail(MIM_ENOMEM, "%s: list of checkpoints", folder);
        }
        found = longer;
        found[n_found++] = step;
    }
    if (listing)
        closedir(listing);
    if (n_found > 0)
        qsort(found, n_found, sizeof *found, newest_first);
    *n = n_found;
    *steps = found;
    return MIM_OK;
}

int mim_train_folder_newest(const char *folder, mim_log *log, char **path)
{
    size_t n = 0;
    uint64_t *steps = NULL;
    char *found = NULL;
    int rc = mim_train_folder_steps(folder, &n, &steps);
    for (size_t i = 0; rc == MIM_OK && i < n && !found; i++) {
        mim_model *model = NULL;
        char *name = mim_train_folder_checkpoint(folder, steps[i]);
        const int read = name ? mim_checkpoint_read(name, true, &model)
                              : mim_fail(MIM_ENOMEM, "%s: file name", folder);
        if (read == MIM_OK) {
            found = name;
            name = NULL;
        } else if (read != MIM_EDATA || i + 1 == n) {
            rc = read;
        } else {
            mim_log_warn(log, "train", "%s; trying the one before", mim_error());
        }
        mim_model_destroy(&model);
        free(name);
    }
    free(steps);
    if (rc == MIM_OK)
        *path = found;
    else
        free(found);
    return rc;
}

int mim_train_folder_check(const char *folder)
{
    mim_atomic_file *probe = NULL;
    char *path = mim_join_path(folder, "metrics.jsonl");
    const int rc =
        path ? mim_atomic_file_open(path, &probe) : mim_fail(MIM_ENOMEM, "%s: file name", folder);
    mim_atomic_file_destroy(&probe);
    free(path);
    return rc;
}

/* ---- figures -------------------------------------------------------------------------------- */

int mim_train_folder_log(const char *folder, json_t *line)
{
    char *path = mim_join_path(folder, "metrics.jsonl");
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    FILE *file = path && text ? fopen(path, "a") : NULL;
    int rc = path && text ? mim_fault(path) : mim_fail(MIM_ENOMEM, "a line of metrics.jsonl");
    if (rc == MIM_OK && (!file || fprintf(file, "%s\n", text) < 0))
        rc = mim_fail(MIM_EIO, "%s: %s", path, strerror(errno));
    if (file && fclose(file) != 0 && rc == MIM_OK)
        rc = mim_fail(MIM_EIO, "%s: %s", path, strerror(errno));
    json_decref(line);
    free(text);
    free(path);
    return rc;
}

/* Whether a line stays: whole, and of a step up to `step`. */
static bool stays(const char *line, size_t n, uint64_t step)
{
    json_t *object = json_loadb(line, n, 0, NULL);
    const json_t *at = json_object_get(object, "step");
    const bool is_early = json_is_integer(at) && json_integer_value(at) >= 0 &&
                          (uint64_t)json_integer_value(at) <= step;
    json_decref(object);
    return is_early;
}

int mim_train_folder_cut_log(const char *folder, uint64_t step)
{
    char *path = mim_join_path(folder, "metrics.jsonl"), *text = NULL;
    size_t n = 0, n_kept = 0;
    int rc = path ? MIM_OK : mim_fail(MIM_ENOMEM, "%s: file name", folder);
    if (rc == MIM_OK && access(path, F_OK) != 0) {
        free(path);
        return MIM_OK;
    }
    if (rc == MIM_OK)
        rc = mim_read_file(path, MAX_LOG_BYTES, &text, &n);
    for (size_t at = 0; rc == MIM_OK && at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        const size_t length = end ? (size_t)(end - text) + 1 - at : n - at;
        if (end && stays(text + at, length, step)) {
            memmove(text + n_kept, text + at, length);
            n_kept += length;
        }
        at += length;
    }
    if (rc == MIM_OK && n_kept < n)
        rc = mim_atomic_write(path, text, n_kept);
    free(text);
    free(path);
    return rc;
}
