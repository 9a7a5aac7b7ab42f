#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/config.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static const mim_option run_table[] = {
    {"run", "slots", MIM_OPTION_INT, "", "3", 1, 1000, NULL, "MIMESYS_TEST_SLOTS", "slots to run"},
    {"run", "slot_s", MIM_OPTION_REAL, "s", "1.5", 0.1, 60, NULL, NULL, "length of a slot"},
    {"run", "idle", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, NULL, "an idle slot"},
    {"run", "folder", MIM_OPTION_TEXT, "", "", 0, 0, NULL, NULL, "where"},
    {"run", "batch_size", MIM_OPTION_INT, "", "-4", -9e18, 9.3e18, NULL, NULL, "any whole number"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
static const mim_option limit_table[] = {
    {"limits", "memory", MIM_OPTION_BYTES, "", "16G", 0, 0, NULL, NULL, "memory at most"},
    {"limits", "mode", MIM_OPTION_CHOICE, "", "auto", 0, 0, "auto|direct|buffered", NULL, "how"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
static const mim_option *const tables[] = {run_table, limit_table, NULL};

static char folder[256], path[300];

static mim_config *fresh(void)
{
    mim_config *config = NULL;
    assert_int_equal(mim_config_create(tables, &config), MIM_OK);
    return config;
}

static void put(const void *bytes, size_t n)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static void put_text(const char *text) { put(text, strlen(text)); }

/* Loading `text` fails with the sentence "<path><rest>". */
static void refuses(const char *text, const char *rest)
{
    char expected[2048];
    mim_config *config = fresh();
    put_text(text);
    snprintf(expected, sizeof expected, "%s%s", path, rest);
    assert_int_equal(mim_config_load(config, path), MIM_EUSAGE);
    assert_string_equal(mim_error(), expected);
    mim_config_destroy(&config);
    assert_null(config);
}

static void test_defaults(void **state)
{
    (void)state;
    mim_config *config = fresh();
    assert_int_equal(mim_config_int(config, "run.slots"), 3);
    assert_true(mim_config_real(config, "run.slot_s") == 1.5);
    assert_false(mim_config_bool(config, "run.idle"));
    assert_string_equal(mim_config_text(config, "run.folder"), "");
    assert_int_equal(mim_config_int(config, "run.batch_size"), -4);
    assert_true(mim_config_bytes(config, "limits.memory") == UINT64_C(17179869184));
    assert_string_equal(mim_config_text(config, "limits.mode"), "auto");
    assert_false(mim_config_is_set(config, "run.slots"));
    mim_config_destroy(&config);
    mim_config_destroy(&config); /* NULL is fine */
    assert_int_equal(mim_config_create(NULL, &config), MIM_OK);
    assert_int_equal(mim_config_set(config, "--set", "a.b=1"), MIM_EUSAGE);
    mim_config_destroy(&config);
}

static void test_file_with_everything(void **state)
{
    (void)state;
    mim_config *config = fresh();
    put_text("# a comment\n"
             "; another one\n"
             "\n"
             "[run]\n"
             "slots=010\n" /* decimal */
             "  slot_s  =  2.5   ; seconds\n"
             "idle = yes # why not\n"
             "folder = \"/a b;c#d \"  # quotes keep all of it\n"
             "\t[ limits ]\t\n"
             "memory = 2M\n"
             "mode = direct\n"
             "[run]\n"                             /* a section may go on */
             "batch_size = -9000000000000000000"); /* no line end */
    assert_int_equal(mim_config_load(config, path), MIM_OK);
    assert_int_equal(mim_config_int(config, "run.slots"), 10);
    assert_true(mim_config_real(config, "run.slot_s") == 2.5);
    assert_true(mim_config_bool(config, "run.idle"));
    assert_string_equal(mim_config_text(config, "run.folder"), "/a b;c#d ");
    assert_true(mim_config_bytes(config, "limits.memory") == 2 << 20);
    assert_string_equal(mim_config_text(config, "limits.mode"), "direct");
    assert_true(mim_config_int(config, "run.batch_size") == INT64_C(-9000000000000000000));
    assert_true(mim_config_is_set(config, "run.slots"));
    mim_config_destroy(&config);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *line, *value;
    } cases[] = {
        {"folder = a b", "a b"},
        {"folder = a#b", "a"},
        {"folder = a ; b", "a"},
        {"folder =", ""},
        {"folder = ; nothing", ""},
        {"folder = \"\"", ""},
        {"folder = ''", ""},
        {"folder = ' x '", " x "},
        {"folder = \"it's\"", "it's"},
        {"folder = a=b=c", "a=b=c"},
        {"folder = \"a=b\"", "a=b"},
        {"folder = it's", "it's"},
        {"folder=/x\\y", "/x\\y"},
        {"folder = \"x\\\"", "x\\"},
        {"folder = \xc3\xa9", "\xc3\xa9"},
        {"folder = [x]", "[x]"},
        {"folder = \"\" ; empty", ""},
        {"folder = '#' # x", "#"},
    };
    for (size_t i = 0; i < N_OF(cases); i++)
        for (size_t crlf = 0; crlf < 2; crlf++) {
            char text[128];
            const char *end = crlf ? "\r\n" : "\n";
            snprintf(text, sizeof text, "[run]%s%s%sslots = 7%s", end, cases[i].line, end, end);
            put_text(text);
            mim_config *config = fresh();
            assert_int_equal(mim_config_load(config, path), MIM_OK);
            assert_string_equal(mim_config_text(config, "run.folder"), cases[i].value);
            assert_int_equal(mim_config_int(config, "run.slots"), 7);
            mim_config_destroy(&config);
        }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *rest; /* the sentence behind the file's name */
    } cases[] = {
        {"[run]\nslots = 12abc\n", ":2: [run] slots: expected a whole number, found \"12abc\""},
        {"[run]\nslots = 0x10\n", ":2: [run] slots: expected a whole number, found \"0x10\""},
        {"[run]\nslots = 5 6\n", ":2: [run] slots: expected a whole number, found \"5 6\""},
        {"[run]\nslots =\n", ":2: [run] slots: expected a whole number, found \"\""},
        {"[run]\nslots = 0\n", ":2: [run] slots: expected 1 to 1000, found 0"},
        {"[run]\nslots = 1001\n", ":2: [run] slots: expected 1 to 1000, found 1001"},
        {"[run]\nslots = 99999999999999999999\n",
         ":2: [run] slots: expected 1 to 1000, found 99999999999999999999"},
        {"[run]\nslot_s = 0\n", ":2: [run] slot_s: expected 0.1 to 60, found 0"},
        {"[run]\nslot_s = nan\n", ":2: [run] slot_s: expected a number, found \"nan\""},
        {"[run]\nslot_s = 1s\n", ":2: [run] slot_s: expected a number, found \"1s\""},
        {"[run]\nidle = maybe\n", ":2: [run] idle: expected true or false, found \"maybe\""},
        {"[limits]\nmemory = lots\n",
         ":2: [limits] memory: expected bytes such as 512M or 16G, found \"lots\""},
        {"[limits]\nmode = fast\n",
         ":2: [limits] mode: expected one of auto|direct|buffered, found \"fast\""},
        {"[limits]\nmode = dir\n",
         ":2: [limits] mode: expected one of auto|direct|buffered, found \"dir\""},
        {"[limits]\nmode = auto|direct\n",
         ":2: [limits] mode: expected one of auto|direct|buffered, found \"auto|direct\""},
        {"[limits]\nmode = \n",
         ":2: [limits] mode: expected one of auto|direct|buffered, found \"\""},
        /* unknown */
        {"[run]\nbatchsize = 3\n", ":2: [run] batchsize: unknown; did you mean run.batch_size?"},
        {"[run]\nSlots = 3\n", ":2: [run] Slots: unknown; did you mean run.slots?"},
        {"[run]\nmemory = 3\n", ":2: [run] memory: unknown; did you mean limits.memory?"},
        {"[run]\ntemperature = 3\n",
         ":2: [run] temperature: unknown key; --print-config lists all"},
        {"[limits]\nxyz = 3\n", ":2: [limits] xyz: unknown key; --print-config lists all"},
        {"[rnu]\n", ":1: [rnu]: unknown; did you mean [run]?"},
        {"[Limits]\n", ":1: [Limits]: unknown; did you mean [limits]?"},
        {"\n\n[training]\n", ":3: [training]: unknown section; --print-config lists all"},
        {"[]\n", ":1: []: unknown section; --print-config lists all"},
        /* twice */
        {"[run]\nslots = 1\nslots = 1\n", ":3: [run] slots: stands twice, first in line 2"},
        {"[run]\nslots = 1\n[limits]\n[run]\nslots = 2\n",
         ":5: [run] slots: stands twice, first in line 2"},
        /* no ini text */
        {"slots = 3\n", ":1: expected a [section] first, found \"slots = 3\""},
        {"[run]\nslots\n", ":2: expected key = value, found \"slots\""},
        {"[run]\n= 3\n", ":2: [run] : unknown key; --print-config lists all"},
        {"[run\nslots = 3\n", ":1: expected [section], found \"[run\""},
        {"[\n", ":1: expected [section], found \"[\""},
        {"[run]x]\n", ":1: expected [section], found \"[run]x]\""},
        {"[run] ; comment\n", ":1: expected [section], found \"[run] ; comment\""},
        {"[run]\nfolder = \"abc\n", ":2: [run] folder: expected a closing \", found \"abc"},
        {"[run]\nfolder = 'abc\n", ":2: [run] folder: expected a closing ', found 'abc"},
        {"[run]\nfolder = \"abc\" def\n",
         ":2: [run] folder: expected nothing after the closing \", found def"},
        {"[run]\nfolder = a \"b\" c\n",
         ":2: [run] folder: expected one line without double quotes, found \"a \"b\" c\""},
        {"[run]\n# see C:\\\nslots = 3\n",
         ":2: expected no \\ at the end of a line; a setting is one line"},
        {"[run]\nfolder = a \\  \nslots = 3\n",
         ":2: expected no \\ at the end of a line; a setting is one line"},
        {"[run]\r\nslots = 12abc\r\n", ":2: [run] slots: expected a whole number, found \"12abc\""},
        {"\xef\xbb\xbf[run]\n",
         ": expected plain text, found a byte-order mark (EF BB BF) at its start; save it without"},
    };
    for (size_t i = 0; i < N_OF(cases); i++)
        refuses(cases[i].text, cases[i].rest);
}

static void test_long_lines(void **state)
{
    (void)state;
    char text[4096] = "[run]\nfolder = ";
    size_t n = strlen(text);
    memset(text + n, 'x', 985);
    refuses(text, ":2: [run] folder: expected at most 900 bytes, found 985");
    memset(text + n, 'x', 2000);
    refuses(text, ":2: expected at most 1000 bytes in a line, found 2009");
    memset(text + n, 0, 2000);
    memset(text + n, 'x', 900);
    put_text(text);
    mim_config *config = fresh();
    assert_int_equal(mim_config_load(config, path), MIM_OK);
    assert_int_equal(strlen(mim_config_text(config, "run.folder")), 900);
    mim_config_destroy(&config);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    char expected[512];
    mim_config *config = fresh();
    put("[run]\nslots\0= 3\n", 16);
    assert_int_equal(mim_config_load(config, path), MIM_EUSAGE);
    snprintf(expected, sizeof expected, "%s: expected an ini text, found binary data", path);
    assert_string_equal(mim_error(), expected);

    assert_int_equal(mim_config_load(config, "/no/such.ini"), MIM_EIO);
    assert_string_equal(mim_error(), "/no/such.ini: cannot be read: No such file or directory");
    assert_int_equal(mim_config_load(config, folder), MIM_EIO);
    snprintf(expected, sizeof expected, "%s: expected a file, found a folder", folder);
    assert_string_equal(mim_error(), expected);
    assert_int_equal(mim_config_load(config, "/dev/zero"), MIM_EIO);
    assert_string_equal(mim_error(), "/dev/zero: expected a regular file");

    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes: must not wait */
    assert_int_equal(mim_config_load(config, path), MIM_EIO);
    assert_int_equal(unlink(path), 0);

    FILE *large = fopen(path, "wb");
    assert_non_null(large);
    assert_int_equal(ftruncate(fileno(large), (1 << 20) + 1), 0);
    fclose(large);
    assert_int_equal(mim_config_load(config, path), MIM_EUSAGE);
    snprintf(expected, sizeof expected, "%s: expected at most 1048576 bytes, found 1048577", path);
    assert_string_equal(mim_error(), expected);

    put("", 0);
    assert_int_equal(mim_config_load(config, path), MIM_OK);
    mim_config_destroy(&config);
}

/* Nothing of a refused file is taken. */
static void test_all_or_nothing(void **state)
{
    (void)state;
    mim_config *config = fresh();
    put_text("[run]\nslots = 9\n[limits]\nmode = fast\n");
    assert_int_equal(mim_config_load(config, path), MIM_EUSAGE);
    assert_int_equal(mim_config_int(config, "run.slots"), 3);
    assert_false(mim_config_is_set(config, "run.slots"));
    mim_config_destroy(&config);
}

static void test_set(void **state)
{
    (void)state;
    static const struct {
        const char *assignment, *sentence;
    } cases[] = {
        {"run.slots=12abc", "--set run.slots: expected a whole number, found \"12abc\""},
        {"run.slots=2000", "--set run.slots: expected 1 to 1000, found 2000"},
        {"run.slots", "--set: expected section.key=value, found \"run.slots\""},
        {"", "--set: expected section.key=value, found \"\""},
        {"run.slot=3", "--set run.slot: unknown; did you mean run.slots?"},
        {"runs.slots=3", "--set runs.slots: unknown; did you mean run.slots?"},
        {"slots=3", "--set slots: unknown; did you mean run.slots?"},
        {"=3", "--set : unknown key; --print-config lists all"},
        {"run.folder=a\"b",
         "--set run.folder: expected one line without double quotes, found \"a\"b\""},
        {"run.folder=a\nb",
         "--set run.folder: expected one line without double quotes, found \"a?b\""},
    };
    mim_config *config = fresh();
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(mim_config_set(config, "--set", cases[i].assignment), MIM_EUSAGE);
        assert_string_equal(mim_error(), cases[i].sentence);
    }
    assert_int_equal(mim_config_int(config, "run.slots"), 3);
    assert_int_equal(mim_config_set(config, "--set", "run.slots=010"), MIM_OK);
    assert_int_equal(mim_config_int(config, "run.slots"), 10);
    assert_int_equal(mim_config_set(config, "--set", "run.folder=a=b"), MIM_OK);
    assert_string_equal(mim_config_text(config, "run.folder"), "a=b");
    assert_int_equal(mim_config_set_value(config, "--slots", "run.slots", "11"), MIM_OK);
    assert_int_equal(mim_config_int(config, "run.slots"), 11);
    assert_true(mim_config_is_set(config, "run.slots"));
    mim_config_destroy(&config);
}

/* default < environment < ini file < --set */
static void test_order_of_sources(void **state)
{
    (void)state;
    put_text("[run]\nslots = 30\n");
    mim_config *config = fresh();
    assert_int_equal(mim_config_int(config, "run.slots"), 3);
    mim_config_destroy(&config);

    assert_int_equal(setenv("MIMESYS_TEST_SLOTS", "20", 1), 0);
    config = fresh();
    assert_int_equal(mim_config_int(config, "run.slots"), 20);
    assert_true(mim_config_is_set(config, "run.slots"));
    assert_int_equal(mim_config_load(config, path), MIM_OK);
    assert_int_equal(mim_config_int(config, "run.slots"), 30);
    assert_int_equal(mim_config_set(config, "--set", "run.slots=40"), MIM_OK);
    assert_int_equal(mim_config_int(config, "run.slots"), 40);
    mim_config_destroy(&config);

    assert_int_equal(setenv("MIMESYS_TEST_SLOTS", "", 1), 0); /* empty counts as not set */
    config = fresh();
    assert_int_equal(mim_config_int(config, "run.slots"), 3);
    mim_config_destroy(&config);

    assert_int_equal(setenv("MIMESYS_TEST_SLOTS", "many", 1), 0);
    assert_int_equal(mim_config_create(tables, &config), MIM_EUSAGE);
    assert_null(config);
    assert_string_equal(mim_error(), "MIMESYS_TEST_SLOTS: expected a whole number, found \"many\"");
    assert_int_equal(unsetenv("MIMESYS_TEST_SLOTS"), 0);
}

static void test_printed_text(void **state)
{
    (void)state;
    mim_config *config = fresh();
    char *ini = mim_config_text_ini(config);
    assert_string_equal(ini, "[run]\n"
                             "# slots to run (whole number 1 to 1000)\n"
                             "slots = 3\n"
                             "# length of a slot (number 0.1 to 60, s)\n"
                             "slot_s = 1.5\n"
                             "# an idle slot (true or false)\n"
                             "idle = false\n"
                             "# where (text)\n"
                             "folder = \n"
                             "# any whole number (whole number -9e+18 to 9.3e+18)\n"
                             "batch_size = -4\n"
                             "\n"
                             "[limits]\n"
                             "# memory at most (bytes such as 512M or 16G)\n"
                             "memory = 16G\n"
                             "# how (one of auto|direct|buffered)\n"
                             "mode = auto\n");
    free(ini);
    mim_config_destroy(&config);
}

/* What --print-config prints can be loaded, and prints the same again. */
static void test_printed_text_loads_again(void **state)
{
    (void)state;
    static const char *const folders[] = {
        "",    "plain", "/a b/c", " x ", "a;b", "#",        ";",  "a # b", "it's",      "'q'",
        "x\\", "\\",    "[run]",  "a=b", "=",   "\xc3\xa9", "\t", "a\tb",  "slots = 9",
    };
    char long_folder[901];
    memset(long_folder, ';', sizeof long_folder);
    long_folder[900] = 0;
    for (size_t i = 0; i <= N_OF(folders); i++) {
        const char *value = i < N_OF(folders) ? folders[i] : long_folder;
        mim_config *first = fresh(), *second = fresh();
        assert_int_equal(mim_config_set_value(first, "test", "run.folder", value), MIM_OK);
        assert_int_equal(mim_config_set(first, "test", "run.slots=77"), MIM_OK);
        assert_int_equal(mim_config_set(first, "test", "limits.mode=buffered"), MIM_OK);
        char *ini = mim_config_text_ini(first), *again;
        put_text(ini);
        assert_int_equal(mim_config_load(second, path), MIM_OK);
        assert_string_equal(mim_config_text(second, "run.folder"), value);
        assert_int_equal(mim_config_int(second, "run.slots"), 77);
        assert_string_equal(mim_config_text(second, "limits.mode"), "buffered");
        again = mim_config_text_ini(second);
        assert_string_equal(again, ini);
        free(ini);
        free(again);
        mim_config_destroy(&first);
        mim_config_destroy(&second);
    }
}

static void test_copy(void **state)
{
    (void)state;
    mim_config *config = fresh(), *copy = NULL;
    assert_int_equal(mim_config_set(config, "--set", "run.slots=7"), MIM_OK);
    assert_int_equal(mim_config_copy(config, &copy), MIM_OK);
    assert_int_equal(mim_config_int(copy, "run.slots"), 7);
    assert_true(mim_config_is_set(copy, "run.slots"));
    char *before = mim_config_text_ini(config), *same = mim_config_text_ini(copy);
    assert_string_equal(before, same);
    assert_int_equal(mim_config_set_value(copy, "--compat", "run.slots", "9"), MIM_OK);
    assert_int_equal(mim_config_int(copy, "run.slots"), 9);
    assert_int_equal(mim_config_int(config, "run.slots"), 7); /* each has its own values */
    mim_config_destroy(&config);
    assert_int_equal(mim_config_int(copy, "run.slots"), 9);
    mim_config_destroy(&copy);
    free(before);
    free(same);
}

static int open_folder(void **state)
{
    (void)state;
    unsetenv("MIMESYS_TEST_SLOTS");
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/mimesys-test-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/test.ini", folder);
    return 0;
}

static int close_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),         cmocka_unit_test(test_file_with_everything),
        cmocka_unit_test(test_values),           cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_long_lines),       cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_all_or_nothing),   cmocka_unit_test(test_set),
        cmocka_unit_test(test_order_of_sources), cmocka_unit_test(test_copy),
        cmocka_unit_test(test_printed_text),     cmocka_unit_test(test_printed_text_loads_again),
    };
    return cmocka_run_group_tests_name("config", tests, open_folder, close_folder);
}
