#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/text.h"
#include "trace/stats_internal.h"

int mim_parser_fail(const mim_parser *parser, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *p = text; *p; p++) /* names come from the file */
        if (!isprint((unsigned char)*p))
            *p = '?';
    return mim_fail(MIM_EDATA, "%s: line %zu: %s", parser->path, parser->line, text);
}

const char *mim_parser_quote(const char *begin, const char *end, char text[MIM_STATS_QUOTE_BYTES])
{
    size_t n = (size_t)(end - begin), out = 0;
    if (n == 0)
        return "nothing";
    text[out++] = '\'';
    for (size_t i = 0; i < n && i < 40; i++)
        text[out++] = isprint((unsigned char)begin[i]) ? begin[i] : '?';
    if (n > 40)
        for (int i = 0; i < 3; i++)
            text[out++] = '.';
    text[out++] = '\'';
    text[out] = '\0';
    return text;
}

/* ---- time stamp lines -------------------------------------------------------------------------
 */

/* "1700000000.123456": exact to the microsecond, which a double holds until the year 5138. */
static const char *parse_time(const char *p, const char *end, double *time_s)
{
    const char *begin = p;
    uint64_t seconds = 0, fraction = 0, scale = 1;
    for (; p < end && isdigit((unsigned char)*p) && p - begin < 12; p++)
        seconds = seconds * 10 + (uint64_t)(*p - '0');
    if (p == begin || seconds > UINT64_C(99999999999))
        return NULL;
    if (p < end && *p == '.') {
        for (p++; p < end && isdigit((unsigned char)*p); p++) {
            if (scale < UINT64_C(1000000)) {
                fraction = fraction * 10 + (uint64_t)(*p - '0');
                scale *= 10;
            }
        }
    }
    if (p < end && *p != ' ' && *p != '\t')
        return NULL;
    while (scale < UINT64_C(1000000)) {
        fraction *= 10;
        scale *= 10;
    }
    *time_s = (double)(seconds * UINT64_C(1000000) + fraction) / 1e6;
    return p;
}

static int keep_job(mim_parser *parser, const char *begin, const char *end)
{
    size_t length = (size_t)(end - begin);
    if (parser->last_job && parser->last_job_length == length &&
        memcmp(parser->last_job, begin, length) == 0)
        return MIM_OK;
    if (length > MIM_STATS_MAX_NAME)
        return mim_parser_fail(parser, "a job id of %zu bytes, more than %d", length,
                               MIM_STATS_MAX_NAME);
    parser->last_job = mim_stats_keep_text(parser->stats, begin, length);
    parser->last_job_length = length;
    return parser->last_job ? MIM_OK : mim_fail(MIM_ENOMEM, "%s: job id", parser->path);
}

static int parse_record(mim_parser *parser, const char *begin, const char *end)
{
    mim_stats *stats = parser->stats;
    char quote[MIM_STATS_QUOTE_BYTES];
    double time_s = 0.0;
    const char *p = parse_time(begin, end, &time_s);
    if (!p)
        return mim_parser_fail(parser, "expected seconds since the epoch, job and host, found %s",
                               mim_parser_quote(begin, end, quote));
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    const char *job = p;
    while (p < end && *p != ' ' && *p != '\t')
        p++;
    if (p == job)
        return mim_parser_fail(parser, "expected a job id after the time stamp");
    if (stats->n_records > 0 && time_s < stats->records[stats->n_records - 1].time_s)
        return mim_parser_fail(parser, "time goes back by %.6f s",
                               stats->records[stats->n_records - 1].time_s - time_s);
    int rc = keep_job(parser, job, p);
    if (rc != MIM_OK)
        return rc;
    void *items = stats->records; /* one more is kept free for the end */
    rc = mim_stats_grow(&items, &stats->records_capacity, stats->n_records + 2,
                        sizeof *stats->records);
    stats->records = items;
    if (rc != MIM_OK)
        return rc;
    stats->records[stats->n_records++] = (mim_record){.time_s = time_s,
                                                      .first_row = stats->n_rows,
                                                      .first_mark = stats->n_marks,
                                                      .job = parser->last_job};
    parser->guess = 0;
    return MIM_OK;
}

static int parse_mark(mim_parser *parser, const char *begin, const char *end)
{
    mim_stats *stats = parser->stats;
    if (stats->n_records == 0)
        return mim_parser_fail(parser, "a mark before the first time stamp");
    void *items = stats->marks;
    int rc =
        mim_stats_grow(&items, &stats->marks_capacity, stats->n_marks + 1, sizeof *stats->marks);
    stats->marks = items;
    if (rc != MIM_OK)
        return rc;
    const char *text = mim_stats_keep_text(stats, begin + 1, (size_t)(end - begin - 1));
    if (!text)
        return mim_fail(MIM_ENOMEM, "%s: marks", parser->path);
    stats->marks[stats->n_marks++] = text;
    return MIM_OK;
}

/* ---- lines ------------------------------------------------------------------------------------
 */

/* The text of the line at p without its line feed; moves p behind it. */
static int take_line(mim_parser *parser, const char **begin, const char **end)
{
    const char *p = parser->p, *q = memchr(p, '\n', (size_t)(parser->end - p));
    if (q - p > MIM_STATS_MAX_LINE)
        return mim_parser_fail(parser, "a line of %zu bytes, more than %d", (size_t)(q - p),
                               MIM_STATS_MAX_LINE);
    if (memchr(p, '\0', (size_t)(q - p)))
        return mim_parser_fail(parser, "a byte 0 in the line");
    parser->p = q + 1;
    *begin = p;
    *end = q > p && q[-1] == '\r' ? q - 1 : q;
    return MIM_OK;
}

/* What printf makes of a time that is none, where a time stamp is expected; a type may be called
 * so. */
static bool is_no_number(const mim_parser *parser)
{
    static const char *const words[] = {"nan ", "inf ", "-nan ", "-inf ", "infinity "};
    char name[10];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(parser->end - parser->p) < n || strncasecmp(parser->p, words[i], n) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(n - 1), parser->p);
        return mim_stats_find_type(parser->stats, name) == SIZE_MAX;
    }
    return false;
}

static int parse_line(mim_parser *parser)
{
    char c = *parser->p, quote[MIM_STATS_QUOTE_BYTES];
    if (strchr("nNiI-", c) && is_no_number(parser))
        return mim_parser_fail(parser, "a time stamp that is no number: expected seconds since the "
                                       "epoch");
    if (isalpha((unsigned char)c) || c == '_')
        return mim_parser_row(parser);
    const char *begin, *end;
    int rc = take_line(parser, &begin, &end);
    if (rc != MIM_OK || begin == end)
        return rc;
    if (isdigit((unsigned char)c))
        return parse_record(parser, begin, end);
    switch (c) {
    case '%':
        return parse_mark(parser, begin, end);
    case '!':
        return mim_parser_schema(parser, begin, end);
    case '$':
        return parser->stats->n_records == 0 ? mim_parser_property(parser, begin, end) : MIM_OK;
    case '#':
    case '@':
        return MIM_OK;
    default:
        return mim_parser_fail(parser, "expected a time stamp, a row, or $ ! %% # @, found %s",
                               mim_parser_quote(begin, end, quote));
    }
}

static int parse_first_line(mim_parser *parser)
{
    const char *begin, *end;
    int rc;
    do {
        rc = take_line(parser, &begin, &end);
    } while (rc == MIM_OK && begin == end && parser->p < parser->end && parser->line++);
    if (rc == MIM_OK)
        rc = mim_parser_first_line(parser, begin, end);
    if (rc == MIM_OK)
        rc = mim_parser_property(parser, begin, end);
    parser->line++;
    return rc;
}

/* Gives back what the growing arrays have too much. */
static void trim(void **items, size_t n, size_t size)
{
    void *smaller = realloc(*items, (n ? n : 1) * size);
    if (smaller)
        *items = smaller;
}

static int finish(mim_parser *parser)
{
    mim_stats *stats = parser->stats;
    if (stats->n_records == 0)
        return mim_fail(MIM_EDATA, "%s: holds no record%s", parser->path,
                        stats->is_truncated ? ", its last line is cut" : ", only a header");
    stats->records[stats->n_records] =
        (mim_record){.first_row = stats->n_rows, .first_mark = stats->n_marks};
    void *items = stats->rows;
    trim(&items, stats->n_rows, sizeof *stats->rows);
    stats->rows = items;
    items = stats->values;
    trim(&items, stats->n_values, sizeof *stats->values);
    stats->values = items;
    return MIM_OK;
}

int mim_stats_parse(const char *path, const char *text, size_t n_bytes, mim_stats **stats)
{
    if (n_bytes == 0)
        return mim_fail(MIM_EDATA, "%s: empty, expected a stats text", path);
    mim_parser parser = {.path = path,
                         .p = text,
                         .line = 1,
                         .limit_bytes = mim_stats_memory_limit(),
                         .stats = calloc(1, sizeof(mim_stats))};
    if (!parser.stats)
        return mim_fail(MIM_ENOMEM, "%s: stats", path);
    size_t n_whole = n_bytes;
    while (n_whole > 0 && text[n_whole - 1] != '\n')
        n_whole--;
    char quote[MIM_STATS_QUOTE_BYTES];
    parser.end = text + n_whole;
    parser.stats->is_truncated = n_whole < n_bytes;
    int rc = n_whole > 0 ? parse_first_line(&parser)
                         : mim_fail(MIM_EDATA, "%s: no whole line, expected a stats text, found %s",
                                    path, mim_parser_quote(text, text + n_bytes, quote));
    for (; rc == MIM_OK && parser.p < parser.end; parser.line++)
        rc = parse_line(&parser);
    if (rc == MIM_OK)
        rc = finish(&parser);
    if (rc == MIM_OK) {
        *stats = parser.stats;
        parser.stats = NULL;
    }
    free(parser.states);
    mim_stats_destroy(&parser.stats);
    return rc;
}
