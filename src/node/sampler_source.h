/* Inside of the sampler: where counters come from.
 *
 * A source keeps its files open and fills the tables of one or more types at every read. The
 * sampler reads all sources first and writes text afterwards, so that formatting does not delay the
 * counters. Private to src/node and its tests. */
#ifndef MIM_NODE_SAMPLER_SOURCE_H
#define MIM_NODE_SAMPLER_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/error.h"
#include "node/perf_group.h"

/* ---- one type and its devices ------------------------------------------------------------- */
typedef struct mim_table_row {
    char *device;
    bool is_present; /* false: could not be read this time, so it is not in the record */
    uint64_t *values;
} mim_table_row;

typedef struct mim_table {
    const char *type;
    const char *keys; /* as in the file */
    size_t n_values;  /* number of keys */
    size_t n_rows, capacity;
    mim_table_row *rows;
} mim_table;

/* Number of keys of "user,E,U=cs nice,E,U=cs". */
size_t mim_count_keys(const char *keys);
/* Place of "idle" among them, SIZE_MAX when it is not there. */
size_t mim_find_key(const char *keys, const char *key);
void mim_table_init(mim_table *table, const char *type, const char *keys);
void mim_table_clear(mim_table *table);
/* Puts a row before row `at`, or at the end when `at` is n_rows. MIM_EDATA: a name that readers of
 * stats text refuse (blanks, control characters, too long); whoever may mount or name an interface
 * could spoil the records otherwise. */
enum { MIM_DEVICE_MAX_BYTES = 255 };
int mim_table_insert(mim_table *table, size_t at, const char *device);
int mim_table_add(mim_table *table, const char *device);
size_t mim_table_place(const mim_table *table, const char *device); /* keeps names sorted */
void mim_table_remove(mim_table *table, size_t row);
/* `hint` is tried first: files list devices in the same order every time. SIZE_MAX if none. */
size_t mim_table_find(const mim_table *table, const char *device, size_t n_bytes, size_t hint);
void mim_table_forget(mim_table *table); /* no row is present */

/* ---- sources ------------------------------------------------------------------------------ */
typedef struct mim_source_roots {
    const char *proc, *sys;
    const mim_perf_calls *perf; /* NULL: perf_event is not asked (files of another machine) */
} mim_source_roots;

typedef struct mim_source mim_source;

typedef struct mim_source_ops {
    const char *name;
    unsigned tier;     /* see node/probe.h */
    const char *types; /* "cpu x_cpu ps": for the probe */
    /* Its counters begin with this process, so that differences to another one's mean nothing. */
    bool is_own;
    bool is_slow; /* what it reads changes slowly: see `slow_s` of the sampler's options */
    /* MIM_EUNSUP when this node does not offer it: its types are then not declared, and the error
     * sentence is the reason that the probe shows. */
    int (*open)(const mim_source_roots *roots, mim_source **source);
    void (*read)(mim_source *source);
    void (*refresh)(mim_source *source); /* devices come and go; NULL when they do not */
    void (*close)(mim_source *source);
} mim_source_ops;

enum { MIM_SOURCE_MAX_TABLES = 3, MIM_SOURCE_NOTE_BYTES = 160 };

struct mim_source { /* first member of every source */
    const mim_source_ops *ops;
    size_t n_tables;
    mim_table tables[MIM_SOURCE_MAX_TABLES];
    bool is_refresh_due;              /* a device was seen that has no row, or its file is gone */
    char note[MIM_SOURCE_NOTE_BYTES]; /* what is read, for the probe; "" = all of it */
};

/* In the order of reading: what changes fastest and matters most stands first. NULL at the end. */
extern const mim_source_ops *const mim_sources[];
extern const mim_source_ops mim_source_stat, mim_source_block, mim_source_net, mim_source_perf,
    mim_source_imc, mim_source_llc, mim_source_resctrl, mim_source_energy, mim_source_node,
    mim_source_vm, mim_source_vfs, mim_source_shm, mim_source_psi, mim_source_tmpfs;

/* Allocates n_bytes for a source; its tables are to be initialised by the caller. */
void *mim_source_new(size_t n_bytes, const mim_source_ops *ops);
void mim_source_free(mim_source *source);

/* ---- files kept open ---------------------------------------------------------------------- */
typedef struct mim_kept_file {
    int fd;
    char *text; /* what was read last, ended by a 0 byte */
    size_t n_bytes, capacity;
} mim_kept_file;

/* Opens and reads once, to know the size. MIM_EUNSUP when it cannot be opened or read. */
int mim_kept_open(mim_kept_file *file, const char *folder, const char *name);
void mim_kept_close(mim_kept_file *file);
/* Reads the whole file again; false when it fails or is empty (`text` is "" then). */
bool mim_kept_read(mim_kept_file *file);

/* ---- scanning ----------------------------------------------------------------------------- */
static inline bool mim_is_digit(char c) { return c >= '0' && c <= '9'; }

static inline const char *mim_skip_spaces(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

/* A decimal number after spaces, ended by white space or the end of the text. Advances *text behind
 * it; false (nothing changed) when there is none or it exceeds 64 bits. */
static inline bool mim_scan_u64(const char **text, uint64_t *value)
{
    const char *p = mim_skip_spaces(*text);
    uint64_t v = 0;

    if (!mim_is_digit(*p))
        return false;
    for (; mim_is_digit(*p); p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (*p != ' ' && *p != '\n' && *p != '\t' && *p != 0)
        return false;
    *value = v;
    *text = p;
    return true;
}

bool mim_scan_u64_n(const char *text, size_t n, uint64_t *values);
/* Start of the next line, or the end of the text. */
static inline const char *mim_next_line(const char *p)
{
    const char *end = strchr(p, '\n');
    return end ? end + 1 : p + strlen(p);
}

/* Lines of "[prefix]key[:] value": the place of each wanted key is learned once and only checked
 * afterwards, as the kernel's order does not change. */
enum { MIM_KEYED_MAX_LINES = 1024, MIM_KEYED_MAX_KEYS = 32 };
typedef struct mim_keyed {
    const char *const *keys;
    size_t n_keys; /* <= MIM_KEYED_MAX_KEYS */
    size_t key_bytes[MIM_KEYED_MAX_KEYS];
    uint32_t required;                   /* bit set of keys without which nothing is believed */
    size_t n_lines;                      /* up to the last wanted one; 0 = not learned */
    uint8_t wanted[MIM_KEYED_MAX_LINES]; /* index of the key + 1, 0 = not wanted */
} mim_keyed;

void mim_keyed_init(mim_keyed *keyed, const char *const *keys, size_t n_keys, uint32_t required);
/* Every line starts with prefix_bytes that are skipped. Keys that the file does not have give 0, as
 * a row has no way to leave one out. False: a required key is missing or a value is malformed;
 * `values` [n_keys] are then undefined. */
bool mim_keyed_scan(mim_keyed *keyed, const char *text, size_t prefix_bytes, uint64_t *values);

#endif
