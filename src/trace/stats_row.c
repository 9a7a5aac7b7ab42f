/* Rows of a record: the part of the reader that all bytes pass through.
 *
 * The next row is nearly always of the device that followed in the record before, so its
 * "type device " is compared first (one memcmp) and looked up by name only when it differs. A row
 * that is equal to the device's last one is not scanned at all: it shares that one's values. */
#include <stdlib.h>
#include <string.h>

#include "trace/stats_internal.h"

typedef struct word {
    const char *begin, *end;
} word;

/* ---- numbers ----------------------------------------------------------------------------------
 */

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
/* The first digits of 8 bytes at once: `n` of them, 0 to 8. */
static inline uint64_t digits_of_8(const char *p, unsigned *n)
{
    uint64_t t;
    memcpy(&t, p, sizeof t);
    t ^= UINT64_C(0x3030303030303030); /* digits become 0 to 9 */
    uint64_t others = ((t + UINT64_C(0x7676767676767676)) | t) & UINT64_C(0x8080808080808080);
    unsigned count = others ? (unsigned)__builtin_ctzll(others) >> 3 : 8;
    *n = count;
    if (count == 0)
        return 0;
    t <<= 8 * (8 - count); /* leading zeros instead of what follows the number */
    t = t * 10 + (t >> 8); /* pairs, then all four pairs by two multiplications */
    return (((t & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064)) +
            (((t >> 16) & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001))) >>
           32;
}

/* Up to 16 digits at p; NULL when there are none or more (left to the careful reader). At least 24
 * bytes must be readable. */
static inline const char *scan_number(const char *p, uint64_t *value)
{
    static const uint64_t power[9] = {1,      10,      100,      1000,     10000,
                                      100000, 1000000, 10000000, 100000000};
    unsigned n, m;
    uint64_t high = digits_of_8(p, &n);
    if (n < 8) {
        *value = high;
        return n > 0 ? p + n : NULL;
    }
    uint64_t low = digits_of_8(p + 8, &m);
    *value = high * power[m] + low;
    if (m == 8 && p[16] >= '0' && p[16] <= '9')
        return NULL;
    return p + 8 + m;
}
#else
static inline const char *scan_number(const char *p, uint64_t *value)
{
    uint64_t v = 0;
    const char *q = p;
    for (; q < p + 17 && *q >= '0' && *q <= '9'; q++)
        v = v * 10 + (uint64_t)(*q - '0');
    *value = v;
    return q > p && q < p + 17 ? q : NULL;
}
#endif

enum { SCAN_MARGIN = 24 };

static int parse_number(const mim_parser *parser, word w, uint64_t *value)
{
    uint64_t v = 0;
    char quote[MIM_STATS_QUOTE_BYTES];
    for (const char *p = w.begin; p < w.end; p++) {
        if (*p < '0' || *p > '9')
            return mim_parser_fail(parser, "expected an unsigned number, found %s",
                                   mim_parser_quote(w.begin, w.end, quote));
        unsigned digit = (unsigned)(*p - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return mim_parser_fail(parser, "number %s does not fit 64 bits",
                                   mim_parser_quote(w.begin, w.end, quote));
        v = v * 10 + digit;
    }
    *value = v;
    return MIM_OK;
}

/* ---- storing ----------------------------------------------------------------------------------
 */

/* The growing arrays of the result together stay below the limit. */
static int reserve(mim_parser *parser, size_t n_values)
{
    mim_stats *stats = parser->stats;
    if (stats->n_rows < stats->rows_capacity &&
        stats->n_values + n_values <= stats->values_capacity)
        return MIM_OK;
    size_t bytes = (stats->n_rows + 1) * sizeof *stats->rows +
                   (stats->n_values + n_values) * sizeof *stats->values;
    if (bytes > parser->limit_bytes)
        return mim_parser_fail(parser, "the records up to here need %zu MiB, half of the memory",
                               bytes >> 20);
    void *items = stats->rows;
    int rc = mim_stats_grow(&items, &stats->rows_capacity, stats->n_rows + 1, sizeof *stats->rows);
    stats->rows = items;
    if (rc != MIM_OK)
        return rc;
    items = stats->values;
    rc = mim_stats_grow(&items, &stats->values_capacity, stats->n_values + n_values,
                        sizeof *stats->values);
    stats->values = items;
    return rc;
}

/* Adds the row that `state` describes. */
static int add_row(mim_parser *parser, size_t id, mim_device_state *state)
{
    mim_stats *stats = parser->stats;
    mim_device *device = &stats->devices[id];
    if (state->record == stats->n_records)
        return mim_parser_fail(parser, "device %s of %s is twice in one record", device->name,
                               stats->types[device->type].name);
    stats->rows[stats->n_rows] = (mim_row_entry){.first_value = state->first_value,
                                                 .device = (uint32_t)id,
                                                 .n_values = state->n_values,
                                                 .is_fast = state->is_fast};
    size_t place = stats->n_rows++ - stats->records[stats->n_records - 1].first_row;
    device->last_row = (uint32_t)place;
    state->record = stats->n_records;
    parser->last_type = device->type;
    return MIM_OK;
}

/* ---- the careful way --------------------------------------------------------------------------
 */

static word next_word(const char **p, const char *end)
{
    const char *q = *p;
    while (q < end && (*q == ' ' || *q == '\t'))
        q++;
    word w = {q, q};
    while (q < end && *q != ' ' && *q != '\t')
        q++;
    *p = w.end = q;
    return w;
}

static int find_device(mim_parser *parser, size_t type, word name, size_t *id)
{
    mim_stats *stats = parser->stats;
    size_t length = (size_t)(name.end - name.begin);
    *id = mim_stats_device_lookup(stats, type, name.begin, length);
    if (*id != SIZE_MAX)
        return MIM_OK;
    if (length > MIM_STATS_MAX_NAME)
        return mim_parser_fail(parser, "a device's name of %zu bytes, more than %d", length,
                               MIM_STATS_MAX_NAME);
    for (const char *p = name.begin; p < name.end; p++)
        if ((unsigned char)*p < ' ' && *p != '\t')
            return mim_parser_fail(parser, "byte 0x%02x in the name of a device", (unsigned)*p);
    if (stats->n_devices == MIM_STATS_MAX_DEVICES)
        return mim_parser_fail(parser, "more than %d devices", MIM_STATS_MAX_DEVICES);
    void *items = parser->states;
    int rc = mim_stats_grow(&items, &parser->states_capacity, stats->n_devices + 1,
                            sizeof *parser->states);
    parser->states = items;
    if (rc == MIM_OK)
        rc = mim_stats_device_add(stats, type, name.begin, length, id);
    if (rc == MIM_OK)
        parser->states[*id] = (mim_device_state){0};
    return rc;
}

/* Where a row's parts are, once its words are counted. */
typedef struct layout {
    word device;
    const char *values; /* from here on */
    size_t n_values;
    bool is_fast;
} layout;

static bool is_number(word w)
{
    for (const char *p = w.begin; p < w.end; p++)
        if (*p < '0' || *p > '9')
            return false;
    return true;
}

/* Names of processes may hold blanks: "proc tmux: server/12/0-3/0 ...". With n_more words left
 * over, these belong to the device if they look like it: no plain numbers, and a / in the last. So
 * two rows run together are still refused. */
static bool extend_device(layout *l, const char *end, size_t n_more)
{
    const char *p = l->values;
    word last = {0};
    for (size_t i = 0; i < n_more; i++) {
        last = next_word(&p, end);
        if (is_number(last))
            return false;
    }
    if (!memchr(last.begin, '/', (size_t)(last.end - last.begin)))
        return false;
    l->device.end = last.end;
    l->values = p;
    return true;
}

static int find_layout(const mim_parser *parser, const mim_type *type, const char *p,
                       const char *end, layout *l)
{
    l->device = next_word(&p, end);
    l->values = p;
    word tier = next_word(&p, end);
    if (tier.begin < tier.end && *tier.begin == '@')
        l->values = p;
    else
        tier.end = tier.begin;
    bool is_partial = tier.end - tier.begin == 5 && memcmp(tier.begin, "@fast", 5) == 0;
    size_t n = 0;
    p = l->values;
    for (word w = next_word(&p, end); w.begin < w.end; w = next_word(&p, end))
        n++;
    if (l->device.begin == l->device.end)
        return mim_parser_fail(parser, "expected a device after %s", type->name);
    if (n > type->n_keys && tier.begin == tier.end && extend_device(l, end, n - type->n_keys))
        n = type->n_keys;
    l->is_fast = is_partial && n == type->n_fast && n != type->n_keys;
    l->n_values = n;
    if (n == type->n_keys || l->is_fast)
        return MIM_OK;
    return mim_parser_fail(parser, "expected %zu values of %s, found %zu",
                           is_partial ? type->n_fast : type->n_keys, type->name, n);
}

static int unknown_type(const mim_parser *parser, word name)
{
    char quote[MIM_STATS_QUOTE_BYTES];
    return mim_parser_fail(parser, "type %s is not declared by a ! line before it",
                           mim_parser_quote(name.begin, name.end, quote));
}

static int parse_row_carefully(mim_parser *parser)
{
    mim_stats *stats = parser->stats;
    const char *p = parser->p, *end = memchr(p, '\n', (size_t)(parser->end - p));
    const char *line_end = end;
    if (end > p && end[-1] == '\r')
        end--;
    if (end - p > MIM_STATS_MAX_LINE)
        return mim_parser_fail(parser, "a line of %zu bytes, more than %d", (size_t)(end - p),
                               MIM_STATS_MAX_LINE);
    word name = next_word(&p, end);
    size_t type = mim_stats_type_lookup(stats, name.begin, (size_t)(name.end - name.begin)), id;
    if (type == SIZE_MAX)
        return unknown_type(parser, name);
    layout l = {0};
    int rc = find_layout(parser, &stats->types[type], p, end, &l);
    if (rc == MIM_OK)
        rc = reserve(parser, l.n_values > 0 ? l.n_values : 1); /* never no array at all */
    if (rc != MIM_OK)
        return rc;
    uint64_t *values = stats->values + stats->n_values;
    for (size_t i = 0; rc == MIM_OK && i < l.n_values; i++)
        rc = parse_number(parser, next_word(&l.values, end), &values[i]);
    if (rc == MIM_OK)
        rc = find_device(parser, type, l.device, &id);
    if (rc != MIM_OK)
        return rc;
    mim_device_state *state = &parser->states[id];
    state->first_value = stats->n_values;
    state->n_values = (uint16_t)l.n_values;
    state->is_fast = l.is_fast;
    /* A guess compares up to the blank after the device, so there has to be one. */
    state->line = *l.device.end == ' ' ? parser->p : NULL;
    state->prefix_size = (uint32_t)(l.device.end + 1 - parser->p);
    state->line_size = (uint32_t)(line_end + 1 - parser->p);
    rc = add_row(parser, id, state);
    if (rc == MIM_OK) {
        stats->n_values += l.n_values;
        parser->p = line_end + 1;
    }
    return rc;
}

/* ---- the fast way -----------------------------------------------------------------------------
 */

/* The values at p of a row of a known device, in the usual form: one blank before each, then the
 * end of the line. Everything else is left to the careful reader. */
static int parse_values(mim_parser *parser, size_t id, const char *p, size_t prefix_size)
{
    mim_stats *stats = parser->stats;
    const mim_type *type = &stats->types[stats->devices[id].type];
    size_t n = type->n_keys, i = 0;
    const char *end = parser->end;
    bool is_fast = false;
    if (n == 0 || end - p < SCAN_MARGIN)
        return parse_row_carefully(parser);
    if (*p == '@') {
        is_fast = memcmp(p, "@fast ", 6) == 0 && type->n_fast != n && type->n_fast > 0;
        if (!is_fast && memcmp(p, "@full ", 6) != 0)
            return parse_row_carefully(parser);
        n = is_fast ? type->n_fast : n;
        p += 6;
    }
    int rc = reserve(parser, n);
    if (rc != MIM_OK)
        return rc;
    uint64_t *values = stats->values + stats->n_values;
    for (;;) {
        if (end - p < SCAN_MARGIN || !(p = scan_number(p, &values[i])))
            return parse_row_carefully(parser);
        if (++i == n || *p != ' ')
            break;
        p++;
    }
    p += *p == '\r';
    if (i != n || *p != '\n' || p - parser->p > MIM_STATS_MAX_LINE)
        return parse_row_carefully(parser);
    mim_device_state *state = &parser->states[id];
    *state = (mim_device_state){.line = parser->p,
                                .prefix_size = (uint32_t)prefix_size,
                                .line_size = (uint32_t)(p + 1 - parser->p),
                                .first_value = stats->n_values,
                                .n_values = (uint16_t)n,
                                .is_fast = is_fast,
                                .record = state->record};
    stats->n_values += n;
    parser->p = p + 1;
    return add_row(parser, id, state);
}

/* The device by its name, and the place in the record before from which to guess on. */
static int parse_row_by_name(mim_parser *parser)
{
    mim_stats *stats = parser->stats;
    const char *p = parser->p, *end = parser->end;
    const char *name_end = p;
    while (name_end<end && * name_end> ' ')
        name_end++;
    if (name_end == end || *name_end != ' ')
        return parse_row_carefully(parser);
    size_t length = (size_t)(name_end - p), type = parser->last_type;
    if (type >= stats->n_types || stats->types[type].name_length != length ||
        memcmp(stats->types[type].name, p, length) != 0)
        type = mim_stats_type_lookup(stats, p, length);
    if (type == SIZE_MAX)
        return unknown_type(parser, (word){p, name_end});
    const char *device = name_end + 1, *device_end = device;
    while (device_end<end && * device_end> ' ')
        device_end++;
    if (device_end == end || *device_end != ' ')
        return parse_row_carefully(parser);
    size_t id = mim_stats_device_lookup(stats, type, device, (size_t)(device_end - device));
    if (id == SIZE_MAX)
        return parse_row_carefully(parser);
    if (parser->states[id].record + 1 == stats->n_records)
        parser->guess = stats->devices[id].last_row + (size_t)1;
    return parse_values(parser, id, device_end + 1, (size_t)(device_end + 1 - p));
}

int mim_parser_row(mim_parser *parser)
{
    mim_stats *stats = parser->stats;
    size_t n_records = stats->n_records;
    if (n_records == 0)
        return mim_parser_fail(parser, "a row before the first time stamp");
    if (n_records == 1)
        return parse_row_by_name(parser);
    const mim_record *before = &stats->records[n_records - 2];
    if (parser->guess >= before[1].first_row - before->first_row)
        return parse_row_by_name(parser);
    size_t id = stats->rows[before->first_row + parser->guess].device;
    mim_device_state *state = &parser->states[id];
    size_t left = (size_t)(parser->end - parser->p);
    if (!state->line || left < state->prefix_size ||
        memcmp(parser->p, state->line, state->prefix_size) != 0)
        return parse_row_by_name(parser);
    parser->guess++;
    size_t prefix = state->prefix_size;
    if (left < state->line_size ||
        memcmp(parser->p + prefix, state->line + prefix, state->line_size - prefix) != 0)
        return parse_values(parser, id, parser->p + prefix, prefix);
    int rc = reserve(parser, 0);
    if (rc != MIM_OK)
        return rc;
    state->line = parser->p;
    parser->p += state->line_size;
    return add_row(parser, id, state);
}
