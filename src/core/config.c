#include "core/config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <iniparser.h>

#include "core/atomic_file.h"
#include "core/text.h"

typedef struct entry {
    const mim_option *option;
    char *name; /* "section.key" */
    char *text;
    bool is_set;
} entry;

struct mim_config {
    size_t n;
    entry *entries;
};

enum { MAX_INI_BYTES = 1 << 20 };

static const char *type_name(mim_option_type type)
{
    static const char *const names[] = {"whole number", "number", "true or false",
                                        "bytes",        "text",   "word"};
    return names[type];
}

static entry *find(const mim_config *config, const char *name)
{
    for (size_t i = 0; i < config->n; i++)
        if (strcmp(config->entries[i].name, name) == 0)
            return &config->entries[i];
    return NULL;
}

static bool is_choice(const char *choices, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = choices; at && n; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strncmp(at, word, n) == 0 && (at[n] == '|' || at[n] == 0))
            return true;
    return false;
}

/* Strict check of a text against the option; `where` begins the sentence. */
static int check(const mim_option *option, const char *where, const char *text)
{
    int64_t whole;
    double real;
    bool flag;
    uint64_t bytes;
    switch (option->type) {
    case MIM_OPTION_INT:
        return mim_parse_i64(where, text, (int64_t)option->min, (int64_t)option->max, &whole);
    case MIM_OPTION_REAL:
        return mim_parse_real(where, text, option->min, option->max, &real);
    case MIM_OPTION_BOOL:
        return mim_parse_bool(where, text, &flag);
    case MIM_OPTION_BYTES:
        return mim_parse_bytes(where, text, &bytes);
    case MIM_OPTION_CHOICE:
        if (!is_choice(option->choices, text))
            return mim_fail(MIM_EUSAGE, "%s: expected one of %s, found \"%s\"", where,
                            option->choices, text);
        return MIM_OK;
    case MIM_OPTION_TEXT:
        if (strpbrk(text, "\n\r\""))
            return mim_fail(MIM_EUSAGE, "%s: expected one line without quotes", where);
        return MIM_OK;
    }
    return MIM_OK;
}

static int assign(entry *e, const char *where, const char *text)
{
    int rc = check(e->option, where, text);
    if (rc != MIM_OK)
        return rc;
    char *copy = mim_strdup(text);
    if (!copy)
        return mim_fail(MIM_ENOMEM, "%s", where);
    free(e->text);
    e->text = copy;
    e->is_set = true;
    return MIM_OK;
}

static int unknown(const mim_config *config, const char *where, const char *name)
{
    const char **names = calloc(config->n ? config->n : 1, sizeof *names);
    const char *closest = NULL;
    if (names) {
        for (size_t i = 0; i < config->n; i++)
            names[i] = config->entries[i].name;
        closest = mim_closest(name, names, config->n);
    }
    free(names);
    if (closest)
        return mim_fail(MIM_EUSAGE, "%s: unknown; did you mean %s?", where, closest);
    return mim_fail(MIM_EUSAGE, "%s: unknown key; --print-config lists all", where);
}

static int add_table(mim_config *config, const mim_option *table)
{
    for (const mim_option *option = table; option->section; option++) {
        entry *larger = realloc(config->entries, (config->n + 1) * sizeof *larger);
        if (!larger)
            return mim_fail(MIM_ENOMEM, "configuration");
        config->entries = larger;
        entry *e = &config->entries[config->n];
        memset(e, 0, sizeof *e);
        e->option = option;
        e->name = mim_format("%s.%s", option->section, option->key);
        e->text = mim_strdup(option->initial);
        config->n++;
        if (!e->name || !e->text)
            return mim_fail(MIM_ENOMEM, "configuration");
        assert(check(option, e->name, option->initial) == MIM_OK);
        const char *value = option->env ? getenv(option->env) : NULL;
        if (value && *value) {
            int rc = assign(e, option->env, value);
            if (rc != MIM_OK)
                return rc;
        }
    }
    return MIM_OK;
}

int mim_config_create(const mim_option *const *tables, mim_config **config)
{
    int rc = MIM_OK;
    mim_config *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "configuration");
    for (size_t i = 0; rc == MIM_OK && tables && tables[i]; i++)
        rc = add_table(made, tables[i]);
    if (rc == MIM_OK)
        *config = made;
    else
        mim_config_destroy(&made);
    return rc;
}

void mim_config_destroy(mim_config **config)
{
    if (!*config)
        return;
    for (size_t i = 0; i < (*config)->n; i++) {
        free((*config)->entries[i].name);
        free((*config)->entries[i].text);
    }
    free((*config)->entries);
    free(*config);
    *config = NULL;
}

/* ---- ini files --------------------------------------------------------------------------------
 * iniparser tells neither lines nor duplicates, so a scan of our own finds them first; it also
 * refuses what iniparser would quietly take. */

static char *trim(char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    size_t n = strlen(text);
    while (n && strchr(" \t\r", text[n - 1]))
        text[--n] = 0;
    return text;
}

static int scan_line(const mim_config *config, const char *path, size_t line, char *text,
                     char *section, size_t section_bytes, size_t *seen)
{
    text = trim(text);
    size_t n = strlen(text);
    if (n == 0 || *text == '#' || *text == ';')
        return MIM_OK;
    if (*text == '[') {
        if (text[n - 1] != ']' || n - 2 >= section_bytes)
            return mim_fail(MIM_EUSAGE, "%s:%zu: expected [section], found \"%s\"", path, line,
                            text);
        memcpy(section, text + 1, n - 2);
        section[n - 2] = 0;
        return MIM_OK;
    }
    char *equals = strchr(text, '=');
    if (!equals || !*section)
        return mim_fail(MIM_EUSAGE, "%s:%zu: expected %s, found \"%.80s\"", path, line,
                        *section ? "key = value" : "a [section] first", text);
    *equals = 0;
    char *name = mim_format("%s.%s", section, trim(text));
    char *where = mim_format("%s:%zu: [%s] %s", path, line, section, trim(text));
    int rc = MIM_OK;
    entry *e = name ? find(config, name) : NULL;
    if (!name || !where)
        rc = mim_fail(MIM_ENOMEM, "%s", path);
    else if (!e)
        rc = unknown(config, where, name);
    else if (seen[e - config->entries])
        rc = mim_fail(MIM_EUSAGE, "%s: stands twice, first in line %zu", where,
                      seen[e - config->entries]);
    else
        seen[e - config->entries] = line;
    free(name);
    free(where);
    return rc;
}

static int scan(const mim_config *config, const char *path, size_t *seen)
{
    char *text = NULL, section[128] = "";
    size_t n_bytes, line = 0;
    int rc = mim_read_file(path, MAX_INI_BYTES, &text, &n_bytes);
    if (rc != MIM_OK)
        return mim_fail(MIM_EUSAGE, "%s", mim_error());
    if (strlen(text) != n_bytes)
        rc = mim_fail(MIM_EUSAGE, "%s: expected an ini text, found binary data", path);
    for (char *at = text; rc == MIM_OK && at;) {
        char *end = strchr(at, '\n');
        if (end)
            *end = 0;
        rc = scan_line(config, path, ++line, at, section, sizeof section, seen);
        at = end ? end + 1 : NULL;
    }
    free(text);
    return rc;
}

static int ignore_message(const char *format, ...)
{
    (void)format;
    return 0;
}

int mim_config_load(mim_config *config, const char *ini_path)
{
    dictionary *ini = NULL;
    size_t *seen = calloc(config->n ? config->n : 1, sizeof *seen);
    int rc = seen ? scan(config, ini_path, seen) : mim_fail(MIM_ENOMEM, "%s", ini_path);
    if (rc != MIM_OK)
        goto done;
    iniparser_set_error_callback(ignore_message);
    ini = iniparser_load(ini_path);
    if (!ini) {
        rc = mim_fail(MIM_EUSAGE, "%s: not an ini file", ini_path);
        goto done;
    }
    for (size_t i = 0; rc == MIM_OK && i < config->n; i++) {
        entry *e = &config->entries[i];
        if (!seen[i])
            continue;
        char *key = mim_format("%s:%s", e->option->section, e->option->key);
        char *where =
            mim_format("%s:%zu: [%s] %s", ini_path, seen[i], e->option->section, e->option->key);
        const char *value = key ? iniparser_getstring(ini, key, NULL) : NULL;
        if (!key || !where)
            rc = mim_fail(MIM_ENOMEM, "%s", ini_path);
        else
            rc = assign(e, where, value ? value : "");
        free(key);
        free(where);
    }
done:
    if (ini)
        iniparser_freedict(ini);
    free(seen);
    return rc;
}

int mim_config_set_value(mim_config *config, const char *source, const char *name,
                         const char *value)
{
    char *where = mim_format("%s %s", source, name);
    if (!where)
        return mim_fail(MIM_ENOMEM, "%s", name);
    entry *e = find(config, name);
    int rc = e ? assign(e, where, value) : unknown(config, where, name);
    free(where);
    return rc;
}

int mim_config_set(mim_config *config, const char *source, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    if (!equals)
        return mim_fail(MIM_EUSAGE, "%s: expected section.key=value, found \"%s\"", source,
                        assignment);
    char *name = mim_strdup(assignment);
    if (!name)
        return mim_fail(MIM_ENOMEM, "%s", assignment);
    name[equals - assignment] = 0;
    int rc = mim_config_set_value(config, source, name, equals + 1);
    free(name);
    return rc;
}

static const entry *get(const mim_config *config, const char *name, mim_option_type type)
{
    const entry *e = find(config, name);
    assert(e && "option is in no table of this program");
    assert(e->option->type == type);
    (void)type;
    return e;
}

int64_t mim_config_int(const mim_config *config, const char *name)
{
    return strtoll(get(config, name, MIM_OPTION_INT)->text, NULL, 10);
}

double mim_config_real(const mim_config *config, const char *name)
{
    return strtod(get(config, name, MIM_OPTION_REAL)->text, NULL);
}

bool mim_config_bool(const mim_config *config, const char *name)
{
    bool value = false;
    mim_parse_bool(name, get(config, name, MIM_OPTION_BOOL)->text, &value);
    return value;
}

uint64_t mim_config_bytes(const mim_config *config, const char *name)
{
    uint64_t value = 0;
    mim_parse_bytes(name, get(config, name, MIM_OPTION_BYTES)->text, &value);
    return value;
}

const char *mim_config_text(const mim_config *config, const char *name)
{
    const entry *e = find(config, name);
    assert(e && (e->option->type == MIM_OPTION_TEXT || e->option->type == MIM_OPTION_CHOICE));
    return e->text;
}

bool mim_config_is_set(const mim_config *config, const char *name)
{
    const entry *e = find(config, name);
    assert(e);
    return e->is_set;
}

char *mim_config_text_ini(const mim_config *config)
{
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *out = open_memstream(&text, &n_bytes);
    const char *section = "";
    for (size_t i = 0; out && i < config->n; i++) {
        const mim_option *option = config->entries[i].option;
        if (strcmp(section, option->section) != 0) {
            fprintf(out, "%s[%s]\n", i ? "\n" : "", option->section);
            section = option->section;
        }
        fprintf(out, "# %s (%s%s%s)\n%s = %s\n", option->help, type_name(option->type),
                *option->unit ? ", " : "", option->unit, option->key, config->entries[i].text);
    }
    if (!out || fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
