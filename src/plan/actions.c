#include "plan/actions.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_file.h"
#include "core/text.h"

enum { MAX_LIST_BYTES = 1 << 20, MAX_ACTIONS = 4096, MAX_NAME_BYTES = 127 };

struct mim_actions {
    size_t n;
    char **names;
    const mim_stressor **stressors; /* NULL where the catalogue does not know the name */
    mim_stressor *fitted;           /* [n] what `stressors` points to after a fit, else NULL */
    mim_actions_node node;          /* of the fit */
    char *peer;
};

#define SIMD_PREFIX "BM_SIMD_SerialDistanceComputation/num_blocks:"
#define SIMD_SUFFIX "/enable_avx512:false/flush_cache:false"
#define HASHSET_NAME(HOW, KIND, SET)                                                               \
    "BM_SWISSMAP_Insert" HOW "_Cold<::absl::" KIND "_hash_set, 64>/" SET

static const char *const list_20[] = {
    "BM_HASHING_Computecrc32c_Fleet_cold",
    "BM_LIBC_Memcpy_Fleet_L1",
    "BM_LIBC_Memcpy_Fleet_L2",
    "BM_LIBC_Memcmp_Fleet_LLC",
    SIMD_PREFIX "256" SIMD_SUFFIX,
    HASHSET_NAME("Miss", "flat", "set_size:262144/density:0"),
    HASHSET_NAME("Miss", "node", "set_size:32768/density:0"),
    HASHSET_NAME("ManyOrdered", "flat", "set_size:1048576/density:1"),
    "BM_STRESS_NG_HddRead_1MB_NoSleep",
    "BM_STRESS_NG_HddRead_1MB_WeightScaled_50ms",
    "BM_STRESS_NG_HddRead_256KB_WeightScaled_500ms",
    "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled",
    "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_50ms",
    "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_25ms",
    "BM_STRESS_NG_HddWriteNF_256KB_WeightScaled_500ms",
    "BM_DIRECTMEMSET_32MB_NoSleep",
    "BM_DIRECTMEMSET_32MB_WeightScaled_50ms",
    "BM_DIRECTSTREAMSIMD_32MB_NoSleep",
    "BM_DIRECTSTREAMSIMD_8MB_NoSleep",
    "BM_HASHING_Extendcrc32c_Fleet_L3_16MB",
};

static const char *const list_13[] = {
    "BM_COMPRESSION_ZSTD_DECOMPRESS_Fleet/compression_level:0/window_log:0",
    "BM_HASHING_Extendcrc32cinternal_Fleet_cold",
    "BM_HASHING_Computecrc32c_Fleet_cold",
    "BM_LIBC_Memcpy_Fleet_L1",
    SIMD_PREFIX "256" SIMD_SUFFIX,
    SIMD_PREFIX "512" SIMD_SUFFIX,
    HASHSET_NAME("Miss", "flat", "set_size:1048576/density:0"),
    HASHSET_NAME("ManyOrdered", "flat", "set_size:1048576/density:0"),
    HASHSET_NAME("ManyOrdered", "flat", "set_size:1048576/density:1"),
    HASHSET_NAME("ManyUnordered", "flat", "set_size:1048576/density:1"),
    "BM_STRESS_NG_Readahead",
    "BM_STRESS_NG_Fallocate_4MB",
    "BM_STRESS_NG_Hdd_1MB",
};

static const char *const list_13b[] = {
    "BM_HASHING_Extendcrc32cinternal_Fleet_cold",
    "BM_HASHING_Computecrc32c_Fleet_cold",
    "BM_LIBC_Memcpy_Fleet_L1",
    "BM_LIBC_Memcpy_Fleet_L2",
    "BM_LIBC_Memcmp_Fleet_LLC",
    SIMD_PREFIX "256" SIMD_SUFFIX,
    HASHSET_NAME("Miss", "flat", "set_size:262144/density:0"),
    HASHSET_NAME("Miss", "node", "set_size:32768/density:0"),
    HASHSET_NAME("ManyOrdered", "flat", "set_size:1048576/density:1"),
    "BM_STRESS_NG_HddRead_256KB_NoSleep",
    "BM_STRESS_NG_HddRead_1MB_NoSleep",
    "BM_STRESS_NG_HddWriteNF_256KB_BurstScaled",
    "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled",
};

static const struct {
    const char *word;
    size_t n;
    const char *const *names;
} builtins[] = {
    {"20", 20, list_20},
    {"19", 19, list_20}, /* the same without the last */
    {"13", 13, list_13},
    {"13b", 13, list_13b},
};

static const char word_extended[] = "extended";

/* SIZE_MAX when `which` is no list of the table. */
static size_t find_builtin(const char *which)
{
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
        if (strcmp(builtins[i].word, which) == 0)
            return i;
    return SIZE_MAX;
}

/* Whether stressor i has a kernel and does what none before it does. */
static bool is_of_its_own(size_t i)
{
    const mim_stressor *stressor = mim_stressor_at(i);
    for (size_t k = 0; k < i; k++)
        if (mim_stressor_is_same_operation(mim_stressor_at(k), stressor) &&
            mim_stressor_at(k)->sleep_us == stressor->sleep_us)
            return false;
    return stressor->kernel[0] != 0;
}

static int check_names(const char *source, size_t n, const char *const *names)
{
    if (n == 0 || n > MAX_ACTIONS)
        return mim_fail(MIM_EDATA, "%s: %zu names, expected 1 to %d", source, n, MAX_ACTIONS);
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(names[i]);
        if (length == 0 || length > MAX_NAME_BYTES)
            return mim_fail(MIM_EDATA, "%s: name %zu has %zu bytes, expected 1 to %d", source,
                            i + 1, length, MAX_NAME_BYTES);
        for (size_t j = 0; j < i; j++)
            if (strcmp(names[i], names[j]) == 0)
                return mim_fail(MIM_EDATA, "%s: %s stands there twice (as name %zu and %zu)",
                                source, names[i], j + 1, i + 1);
    }
    return MIM_OK;
}

static int create(const char *source, size_t n, const char *const *names, mim_actions **actions)
{
    int rc = check_names(source, n, names);
    if (rc != MIM_OK)
        return rc;
    mim_actions *made = calloc(1, sizeof *made);
    if (!made || !(made->names = calloc(n, sizeof *made->names)) ||
        !(made->stressors = calloc(n, sizeof *made->stressors))) {
        mim_actions_destroy(&made);
        return mim_fail(MIM_ENOMEM, "%s: action list of %zu names", source, n);
    }
    for (size_t i = 0; i < n; i++) {
        if (!(made->names[i] = mim_strdup(names[i]))) {
            mim_actions_destroy(&made);
            return mim_fail(MIM_ENOMEM, "%s: action list of %zu names", source, n);
        }
        made->n++;
        made->stressors[i] = mim_stressor_find(names[i]);
    }
    *actions = made;
    return MIM_OK;
}

static int create_extended(mim_actions **actions)
{
    size_t n = 0;
    const char **names = calloc(mim_stressor_count(), sizeof *names);
    if (!names)
        return mim_fail(MIM_ENOMEM, "action list of %zu names", mim_stressor_count());
    for (size_t i = 0; i < mim_stressor_count(); i++)
        if (is_of_its_own(i))
            names[n++] = mim_stressor_at(i)->name;
    int rc = create(word_extended, n, names, actions);
    free(names);
    return rc;
}

int mim_actions_builtin(const char *which, mim_actions **actions)
{
    size_t i = find_builtin(which);
    if (strcmp(which, word_extended) == 0)
        return create_extended(actions);
    if (i == SIZE_MAX)
        return mim_fail(MIM_EUSAGE, "no action list \"%s\" is built in, only " MIM_ACTIONS_WORDS,
                        which);
    return create(which, builtins[i].n, builtins[i].names, actions);
}

int mim_actions_from_names(size_t n, const char *const *names, mim_actions **actions)
{
    return create("action list", n, names, actions);
}

/* Makes a new list fit as the old one does. */
static int fit_like(const mim_actions *old, mim_actions **made)
{
    int rc = old->fitted ? mim_actions_fit(*made, &old->node) : MIM_OK;
    if (rc != MIM_OK)
        mim_actions_destroy(made);
    return rc;
}

int mim_actions_copy(const mim_actions *actions, mim_actions **copy)
{
    mim_actions *made = NULL;
    int rc = create("action list", actions->n, (const char *const *)actions->names, &made);
    if (rc == MIM_OK)
        rc = fit_like(actions, &made);
    if (rc == MIM_OK)
        *copy = made;
    return rc;
}

int mim_actions_subset(const mim_actions *actions, size_t n, const size_t *indices,
                       mim_actions **subset)
{
    mim_actions *made = NULL;
    int rc = MIM_OK;
    const char **names = calloc(n ? n : 1, sizeof *names);
    if (!names)
        return mim_fail(MIM_ENOMEM, "action list of %zu names", n);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        if (indices[i] >= actions->n)
            rc =
                mim_fail(MIM_EINVAL, "column %zu of an action list of %zu", indices[i], actions->n);
        else
            names[i] = actions->names[indices[i]];
    }
    if (rc == MIM_OK)
        rc = create("action list", n, names, &made);
    free(names);
    if (rc == MIM_OK)
        rc = fit_like(actions, &made);
    if (rc == MIM_OK)
        *subset = made;
    return rc;
}

/* `peer` is owned by the list. */
static void fit_one(const mim_stressor *plain, const mim_actions_node *node, const char *peer,
                    mim_stressor *fitted)
{
    if (node->sizes_all || plain->is_own_size)
        mim_stressor_sized(plain, &node->caches, fitted);
    else
        *fitted = *plain;
    if (plain->stress_class == MIM_STRESS_NETWORK)
        fitted->network_peer = peer;
}

int mim_actions_fit(mim_actions *actions, const mim_actions_node *node)
{
    bool has_peer = node->network_peer && node->network_peer[0];
    char *peer = has_peer ? mim_strdup(node->network_peer) : NULL;
    mim_stressor *fitted = calloc(actions->n, sizeof *fitted);
    if (!fitted || (has_peer && !peer)) {
        free(peer);
        free(fitted);
        return mim_fail(MIM_ENOMEM, "action list of %zu names", actions->n);
    }
    for (size_t i = 0; i < actions->n; i++) {
        const mim_stressor *plain = mim_stressor_find(actions->names[i]);
        if (!plain)
            continue;
        fit_one(plain, node, peer, &fitted[i]);
        actions->stressors[i] = &fitted[i];
    }
    free(actions->fitted);
    free(actions->peer);
    actions->fitted = fitted;
    actions->peer = peer;
    actions->node = *node;
    actions->node.network_peer = peer;
    return MIM_OK;
}

const char *mim_actions_sizes(const mim_actions *actions)
{
    return actions->fitted && actions->node.sizes_all ? "node" : "original";
}

int mim_actions_check_sizes(const char *word)
{
    if (strcmp(word, "original") == 0 || strcmp(word, "node") == 0)
        return MIM_OK;
    return mim_fail(MIM_EDATA, "expected original or node, found %.40s", word);
}

/* Cuts blanks from both ends of the line, in place. */
static char *trim(char *line)
{
    while (isspace((unsigned char)*line))
        line++;
    size_t n = strlen(line);
    while (n > 0 && isspace((unsigned char)line[n - 1]))
        line[--n] = 0;
    return line;
}

int mim_actions_read(const char *path, mim_actions **actions)
{
    char *text = NULL;
    const char **names = NULL;
    size_t n_bytes = 0, n = 0, n_lines = 1;
    int rc = mim_read_file(path, MAX_LIST_BYTES, &text, &n_bytes);
    if (rc != MIM_OK)
        return rc;
    if (memchr(text, 0, n_bytes)) {
        rc = mim_fail(MIM_EDATA, "%s: not a text, expected one action name a line", path);
        goto done;
    }
    for (const char *c = text; (c = strchr(c, '\n')); c++)
        n_lines++;
    if (!(names = calloc(n_lines, sizeof *names))) {
        rc = mim_fail(MIM_ENOMEM, "%s: %zu lines", path, n_lines);
        goto done;
    }
    for (char *line = text, *next; line; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = 0;
        line = trim(line);
        if (line[0] && line[0] != '#')
            names[n++] = line;
    }
    rc = create(path, n, names, actions);
done:
    free(names);
    free(text);
    return rc;
}

int mim_actions_open(const char *which_or_path, mim_actions **actions)
{
    if (find_builtin(which_or_path) != SIZE_MAX || strcmp(which_or_path, word_extended) == 0)
        return mim_actions_builtin(which_or_path, actions);
    int rc = mim_actions_read(which_or_path, actions);
    return rc == MIM_OK ? rc : mim_fail_in(rc, "action list (" MIM_ACTIONS_WORDS " or a file)");
}

void mim_actions_destroy(mim_actions **actions)
{
    mim_actions *old = *actions;
    if (!old)
        return;
    *actions = NULL;
    for (size_t i = 0; old->names && i < old->n; i++)
        free(old->names[i]);
    free(old->names);
    free(old->stressors);
    free(old->fitted);
    free(old->peer);
    free(old);
}

size_t mim_actions_n(const mim_actions *actions) { return actions->n; }

const char *mim_actions_name(const mim_actions *actions, size_t i)
{
    return i < actions->n ? actions->names[i] : NULL;
}

const mim_stressor *mim_actions_stressor(const mim_actions *actions, size_t i)
{
    return i < actions->n ? actions->stressors[i] : NULL;
}

size_t mim_actions_find(const mim_actions *actions, const char *name)
{
    for (size_t i = 0; i < actions->n; i++)
        if (strcmp(actions->names[i], name) == 0)
            return i;
    return SIZE_MAX;
}

uint64_t mim_actions_hash(const mim_actions *actions)
{
    uint64_t hash = MIM_HASH_START;
    for (size_t i = 0; i < actions->n; i++) {
        hash = mim_hash_text(hash, actions->names[i], strlen(actions->names[i]));
        hash = mim_hash_text(hash, "\n", 1);
    }
    return hash;
}
