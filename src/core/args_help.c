/* Help, man page and completion of a program: the same tables in three dresses. */
#include <stdlib.h>
#include <string.h>

#include "core/args_internal.h"
#include "core/text.h"

const mim_flag mim_common_flags[] = {
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

/* "length of a slot (number 0 to 86400, s; environment X)"; NULL when out of memory. */
static char *setting_text(const mim_option *option)
{
    char *expected = mim_option_expected(option);
    char *text =
        expected ? mim_format("%s (%s%s%s)", option->help, expected,
                              option->env ? "; environment " : "", option->env ? option->env : "")
                 : NULL;
    free(expected);
    return text;
}

/* ---- help ------------------------------------------------------------------------------------ */

enum { HELP_COLUMN = 28, HELP_WIDTH = 79 };

/* Words of `text` up to a terminal's width, further lines indented; begins at `column`. */
static void wrap(const char *text, size_t n_text, int column, int indent, FILE *out)
{
    const char *end = text + n_text;
    for (bool is_first = true; text < end; is_first = false) {
        size_t n = strcspn(text, " \n");
        if (n > (size_t)(end - text))
            n = (size_t)(end - text);
        if (!is_first && column + 1 + (int)n > HELP_WIDTH)
            column = fprintf(out, "\n%*s", indent, "") - 1;
        else if (!is_first)
            column += fprintf(out, " ");
        column += fprintf(out, "%.*s", (int)n, text);
        text += n;
        text += strspn(text, " \n");
    }
    fputc('\n', out);
}

/* Paragraphs are filled again; lines that begin with a space stay as they are. */
static void help_paragraphs(const char *text, FILE *out)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        if (n == 0 || *text == ' ') {
            fprintf(out, "%.*s\n", (int)n, text);
        } else {
            while (text[n] == '\n' && text[n + 1] && !strchr(" \n", text[n + 1]))
                n += 1 + strcspn(text + n + 1, "\n");
            wrap(text, n, 0, 0, out);
        }
        text += n + (text[n] == '\n');
    }
}

/* "  term    text", the text in its own column. */
static void help_item(const char *term, const char *text, FILE *out)
{
    int column = fprintf(out, "  %s", term);
    if (column + 2 > HELP_COLUMN) {
        fputc('\n', out);
        column = 0;
    }
    column += fprintf(out, "%*s", HELP_COLUMN - column, "");
    wrap(text, strlen(text), column, HELP_COLUMN, out);
}

static void help_flags(const char *heading, const mim_flag *flags, FILE *out)
{
    if (!flags || !flags->name)
        return;
    fprintf(out, "\n%s\n", heading);
    for (; flags->name; flags++) {
        char term[80];
        snprintf(term, sizeof term, "%s--%s%s%s", strcmp(flags->name, "out") == 0 ? "-o, " : "",
                 flags->name, flags->value ? " " : "", flags->value ? flags->value : "");
        help_item(term, flags->help, out);
    }
}

static void help_settings(const mim_program *program, FILE *out)
{
    const char *section = "";
    for (size_t t = 0; program->tables && program->tables[t]; t++)
        for (const mim_option *o = program->tables[t]; o->section; o++) {
            if (!*section)
                fputs("\nSettings, with their defaults: --set SECTION.KEY=VALUE, or --config INI\n",
                      out);
            if (strcmp(section, o->section) != 0)
                fprintf(out, "[%s]\n", o->section);
            section = o->section;
            char term[128], *text = setting_text(o);
            snprintf(term, sizeof term, "%s = %s", o->key, o->initial);
            help_item(term, text ? text : o->help, out);
            free(text);
        }
}

/* Each line of `lines` after two spaces. */
static void help_lines(const char *heading, const char *lines, FILE *out)
{
    if (!lines)
        return;
    fprintf(out, "\n%s\n", heading);
    while (*lines) {
        int n = (int)strcspn(lines, "\n");
        fprintf(out, "  %.*s\n", n, lines);
        lines += n + (lines[n] == '\n');
    }
}

static void help_topics(const mim_topic *topics, FILE *out)
{
    char line[1024] = "More in the man page (--man):";
    size_t n = strlen(line);
    if (!topics)
        return;
    for (const mim_topic *t = topics; t->title && n < sizeof line; t++)
        n += (size_t)snprintf(line + n, sizeof line - n, "%s %s", t == topics ? "" : ";", t->title);
    fputc('\n', out);
    help_paragraphs(line, out);
}

void mim_program_help(const mim_program *program, FILE *out)
{
    fprintf(out, "%s - %s\n\n", program->name, program->summary);
    for (size_t i = 0; program->synopsis[i]; i++)
        fprintf(out, "%s %s %s\n", i ? "      " : "usage:", program->name, program->synopsis[i]);
    if (program->description) {
        fputc('\n', out);
        help_paragraphs(program->description, out);
    }
    help_topics(program->topics, out);
    if (program->commands) {
        fputs("\nCommands\n", out);
        for (const mim_command *c = program->commands; c->name; c++)
            help_item(c->name, c->help, out);
    }
    help_flags("Flags", program->flags, out);
    help_flags("Flags of every program", mim_common_flags, out);
    help_settings(program, out);
    help_lines("Files", program->files, out);
    help_lines("Examples", program->examples, out);
    fputs("\nExit status\n", out);
    for (size_t i = 0; i < N_EXIT_STATUSES; i++)
        fprintf(out, "  %-3s %s\n", exit_statuses[i][0], exit_statuses[i][1]);
}

/* ---- man page -------------------------------------------------------------------------------- */

/* Text as roff: what a shell reads stays as it is typed (groff would print typographic quotes,
 * dashes and accents), and no line is taken for a request. */
static void roff(const char *text, FILE *out)
{
    static const struct {
        char c;
        const char *roff;
    } escapes[] = {
        {'\\', "\\e"},  {'-', "\\-"},   {'\'', "\\(aq"}, {'`', "\\(ga"},
        {'^', "\\(ha"}, {'~', "\\(ti"}, {'|', "|\\:"}}; /* a list of words may be broken there */
    bool is_line_start = true;
    for (; *text; text++) {
        const char *escaped = NULL;
        for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
            if (escapes[i].c == *text)
                escaped = escapes[i].roff;
        if (is_line_start && *text == '.')
            fputs("\\&", out);
        if (escaped)
            fputs(escaped, out);
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

/* In place: a line that begins with a blank goes on the one before it. */
static void join_lines(char *text)
{
    char *to = text;
    for (const char *at = text; *at; at++) {
        const bool goes_on = at[0] == '\n' && at[1] == ' ';
        *to++ = goes_on ? ' ' : *at;
        at += goes_on ? strspn(at + 1, " ") : 0;
    }
    *to = 0;
}

/* One item a line "name: meaning"; lines that begin with a blank belong to the item before. */
static void man_lines(const char *heading, const char *lines, FILE *out)
{
    if (!lines)
        return;
    fprintf(out, ".SH %s\n", heading);
    char *copy = mim_strdup(lines);
    if (copy)
        join_lines(copy);
    for (char *at = copy; at && *at;) {
        char *end = strchr(at, '\n'), *colon;
        if (end)
            *end = 0;
        if ((colon = strstr(at, ": "))) {
            *colon = 0;
            man_item(at, NULL, colon + 2, out);
        } else {
            fputs(at == copy ? "" : ".PP\n", out);
            roff(at, out);
            fputc('\n', out);
        }
        at = end ? end + 1 : NULL;
    }
    free(copy);
}

static void man_paragraphs(const char *title, const char *text, FILE *out)
{
    if (!text)
        return;
    fprintf(out, ".SH %s\n", title);
    char *copy = mim_strdup(text);
    for (char *at = copy; at && *at;) {
        char *end = strstr(at, "\n\n");
        if (end)
            *end = 0;
        fputs(at == copy ? "" : ".PP\n", out);
        roff(at, out);
        fputc('\n', out);
        at = end ? end + 2 : NULL;
    }
    free(copy);
}

static void man_flags(const mim_flag *flags, FILE *out)
{
    for (; flags && flags->name; flags++) {
        char term[64];
        snprintf(term, sizeof term, "%s--%s", strcmp(flags->name, "out") == 0 ? "-o, " : "",
                 flags->name);
        man_item(term, flags->value, flags->help, out);
    }
}

static void man_settings(const mim_program *program, FILE *out)
{
    if (!program->tables || !program->tables[0])
        return;
    fputs(".SH SETTINGS\nIn an ini file given with \\-\\-config, or with \\-\\-set; the value "
          "behind\n"
          "the name is the default. Later sources win: defaults, environment, \\-\\-config,\n"
          "\\-\\-set and flags.\n",
          out);
    for (size_t t = 0; program->tables[t]; t++)
        for (const mim_option *o = program->tables[t]; o->section; o++) {
            char term[128], *text = setting_text(o);
            snprintf(term, sizeof term, "%s.%s", o->section, o->key);
            man_item(term, o->initial, text ? text : o->help, out);
            free(text);
        }
}

void mim_program_man(const mim_program *program, const char *version, FILE *out)
{
    /* flush left: a long list of words leaves nothing in its line to stretch */
    fprintf(out, ".TH %s 1 \"\" \"mimesys %s\" \"Mimesys for Slurm\"\n.ad l\n.SH NAME\n%s \\- ",
            program->name, version, program->name);
    roff(program->summary, out);
    fputs("\n.SH SYNOPSIS\n.nf\n", out);
    for (size_t i = 0; program->synopsis[i]; i++) {
        fprintf(out, "\\fB%s\\fR ", program->name);
        roff(program->synopsis[i], out);
        fputc('\n', out);
    }
    fputs(".fi\n", out);
    man_paragraphs("DESCRIPTION", program->description, out);
    for (const mim_topic *t = program->topics; t && t->title; t++)
        man_paragraphs(t->title, t->text, out);
    if (program->commands) {
        fputs(".SH COMMANDS\n", out);
        for (const mim_command *c = program->commands; c->name; c++)
            man_item(c->name, NULL, c->help, out);
    }
    fputs(".SH OPTIONS\n", out);
    man_flags(program->flags, out);
    man_flags(mim_common_flags, out);
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

/* ---- bash completion --------------------------------------------------------------------------
 */

static void completion_words(const mim_program *program, FILE *out)
{
    fputs("    local flags=\"", out);
    for (const mim_flag *f = program->flags; f && f->name; f++)
        fprintf(out, "--%s ", f->name);
    for (const mim_flag *f = mim_common_flags; f->name; f++)
        fprintf(out, "--%s ", f->name);
    fputs("\"\n    local commands=\"", out);
    for (const mim_command *c = program->commands; c && c->name; c++)
        fprintf(out, "%s ", c->name);
    fputs("\"\n    local settings=\"", out);
    for (size_t t = 0; program->tables && program->tables[t]; t++)
        for (const mim_option *o = program->tables[t]; o->section; o++)
            fprintf(out, "%s.%s= ", o->section, o->key);
    fputs("\"\n", out);
}

void mim_program_completion(const mim_program *program, FILE *out)
{
    fprintf(out,
            "_%s()\n{\n    local current=\"${COMP_WORDS[COMP_CWORD]}\"\n"
            "    local before=\"${COMP_WORDS[COMP_CWORD-1]}\"\n",
            program->name);
    completion_words(program, out);
    fprintf(out,
            "    local words=\"\"\n"
            "    COMPREPLY=()\n"
            "    if [ \"$before\" = --set ]; then\n"
            "        words=$settings\n"
            "        compopt -o nospace 2>/dev/null\n"
            "    elif [ \"$before\" = --log-level ]; then\n"
            "        words=\"error warn info debug\"\n"
            "    elif [[ $current == -* ]]; then\n"
            "        words=$flags\n"
            "    elif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
            "        words=$commands\n"
            "    fi\n"
            "    if [ -n \"$words\" ]; then\n"
            "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
            "    else\n"
            "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
            "    fi\n}\ncomplete -o filenames -F _%s %s\n",
            program->name, program->name);
}
