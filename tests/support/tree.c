#define _XOPEN_SOURCE 700 /* nftw */
#include "tests/support/tree.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/atomic_file.h"

void tree_make(char root[TREE_PATH_BYTES])
{
    const char *parent = getenv("TMPDIR");
    snprintf(root, TREE_PATH_BYTES, "%s/mim-test-tree.XXXXXX", parent ? parent : "/tmp");
    assert_non_null(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

void tree_remove(const char *root)
{
    assert_int_equal(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void tree_put(const char *root, const char *name, const char *text)
{
    char path[2 * TREE_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", root, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(mim_make_folder(path), 0);
    *slash = '/';
    assert_int_equal(mim_atomic_write(path, text, strlen(text)), 0);
}

void tree_get(const char *root, const char *name, size_t n_bytes, char *text)
{
    char path[2 * TREE_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s: cannot be read", path);
    const size_t n = fread(text, 1, n_bytes - 1, file);
    text[n] = '\0';
    fclose(file);
}
