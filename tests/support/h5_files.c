#include "tests/support/h5_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[256];

const char *in_folder(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

int h5_make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/mimesys-test-h5-XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

int h5_remove_folder(void **state)
{
    (void)state;
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        unlink(in_folder(entry->d_name));
    if (entries)
        closedir(entries);
    return rmdir(folder);
}

size_t count_fds(void)
{
    size_t n = 0;
    DIR *entries = opendir("/proc/self/fd");
    while (readdir(entries))
        n++;
    closedir(entries);
    return n;
}

void assert_no_child(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

size_t file_bytes(const char *path, char *bytes, size_t max)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, max, f);
    fclose(f);
    return n;
}

void write_bytes(const char *path, const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

void make_small(const char *name)
{
    mim_h5 *file = NULL;
    static const double values[6] = {1, 2, 3, 4, 5, 6};
    static const char *const texts[] = {"a", "bc"};
    size_t shape[3] = {1, 2, 3};
    assert_int_equal(mim_h5_create(in_folder(name), "t", 1, "c", &file), MIM_OK);
    assert_int_equal(mim_h5_put_real(file, "v", 3, shape, values, "u", "d", "l"), MIM_OK);
    assert_int_equal(mim_h5_put_texts(file, "t", 2, texts, "d", "l"), MIM_OK);
    assert_int_equal(mim_h5_commit(&file), MIM_OK);
}

/* Reads all there is to read; only the codes of damaged data may come. `reader` may be NULL. */
void read_all(mim_h5_reader *reader, const char *path)
{
    mim_h5 *file = NULL;
    double *values = NULL, value;
    char **texts = NULL, *text = NULL;
    size_t shape[3], n;
    bool is_there;
    int rc = mim_h5_open_with(reader, path, &file);
    assert_true(rc == MIM_OK || rc == MIM_EDATA);
    if (rc != MIM_OK) {
        assert_non_null(strstr(mim_error(), path));
        return;
    }
    mim_h5_has(file, "v");
    rc = mim_h5_get_real(file, "v", 3, 1000, shape, &values);
    assert_true(rc == MIM_OK || rc == MIM_EDATA);
    rc = mim_h5_get_texts(file, "t", 10, &n, &texts);
    assert_true(rc == MIM_OK || rc == MIM_EDATA);
    if (rc == MIM_OK)
        mim_h5_free_texts(n, &texts);
    rc = mim_h5_get_attribute_text(file, "v", "units", &text);
    assert_true(rc == MIM_OK || rc == MIM_EDATA);
    rc = mim_h5_get_attribute_real(file, NULL, "schema_version", &is_there, &value);
    assert_true(rc == MIM_OK || rc == MIM_EDATA);
    free(values);
    free(text);
    mim_h5_destroy(&file);
}

pid_t only_child(void)
{
    int child = 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    if (fscanf(f, "%d", &child) != 1)
        child = 0;
    fclose(f);
    return child;
}

void damage(int trial, uint32_t *random, size_t n, const char *good, char *bad)
{
    memcpy(bad, good, n);
    for (int flips = 0; flips < 1 + trial % 8; flips++) {
        *random = *random * 1664525 + 1013904223;
        bad[(*random >> 8) % n] ^= (char)(1 << (*random & 7));
    }
}
