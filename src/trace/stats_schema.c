#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "trace/stats_internal.h"

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* The next word of a line, false at its end. */
static bool next_word(const char **p, const char *end, const char **word, const char **word_end)
{
    const char *q = *p;
    while (q < end && is_blank(*q))
        q++;
    *word = q;
    while (q < end && !is_blank(*q))
        q++;
    *word_end = q;
    *p = q;
    return q > *word;
}

static bool starts_with(const char *begin, const char *end, const char *prefix)
{
    size_t n = strlen(prefix);
    return (size_t)(end - begin) >= n && memcmp(begin, prefix, n) == 0;
}

static size_t without_host(const char **name, size_t length)
{
    if (length > 5 && memcmp(*name, "host_", 5) == 0) {
        *name += 5;
        length -= 5;
    }
    return length;
}

size_t mim_stats_type_lookup(const mim_stats *stats, const char *name, size_t length)
{
    length = without_host(&name, length);
    for (size_t i = 0; i < stats->n_types; i++) {
        const mim_type *type = &stats->types[i];
        if (type->name_length == length && memcmp(type->name, name, length) == 0)
            return i;
    }
    return SIZE_MAX;
}

int mim_parser_first_line(mim_parser *parser, const char *begin, const char *end)
{
    static const struct {
        const char *start;
        mim_dialect dialect;
    } known[] = {{"$tacc_stats 2.", MIM_DIALECT_TACC_2_3},
                 {"$hpcperfstats 2.", MIM_DIALECT_HPC_2_4},
                 {"$hpcperfstats 3.", MIM_DIALECT_HPC_3_0}};
    char quote[MIM_STATS_QUOTE_BYTES];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (starts_with(begin, end, known[i].start)) {
            parser->stats->dialect = known[i].dialect;
            return MIM_OK;
        }
    }
    if (starts_with(begin, end, "$hpcperfstats") || starts_with(begin, end, "$tacc_stats"))
        return mim_parser_fail(parser, "expected $tacc_stats 2, $hpcperfstats 2 or 3, found %s",
                               mim_parser_quote(begin, end, quote));
    if (begin < end && isdigit((unsigned char)*begin))
        return mim_parser_fail(parser,
                               "a record without a header: $hpcperfstats and the ! lines that "
                               "name the values are missing; put them in front");
    return mim_parser_fail(parser, "not a stats text: expected $hpcperfstats VERSION, found %s",
                           mim_parser_quote(begin, end, quote));
}

int mim_parser_property(mim_parser *parser, const char *begin, const char *end)
{
    mim_stats *stats = parser->stats;
    const char *p = begin + 1, *name, *name_end;
    if (!next_word(&p, end, &name, &name_end))
        return mim_parser_fail(parser, "expected a name after $");
    while (p < end && is_blank(*p))
        p++;
    if (stats->n_properties == MIM_STATS_MAX_PROPERTIES)
        return mim_parser_fail(parser, "more than %d $ lines", MIM_STATS_MAX_PROPERTIES);
    void *items = stats->properties;
    int rc = mim_stats_grow(&items, &stats->properties_capacity, stats->n_properties + 1,
                            sizeof *stats->properties);
    stats->properties = items;
    if (rc != MIM_OK)
        return rc;
    mim_property_line line = {.name = mim_stats_keep_text(stats, name, (size_t)(name_end - name)),
                              .value = mim_stats_keep_text(stats, p, (size_t)(end - p))};
    if (!line.name || !line.value)
        return mim_fail(MIM_ENOMEM, "%s: header", parser->path);
    stats->properties[stats->n_properties++] = line;
    return MIM_OK;
}

/* ---- schema lines -----------------------------------------------------------------------------
 */

/* The width's base shows in its text, as the format has it: 48, 0x30. */
static int parse_width(mim_parser *parser, const char *begin, const char *end, unsigned *width)
{
    char text[24], quote[MIM_STATS_QUOTE_BYTES], *rest = NULL;
    size_t n = (size_t)(end - begin);
    unsigned long value = 0;
    if (n > 0 && n < sizeof text && isdigit((unsigned char)*begin)) {
        memcpy(text, begin, n);
        text[n] = '\0';
        value = strtoul(text, &rest, 0);
    }
    if (!rest || *rest != '\0' || value > 64)
        return mim_parser_fail(parser, "expected a width of 1 to 64 bits after W=, found %s",
                               mim_parser_quote(begin, end, quote));
    *width = (unsigned)value;
    return MIM_OK;
}

/* One option of a key: E, C, U=unit, W=bits, R=S; unknown ones say nothing to us. */
static int parse_option(mim_parser *parser, const char *begin, const char *end, mim_key *key,
                        bool *is_slow)
{
    if (begin == end)
        return MIM_OK; /* 3.0 writes "load_1," */
    bool has_value = end - begin >= 2 && begin[1] == '=';
    int letter = toupper((unsigned char)*begin);
    if (letter == 'E')
        key->kind = MIM_KEY_EVENT;
    else if (letter == 'C')
        key->kind = MIM_KEY_CONTROL;
    else if (letter == 'W' && has_value)
        return parse_width(parser, begin + 2, end, &key->width_bits);
    else if (letter == 'R' && has_value)
        *is_slow = end - begin > 2 && toupper((unsigned char)begin[2]) == 'S';
    else if (letter == 'U' && has_value) {
        key->unit = mim_stats_keep_text(parser->stats, begin + 2, (size_t)(end - begin - 2));
        if (!key->unit)
            return mim_fail(MIM_ENOMEM, "%s: header", parser->path);
    }
    return MIM_OK;
}

static int parse_key(mim_parser *parser, const char *begin, const char *end, mim_key *key,
                     bool *is_slow)
{
    static char no_unit[] = "";
    char quote[MIM_STATS_QUOTE_BYTES];
    const char *comma = memchr(begin, ',', (size_t)(end - begin));
    const char *name_end = comma ? comma : end;
    if (name_end == begin || name_end - begin > MIM_STATS_MAX_NAME)
        return mim_parser_fail(parser, "expected a key's name of 1 to %d bytes, found %s",
                               MIM_STATS_MAX_NAME, mim_parser_quote(begin, end, quote));
    *key = (mim_key){.name = mim_stats_keep_text(parser->stats, begin, (size_t)(name_end - begin)),
                     .unit = no_unit};
    *is_slow = false;
    if (!key->name)
        return mim_fail(MIM_ENOMEM, "%s: header", parser->path);
    while (comma) {
        const char *option = comma + 1;
        comma = memchr(option, ',', (size_t)(end - option));
        int rc = parse_option(parser, option, comma ? comma : end, key, is_slow);
        if (rc != MIM_OK)
            return rc;
    }
    return MIM_OK;
}

static int add_key(mim_parser *parser, mim_type *type, const mim_key *key, bool is_slow)
{
    if (type->n_keys == MIM_STATS_MAX_KEYS)
        return mim_parser_fail(parser, "type %s has more than %d keys", type->name,
                               MIM_STATS_MAX_KEYS);
    for (size_t i = 0; i < type->n_keys; i++)
        if (strcmp(type->keys[i].name, key->name) == 0)
            return mim_parser_fail(parser, "type %s has key %s twice", type->name, key->name);
    if (!is_slow)
        type->fast_keys[type->n_fast++] = (uint16_t)type->n_keys;
    type->keys[type->n_keys++] = *key;
    return MIM_OK;
}

static int parse_keys(mim_parser *parser, const char *p, const char *end, mim_type *type)
{
    const char *word, *word_end;
    size_t n_words = 0;
    for (const char *q = p; next_word(&q, end, &word, &word_end);)
        n_words++;
    if (n_words > MIM_STATS_MAX_KEYS)
        n_words = MIM_STATS_MAX_KEYS;
    type->keys = calloc(n_words + 1, sizeof *type->keys);
    type->fast_keys = calloc(n_words + 1, sizeof *type->fast_keys);
    if (!type->keys || !type->fast_keys)
        return mim_fail(MIM_ENOMEM, "%s: header", parser->path);
    while (next_word(&p, end, &word, &word_end)) {
        mim_key key;
        bool is_slow;
        int rc = parse_key(parser, word, word_end, &key, &is_slow);
        if (rc == MIM_OK)
            rc = add_key(parser, type, &key, is_slow);
        if (rc != MIM_OK)
            return rc;
    }
    return MIM_OK;
}

static bool same_schema(const mim_type *a, const mim_type *b)
{
    if (a->n_keys != b->n_keys || a->n_fast != b->n_fast)
        return false;
    for (size_t i = 0; i < a->n_keys; i++) {
        const mim_key *k = &a->keys[i], *l = &b->keys[i];
        if (strcmp(k->name, l->name) != 0 || strcmp(k->unit, l->unit) != 0 || k->kind != l->kind ||
            k->width_bits != l->width_bits)
            return false;
    }
    return memcmp(a->fast_keys, b->fast_keys, a->n_fast * sizeof *a->fast_keys) == 0;
}

static int add_type(mim_parser *parser, mim_type *type)
{
    mim_stats *stats = parser->stats;
    size_t known = mim_stats_type_lookup(stats, type->name, type->name_length);
    if (known != SIZE_MAX) {
        if (!same_schema(&stats->types[known], type))
            return mim_parser_fail(parser, "type %s is declared again with other keys", type->name);
        free(type->keys);
        free(type->fast_keys);
        *type = (mim_type){0};
        return MIM_OK;
    }
    if (stats->n_types == MIM_STATS_MAX_TYPES)
        return mim_parser_fail(parser, "more than %d types", MIM_STATS_MAX_TYPES);
    void *items = stats->types;
    int rc =
        mim_stats_grow(&items, &stats->types_capacity, stats->n_types + 1, sizeof *stats->types);
    stats->types = items;
    if (rc != MIM_OK)
        return rc;
    stats->types[stats->n_types++] = *type;
    *type = (mim_type){0};
    return MIM_OK;
}

int mim_parser_schema(mim_parser *parser, const char *begin, const char *end)
{
    mim_type type = {0};
    const char *p = begin + 1, *name, *name_end;
    if (!next_word(&p, end, &name, &name_end) || name_end - name > MIM_STATS_MAX_NAME)
        return mim_parser_fail(parser, "expected a type's name of 1 to %d bytes after !",
                               MIM_STATS_MAX_NAME);
    if (!isalpha((unsigned char)*name) && *name != '_')
        return mim_parser_fail(parser, "a type's name begins with a letter or _");
    type.name_length = without_host(&name, (size_t)(name_end - name));
    type.name = mim_stats_keep_text(parser->stats, name, type.name_length);
    int rc = type.name ? parse_keys(parser, p, end, &type)
                       : mim_fail(MIM_ENOMEM, "%s: header", parser->path);
    if (rc == MIM_OK)
        rc = add_type(parser, &type);
    free(type.keys);
    free(type.fast_keys);
    return rc;
}
