#include "diffusion/architecture.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"

typedef enum { COUNT, WORD } field_type;

typedef struct field {
    const char *name;
    field_type type;
    size_t offset;
    bool is_of_domain;
    const char *const *words; /* WORD: of the values 0, 1, ...; ended by NULL */
} field;

static const char *const kinds[] = {[MIM_NETWORK_THREAD_TOKEN] = "thread_token", NULL};

#define AT(member) offsetof(mim_architecture, member)

static const field fields[] = {
    {"kind", WORD, AT(kind), false, kinds},
    {"stressors", COUNT, AT(n_stressors), true, NULL},
    {"threads", COUNT, AT(n_threads), true, NULL},
    {"node_metrics", COUNT, AT(n_node_metrics), true, NULL},
    {"sockets", COUNT, AT(n_sockets), true, NULL},
    {"width", COUNT, AT(width), false, NULL},
    {"blocks", COUNT, AT(n_blocks), false, NULL},
    {"heads", COUNT, AT(n_heads), false, NULL},
    {"mlp_ratio", COUNT, AT(mlp_ratio), false, NULL},
};

size_t mim_architecture_n_fields(void) { return sizeof fields / sizeof *fields; }

const char *mim_architecture_field(size_t i) { return fields[i].name; }

bool mim_architecture_is_of_domain(size_t i) { return fields[i].is_of_domain; }

/* Enumerations are ints or unsigned ints, as the compiler likes. */
static unsigned word_at(const void *place)
{
    unsigned value;
    memcpy(&value, place, sizeof value);
    return value;
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
    case WORD:
        snprintf(text, size, "%s", fields[i].words[word_at(place)]);
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
    return mim_fail(MIM_EDATA, "network: %s \"%.40s\" is not known", f->name, text);
}

static int set_count(const field *f, const char *text, void *place)
{
    int64_t value = 0;
    if (mim_parse_i64(f->name, text, 0, INT32_MAX, &value) != MIM_OK)
        return mim_fail_in(MIM_EDATA, "network");
    *(size_t *)place = (size_t)value;
    return MIM_OK;
}

int mim_architecture_set(mim_architecture *a, const char *name, const char *text)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const field *f = &fields[i];
        void *place = (char *)a + f->offset;
        if (strcmp(f->name, name) == 0)
            return f->type == WORD ? set_word(f, text, place) : set_count(f, text, place);
    }
    return mim_fail(MIM_EDATA, "network: a setting \"%.40s\" is not known", name);
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
