/* Which network a checkpoint is of: lines "name value", one a field of mim_architecture. */
#include "diffusion/checkpoint_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "diffusion/network.h"

enum { N_SIZES = 7, MAX_FIELDS = 256 };

int mim_checkpoint_put_architecture(mim_h5 *file, const mim_architecture *a)
{
    const size_t n = mim_architecture_n_fields();
    char **lines = calloc(n, sizeof *lines);
    int rc = lines ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu settings of the network", n);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        char value[MIM_ARCHITECTURE_TEXT_BYTES];
        mim_architecture_text(a, i, value);
        if (!(lines[i] = mim_format("%s %s", mim_architecture_field(i), value)))
            rc = mim_fail(MIM_ENOMEM, "%zu settings of the network", n);
    }
    if (rc == MIM_OK)
        rc = mim_h5_put_texts(file, "network", n, (const char *const *)lines, "setting",
                              "kind, sizes and choices of the network: name and value");
    for (size_t i = 0; lines && i < n; i++)
        free(lines[i]);
    free(lines);
    return rc;
}

static int get_lines(mim_h5 *file, const char *path, mim_architecture *a)
{
    size_t n = 0;
    char **lines = NULL;
    int rc = mim_h5_get_texts(file, "network", MAX_FIELDS, &n, &lines);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        char *value = strchr(lines[i], ' ');
        if (value)
            *value++ = '\0';
        if (mim_architecture_set(a, lines[i], value ? value : "") != MIM_OK)
            rc = mim_fail_in(MIM_EDATA, "%s", path);
    }
    mim_h5_free_texts(n, &lines);
    return rc;
}

/* stressors, node metrics, sockets, width, blocks, heads, MLP ratio */
static int get_sizes(mim_h5 *file, const char *path, mim_architecture *a)
{
    uint64_t sizes[N_SIZES];
    const int rc = mim_checkpoint_get_counts(file, path, "architecture", 1, N_SIZES, sizes);
    if (rc == MIM_OK)
        *a = (mim_architecture){.kind = MIM_NETWORK_THREAD_TOKEN,
                                .n_stressors = (size_t)sizes[0],
                                .n_node_metrics = (size_t)sizes[1],
                                .n_sockets = (size_t)sizes[2],
                                .width = (size_t)sizes[3],
                                .n_blocks = (size_t)sizes[4],
                                .n_heads = (size_t)sizes[5],
                                .mlp_ratio = (size_t)sizes[6]};
    return rc;
}

int mim_checkpoint_get_architecture(mim_h5 *file, const char *path, int version,
                                    mim_architecture *architecture)
{
    mim_architecture a = {0};
    int rc = version == 1 ? get_sizes(file, path, &a) : get_lines(file, path, &a);
    if (rc == MIM_OK && (rc = mim_network_check(&a)) != MIM_OK && rc != MIM_ENOMEM)
        rc = mim_fail_in(MIM_EDATA, "%s", path);
    if (rc == MIM_OK)
        *architecture = a;
    return rc;
}
