/* The command line of a program: one description feeds the parser, --help, the man page and the
 * shell completion.
 *
 * Every program has, besides its own flags: --help, --version, --config INI, --set
 * section.key=value, --print-config, --dry-run, --json, --log-level LEVEL, and (for packaging)
 * --man, --completion. "--" ends the flags; "--flag=value" and "--flag value" are the same. */
#ifndef MIM_CORE_ARGS_H
#define MIM_CORE_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/config.h"

typedef struct mim_flag {
    const char *name;       /* without the dashes */
    const char *value;      /* name of its value in the help, NULL for a switch */
    const char *config_key; /* "section.key" that the value sets, or NULL */
    bool is_repeatable;
    const char *help; /* one sentence */
} mim_flag;

typedef struct mim_command {
    const char *name;
    const char *help;
} mim_command;

/* A section of its own in the man page; --help names it only. */
typedef struct mim_topic {
    const char *title; /* in capitals */
    const char *text;  /* paragraphs separated by an empty line */
} mim_topic;

typedef struct mim_program {
    const char *name;
    const char *summary;                 /* one line */
    const char *const *synopsis;         /* NULL-terminated lines, without the program's name */
    const mim_command *commands;         /* first argument, ended by a NULL name; NULL if none */
    const mim_flag *flags;               /* ended by a NULL name; NULL if none */
    const mim_option *const *tables;     /* configuration, NULL-terminated; NULL if none */
    size_t min_arguments, max_arguments; /* positional ones, the command included */
    const char *description;             /* paragraphs separated by an empty line */
    const mim_topic *topics;             /* ended by a NULL title; NULL if none */
    const char *json_keys; /* what --json prints, one "key: meaning" a line; further lines
                              of an item begin with two spaces */
    const char *files;     /* what it reads and writes, in the same way */
    const char *examples;  /* one command a line */
} mim_program;

typedef struct mim_args mim_args;

/* Parses; reads --config and --set into the configuration. `program` and argv are kept (borrowed).
 * With --help, --version, --man or --completion nothing else is checked. */
int mim_args_create(const mim_program *program, int argc, char **argv, mim_args **args);
void mim_args_destroy(mim_args **args);

bool mim_args_has(const mim_args *args, const char *flag);
const char *mim_args_value(const mim_args *args, const char *flag); /* last one given, or NULL */
size_t mim_args_n_values(const mim_args *args, const char *flag);
const char *mim_args_value_at(const mim_args *args, const char *flag, size_t i);
/* A flag's value as a whole number of min to max; *count is left as it is without the flag.
 * MIM_EUSAGE. */
int mim_args_count(const mim_args *args, const char *flag, size_t min, size_t max, size_t *count);
size_t mim_args_n(const mim_args *args); /* positional arguments */
const char *mim_args_at(const mim_args *args, size_t i);
const mim_config *mim_args_config(const mim_args *args);
/* Writes what was given on the command line but for --dry-run, each with a blank before it and
 * quoted for a shell where it must be; is_nested: to stand between double quotes. */
void mim_args_print(const mim_args *args, bool is_nested, FILE *out);

void mim_program_help(const mim_program *program, FILE *out);
void mim_program_man(const mim_program *program, const char *version, FILE *out);
void mim_program_completion(const mim_program *program, FILE *out);

#endif
