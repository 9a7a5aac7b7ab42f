/* Stats text: what a resource monitor wrote about one machine, record after record.
 *
 * Reads the HPCPerfStats family by schema, never by position: `$tacc_stats 2.3.5`,
 * `$hpcperfstats 2.4` and 3.0 (type prefix host_, snake_case keys, @fast/@full after the device).
 * A truncated last record is kept as far as its whole lines go and reported as truncated.
 *
 * Text without its header (a 3.0 sampler writes such fragments) is refused: what the values mean
 * depends on the machine that wrote them, so put the header lines in front. Header lines may come
 * again in the middle (files put one after the other) as long as they declare the same.
 * Limits, so that hostile text costs no more than its size: 256 types, 512 keys a type, 2^20
 * devices, names of 255 bytes, lines of 1 MiB, and half of the machine's memory for the text and
 * for what is kept of it. */
#ifndef MIM_TRACE_STATS_H
#define MIM_TRACE_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"

typedef enum { MIM_DIALECT_TACC_2_3, MIM_DIALECT_HPC_2_4, MIM_DIALECT_HPC_3_0 } mim_dialect;

typedef enum {
    MIM_KEY_GAUGE,
    MIM_KEY_EVENT,   /* ever-growing counter */
    MIM_KEY_CONTROL, /* a register's setting, not data */
} mim_key_kind;

typedef struct mim_key {
    char *name;
    char *unit; /* "" when not given */
    mim_key_kind kind;
    unsigned width_bits; /* 0 when not declared */
} mim_key;

/* A device's row in a record. `values` follow the schema of the type; a partial row (3.0 @fast)
 * has the values of some keys only and says which. */
typedef struct mim_row {
    size_t type;   /* index into the stats' types */
    size_t device; /* index into the stats' devices of that type */
    size_t n_values;
    const uint64_t *values; /* [n_values], n_values <= number of keys of the type */
    const uint16_t *keys;   /* [n_values] key of each value, rising; NULL: values[i] is of key i */
} mim_row;

/* The value of a key, false (and `value` untouched) when the row has none. */
bool mim_row_value(const mim_row *row, size_t key, uint64_t *value);

typedef struct mim_stats mim_stats;

/* `path` names the text in errors. The text need not end with a 0 byte and is not kept.
 * MIM_EDATA: not a stats text, no record, a row of an unknown type or of a wrong length, a number
 * that does not fit 64 bits, time going backwards ... with line number. */
int mim_stats_parse(const char *path, const char *text, size_t n_bytes, mim_stats **stats);
int mim_stats_read(const char *path, mim_stats **stats);
void mim_stats_destroy(mim_stats **stats);

mim_dialect mim_stats_dialect(const mim_stats *stats);
/* A `$name value` header line without its name ("hostname", "uname", "x_machine"), or NULL. */
const char *mim_stats_property(const mim_stats *stats, const char *name);
bool mim_stats_is_truncated(const mim_stats *stats);

size_t mim_stats_n_types(const mim_stats *stats);
/* Name without a host_ prefix, so that 2.4 and 3.0 files read alike. */
const char *mim_stats_type_name(const mim_stats *stats, size_t type);
size_t mim_stats_n_keys(const mim_stats *stats, size_t type);
const mim_key *mim_stats_key(const mim_stats *stats, size_t type, size_t key);
size_t mim_stats_n_devices(const mim_stats *stats, size_t type);
const char *mim_stats_device(const mim_stats *stats, size_t type, size_t device);
/* SIZE_MAX when there is none. Old and new (snake_case) key names are both accepted. */
size_t mim_stats_find_type(const mim_stats *stats, const char *name);
size_t mim_stats_find_key(const mim_stats *stats, size_t type, const char *name);
size_t mim_stats_find_device(const mim_stats *stats, size_t type, const char *name);

size_t mim_stats_n_records(const mim_stats *stats);
double mim_stats_record_time_s(const mim_stats *stats, size_t record); /* since the epoch */
const char *mim_stats_record_job(const mim_stats *stats, size_t record);
size_t mim_stats_n_marks(const mim_stats *stats, size_t record);
const char *mim_stats_mark(const mim_stats *stats, size_t record, size_t i); /* without the % */
size_t mim_stats_n_rows(const mim_stats *stats, size_t record);
mim_row mim_stats_row(const mim_stats *stats, size_t record, size_t i);
/* The row of a device in a record, or n_values 0 when the record lacks it. */
mim_row mim_stats_find_row(const mim_stats *stats, size_t record, size_t type, size_t device);

/* ---- writing -------------------------------------------------------------------------------
 * Text is gathered in memory (no allocation once the buffer has grown) and handed out by flush. */
typedef struct mim_stats_writer mim_stats_writer;

int mim_stats_writer_create(mim_stats_writer **writer);
void mim_stats_writer_destroy(mim_stats_writer **writer);
/* Header lines: this first, then properties and types; the first record ends the header. MIM_EINVAL
 * for names that are empty or hold blanks, rows of undeclared types or of a wrong length. */
int mim_stats_writer_header(mim_stats_writer *writer, const char *hostname, const char *uname_text,
                            uint64_t uptime_s);
int mim_stats_writer_property(mim_stats_writer *writer, const char *name, const char *value);
/* `keys` as in the file: "user,E,U=cs nice,E,U=cs". */
int mim_stats_writer_type(mim_stats_writer *writer, const char *type, const char *keys);
int mim_stats_writer_record(mim_stats_writer *writer, double time_s, const char *job,
                            const char *hostname);
int mim_stats_writer_mark(mim_stats_writer *writer, const char *mark);
int mim_stats_writer_row(mim_stats_writer *writer, const char *type, const char *device,
                         size_t n_values, const uint64_t *values);
const char *mim_stats_writer_text(const mim_stats_writer *writer, size_t *n_bytes);
/* Writes what was gathered to `out` and empties the buffer. MIM_EIO: text is kept. */
int mim_stats_writer_flush(mim_stats_writer *writer, FILE *out);

#endif
