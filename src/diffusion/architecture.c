#include "diffusion/architecture.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

typedef enum { COUNT, REAL, FLAG, WORD, TEXT } field_type;

typedef struct field {
    const char *name;
    field_type type;
    size_t offset;
    unsigned kinds;           /* bits of those that look at it; 0: of the domain */
    const char *const *words; /* WORD: of the values 0, 1, ...; ended by NULL */
} field;

enum {
    OF_DOMAIN = 0,
    THREAD = 1 << MIM_NETWORK_THREAD_TOKEN,
    CELL = 1 << MIM_NETWORK_CELL_TOKEN,
    UNET = 1 << MIM_NETWORK_UNET,
    ALL = THREAD | CELL | UNET,
    CONTEXT = CELL | UNET, /* those that have one */
};

static const char *const kinds[] = {[MIM_NETWORK_THREAD_TOKEN] = "thread_token",
                                    [MIM_NETWORK_CELL_TOKEN] = "cell_token",
                                    [MIM_NETWORK_UNET] = "unet",
                                    NULL};
_Static_assert(sizeof kinds / sizeof *kinds == MIM_N_NETWORKS + 1, "a word a kind");

static const char *const encoders[] = {[MIM_CONTEXT_METRICS_ONLY] = "metrics_only",
                                       [MIM_CONTEXT_CONCAT] = "concat",
                                       [MIM_CONTEXT_CONCAT_SYM] = "concat_sym",
                                       [MIM_CONTEXT_PREV_SUMS] = "prev_sums",
                                       [MIM_CONTEXT_RESIDUAL_PREV] = "residual_prev",
                                       [MIM_CONTEXT_ADDITION] = "addition",
                                       [MIM_CONTEXT_GATED] = "gated",
                                       [MIM_CONTEXT_FILM] = "film",
                                       [MIM_CONTEXT_PER_POSITION] = "per_position",
                                       [MIM_CONTEXT_TRANSFORMER_METRICS_ONLY] =
                                           "transformer_metrics_only",
                                       [MIM_CONTEXT_TRANSFORMER] = "transformer",
                                       [MIM_CONTEXT_TRANSFORMER_FULL] = "transformer_full",
                                       [MIM_CONTEXT_TRANSFORMER_TOKENS] = "transformer_tokens",
                                       [MIM_CONTEXT_CONCAT_TRANSFORMER] = "concat_transformer",
                                       NULL};
_Static_assert(sizeof encoders / sizeof *encoders == MIM_N_CONTEXTS + 1, "a word an encoder");

static const char *const previous_modes[] = {
    [MIM_PREVIOUS_NONE] = "none", [MIM_PREVIOUS_TOKEN] = "token", NULL};

static const char *const thread_modes[] = {[MIM_THREAD_NONE] = "none",
                                           [MIM_THREAD_BIAS] = "bias",
                                           [MIM_THREAD_FILM] = "film",
                                           [MIM_THREAD_FILM_ENC] = "film_enc",
                                           NULL};

#define AT(member) offsetof(mim_architecture, member)

static const field fields[] = {
    {"kind", WORD, AT(kind), ALL, kinds},
    {"stressors", COUNT, AT(n_stressors), OF_DOMAIN, NULL},
    {"threads", COUNT, AT(n_threads), OF_DOMAIN, NULL},
    {"node_metrics", COUNT, AT(n_node_metrics), OF_DOMAIN, NULL},
    {"sockets", COUNT, AT(n_sockets), OF_DOMAIN, NULL},
    {"width", COUNT, AT(width), ALL, NULL},
    {"blocks", COUNT, AT(n_blocks), THREAD | CELL, NULL},
    {"heads", COUNT, AT(n_heads), ALL, NULL},
    {"mlp_ratio", COUNT, AT(mlp_ratio), THREAD | CELL, NULL},
    {"dropout", REAL, AT(dropout), CONTEXT, NULL},
    {"head_width", COUNT, AT(head_width), UNET, NULL},
    {"multipliers", TEXT, AT(multipliers), UNET, NULL},
    {"pointwise", FLAG, AT(is_pointwise), UNET, NULL},
    {"encoder", WORD, AT(encoder), CONTEXT, encoders},
    {"encoder_width", COUNT, AT(encoder_width), CONTEXT, NULL},
    {"context_width", COUNT, AT(context_width), CONTEXT, NULL},
    {"encoder_blocks", COUNT, AT(encoder_blocks), CONTEXT, NULL},
    {"encoder_heads", COUNT, AT(encoder_heads), CONTEXT, NULL},
    {"encoder_ratio", COUNT, AT(encoder_ratio), CONTEXT, NULL},
    {"encoder_dropout", REAL, AT(encoder_dropout), CONTEXT, NULL},
    {"metric_masks", FLAG, AT(has_masks), CONTEXT, NULL},
    {"previous", WORD, AT(previous), CELL, previous_modes},
    {"freeze_previous", FLAG, AT(is_previous_frozen), CONTEXT, NULL},
    {"thread_condition", WORD, AT(thread), CONTEXT, thread_modes},
    {"quiet_rows", TEXT, AT(quiet_rows), CELL, NULL},
};

size_t mim_architecture_n_fields(void) { return sizeof fields / sizeof *fields; }

const char *mim_architecture_field(size_t i) { return fields[i].name; }

bool mim_architecture_is_of_domain(size_t i) { return fields[i].kinds == OF_DOMAIN; }

bool mim_architecture_is_of_kind(size_t i, mim_network_name kind)
{
    return fields[i].kinds == OF_DOMAIN || (fields[i].kinds >> kind & 1u);
}

/* Enumerations are ints or unsigned ints, as the compiler likes. */
static unsigned word_at(const void *place)
{
    unsigned value;
    memcpy(&value, place, sizeof value);
    return value;
}

/* As short as it can be read again. */
static void put_real(double value, char text[MIM_ARCHITECTURE_TEXT_BYTES])
{
    const size_t size = MIM_ARCHITECTURE_TEXT_BYTES;
    snprintf(text, size, "%.15g", value);
    if (strtod(text, NULL) < value || strtod(text, NULL) > value)
        snprintf(text, size, "%.17g", value);
}

void mim_architecture_text(const mim_architecture *a, size_t i,
                           char text[MIM_ARCHITECTURE_TEXT_BYTES])
{
    const void *place = (const char *)a + fields[i].offset;
    const size_t size = MIM_ARCHITECTURE_TEXT_BYTES;
    switch (fields[i].type) {
    case COUNT:
        snprintf(text, size, "%zu", *(const size_t *)place);
        break;
    case REAL:
        put_real(*(const double *)place, text);
        break;
    case FLAG:
        snprintf(text, size, "%s", *(const bool *)place ? "true" : "false");
        break;
    case WORD:
        snprintf(text, size, "%s", fields[i].words[word_at(place)]);
        break;
    case TEXT:
        snprintf(text, size, "%s", (const char *)place);
        break;
    }
}

static int set_word(const field *f, const char *text, void *place)
{
    for (unsigned i = 0; f->words[i]; i++)
        if (strcmp(f->words[i], text) == 0) {
            memcpy(place, &i, sizeof i);
            return MIM_OK;
        }
    return mim_fail(MIM_EDATA, "%s \"%.40s\" is not known", f->name, text);
}

static int set_count(const char *name, const char *text, size_t *count)
{
    int64_t value = 0;
    const int rc = mim_parse_i64(name, text, 0, INT32_MAX, &value);
    if (rc == MIM_OK)
        *count = (size_t)value;
    return rc;
}

static int set_text(const char *name, const char *text, char *place)
{
    if (strlen(text) >= MIM_NETWORK_MAX_TEXT)
        return mim_fail(MIM_EDATA, "%s: expected at most %d characters", name,
                        MIM_NETWORK_MAX_TEXT - 1);
    strcpy(place, text);
    return MIM_OK;
}

static int set_field(const field *f, const char *text, void *place)
{
    switch (f->type) {
    case COUNT:
        return set_count(f->name, text, place);
    case REAL:
        return mim_parse_real(f->name, text, -1e300, 1e300, place);
    case FLAG:
        return mim_parse_bool(f->name, text, place);
    case TEXT:
        return set_text(f->name, text, place);
    case WORD:
        break;
    }
    return set_word(f, text, place);
}

int mim_architecture_set(mim_architecture *a, const char *name, const char *text)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].name, name) == 0)
            return set_field(&fields[i], text, (char *)a + fields[i].offset) == MIM_OK
                       ? MIM_OK
                       : mim_fail_in(MIM_EDATA, "network");
    return mim_fail(MIM_EDATA, "network: a setting \"%.40s\" is not known", name);
}

/* One of the parts between commas: a row or a range. */
static int name_rows(char *part, size_t n, unsigned char *is_named)
{
    int64_t from = 0, to = 0;
    char *dash = strchr(part, '-');
    const int64_t most = n > 0 ? (int64_t)n - 1 : 0;
    if (dash)
        *dash++ = '\0';
    int rc = mim_parse_i64("row", part, 0, most, &from);
    if (rc == MIM_OK)
        rc = mim_parse_i64("row", dash ? dash : part, from, most, &to);
    for (int64_t i = from; rc == MIM_OK && is_named && i <= to; i++)
        is_named[i] = 1;
    return rc;
}

int mim_architecture_rows(const char *text, size_t n, unsigned char *is_named)
{
    int rc = MIM_OK;
    if (is_named)
        memset(is_named, 0, n);
    for (const char *at = *text ? text : NULL; rc == MIM_OK && at;) {
        char part[MIM_NETWORK_MAX_TEXT];
        const size_t length = strcspn(at, ",");
        if (length >= sizeof part)
            return mim_fail(MIM_EINVAL, "network: rows \"%.40s...\": too long", text);
        memcpy(part, at, length);
        part[length] = '\0';
        rc = name_rows(part, n, is_named);
        at = at[length] ? at + length + 1 : NULL;
    }
    return rc == MIM_OK ? MIM_OK : mim_fail_in(MIM_EINVAL, "network: rows \"%s\"", text);
}

size_t mim_architecture_difference(const mim_architecture *a, const mim_architecture *b)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char of_a[MIM_ARCHITECTURE_TEXT_BYTES], of_b[MIM_ARCHITECTURE_TEXT_BYTES];
        mim_architecture_text(a, i, of_a);
        mim_architecture_text(b, i, of_b);
        if (strcmp(of_a, of_b) != 0)
            return i;
    }
    return SIZE_MAX;
}
