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

enum {
    MAX_INI_BYTES = 1 << 20,
    MAX_LINE_BYTES = 1000, /* iniparser refuses files with lines of 1024 */
    MAX_TEXT_BYTES = 900,  /* of a value, so that --print-config can be loaded again */
};

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
    if (n == 0 || strchr(word, '|'))
        return false;
    for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strncmp(at, word, n) == 0 && (at[n] == '|' || at[n] == 0))
            return true;
    return false;
}

/* A double outside of 64 bits is not to be cast. */
static int64_t whole_limit(double limit)
{
    return limit >= 0x1p63 ? INT64_MAX : limit <= -0x1p63 ? INT64_MIN : (int64_t)limit;
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
        return mim_parse_i64(where, text, whole_limit(option->min), whole_limit(option->max),
                             &whole);
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
            return mim_fail(MIM_EUSAGE, "%s: expected one line without double quotes, found \"%s\"",
                            where, text);
        if (strlen(text) > MAX_TEXT_BYTES)
            return mim_fail(MIM_EUSAGE, "%s: expected at most %d bytes, found %zu", where,
                            MAX_TEXT_BYTES, strlen(text));
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

static bool is_section(const mim_config *config, const char *section)
{
    for (size_t i = 0; i < config->n; i++)
        if (strcmp(config->entries[i].option->section, section) == 0)
            return true;
    return false;
}

/* The setting that was meant: a similar key of the same section, the same key of another one, or a
 * similar whole name. NULL when nothing is close. */
static const char *meant(const mim_config *config, const char *name)
{
    const char *dot = strchr(name, '.'), *key = dot ? dot + 1 : name, *closest = NULL;
    size_t n_prefix = (size_t)(key - name), smallest = SIZE_MAX;
    for (size_t i = 0; i < config->n; i++) {
        const entry *e = &config->entries[i];
        bool is_here = n_prefix && strncmp(e->name, name, n_prefix) == 0;
        const char *asked = is_here ? key : name;
        size_t limit = mim_typing_errors(asked);
        size_t distance = mim_edit_distance(asked, is_here ? e->option->key : e->name);
        if (distance > limit && strcmp(key, e->option->key) == 0)
            distance = limit;
        if (distance <= limit && distance < smallest) {
            smallest = distance;
            closest = e->name;
        }
    }
    return closest;
}

static int unknown(const mim_config *config, const char *where, const char *name)
{
    const char *closest = meant(config, name);
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

int mim_config_copy(const mim_config *config, mim_config **copy)
{
    mim_config *made = calloc(1, sizeof *made);
    if (!made || !(made->entries = calloc(config->n + 1, sizeof *made->entries))) {
        free(made);
        return mim_fail(MIM_ENOMEM, "configuration");
    }
    int rc = MIM_OK;
    for (; rc == MIM_OK && made->n < config->n; made->n++) {
        entry *e = &made->entries[made->n];
        *e = config->entries[made->n];
        e->name = mim_strdup(e->name);
        e->text = mim_strdup(e->text);
        if (!e->name || !e->text)
            rc = mim_fail(MIM_ENOMEM, "configuration");
    }
    if (rc == MIM_OK)
        *copy = made;
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
 * refuses what iniparser would quietly read as something else. */

static char *trim(char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    size_t n = strlen(text);
    while (n && strchr(" \t\r", text[n - 1]))
        text[--n] = 0;
    return text;
}

typedef struct place {
    const mim_config *config;
    const char *path;
    size_t line;
    char section[128]; /* "" before the first */
} place;

static int scan_section(place *at, char *text)
{
    size_t n = strlen(text);
    if (text[n - 1] != ']' || strchr(text, ']') != text + n - 1 || n - 2 >= sizeof at->section)
        return mim_fail(MIM_EUSAGE, "%s:%zu: expected [section], found \"%.80s\"", at->path,
                        at->line, text);
    text[n - 1] = 0;
    text = trim(text + 1);
    if (!is_section(at->config, text)) {
        const char *closest = NULL;
        size_t smallest = mim_typing_errors(text) + 1;
        for (size_t i = 0; i < at->config->n; i++) {
            const char *section = at->config->entries[i].option->section;
            size_t distance = mim_edit_distance(text, section);
            if (distance < smallest) {
                smallest = distance;
                closest = section;
            }
        }
        if (closest)
            return mim_fail(MIM_EUSAGE, "%s:%zu: [%s]: unknown; did you mean [%s]?", at->path,
                            at->line, text, closest);
        return mim_fail(MIM_EUSAGE, "%s:%zu: [%s]: unknown section; --print-config lists all",
                        at->path, at->line, text);
    }
    memcpy(at->section, text, strlen(text) + 1);
    return MIM_OK;
}

/* A quoted value ends with its quote; only a comment may follow. */
static int scan_quoted(const char *where, const char *value)
{
    if (*value != '"' && *value != '\'')
        return MIM_OK;
    const char *end = strchr(value + 1, *value);
    if (!end)
        return mim_fail(MIM_EUSAGE, "%s: expected a closing %c, found %s", where, *value, value);
    end += 1 + strspn(end + 1, " \t");
    if (*end && *end != '#' && *end != ';')
        return mim_fail(MIM_EUSAGE, "%s: expected nothing after the closing %c, found %s", where,
                        *value, end);
    return MIM_OK;
}

static int scan_setting(const place *at, char *text, char *equals, size_t *seen)
{
    *equals = 0;
    text = trim(text);
    char *name = mim_format("%s.%s", at->section, text);
    char *where = mim_format("%s:%zu: [%s] %s", at->path, at->line, at->section, text);
    int rc = MIM_OK;
    const entry *e = name ? find(at->config, name) : NULL;
    if (!name || !where)
        rc = mim_fail(MIM_ENOMEM, "%s", at->path);
    else if (!e)
        rc = unknown(at->config, where, name);
    else if (seen[e - at->config->entries])
        rc = mim_fail(MIM_EUSAGE, "%s: stands twice, first in line %zu", where,
                      seen[e - at->config->entries]);
    else
        rc = scan_quoted(where, trim(equals + 1));
    if (rc == MIM_OK)
        seen[e - at->config->entries] = at->line;
    free(name);
    free(where);
    return rc;
}

static int scan_line(place *at, char *text, size_t *seen)
{
    text = trim(text);
    size_t n = strlen(text);
    if (n > MAX_LINE_BYTES)
        return mim_fail(MIM_EUSAGE, "%s:%zu: expected at most %d bytes in a line, found %zu",
                        at->path, at->line, MAX_LINE_BYTES, n);
    if (n && text[n - 1] == '\\') /* iniparser would join the next line, even to a comment */
        return mim_fail(MIM_EUSAGE,
                        "%s:%zu: expected no \\ at the end of a line; a setting is one line",
                        at->path, at->line);
    if (n == 0 || *text == '#' || *text == ';')
        return MIM_OK;
    if (*text == '[')
        return scan_section(at, text);
    char *equals = strchr(text, '=');
    if (!equals || !*at->section)
        return mim_fail(MIM_EUSAGE, "%s:%zu: expected %s, found \"%.80s\"", at->path, at->line,
                        *at->section ? "key = value" : "a [section] first", text);
    return scan_setting(at, text, equals, seen);
}

/* seen: [config->n] line of each setting, 0 = not in the file. */
static int scan(const mim_config *config, const char *path, size_t *seen)
{
    char *text = NULL;
    size_t n_bytes;
    int rc = mim_read_file(path, MAX_INI_BYTES, &text, &n_bytes);
    if (rc == MIM_EDATA) /* too large */
        rc = mim_fail(MIM_EUSAGE, "%s", mim_error());
    if (rc != MIM_OK)
        return rc;
    if (strlen(text) != n_bytes)
        rc = mim_fail(MIM_EUSAGE, "%s: expected an ini text, found binary data", path);
    else if (strncmp(text, "\xef\xbb\xbf", 3) == 0) /* iniparser would take it for a name */
        rc = mim_fail(MIM_EUSAGE,
                      "%s: expected plain text, found a byte-order mark (EF BB BF) at its start; "
                      "save it without",
                      path);
    place here = {.config = config, .path = path};
    for (char *line = text; rc == MIM_OK && line;) {
        char *end = strchr(line, '\n');
        if (end)
            *end = 0;
        here.line++;
        rc = scan_line(&here, line, seen);
        line = end ? end + 1 : NULL;
    }
    free(text);
    return rc;
}

static int ignore_message(const char *format, ...)
{
    (void)format;
    return 0;
}

/* Checks (e unchanged) or assigns the value that the file has for an option. */
static int take(entry *e, const dictionary *ini, const char *path, size_t line, bool is_check)
{
    char *key = mim_format("%s:%s", e->option->section, e->option->key);
    char *where = mim_format("%s:%zu: [%s] %s", path, line, e->option->section, e->option->key);
    const char *value = key ? iniparser_getstring(ini, key, NULL) : NULL;
    int rc = MIM_OK;
    if (!key || !where)
        rc = mim_fail(MIM_ENOMEM, "%s", path);
    else if (!value)
        rc = mim_fail(MIM_EUSAGE, "%s: the file changed while it was read", where);
    else
        rc = is_check ? check(e->option, where, value) : assign(e, where, value);
    free(key);
    free(where);
    return rc;
}

int mim_config_load(mim_config *config, const char *ini_path)
{
    dictionary *ini = NULL;
    size_t *seen = calloc(config->n + 1, sizeof *seen);
    int rc = seen ? scan(config, ini_path, seen) : mim_fail(MIM_ENOMEM, "%s", ini_path);
    if (rc != MIM_OK)
        goto done;
    iniparser_set_error_callback(ignore_message);
    ini = iniparser_load(ini_path);
    if (!ini) {
        rc = mim_fail(MIM_EUSAGE, "%s: not an ini file", ini_path);
        goto done;
    }
    for (int pass = 0; pass < 2; pass++) /* all or nothing */
        for (size_t i = 0; rc == MIM_OK && i < config->n; i++)
            if (seen[i])
                rc = take(&config->entries[i], ini, ini_path, seen[i], pass == 0);
done:
    if (ini)
        iniparser_freedict(ini);
    free(seen);
    return rc;
}

int mim_config_set_value(mim_config *config, const char *source, const char *name,
                         const char *value)
{
    entry *e = find(config, name);
    return e ? assign(e, source, value) : unknown(config, source, name);
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
    char *where = mim_format("%s %s", source, name);
    int rc = where ? mim_config_set_value(config, where, name, equals + 1)
                   : mim_fail(MIM_ENOMEM, "%s", assignment);
    free(where);
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

const char *mim_config_as_text(const mim_config *config, const char *name)
{
    const entry *e = find(config, name);
    assert(e);
    return e->text;
}

bool mim_config_is_set(const mim_config *config, const char *name)
{
    const entry *e = find(config, name);
    assert(e);
    return e->is_set;
}

char *mim_option_expected(const mim_option *option)
{
    const char *unit = option->unit, *comma = *option->unit ? ", " : "";
    switch (option->type) {
    case MIM_OPTION_INT:
    case MIM_OPTION_REAL:
        return mim_format("%snumber %.16g to %.16g%s%s",
                          option->type == MIM_OPTION_INT ? "whole " : "", option->min, option->max,
                          comma, unit);
    case MIM_OPTION_BOOL:
        return mim_strdup("true or false");
    case MIM_OPTION_BYTES:
        return mim_strdup("bytes such as 512M or 16G");
    case MIM_OPTION_CHOICE:
        return mim_format("one of %s", option->choices);
    case MIM_OPTION_TEXT:
        return mim_format("text%s%s", comma, unit);
    }
    return NULL;
}

/* Quotes keep comment characters and spaces at the ends. */
static bool needs_quotes(const char *text)
{
    size_t n = strlen(text);
    return n && (strpbrk(text, "#;\\'") || strchr(" \t", text[0]) || strchr(" \t", text[n - 1]));
}

char *mim_config_text_ini(const mim_config *config)
{
    char *text = NULL;
    size_t n_bytes = 0;
    bool is_complete = true;
    FILE *out = open_memstream(&text, &n_bytes);
    const char *section = "";
    for (size_t i = 0; out && i < config->n; i++) {
        const mim_option *option = config->entries[i].option;
        const char *value = config->entries[i].text;
        const char *quote = needs_quotes(value) ? "\"" : "";
        char *expected = mim_option_expected(option);
        is_complete = is_complete && expected;
        if (strcmp(section, option->section) != 0) {
            fprintf(out, "%s[%s]\n", i ? "\n" : "", option->section);
            section = option->section;
        }
        fprintf(out, "# %s (%s)\n%s = %s%s%s\n", option->help, expected ? expected : "",
                option->key, quote, value, quote);
        free(expected);
    }
    if (!out || fclose(out) != 0 || !is_complete) {
        free(text);
        return NULL;
    }
    return text;
}
