/* Configuration: one table of options per module feeds the ini parser, --set, --help,
 * --print-config and the man page.
 *
 * Order of sources, later wins: defaults, environment (for options that name a variable), ini file,
 * --set section.key=value. Values are parsed strictly: unknown sections or keys (with "did you
 * mean"), duplicates, wrong types and values out of range are MIM_EUSAGE, naming file, section and
 * key. */
#ifndef MIM_CORE_CONFIG_H
#define MIM_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"

typedef enum {
    MIM_OPTION_INT,  /* 64-bit */
    MIM_OPTION_REAL, /* finite double */
    MIM_OPTION_BOOL,
    MIM_OPTION_BYTES,  /* "16G" */
    MIM_OPTION_TEXT,   /* any text, may be empty */
    MIM_OPTION_CHOICE, /* one of the words in `choices` */
} mim_option_type;

typedef struct mim_option {
    const char *section;
    const char *key;
    mim_option_type type;
    const char *unit;    /* "" when dimensionless or text */
    const char *initial; /* default, as text */
    double min, max;     /* INT and REAL only */
    const char *choices; /* CHOICE only: "auto|direct|buffered" */
    const char *env;     /* environment variable or NULL */
    const char *help;    /* one sentence */
} mim_option;

/* What a value must be, as a new text for help and comments: "whole number 1 to 64, s". NULL when
 * out of memory; the caller frees it. */
char *mim_option_expected(const mim_option *option);

typedef struct mim_config mim_config;

/* `tables`: NULL-terminated list of arrays, each ended by an entry with a NULL section. Keeps the
 * pointers. Reads defaults and the environment. */
int mim_config_create(const mim_option *const *tables, mim_config **config);
void mim_config_destroy(mim_config **config);
/* One of its own that can be set further, e.g. to what follows from other settings. */
int mim_config_copy(const mim_config *config, mim_config **copy);
/* All of the file's settings, or none on failure (MIM_EIO: it cannot be read). "#" and
 * ";" begin a comment, also behind a value unless that is quoted. */
int mim_config_load(mim_config *config, const char *ini_path);
/* `assignment` is "section.key=value"; `source` names it in errors, e.g. "--set". */
int mim_config_set(mim_config *config, const char *source, const char *assignment);
/* The same for a flag that stands for a setting: `source` alone names it in errors, e.g. "--slot".
 */
int mim_config_set_value(mim_config *config, const char *source, const char *name,
                         const char *value);

/* `name` is "section.key". Asking for an unknown name or a wrong type is a programming error. */
int64_t mim_config_int(const mim_config *config, const char *name);
double mim_config_real(const mim_config *config, const char *name);
bool mim_config_bool(const mim_config *config, const char *name);
uint64_t mim_config_bytes(const mim_config *config, const char *name);
const char *mim_config_text(const mim_config *config, const char *name); /* TEXT and CHOICE */
/* A value of any type as it was given, checked against its option. */
const char *mim_config_as_text(const mim_config *config, const char *name);
/* Whether a value came from anything but the default. */
bool mim_config_is_set(const mim_config *config, const char *name);

/* The resolved configuration as a new ini text, which can be loaded again; NULL when out of memory.
 * The caller frees it. */
char *mim_config_text_ini(const mim_config *config);

#endif
