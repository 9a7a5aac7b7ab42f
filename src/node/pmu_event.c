#include "node/pmu_event.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BITS = 64, MAX_CPU = 1 << 16, MAX_SHOWN = 60 };

static int bad(const char *what, const char *text)
{
    return mim_fail(MIM_EDATA, "%s, found \"%.*s\"", what, MAX_SHOWN, text);
}

static bool is_end(const char *p) { return *p == 0 || (p[0] == '\n' && p[1] == 0); }

/* Decimal digits up to `max`; nothing changes when there are none or too large a number. */
static bool scan_small(const char **text, unsigned max, unsigned *value)
{
    const char *p = *text;
    unsigned v = 0;

    if (!isdigit((unsigned char)*p))
        return false;
    for (; isdigit((unsigned char)*p); p++) {
        v = v * 10 + (unsigned)(*p - '0');
        if (v > max)
            return false;
    }
    *value = v;
    *text = p;
    return true;
}

/* "5" or "0-7". */
static bool scan_range(const char **text, unsigned max, unsigned *low, unsigned *high)
{
    if (!scan_small(text, max, low))
        return false;
    *high = *low;
    if (**text != '-')
        return true;
    ++*text;
    return scan_small(text, max, high) && *high >= *low;
}

/* ---- formats ----------------------------------------------------------------------------------
 */

int mim_pmu_field_parse(const char *text, mim_pmu_field *field)
{
    static const char what[] = "expected a format such as \"config:0-7,32-35\"";
    static const char prefix[] = "config";
    mim_pmu_field f = {.word = 0};
    const char *p = text + strlen(prefix);

    if (strncmp(text, prefix, strlen(prefix)) != 0)
        return bad(what, text);
    if (isdigit((unsigned char)*p) && !scan_small(&p, 9, &f.word))
        return bad(what, text);
    if (*p != ':')
        return bad(what, text);
    do {
        unsigned low, high;
        p++;
        if (!scan_range(&p, WORD_BITS - 1, &low, &high))
            return bad(what, text);
        uint64_t bits = (UINT64_MAX >> (WORD_BITS - 1 - (high - low))) << low;
        if (f.mask & bits)
            return bad("expected a format that names each bit once", text);
        f.mask |= bits;
    } while (*p == ',');
    if (!is_end(p))
        return bad(what, text);
    if (f.word > 2)
        return mim_fail(MIM_EUNSUP, "format in word config%u", f.word);
    *field = f;
    return MIM_OK;
}

unsigned mim_pmu_field_bits(const mim_pmu_field *field)
{
    unsigned n = 0;

    for (uint64_t mask = field->mask; mask; mask &= mask - 1)
        n++;
    return n;
}

int mim_pmu_field_put(const mim_pmu_field *field, uint64_t value, mim_perf_event *event)
{
    uint64_t *words[] = {&event->config, &event->config1, &event->config2};
    uint64_t placed = 0, rest = value;

    for (unsigned bit = 0; bit < WORD_BITS; bit++) {
        if (!(field->mask >> bit & 1))
            continue;
        placed |= (rest & 1) << bit;
        rest >>= 1;
    }
    if (rest)
        return mim_fail(MIM_EDATA, "0x%llx does not fit the %u bits of its format",
                        (unsigned long long)value, mim_pmu_field_bits(field));
    *words[field->word] = (*words[field->word] & ~field->mask) | placed;
    return MIM_OK;
}

/* ---- events -----------------------------------------------------------------------------------
 */

/* "0x3f" or "63", nothing else: no sign, and no leading 0 that some read as octal. */
static bool scan_value(const char **text, uint64_t *value)
{
    const bool is_hex = strncmp(*text, "0x", 2) == 0;
    const char *p = *text + (is_hex ? 2 : 0);
    char *end;

    if (!(is_hex ? isxdigit((unsigned char)*p) : isdigit((unsigned char)*p)) ||
        (!is_hex && p[0] == '0' && isdigit((unsigned char)p[1])))
        return false;
    errno = 0;
    unsigned long long v = strtoull(p, &end, is_hex ? 16 : 10);
    if (errno)
        return false;
    *value = v;
    *text = end;
    return true;
}

static bool scan_term(const char **text, mim_pmu_term *term)
{
    const char *p = *text;
    size_t n = 0;

    while (isalnum((unsigned char)p[n]) || p[n] == '_')
        n++;
    if (n == 0 || n >= sizeof term->name)
        return false;
    memcpy(term->name, p, n);
    term->name[n] = 0;
    term->value = 1;
    p += n;
    if (*p == '=') {
        p++;
        if (!scan_value(&p, &term->value))
            return false;
    }
    *text = p;
    return true;
}

int mim_pmu_terms_parse(const char *text, mim_pmu_term terms[MIM_PMU_MAX_TERMS], size_t *n_terms)
{
    mim_pmu_term found[MIM_PMU_MAX_TERMS];
    const char *p = text;
    size_t n = 0;

    for (;; p++) {
        if (n == MIM_PMU_MAX_TERMS)
            return mim_fail(MIM_EUNSUP, "an event of more than %d terms", MIM_PMU_MAX_TERMS);
        if (!scan_term(&p, &found[n]))
            return bad("expected an event such as \"event=0x04,umask=0x03\"", text);
        for (size_t i = 0; i < n; i++)
            if (strcmp(found[i].name, found[n].name) == 0)
                return bad("expected an event that has each term once", text);
        n++;
        if (*p != ',')
            break;
    }
    if (!is_end(p))
        return bad("expected an event such as \"event=0x04,umask=0x03\"", text);
    memcpy(terms, found, n * sizeof *terms);
    *n_terms = n;
    return MIM_OK;
}

int mim_pmu_scale_parse(const char *text, double *scale)
{
    static const char what[] = "expected a scale such as \"6.103515625e-5\"";
    char *end;

    if (!isdigit((unsigned char)text[0]) || text[strspn(text, "0123456789.eE+-\n")] != 0)
        return bad(what, text); /* no hexadecimal, no inf */
    double value = strtod(text, &end);
    if (!is_end(end) || !(value > 0) || !isfinite(value))
        return bad(what, text);
    *scale = value;
    return MIM_OK;
}

/* ---- lists of CPUs ----------------------------------------------------------------------------
 */

int mim_cpu_list_parse(const char *text, size_t max, int *cpus, size_t *n_cpus)
{
    static const char what[] = "expected rising CPU numbers such as \"0-3,8\"";
    const char *p = text;
    size_t n = 0;

    while (!is_end(p)) {
        unsigned low, high;
        if (!scan_range(&p, MAX_CPU - 1, &low, &high) || (n > 0 && (int)low <= cpus[n - 1]))
            return bad(what, text);
        if (high - low >= max - n)
            return mim_fail(MIM_EUNSUP, "more than %zu CPUs", max);
        for (unsigned cpu = low; cpu <= high; cpu++)
            cpus[n++] = (int)cpu;
        if (*p == ',' && !is_end(p + 1))
            p++;
        else if (!is_end(p))
            return bad(what, text);
    }
    *n_cpus = n;
    return MIM_OK;
}
