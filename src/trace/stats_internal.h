/* What the files of the stats reader share; not for other modules. */
#ifndef MIM_TRACE_STATS_INTERNAL_H
#define MIM_TRACE_STATS_INTERNAL_H

#include "trace/stats.h"

enum {
    MIM_STATS_MAX_TYPES = 256,
    MIM_STATS_MAX_KEYS = 512,
    MIM_STATS_MAX_DEVICES = 1 << 20,
    MIM_STATS_MAX_NAME = 255,
    MIM_STATS_MAX_PROPERTIES = 256,
    MIM_STATS_MAX_LINE = 1 << 20,
    MIM_STATS_QUOTE_BYTES = 64,
};

/* Texts that live as long as the stats. */
typedef struct mim_arena_chunk {
    struct mim_arena_chunk *next;
    size_t used, size;
    char bytes[];
} mim_arena_chunk;

typedef struct mim_property_line {
    const char *name, *value;
} mim_property_line;

typedef struct mim_type {
    const char *name; /* without host_ */
    size_t name_length;
    mim_key *keys;       /* [n_keys] */
    uint16_t *fast_keys; /* [n_fast] keys that @fast rows carry: those without R=S */
    size_t n_keys, n_fast;
    uint32_t *devices; /* [n_devices] into the stats' devices */
    size_t n_devices, devices_capacity;
} mim_type;

typedef struct mim_device {
    const char *name;
    size_t name_length;
    uint32_t type;
    uint32_t index;    /* among the devices of the type */
    uint32_t last_row; /* its place in the record it was last seen in: where to look first */
} mim_device;

/* 16 bytes a row. Equal rows of one device share their values. */
typedef struct mim_row_entry {
    uint64_t first_value;
    uint32_t device; /* into the stats' devices */
    uint16_t n_values;
    uint16_t is_fast; /* values are those of the type's fast_keys */
} mim_row_entry;

typedef struct mim_record {
    double time_s;
    size_t first_row;
    size_t first_mark;
    const char *job;
} mim_record;

struct mim_stats {
    mim_dialect dialect;
    bool is_truncated;
    mim_arena_chunk *arena;
    mim_property_line *properties;
    size_t n_properties, properties_capacity;
    mim_type *types;
    size_t n_types, types_capacity;
    mim_device *devices;
    size_t n_devices, devices_capacity;
    uint32_t *hash; /* [hash_size] device + 1, 0 = free; hash_size is a power of two */
    size_t hash_size;
    uint64_t hash_seed; /* differs from run to run, so that nobody can prepare collisions */
    mim_record *records;
    size_t n_records, records_capacity;
    mim_row_entry *rows;
    size_t n_rows, rows_capacity;
    uint64_t *values;
    size_t n_values, values_capacity;
    const char **marks;
    size_t n_marks, marks_capacity;
};

/* What the parser remembers of a device to know its next row again without a look-up. */
typedef struct mim_device_state {
    const char *line;     /* its newest row in the text, NULL when it cannot serve as a guess */
    uint32_t prefix_size; /* "type device " */
    uint32_t line_size;   /* with the line feed */
    uint64_t first_value;
    uint16_t n_values;
    uint16_t is_fast;
    size_t record; /* number of the record it was last seen in, from 1; 0 = never */
} mim_device_state;

typedef struct mim_parser {
    const char *path;
    const char *p, *end; /* next line, end of the last whole line */
    size_t line;         /* of p, from 1 */
    size_t limit_bytes;  /* for rows and values */
    mim_stats *stats;
    mim_device_state *states; /* [stats->n_devices] */
    size_t states_capacity;
    size_t guess;     /* row of the record before that should come next */
    size_t last_type; /* type of the row before */
    const char *last_job;
    size_t last_job_length;
} mim_parser;

/* stats_memory.c ------------------------------------------------------------------------------ */
char *mim_stats_keep_text(mim_stats *stats, const char *text, size_t length); /* NULL: no memory */
/* Room for n items of `size` bytes at *items, by half more than there was. */
int mim_stats_grow(void **items, size_t *capacity, size_t n, size_t size);
size_t mim_stats_memory_limit(void);
/* SIZE_MAX when there is none. */
size_t mim_stats_device_lookup(const mim_stats *stats, size_t type, const char *name,
                               size_t length);
int mim_stats_device_add(mim_stats *stats, size_t type, const char *name, size_t length,
                         size_t *device);

/* stats_schema.c ------------------------------------------------------------------------------ */
/* All take the line's text [begin, end) without its line feed. */
int mim_parser_first_line(mim_parser *parser, const char *begin, const char *end);
int mim_parser_property(mim_parser *parser, const char *begin, const char *end);
int mim_parser_schema(mim_parser *parser, const char *begin, const char *end);
/* SIZE_MAX when the header declares none. */
size_t mim_stats_type_lookup(const mim_stats *stats, const char *name, size_t length);

/* stats_parse.c ------------------------------------------------------------------------------- */
int mim_parser_fail(const mim_parser *parser, const char *format, ...) MIM_PRINTF(2, 3);
/* A piece of the text made printable, cut when long. */
const char *mim_parser_quote(const char *begin, const char *end, char text[MIM_STATS_QUOTE_BYTES]);

/* stats_row.c --------------------------------------------------------------------------------- */
int mim_parser_row(mim_parser *parser);

#endif
