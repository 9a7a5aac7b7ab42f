#include "core/args_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/text.h"

typedef struct given {
    const char *flag, *value; /* value NULL for a switch */
} given;

struct mim_args {
    const mim_program *program;
    mim_config *config;
    size_t n_given, n_positional;
    given *given;            /* [argc] */
    const char **positional; /* [argc] */
    int argc;
    char **argv;
};

static const mim_flag *find_in(const mim_flag *flags, const char *name, size_t n)
{
    for (; flags && flags->name; flags++)
        if (strncmp(flags->name, name, n) == 0 && flags->name[n] == 0)
            return flags;
    return NULL;
}

static const mim_flag *find_flag(const mim_program *program, const char *name, size_t n)
{
    const mim_flag *flag = find_in(program->flags, name, n);
    return flag ? flag : find_in(mim_common_flags, name, n);
}

/* `text` as given, with dashes and maybe "=value". */
static int unknown_flag(const mim_program *program, const char *text)
{
    const char *names[64];
    char name[64];
    size_t n = 0;
    for (const mim_flag *f = program->flags; f && f->name && n < 50; f++)
        names[n++] = f->name;
    for (const mim_flag *f = mim_common_flags; f->name; f++)
        names[n++] = f->name;
    snprintf(name, sizeof name, "%s", text + strspn(text, "-"));
    name[strcspn(name, "=")] = 0;
    const char *closest = mim_closest(name, names, n);
    if (closest)
        return mim_fail(MIM_EUSAGE, "%s: unknown; did you mean --%s?", text, closest);
    return mim_fail(MIM_EUSAGE, "%s: unknown; %s --help lists all", text, program->name);
}

static int take_flag(mim_args *args, int argc, char **argv, int *i)
{
    const char *text = argv[*i];
    const char *name = strcmp(text, "-o") == 0 ? "out" : text + 2, *equals = strchr(name, '=');
    if (text[1] != '-' && strcmp(text, "-o") != 0)
        return unknown_flag(args->program, text);
    const mim_flag *flag =
        find_flag(args->program, name, equals ? (size_t)(equals - name) : strlen(name));
    if (!flag)
        return unknown_flag(args->program, text);
    given *g = &args->given[args->n_given];
    g->flag = flag->name;
    if (!flag->value) {
        if (equals)
            return mim_fail(MIM_EUSAGE, "--%s: takes no value", flag->name);
    } else if (equals) {
        g->value = equals + 1;
    } else if (*i + 1 < argc && strncmp(argv[*i + 1], "--", 2) != 0) {
        g->value = argv[++*i];
    } else { /* a flag was forgotten rather than meant as a value; --flag=--value can say that */
        return mim_fail(MIM_EUSAGE, "--%s: expected a value: %s", flag->name, flag->value);
    }
    if (!flag->is_repeatable && mim_args_has(args, flag->name))
        return mim_fail(MIM_EUSAGE, "--%s: given twice", flag->name);
    args->n_given++;
    return MIM_OK;
}

/* --config files first, then --set and flags that stand for a setting, in the order given. */
static int configure(mim_args *args)
{
    int rc = mim_config_create(args->program->tables, &args->config);
    for (size_t i = 0; rc == MIM_OK && i < args->n_given; i++)
        if (strcmp(args->given[i].flag, "config") == 0)
            rc = mim_config_load(args->config, args->given[i].value);
    for (size_t i = 0; rc == MIM_OK && i < args->n_given; i++) {
        const given *g = &args->given[i];
        const mim_flag *flag = find_flag(args->program, g->flag, strlen(g->flag));
        if (strcmp(g->flag, "set") == 0)
            rc = mim_config_set(args->config, "--set", g->value);
        else if (flag->config_key) {
            char source[64];
            snprintf(source, sizeof source, "--%s", g->flag);
            rc = mim_config_set_value(args->config, source, flag->config_key,
                                      g->value ? g->value : "true");
        }
    }
    return rc;
}

static int check_command(const mim_program *program, const char *text)
{
    const char *names[32];
    size_t n = 0;
    for (const mim_command *c = program->commands; c->name && n < 32; c++) {
        if (strcmp(c->name, text) == 0)
            return MIM_OK;
        names[n++] = c->name;
    }
    const char *closest = mim_closest(text, names, n);
    if (closest)
        return mim_fail(MIM_EUSAGE, "%s: unknown command; did you mean %s?", text, closest);
    return mim_fail(MIM_EUSAGE, "%s: unknown command; %s --help lists all", text, program->name);
}

static int check_positional(const mim_args *args)
{
    const mim_program *program = args->program;
    for (size_t i = 0; i < args->n_positional; i++)
        if (!*args->positional[i])
            return mim_fail(MIM_EUSAGE, "argument %zu: expected a name, found an empty text",
                            i + 1);
    if (program->commands && args->n_positional > 0) {
        int rc = check_command(program, args->positional[0]);
        if (rc != MIM_OK)
            return rc;
    }
    if (args->n_positional < program->min_arguments)
        return mim_fail(MIM_EUSAGE, "expected: %s %s (see --help)", program->name,
                        program->synopsis[0] ? program->synopsis[0] : "");
    if (args->n_positional > program->max_arguments)
        return mim_fail(MIM_EUSAGE, "%s: unexpected argument",
                        args->positional[program->max_arguments]);
    return MIM_OK;
}

/* The first of --help and the like among the flags: it is answered whatever else stands there. */
static const char *question(int argc, char **argv)
{
    static const char *const questions[] = {"help", "version", "man", "completion"};
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "-h") == 0)
            return questions[0];
        for (size_t q = 0; q < sizeof questions / sizeof *questions; q++)
            if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, questions[q]) == 0)
                return questions[q];
    }
    return NULL;
}

int mim_args_create(const mim_program *program, int argc, char **argv, mim_args **args)
{
    int rc = MIM_OK;
    mim_args *made = calloc(1, sizeof *made);
    if (!made || !(made->given = calloc((size_t)argc + 1, sizeof *made->given)) ||
        !(made->positional = calloc((size_t)argc + 1, sizeof *made->positional))) {
        rc = mim_fail(MIM_ENOMEM, "command line");
        goto done;
    }
    made->program = program;
    made->argc = argc;
    made->argv = argv;
    bool is_ended = false;
    const char *asked = question(argc, argv);
    if (asked)
        made->given[made->n_given++].flag = asked;
    for (int i = 1; rc == MIM_OK && !asked && i < argc; i++) {
        if (!is_ended && strcmp(argv[i], "--") == 0)
            is_ended = true;
        else if (!is_ended && argv[i][0] == '-' && argv[i][1])
            rc = take_flag(made, argc, argv, &i);
        else
            made->positional[made->n_positional++] = argv[i];
    }
    if (rc == MIM_OK && !asked) {
        rc = configure(made);
        if (rc == MIM_OK && !mim_args_has(made, "print-config"))
            rc = check_positional(made);
    }
    if (rc == MIM_OK) {
        *args = made;
        made = NULL;
    }
done:
    mim_args_destroy(&made);
    return rc;
}

void mim_args_destroy(mim_args **args)
{
    if (!*args)
        return;
    mim_config_destroy(&(*args)->config);
    free((*args)->given);
    free((*args)->positional);
    free(*args);
    *args = NULL;
}

static void print_word(const char *word, bool is_nested, FILE *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+./,:=@%";
    if (*word && word[strspn(word, plain)] == 0) {
        fprintf(out, " %s", word);
        return;
    }
    fputs(" '", out);
    for (; *word; word++) {
        if (*word == '\'')
            fputs(is_nested ? "'\\\\''" : "'\\''", out);
        else if (is_nested && strchr("\"\\$`", *word))
            fprintf(out, "\\%c", *word);
        else
            fputc(*word, out);
    }
    fputc('\'', out);
}

void mim_args_print(const mim_args *args, bool is_nested, FILE *out)
{
    for (int i = 1; i < args->argc; i++)
        if (strcmp(args->argv[i], "--dry-run") != 0)
            print_word(args->argv[i], is_nested, out);
}

bool mim_args_has(const mim_args *args, const char *flag)
{
    return mim_args_n_values(args, flag) > 0;
}

size_t mim_args_n_values(const mim_args *args, const char *flag)
{
    size_t n = 0;
    for (size_t i = 0; i < args->n_given; i++)
        n += strcmp(args->given[i].flag, flag) == 0;
    return n;
}

const char *mim_args_value_at(const mim_args *args, const char *flag, size_t i)
{
    for (size_t k = 0; k < args->n_given; k++)
        if (strcmp(args->given[k].flag, flag) == 0 && i-- == 0)
            return args->given[k].value;
    return NULL;
}

const char *mim_args_value(const mim_args *args, const char *flag)
{
    size_t n = mim_args_n_values(args, flag);
    return n ? mim_args_value_at(args, flag, n - 1) : NULL;
}

int mim_args_count(const mim_args *args, const char *flag, size_t min, size_t max, size_t *count)
{
    const char *text = mim_args_value(args, flag);
    char what[64];
    int64_t value = 0;
    if (!text)
        return MIM_OK;
    snprintf(what, sizeof what, "--%s", flag);
    int rc = mim_parse_i64(what, text, (int64_t)min, (int64_t)max, &value);
    if (rc == MIM_OK)
        *count = (size_t)value;
    return rc;
}

size_t mim_args_n(const mim_args *args) { return args->n_positional; }

const char *mim_args_at(const mim_args *args, size_t i)
{
    return i < args->n_positional ? args->positional[i] : NULL;
}

const mim_config *mim_args_config(const mim_args *args) { return args->config; }
