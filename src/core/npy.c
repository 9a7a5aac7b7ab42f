#include "core/npy.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are copied as they stand in the file: little-endian"
#endif

static const char magic[] = "\x93NUMPY";
enum { N_MAGIC = sizeof magic - 1, ALIGNMENT = 64 };

/* ---- the header ----------------------------------------------------------------------------- */

int mim_npy_n_head(const void *bytes, size_t n_bytes, size_t *n_head)
{
    const unsigned char *b = bytes;
    if (n_bytes < N_MAGIC + 4 || memcmp(b, magic, N_MAGIC) != 0)
        return mim_fail(MIM_EDATA, "expected a .npy array, which begins with \\x93NUMPY");
    const unsigned version = b[N_MAGIC], minor = b[N_MAGIC + 1];
    if ((version != 1 && version != 2) || minor != 0)
        return mim_fail(MIM_EDATA, ".npy of version %u.%u, expected 1.0 or 2.0", version, minor);
    size_t n = N_MAGIC + 4, length = b[8] | (size_t)b[9] << 8;
    if (version == 2) {
        if (n_bytes < N_MAGIC + 6)
            return mim_fail(MIM_EDATA, "the header of the .npy array is cut off");
        n = N_MAGIC + 6;
        length |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    }
    if (length > MIM_NPY_MAX_HEAD - n)
        return mim_fail(MIM_EDATA, "a header of %zu bytes, expected %zu at most", length,
                        MIM_NPY_MAX_HEAD - n);
    *n_head = n + length;
    return MIM_OK;
}

/* The text of a header that is still to be read. */
typedef struct reader {
    const char *at, *end;
} reader;

static void skip_blanks(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t'))
        r->at++;
}

/* Whether `c` comes next, after blanks; it is then behind us. */
static bool takes(reader *r, char c)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool takes_word(reader *r, const char *word)
{
    const size_t n = strlen(word);
    skip_blanks(r);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
        return false;
    r->at += n;
    return true;
}

/* A quoted text without escapes, cut to fit. */
static bool takes_text(reader *r, size_t n_max, char *text)
{
    const char quote = takes(r, '\'') ? '\'' : takes(r, '"') ? '"' : 0;
    size_t n = 0;
    if (!quote)
        return false;
    for (; r->at < r->end && *r->at != quote; r->at++) {
        if (*r->at == '\\' || *r->at == 0 || *r->at == '\n')
            return false;
        if (n + 1 < n_max)
            text[n++] = *r->at;
    }
    text[n] = 0;
    return takes(r, quote);
}

static bool takes_extent(reader *r, size_t *extent)
{
    size_t value = 0, n = 0;
    skip_blanks(r);
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++, n++) {
        if (value > (SIZE_MAX - 9) / 10)
            return false;
        value = value * 10 + (size_t)(*r->at - '0');
    }
    *extent = value;
    return n > 0;
}

static int fail_header(const reader *r, const char *expected)
{
    char found[16] = "";
    const size_t n = (size_t)(r->end - r->at);
    memcpy(found, r->at, n < sizeof found - 1 ? n : sizeof found - 1);
    return mim_fail(MIM_EDATA, "the .npy header: expected %s, found \"%s\"", expected, found);
}

static int parse_type(reader *r, mim_npy *a)
{
    char text[16];
    if (!takes_text(r, sizeof text, text))
        return fail_header(r, "a descr like '<f4' (floats, no records)");
    if (strcmp(text, "<f4") == 0)
        a->item_bytes = 4;
    else if (strcmp(text, "<f8") == 0)
        a->item_bytes = 8;
    else if (strcmp(text, "<f2") == 0)
        a->item_bytes = 2;
    else
        return mim_fail(MIM_EDATA, "values of type '%s', expected '<f4', '<f8' or '<f2'", text);
    return MIM_OK;
}

static int parse_shape(reader *r, mim_npy *a)
{
    a->rank = 0;
    if (!takes(r, '('))
        return fail_header(r, "a shape like (3, 4)");
    while (!takes(r, ')')) {
        if (a->rank == MIM_NPY_MAX_RANK)
            return mim_fail(MIM_EDATA, "an array of more than %d axes", MIM_NPY_MAX_RANK);
        if (!takes_extent(r, &a->shape[a->rank]))
            return fail_header(r, "an extent of the shape");
        a->rank++;
        const bool has_comma = takes(r, ',');
        skip_blanks(r);
        if (!has_comma && (a->rank == 1 || r->at == r->end || *r->at != ')'))
            return fail_header(r, "a comma in the shape");
    }
    return MIM_OK;
}

static int parse_value(reader *r, const char *key, unsigned *seen, bool *is_fortran, mim_npy *a)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    unsigned which = 0;
    while (which < 3 && strcmp(key, keys[which]) != 0)
        which++;
    if (which == 3)
        return mim_fail(MIM_EDATA, "the .npy header: unknown key '%s'", key);
    if (*seen & 1u << which)
        return mim_fail(MIM_EDATA, "the .npy header: '%s' stands there twice", key);
    *seen |= 1u << which;
    if (which == 0)
        return parse_type(r, a);
    if (which == 2)
        return parse_shape(r, a);
    *is_fortran = takes_word(r, "True");
    return *is_fortran || takes_word(r, "False") ? MIM_OK : fail_header(r, "True or False");
}

static int count_values(mim_npy *a)
{
    char text[MIM_NPY_SHAPE_BYTES];
    bool is_empty = false;
    size_t n = 1;
    for (size_t i = 0; i < a->rank; i++)
        is_empty = is_empty || a->shape[i] == 0;
    for (size_t i = 0; i < a->rank && !is_empty; i++) {
        if (a->shape[i] > SIZE_MAX / 2 / 8 / n)
            return mim_fail(MIM_EDATA, "shape %s: too many values",
                            mim_npy_shape_text(a->rank, a->shape, text));
        n *= a->shape[i];
    }
    a->n_values = is_empty ? 0 : n;
    return MIM_OK;
}

int mim_npy_parse(const void *bytes, size_t n_bytes, mim_npy *array)
{
    mim_npy a = {0};
    char key[32];
    unsigned seen = 0;
    bool is_fortran = false;
    int rc = mim_npy_n_head(bytes, n_bytes, &a.n_head);
    if (rc != MIM_OK)
        return rc;
    if (a.n_head > n_bytes)
        return mim_fail(MIM_EDATA, "the header of the .npy array is cut off");
    const char *text = bytes;
    reader r = {text + (text[N_MAGIC] == 1 ? N_MAGIC + 4 : N_MAGIC + 6), text + a.n_head};
    if (!takes(&r, '{'))
        return fail_header(&r, "a dictionary");
    while (!takes(&r, '}')) {
        if (!takes_text(&r, sizeof key, key) || !takes(&r, ':'))
            return fail_header(&r, "'key':");
        if ((rc = parse_value(&r, key, &seen, &is_fortran, &a)) != MIM_OK)
            return rc;
        const bool has_comma = takes(&r, ',');
        skip_blanks(&r);
        if (!has_comma && (r.at == r.end || *r.at != '}'))
            return fail_header(&r, "a comma or the end of the dictionary");
    }
    skip_blanks(&r);
    if (r.at != r.end)
        return fail_header(&r, "nothing after the dictionary");
    if (seen != 7)
        return mim_fail(MIM_EDATA, "the .npy header: expected descr, fortran_order and shape");
    if (is_fortran && a.rank > 1)
        return mim_fail(MIM_EDATA, "values in Fortran order, expected C order (as "
                                   "numpy.ascontiguousarray gives)");
    if ((rc = count_values(&a)) != MIM_OK)
        return rc;
    *array = a;
    return MIM_OK;
}

/* ---- values --------------------------------------------------------------------------------- */

/* IEEE 754 binary16. */
static double half_value(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double sign = bits >> 15 ? -1 : 1;
    if (exponent == 31)
        return fraction ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static double value_at(size_t item_bytes, const char *at)
{
    uint16_t half;
    float single;
    double wide;
    if (item_bytes == sizeof half) {
        memcpy(&half, at, sizeof half);
        return half_value(half);
    }
    if (item_bytes == sizeof single) {
        memcpy(&single, at, sizeof single);
        return (double)single;
    }
    memcpy(&wide, at, sizeof wide);
    return wide;
}

int mim_npy_floats(const mim_npy *array, const void *values, size_t n_bytes, float *floats)
{
    const char *at = values;
    if (n_bytes != array->n_values * array->item_bytes)
        return mim_fail(MIM_EDATA, "%zu bytes of values, expected %zu", n_bytes,
                        array->n_values * array->item_bytes);
    for (size_t i = 0; i < array->n_values; i++, at += array->item_bytes) {
        const double value = value_at(array->item_bytes, at);
        if (!isfinite((float)value))
            return mim_fail(MIM_EDATA, "value %zu is %g", i, value);
        floats[i] = (float)value;
    }
    return MIM_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

const char *mim_npy_shape_text(size_t rank, const size_t *shape, char text[MIM_NPY_SHAPE_BYTES])
{
    size_t n = 1;
    text[0] = '[';
    for (size_t i = 0; i < rank && i < MIM_NPY_MAX_RANK; i++)
        n += (size_t)snprintf(text + n, MIM_NPY_SHAPE_BYTES - n, "%s%zu", i ? ", " : "", shape[i]);
    snprintf(text + n, MIM_NPY_SHAPE_BYTES - n, "]");
    return text;
}

size_t mim_npy_put_head(size_t rank, const size_t *shape, char head[MIM_NPY_HEAD_BYTES])
{
    const size_t start = N_MAGIC + 4;
    char *text = head + start;
    size_t n = (size_t)snprintf(text, MIM_NPY_HEAD_BYTES - start,
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (size_t i = 0; i < rank && i < MIM_NPY_MAX_RANK; i++)
        n += (size_t)snprintf(text + n, MIM_NPY_HEAD_BYTES - start - n, "%s%zu", i ? ", " : "",
                              shape[i]);
    n += (size_t)snprintf(text + n, MIM_NPY_HEAD_BYTES - start - n, "%s), }", rank == 1 ? "," : "");
    while ((start + n + 1) % ALIGNMENT)
        text[n++] = ' ';
    text[n++] = '\n';
    memcpy(head, magic, N_MAGIC);
    head[N_MAGIC] = 1;
    head[N_MAGIC + 1] = 0;
    head[N_MAGIC + 2] = (char)(n & 255);
    head[N_MAGIC + 3] = (char)(n >> 8);
    return start + n;
}
