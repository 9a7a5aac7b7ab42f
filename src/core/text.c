#include "core/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int mim_parse_i64(const char *what, const char *text, int64_t min, int64_t max, int64_t *value)
{
    const char *digits = text + (*text == '-' || *text == '+');
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)*digits) || *end)
        return mim_fail(MIM_EUSAGE, "%s: expected a whole number, found \"%s\"", what, text);
    if (errno == ERANGE || v < min || v > max)
        return mim_fail(MIM_EUSAGE, "%s: expected %lld to %lld, found %s", what, (long long)min,
                        (long long)max, text);
    *value = v;
    return MIM_OK;
}

int mim_parse_real(const char *what, const char *text, double min, double max, double *value)
{
    char *end = NULL;
    double v = strtod(text, &end);
    bool is_decimal = *text && strspn(text, "0123456789.+-eE") == strlen(text);
    if (!is_decimal || end == text || *end)
        return mim_fail(MIM_EUSAGE, "%s: expected a number, found \"%s\"", what, text);
    if (!isfinite(v) || v < min || v > max)
        return mim_fail(MIM_EUSAGE, "%s: expected %.16g to %.16g, found %s", what, min, max, text);
    *value = v;
    return MIM_OK;
}

int mim_parse_bytes(const char *what, const char *text, uint64_t *value)
{
    static const char suffixes[] = "KMGT";
    char *end = NULL;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    int shift = 0;
    bool is_good = isdigit((unsigned char)*text), is_too_large = errno == ERANGE;
    if (is_good && *end) {
        const char *at = strchr(suffixes, toupper((unsigned char)*end));
        is_good =
            at && (end[1] == 0 || strcasecmp(end + 1, "iB") == 0 || strcasecmp(end + 1, "B") == 0);
        shift = at ? 10 * (int)(at - suffixes + 1) : 0;
    }
    if (!is_good)
        return mim_fail(MIM_EUSAGE, "%s: expected bytes such as 512M or 16G, found \"%s\"", what,
                        text);
    if (is_too_large || v > UINT64_MAX >> shift)
        return mim_fail(MIM_EUSAGE, "%s: %s is more than 64 bits hold", what, text);
    *value = (uint64_t)v << shift;
    return MIM_OK;
}

int mim_parse_bool(const char *what, const char *text, bool *value)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *value = strcasecmp(text, yes[i]) == 0;
            return MIM_OK;
        }
    }
    return mim_fail(MIM_EUSAGE, "%s: expected true or false, found \"%s\"", what, text);
}

const char *mim_bytes_text(double bytes, char text[MIM_BYTES_TEXT_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (fabs(bytes) >= 1024.0 && unit < 4) {
        bytes /= 1024.0;
        unit++;
    }
    snprintf(text, MIM_BYTES_TEXT_BYTES, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

void mim_make_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127)
            *text = '?';
}

char *mim_format(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n >= 0 ? malloc((size_t)n + 1) : NULL;
    if (text)
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

char *mim_strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = malloc(n);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

char *mim_join_path(const char *folder, const char *name)
{
    size_t n = strlen(folder);
    return mim_format(n && folder[n - 1] == '/' ? "%s%s" : "%s/%s", folder, name);
}

const char *mim_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool mim_has_suffix(const char *text, const char *suffix)
{
    size_t n = strlen(text), n_suffix = strlen(suffix);
    return n > n_suffix && strcmp(text + n - n_suffix, suffix) == 0;
}

uint64_t mim_hash_text(uint64_t hash, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

enum { LONGEST_NAME = 127 };

size_t mim_edit_distance(const char *a, const char *b)
{
    size_t n_a = strlen(a), n_b = strlen(b), rows[3][LONGEST_NAME + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2]; /* of a's last letters */
    if (n_a > LONGEST_NAME || n_b > LONGEST_NAME)
        return SIZE_MAX;
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            bool is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (is_swap && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return row[n_b];
}

size_t mim_typing_errors(const char *name) { return strlen(name) / 3 + 1; }

const char *mim_closest(const char *name, const char *const *names, size_t n)
{
    const char *closest = NULL;
    size_t smallest = mim_typing_errors(name) + 1;
    for (size_t i = 0; i < n; i++) {
        size_t distance = mim_edit_distance(name, names[i]);
        if (distance < smallest) {
            smallest = distance;
            closest = names[i];
        }
    }
    return closest;
}
