#include "core/args.h"

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
};

static const mim_flag common_flags[] = {
    {"config", "INI", NULL, true, "read settings from an ini file"},
    {"set", "SECTION.KEY=VALUE", NULL, true, "change one setting"},
    {"print-config", NULL, NULL, false, "print all settings as an ini text and end"},
    {"dry-run", NULL, NULL, false, "check everything, say what would be done, touch nothing"},
    {"json", NULL, NULL, false, "print one JSON object to standard output"},
    {"log-level", "LEVEL", NULL, false, "error, warn, info or debug (default info)"},
    {"help", NULL, NULL, false, "print this text and end"},
    {"version", NULL, NULL, false, "print version and build flags and end"},
    {"man", NULL, NULL, false, "print the man page source and end"},
    {"completion", NULL, NULL, false, "print a bash completion script and end"},
    {NULL, NULL, NULL, false, NULL},
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
    return flag ? flag : find_in(common_flags, name, n);
}

static int unknown_flag(const mim_program *program, const char *text)
{
    const char *names[64];
    size_t n = 0;
    for (const mim_flag *f = program->flags; f && f->name && n < 50; f++)
        names[n++] = f->name;
    for (const mim_flag *f = common_flags; f->name; f++)
        names[n++] = f->name;
    const char *closest = mim_closest(text + strspn(text, "-"), names, n);
    if (closest)
        return mim_fail(MIM_EUSAGE, "%s: unknown; did you mean --%s?", text, closest);
    return mim_fail(MIM_EUSAGE, "%s: unknown; %s --help lists all", text, program->name);
}

static int take_flag(mim_args *args, int argc, char **argv, int *i)
{
    const char *text = argv[*i];
    if (strcmp(text, "-o") == 0)
        text = "--out";
    if (strcmp(text, "-h") == 0)
        text = "--help";
    const char *name = text + 2, *equals = strchr(text, '=');
    if (text[1] != '-')
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
    } else if (*i + 1 < argc) {
        g->value = argv[++*i];
    } else {
        return mim_fail(MIM_EUSAGE, "--%s: expected a value: %s", flag->name, flag->value);
    }
    if (!flag->is_repeatable && mim_args_has(args, flag->name) && args->n_given > 0)
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

static int check_positional(const mim_args *args)
{
    const mim_program *program = args->program;
    if (program->commands && args->n_positional > 0) {
        const char *names[32];
        size_t n = 0;
        for (const mim_command *c = program->commands; c->name && n < 32; c++) {
            if (strcmp(c->name, args->positional[0]) == 0)
                n = SIZE_MAX - 1;
            else
                names[n++] = c->name;
            if (n == SIZE_MAX - 1)
                break;
        }
        if (n != SIZE_MAX - 1) {
            const char *closest = mim_closest(args->positional[0], names, n);
            return mim_fail(MIM_EUSAGE, "%s: unknown command%s%s", args->positional[0],
                            closest ? "; did you mean " : "", closest ? closest : "");
        }
    }
    if (args->n_positional < program->min_arguments)
        return mim_fail(MIM_EUSAGE, "expected: %s %s", program->name,
                        program->synopsis[0] ? program->synopsis[0] : "");
    if (args->n_positional > program->max_arguments)
        return mim_fail(MIM_EUSAGE, "%s: unexpected argument",
                        args->positional[program->max_arguments]);
    return MIM_OK;
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
    bool is_ended = false;
    for (int i = 1; rc == MIM_OK && i < argc; i++) {
        if (!is_ended && strcmp(argv[i], "--") == 0)
            is_ended = true;
        else if (!is_ended && argv[i][0] == '-' && argv[i][1])
            rc = take_flag(made, argc, argv, &i);
        else
            made->positional[made->n_positional++] = argv[i];
    }
    bool is_question = mim_args_has(made, "help") || mim_args_has(made, "version") ||
                       mim_args_has(made, "man") || mim_args_has(made, "completion");
    if (rc == MIM_OK && !is_question) {
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

size_t mim_args_n(const mim_args *args) { return args->n_positional; }

const char *mim_args_at(const mim_args *args, size_t i)
{
    return i < args->n_positional ? args->positional[i] : NULL;
}

const mim_config *mim_args_config(const mim_args *args) { return args->config; }

/* ---- help, man page, completion: the same tables in three dresses -----------------------------
 */

static const char *const exit_statuses[][2] = {
    {"0", "done"},
    {"1", "failed (the operating system refused, out of memory)"},
    {"2", "wrong command line or configuration"},
    {"3", "a check or a stressor's verification failed"},
    {"4", "not supported on this machine, or not permitted by its ceilings"},
    {"5", "bad input data"},
    {"75", "stopped with results saved: run me again"},
};
enum { N_EXIT_STATUSES = sizeof exit_statuses / sizeof *exit_statuses };

static void help_flags(const mim_flag *flags, FILE *out)
{
    for (; flags && flags->name; flags++) {
        char left[80];
        snprintf(left, sizeof left, "--%s%s%s", flags->name, flags->value ? " " : "",
                 flags->value ? flags->value : "");
        fprintf(out, "  %-28s %s\n", left, flags->help);
    }
}

void mim_program_help(const mim_program *program, FILE *out)
{
    fprintf(out, "%s - %s\n\n", program->name, program->summary);
    for (size_t i = 0; program->synopsis[i]; i++)
        fprintf(out, "%s %s %s\n", i ? "      " : "usage:", program->name, program->synopsis[i]);
    if (program->description)
        fprintf(out, "\n%s\n", program->description);
    if (program->commands) {
        fprintf(out, "\nCommands\n");
        for (const mim_command *c = program->commands; c->name; c++)
            fprintf(out, "  %-28s %s\n", c->name, c->help);
    }
    fprintf(out, "\nFlags (-o is --out)\n");
    help_flags(program->flags, out);
    help_flags(common_flags, out);
    for (size_t t = 0; program->tables && program->tables[t]; t++)
        for (const mim_option *o = program->tables[t]; o->section; o++) {
            if (o == program->tables[t])
                fprintf(out, "\nSettings [%s]\n", o->section);
            char left[80];
            snprintf(left, sizeof left, "%s=%s", o->key, o->initial);
            fprintf(out, "  %-28s %s%s%s%s%s%s%s\n", left, o->help, *o->unit ? " [" : "", o->unit,
                    *o->unit ? "]" : "", o->choices ? " {" : "", o->choices ? o->choices : "",
                    o->choices ? "}" : "");
        }
    if (program->examples)
        fprintf(out, "\nExamples\n%s\n", program->examples);
    fprintf(out, "\nExit status\n");
    for (size_t i = 0; i < N_EXIT_STATUSES; i++)
        fprintf(out, "  %-3s %s\n", exit_statuses[i][0], exit_statuses[i][1]);
}

/* Text as roff: dashes kept as dashes, no line taken for a request. */
static void roff(const char *text, FILE *out)
{
    bool is_line_start = true;
    for (; *text; text++) {
        if (is_line_start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
        is_line_start = *text == '\n';
    }
}

static void man_item(const char *term, const char *value, const char *text, FILE *out)
{
    fputs(".TP\n\\fB", out);
    roff(term, out);
    fputs("\\fR", out);
    if (value) {
        fputs(" \\fI", out);
        roff(value, out);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    roff(text, out);
    fputc('\n', out);
}

/* One item a line "name: meaning". */
static void man_lines(const char *heading, const char *lines, FILE *out)
{
    if (!lines)
        return;
    fprintf(out, ".SH %s\n", heading);
    char *copy = mim_strdup(lines);
    for (char *at = copy; at && *at;) {
        char *end = strchr(at, '\n'), *colon;
        if (end)
            *end = 0;
        if ((colon = strstr(at, ": "))) {
            *colon = 0;
            man_item(at, NULL, colon + 2, out);
        } else {
            fputs(".PP\n", out);
            roff(at, out);
            fputc('\n', out);
        }
        at = end ? end + 1 : NULL;
    }
    free(copy);
}

static void man_flags(const mim_flag *flags, FILE *out)
{
    for (; flags && flags->name; flags++) {
        char term[64];
        snprintf(term, sizeof term, "--%s", flags->name);
        man_item(term, flags->value, flags->help, out);
    }
}

static void man_settings(const mim_program *program, FILE *out)
{
    if (!program->tables || !program->tables[0])
        return;
    fputs(".SH SETTINGS\nIn an ini file given with \\-\\-config, or with \\-\\-set.\n", out);
    for (size_t t = 0; program->tables[t]; t++)
        for (const mim_option *o = program->tables[t]; o->section; o++) {
            char term[128], text[512];
            snprintf(term, sizeof term, "%s.%s", o->section, o->key);
            snprintf(text, sizeof text, "%s%s%s%s%s%s%s (default \"%s\"%s%s)", o->help,
                     *o->unit ? " [" : "", o->unit, *o->unit ? "]" : "",
                     o->choices ? "; one of " : "", o->choices ? o->choices : "", "", o->initial,
                     o->env ? ", environment " : "", o->env ? o->env : "");
            man_item(term, NULL, text, out);
        }
}

void mim_program_man(const mim_program *program, const char *version, FILE *out)
{
    fprintf(out, ".TH %s 1 \"\" \"mimesys %s\" \"Mimesys for Slurm\"\n.SH NAME\n%s \\- ",
            program->name, version, program->name);
    roff(program->summary, out);
    fputs("\n.SH SYNOPSIS\n", out);
    for (size_t i = 0; program->synopsis[i]; i++) {
        fprintf(out, "%s\\fB%s\\fR ", i ? ".br\n" : "", program->name);
        roff(program->synopsis[i], out);
        fputc('\n', out);
    }
    if (program->description) {
        fputs(".SH DESCRIPTION\n", out);
        char *copy = mim_strdup(program->description);
        for (char *at = copy; at && *at;) {
            char *end = strstr(at, "\n\n");
            if (end)
                *end = 0;
            fputs(".PP\n", out);
            roff(at, out);
            fputc('\n', out);
            at = end ? end + 2 : NULL;
        }
        free(copy);
    }
    if (program->commands) {
        fputs(".SH COMMANDS\n", out);
        for (const mim_command *c = program->commands; c->name; c++)
            man_item(c->name, NULL, c->help, out);
    }
    fputs(".SH OPTIONS\n", out);
    man_flags(program->flags, out);
    man_flags(common_flags, out);
    man_settings(program, out);
    man_lines("JSON OUTPUT", program->json_keys, out);
    man_lines("FILES", program->files, out);
    if (program->examples) {
        fputs(".SH EXAMPLES\n.nf\n", out);
        roff(program->examples, out);
        fputs("\n.fi\n", out);
    }
    fputs(".SH EXIT STATUS\n", out);
    for (size_t i = 0; i < N_EXIT_STATUSES; i++)
        man_item(exit_statuses[i][0], NULL, exit_statuses[i][1], out);
}

void mim_program_completion(const mim_program *program, FILE *out)
{
    fprintf(out, "_%s()\n{\n    local current=\"${COMP_WORDS[COMP_CWORD]}\"\n    local words=\"",
            program->name);
    for (const mim_flag *f = program->flags; f && f->name; f++)
        fprintf(out, "--%s ", f->name);
    for (const mim_flag *f = common_flags; f->name; f++)
        fprintf(out, "--%s ", f->name);
    fputs("\"\n    local commands=\"", out);
    for (const mim_command *c = program->commands; c && c->name; c++)
        fprintf(out, "%s ", c->name);
    fprintf(out,
            "\"\n    case \"$current\" in\n"
            "    -*) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\") ;;\n"
            "    *) mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
            "       [ \"$COMP_CWORD\" -eq 1 ] && [ -n \"$commands\" ] &&\n"
            "           mapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$current\") ;;\n"
            "    esac\n}\ncomplete -o filenames -F _%s %s\n",
            program->name, program->name);
}
