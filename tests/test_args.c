#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/args.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static const mim_option options[] = {
    {"run", "slots", MIM_OPTION_INT, "", "3", 1, 1000, NULL, "MIMESYS_TEST_SLOTS", "slots to run"},
    {"run", "idle", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, NULL, "idle slots too"},
    {"run", "mode", MIM_OPTION_CHOICE, "", "auto", 0, 0, "auto|direct", NULL, "how"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
static const mim_option *const tables[] = {options, NULL};
static const mim_flag flags[] = {
    {"slots", "N", "run.slots", false, "slots to run"},
    {"idle", NULL, "run.idle", false, "idle slots too"},
    {"out", "FILE", NULL, false, "where to"},
    {"label", "TEXT", NULL, true, "a label"},
    {NULL, NULL, NULL, false, NULL},
};
static const mim_command commands[] = {
    {"summary", "a table"}, {"convert", "another form"}, {NULL, NULL}};
static const char *const synopsis[] = {"summary FILE", "convert FILE -o OUT", NULL};

static const mim_program program = {
    .name = "mimesys_test",
    .summary = "a program that isn't",
    .synopsis = synopsis,
    .commands = commands,
    .flags = flags,
    .tables = tables,
    .min_arguments = 2,
    .max_arguments = 3,
    .description = "First paragraph, which is long enough that it has to be filled again by help.\n"
                   "Its second line.\n\n"
                   ".dots and 'quotes' at line starts; a \\backslash, ~/home, 2^3, `x`.\n"
                   "  kept as it is",
    .json_keys = "status: done\n  or stopped: by whom\nslots: how many",
    .files = "FILE: a file\n  that goes on\n  further\nFILE.txt: a text",
    .examples = "mimesys_test summary 'a b' --label=x-y",
};

enum { MAX_WORDS = 16 };

/* A command line as words separated by '|'. */
static int parse(const mim_program *of, const char *line, mim_args **args)
{
    static char copies[4][512]; /* arguments are borrowed: two lines may be alive */
    static char *words[4][MAX_WORDS];
    static size_t turn;
    char *copy = copies[turn % 4], **argv = words[turn % 4];
    int argc = 0;
    turn++;
    snprintf(copy, sizeof copies[0], "mimesys_test|%s", line);
    for (char *at = copy; at && argc < MAX_WORDS - 1;) {
        char *end = strchr(at, '|');
        argv[argc++] = at;
        if (end)
            *end++ = 0;
        at = end;
    }
    if (!*line)
        argc = 1;
    argv[argc] = NULL;
    return mim_args_create(of, argc, argv, args);
}

static void test_flags_and_arguments(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "summary|a.txt|--slots|10|--idle|--label|x|-o|out.png|--label=y=z|--json",
        "--slots=10|--label=x|--label|y=z|--json|summary|--out=out.png|a.txt|--idle",
        "-o|out.png|--idle|--json|--slots=010|--label|x|--label|y=z|--|summary|a.txt",
    };
    for (size_t i = 0; i < N_OF(lines); i++) {
        mim_args *args = NULL;
        assert_int_equal(parse(&program, lines[i], &args), MIM_OK);
        assert_int_equal(mim_args_n(args), 2);
        assert_string_equal(mim_args_at(args, 0), "summary");
        assert_string_equal(mim_args_at(args, 1), "a.txt");
        assert_null(mim_args_at(args, 2));
        assert_string_equal(mim_args_value(args, "out"), "out.png");
        assert_int_equal(mim_args_n_values(args, "label"), 2);
        assert_string_equal(mim_args_value_at(args, "label", 0), "x");
        assert_string_equal(mim_args_value_at(args, "label", 1), "y=z");
        assert_null(mim_args_value_at(args, "label", 2));
        assert_string_equal(mim_args_value(args, "label"), "y=z");
        assert_true(mim_args_has(args, "json"));
        assert_false(mim_args_has(args, "dry-run"));
        assert_null(mim_args_value(args, "config"));
        assert_int_equal(mim_config_int(mim_args_config(args), "run.slots"), 10);
        assert_true(mim_config_bool(mim_args_config(args), "run.idle"));
        mim_args_destroy(&args);
        assert_null(args);
    }
}

static void test_words_that_look_like_flags(void **state)
{
    (void)state;
    mim_args *args = NULL;
    assert_int_equal(parse(&program, "--|summary|--slots|--", &args), MIM_OK);
    assert_int_equal(mim_args_n(args), 3);
    assert_string_equal(mim_args_at(args, 1), "--slots");
    assert_string_equal(mim_args_at(args, 2), "--");
    mim_args_destroy(&args);
    assert_int_equal(parse(&program, "summary|-|--label=--json|--label|-5", &args), MIM_OK);
    assert_string_equal(mim_args_at(args, 1), "-");
    assert_string_equal(mim_args_value_at(args, "label", 0), "--json");
    assert_string_equal(mim_args_value_at(args, "label", 1), "-5");
    assert_false(mim_args_has(args, "json"));
    mim_args_destroy(&args);
    assert_int_equal(parse(&program, "summary|a|--label=", &args), MIM_OK);
    assert_string_equal(mim_args_value(args, "label"), "");
    mim_args_destroy(&args);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *line, *sentence;
    } cases[] = {
        {"summary|a|--slto=3", "--slto=3: unknown; did you mean --slots?"},
        {"summary|a|--lable|x", "--lable: unknown; did you mean --label?"},
        {"summary|a|--dryrun", "--dryrun: unknown; did you mean --dry-run?"},
        {"summary|a|-json", "-json: unknown; did you mean --json?"},
        {"summary|a|--temperature", "--temperature: unknown; mimesys_test --help lists all"},
        {"summary|a|-q", "-q: unknown; mimesys_test --help lists all"},
        {"summary|a|--slot|3", "--slot: unknown; did you mean --slots?"},
        {"summary|a|---slots", "---slots: unknown; did you mean --slots?"},
        {"summary|a|--out", "--out: expected a value: FILE"},
        {"summary|a|-o", "--out: expected a value: FILE"},
        {"summary|--out|--json|a", "--out: expected a value: FILE"},
        {"summary|--out|--|a", "--out: expected a value: FILE"},
        {"summary|a|--idle=yes", "--idle: takes no value"},
        {"summary|a|--json=1", "--json: takes no value"},
        {"summary|a|--out|x|-o|y", "--out: given twice"},
        {"summary|a|--idle|--idle", "--idle: given twice"},
        {"", "expected: mimesys_test summary FILE (see --help)"},
        {"summary", "expected: mimesys_test summary FILE (see --help)"},
        {"summary|a|b|c", "c: unexpected argument"},
        {"sumary|a", "sumary: unknown command; did you mean summary?"},
        {"wobble|a", "wobble: unknown command; mimesys_test --help lists all"},
        {"summary|", "argument 2: expected a name, found an empty text"},
        {"summary|a|--slots|12abc", "--slots: expected a whole number, found \"12abc\""},
        {"summary|a|--slots|0", "--slots: expected 1 to 1000, found 0"},
        {"summary|a|--set|run.slots=x", "--set run.slots: expected a whole number, found \"x\""},
        {"summary|a|--set|run.slot=3", "--set run.slot: unknown; did you mean run.slots?"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        mim_args *args = NULL;
        assert_int_equal(parse(&program, cases[i].line, &args), MIM_EUSAGE);
        assert_null(args);
        assert_string_equal(mim_error(), cases[i].sentence);
    }
    mim_args *args = NULL;
    assert_int_equal(parse(&program, "summary|a|--config|/no/such.ini", &args), MIM_EIO);
    assert_string_equal(mim_error(), "/no/such.ini: cannot be read: No such file or directory");
    assert_null(args);
}

static void test_counts(void **state)
{
    (void)state;
    static const struct {
        const char *line, *sentence; /* NULL: accepted */
        size_t count;
    } cases[] = {
        {"summary|a", NULL, 77},
        {"summary|a|--label|2", NULL, 2},
        {"summary|a|--label|9", NULL, 9},
        {"summary|a|--label|5|--label|3", NULL, 3}, /* the last one */
        {"summary|a|--label|1", "--label: expected 2 to 9, found 1", 77},
        {"summary|a|--label|10", "--label: expected 2 to 9, found 10", 77},
        {"summary|a|--label|-3", "--label: expected 2 to 9, found -3", 77},
        {"summary|a|--label|5x", "--label: expected a whole number, found \"5x\"", 77},
        {"summary|a|--label=", "--label: expected a whole number, found \"\"", 77},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        mim_args *args = NULL;
        size_t count = 77;
        assert_int_equal(parse(&program, cases[i].line, &args), MIM_OK);
        assert_int_equal(mim_args_count(args, "label", 2, 9, &count),
                         cases[i].sentence ? MIM_EUSAGE : MIM_OK);
        assert_int_equal(count, cases[i].count);
        if (cases[i].sentence)
            assert_string_equal(mim_error(), cases[i].sentence);
        mim_args_destroy(&args);
    }
}

/* They are answered whatever else stands there. */
static void test_questions_come_first(void **state)
{
    (void)state;
    static const struct {
        const char *line, *flag;
    } cases[] = {{"--help", "help"},          {"-h", "help"},
                 {"--wobble|--help", "help"}, {"wobble|--slots|12abc|--version", "version"},
                 {"--out|--man", "man"},      {"--config|/no/such.ini|--completion", "completion"}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        mim_args *args = NULL;
        assert_int_equal(parse(&program, cases[i].line, &args), MIM_OK);
        assert_true(mim_args_has(args, cases[i].flag));
        mim_args_destroy(&args);
    }
    mim_args *args = NULL;
    assert_int_equal(parse(&program, "--|--help", &args), MIM_EUSAGE); /* an argument, not asked */
}

/* Settings are checked, arguments are not. */
static void test_print_config(void **state)
{
    (void)state;
    mim_args *args = NULL;
    assert_int_equal(parse(&program, "--print-config|--slots|8", &args), MIM_OK);
    assert_int_equal(mim_config_int(mim_args_config(args), "run.slots"), 8);
    mim_args_destroy(&args);
    assert_int_equal(parse(&program, "--print-config|--slots|x", &args), MIM_EUSAGE);
}

/* environment < --config < --set and flags, these in the order given */
static void test_order_of_sources(void **state)
{
    (void)state;
    char path[256];
    const char *parent = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/mimesys-test-XXXXXX", parent ? parent : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char ini[] = "[run]\nslots = 20\n";
    assert_int_equal(write(fd, ini, sizeof ini - 1), (int)sizeof ini - 1);
    close(fd);
    static const struct {
        const char *line; /* %s: the ini file */
        int slots;
    } cases[] = {
        {"summary|a", 10},
        {"summary|a|--config|%s", 20},
        {"--set|run.slots=30|summary|a|--config|%s", 30},
        {"--slots|40|summary|a|--config=%s", 40},
        {"--slots|40|summary|a|--set=run.slots=30", 30},
        {"--set=run.slots=30|--slots|40|summary|a|--set=run.idle=1", 40},
    };
    assert_int_equal(setenv("MIMESYS_TEST_SLOTS", "10", 1), 0);
    for (size_t i = 0; i < N_OF(cases); i++) {
        char line[512];
        size_t before = strcspn(cases[i].line, "%");
        bool has_file = cases[i].line[before] == '%';
        snprintf(line, sizeof line, "%.*s%s", (int)before, cases[i].line, has_file ? path : "");
        mim_args *args = NULL;
        assert_int_equal(parse(&program, line, &args), MIM_OK);
        assert_int_equal(mim_config_int(mim_args_config(args), "run.slots"), cases[i].slots);
        mim_args_destroy(&args);
    }
    unsetenv("MIMESYS_TEST_SLOTS");
    unlink(path);
}

/* A program with nothing but its name. */
static void test_program_without_tables(void **state)
{
    (void)state;
    static const char *const none[] = {"", NULL};
    static const mim_program bare = {.name = "mimesys_bare", .summary = "x", .synopsis = none};
    mim_args *args = NULL;
    assert_int_equal(parse(&bare, "", &args), MIM_OK);
    assert_int_equal(mim_args_n(args), 0);
    mim_args_destroy(&args);
    assert_int_equal(parse(&bare, "a", &args), MIM_EUSAGE);
    assert_string_equal(mim_error(), "a: unexpected argument");
    assert_int_equal(parse(&bare, "-o|a", &args), MIM_EUSAGE);
    assert_string_equal(mim_error(), "-o: unknown; mimesys_bare --help lists all");
}

typedef void writer(const mim_program *of, FILE *out);

static void write_man(const mim_program *of, FILE *out) { mim_program_man(of, "1.2.3", out); }

static char *text_of(writer *write_text, const mim_program *of)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    write_text(of, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("expected to find:\n%s\nin:\n%s", part, text);
}

static void test_help(void **state)
{
    (void)state;
    char *text = text_of(mim_program_help, &program);
    static const char *const parts[] = {
        "mimesys_test - a program that isn't\n\n"
        "usage: mimesys_test summary FILE\n       mimesys_test convert FILE -o OUT\n",
        "First paragraph, which is long enough that it has to be filled again by help.\n"
        "Its second line.\n\n.dots",
        "\n  kept as it is\n",
        "\n  summary                   a table\n",
        "\n  -o, --out FILE            where to\n",
        "\n  --label TEXT              a label\n",
        "\n  --dry-run                 check everything, say what would be done, touch\n"
        "                            nothing\n",
        "\n[run]\n  slots = 3                 slots to run (whole number 1 to 1000; environment\n"
        "                            MIMESYS_TEST_SLOTS)\n",
        "\n  mode = auto               how (one of auto|direct)\n",
        "\n  FILE: a file\n",
        "\n  mimesys_test summary 'a b' --label=x-y\n",
        "\n  75  stopped with results saved: run me again\n",
    };
    for (size_t i = 0; i < N_OF(parts); i++)
        assert_holds(text, parts[i]);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 79);
    free(text);
}

static void test_man_page(void **state)
{
    (void)state;
    char *text = text_of(write_man, &program);
    static const char *const parts[] = {
        ".TH mimesys_test 1 \"\" \"mimesys 1.2.3\" \"Mimesys for Slurm\"\n",
        ".SH NAME\nmimesys_test \\- a program that isn\\(aqt\n",
        "\n\\&.dots and \\(aqquotes\\(aq at line starts; a \\ebackslash, \\(ti/home, 2\\(ha3, "
        "\\(gax\\(ga.\n",
        "\n.TP\n\\fB\\-o, \\-\\-out\\fR \\fIFILE\\fR\nwhere to\n",
        "\n.TP\n\\fBrun.slots\\fR \\fI3\\fR\nslots to run (whole number 1 to 1000; environment "
        "MIMESYS_TEST_SLOTS)\n",
        "\n.SH JSON OUTPUT\n.TP\n\\fBstatus\\fR\ndone or stopped: by whom\n.TP\n\\fBslots\\fR\nhow "
        "many\n",
        "\n.SH FILES\n.TP\n\\fBFILE\\fR\na file that goes on further\n.TP\n\\fBFILE.txt\\fR\na "
        "text\n",
        "\nmimesys_test summary \\(aqa b\\(aq \\-\\-label=x\\-y\n",
        "\n.SH EXIT STATUS\n.TP\n\\fB0\\fR\ndone\n",
    };
    for (size_t i = 0; i < N_OF(parts); i++)
        assert_holds(text, parts[i]);
    free(text);
}

static void test_completion(void **state)
{
    (void)state;
    char *text = text_of(mim_program_completion, &program);
    assert_holds(text, "--slots --idle --out --label --config ");
    assert_holds(text, "commands=\"summary convert \"");
    assert_holds(text, "settings=\"run.slots= run.idle= run.mode= \"");
    assert_holds(text, "complete -o filenames -F _mimesys_test mimesys_test\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_flags_and_arguments),
        cmocka_unit_test(test_words_that_look_like_flags),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_questions_come_first),
        cmocka_unit_test(test_print_config),
        cmocka_unit_test(test_order_of_sources),
        cmocka_unit_test(test_program_without_tables),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_man_page),
        cmocka_unit_test(test_completion),
    };
    return cmocka_run_group_tests_name("args", tests, NULL, NULL);
}
