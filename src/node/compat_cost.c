#include "node/compat_cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_file.h"
#include "core/text.h"

enum { MAX_FILE_BYTES = 1 << 20, COST_OF_UNKNOWN_US = 5000 };

void mim_compat_costs_shipped(const mim_actions *actions, uint32_t *cost_us)
{
    for (size_t i = 0; i < mim_actions_n(actions); i++) {
        const mim_stressor *stressor = mim_actions_stressor(actions, i);
        cost_us[i] = stressor ? stressor->cost_us : COST_OF_UNKNOWN_US;
    }
}

static int read_line(const char *path, size_t number, char *line, uint32_t *cost_us)
{
    char where[512];
    int64_t value = 0;
    snprintf(where, sizeof where, "%s:%zu", path, number);
    if (mim_parse_i64(where, line, 0, UINT32_MAX, &value) != MIM_OK)
        return MIM_EDATA; /* with the sentence as it is */
    *cost_us = (uint32_t)value;
    return MIM_OK;
}

/* Without spaces and line ends around it. */
static char *trim(char *line)
{
    line += strspn(line, " \t\r");
    size_t n = strlen(line);
    while (n && strchr(" \t\r", line[n - 1]))
        line[--n] = 0;
    return line;
}

int mim_compat_costs_read(const char *path, const mim_actions *actions, uint32_t *cost_us,
                          size_t *n_found)
{
    char *text = NULL;
    size_t n_bytes = 0, n = mim_actions_n(actions), found = 0, number = 0;
    int rc = mim_read_file(path, MAX_FILE_BYTES, &text, &n_bytes);
    uint32_t *made = calloc(n, sizeof *made);
    if (rc == MIM_OK && !made)
        rc = mim_fail(MIM_ENOMEM, "%s", path);
    if (rc == MIM_OK && memchr(text, 0, n_bytes))
        rc = mim_fail(MIM_EDATA, "%s: expected a text, found a byte 0", path);
    for (char *line = text; rc == MIM_OK && line;) {
        char *end = strchr(line, '\n');
        if (end)
            *end = 0;
        line = trim(line);
        number++;
        if (*line && *line != '#') {
            rc = found < n ? read_line(path, number, line, &made[found])
                           : mim_fail(MIM_EDATA, "%s:%zu: a cost for stressor %zu of a list of %zu",
                                      path, number, found + 1, n);
            found++;
        }
        line = end ? end + 1 : NULL;
    }
    if (rc == MIM_OK) {
        memcpy(cost_us, made, n * sizeof *made);
        *n_found = found;
    }
    free(made);
    free(text);
    return rc;
}

int mim_compat_costs_write(const char *path, const mim_actions *actions, const uint32_t *cost_us)
{
    mim_atomic_file *file = NULL;
    int rc = mim_atomic_file_open(path, &file);
    if (rc != MIM_OK)
        return rc;
    for (size_t i = 0; i < mim_actions_n(actions); i++)
        fprintf(mim_atomic_file_stream(file), "%lu\n", (unsigned long)cost_us[i]);
    return mim_atomic_file_commit(&file);
}
