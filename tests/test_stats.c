/* trace/stats: the hand-made texts of each dialect value by value, the writer read back, and
 * everything a file can do wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace/stats.h"

static const char header[] = "$hpcperfstats 2.4\n$hostname n\n!a x,E y z,E,W=48\n!b k\n\n";

static mim_stats *read_ok(const char *path)
{
    mim_stats *stats = NULL;
    if (mim_stats_read(path, &stats) != MIM_OK)
        fail_msg("%s", mim_error());
    return stats;
}

static mim_stats *parse_ok(const char *text)
{
    mim_stats *stats = NULL;
    if (mim_stats_parse("text", text, strlen(text), &stats) != MIM_OK)
        fail_msg("%s", mim_error());
    return stats;
}

/* A value by names, UINT64_MAX when the record has none. */
static uint64_t value_of(const mim_stats *stats, size_t record, const char *type_name,
                         const char *device_name, const char *key_name)
{
    size_t type = mim_stats_find_type(stats, type_name);
    assert_true(type != SIZE_MAX);
    size_t device = mim_stats_find_device(stats, type, device_name);
    size_t key = mim_stats_find_key(stats, type, key_name);
    assert_true(device != SIZE_MAX && key != SIZE_MAX);
    mim_row row = mim_stats_find_row(stats, record, type, device);
    uint64_t value = UINT64_MAX;
    mim_row_value(&row, key, &value);
    return value;
}

/* ---- dialects -----------------------------------------------------------------------------------
 */

static void test_2_4(void **state)
{
    (void)state;
    mim_stats *s = read_ok("tests/data/dialects/hpcperfstats-2.4.txt");
    assert_int_equal(mim_stats_dialect(s), MIM_DIALECT_HPC_2_4);
    assert_string_equal(mim_stats_property(s, "hostname"), "nodeA");
    assert_string_equal(mim_stats_property(s, "uname"), "Linux x86_64 6.1.0 #1 SMP");
    assert_string_equal(mim_stats_property(s, "hpcperfstats"), "2.4");
    assert_null(mim_stats_property(s, "x_machine"));
    assert_false(mim_stats_is_truncated(s));
    assert_int_equal(mim_stats_n_types(s), 3);
    assert_string_equal(mim_stats_type_name(s, 1), "cpu");
    assert_int_equal(mim_stats_n_keys(s, 0), 11);
    assert_string_equal(mim_stats_key(s, 0, 2)->name, "rd_sectors");
    assert_string_equal(mim_stats_key(s, 0, 2)->unit, "512B");
    assert_int_equal(mim_stats_key(s, 0, 2)->kind, MIM_KEY_EVENT);
    assert_int_equal(mim_stats_key(s, 0, 8)->kind, MIM_KEY_GAUGE);
    assert_string_equal(mim_stats_key(s, 0, 8)->unit, "");
    assert_int_equal(mim_stats_n_records(s), 2);
    assert_true(mim_stats_record_time_s(s, 0) == 1700000000.0);
    assert_true(mim_stats_record_time_s(s, 1) == 1700000002.0);
    assert_string_equal(mim_stats_record_job(s, 1), "0");
    assert_int_equal(mim_stats_n_marks(s, 0), 1);
    assert_string_equal(mim_stats_mark(s, 0, 0), "begin -");
    assert_int_equal(mim_stats_n_marks(s, 1), 0);
    assert_int_equal(mim_stats_n_rows(s, 0), 4);
    assert_int_equal(value_of(s, 0, "block", "sda", "time_in_queue"), 140);
    assert_int_equal(value_of(s, 1, "block", "sda", "wr_sectors"), 24192);
    assert_int_equal(value_of(s, 1, "cpu", "1", "idle"), 5438);
    assert_int_equal(value_of(s, 1, "ps", "-", "nr_threads"), 311);
    assert_int_equal(mim_stats_find_type(s, "mem"), SIZE_MAX);
    assert_int_equal(mim_stats_find_device(s, 1, "2"), SIZE_MAX);
    assert_int_equal(mim_stats_find_key(s, 1, "steal"), SIZE_MAX);
    mim_stats_destroy(&s);
    assert_null(s);
}

static void test_widths(void **state)
{
    (void)state;
    mim_stats *s = read_ok("tests/data/dialects/hpcperfstats-2.4-uncore.txt");
    size_t imc = mim_stats_find_type(s, "intel_skx_imc");
    assert_int_equal(mim_stats_key(s, imc, 0)->kind, MIM_KEY_CONTROL);
    assert_int_equal(mim_stats_key(s, imc, 0)->width_bits, 0);
    assert_int_equal(mim_stats_key(s, imc, 4)->width_bits, 48);
    assert_int_equal(value_of(s, 2, "intel_skx_imc", "3a/0a.2", "CTR0"), 7001000);
    mim_stats_destroy(&s);
}

static void test_2_3_5(void **state)
{
    (void)state;
    mim_stats *s = read_ok("tests/data/dialects/tacc_stats-2.3.5.txt");
    assert_int_equal(mim_stats_dialect(s), MIM_DIALECT_TACC_2_3);
    assert_true(mim_stats_record_time_s(s, 0) == 1773864970.470903);
    assert_int_equal(mim_stats_n_records(s), 2);
    assert_int_equal(mim_stats_n_rows(s, 0), 5);
    /* Devices come and go; a process name may hold a blank. */
    assert_int_equal(mim_stats_n_devices(s, mim_stats_find_type(s, "proc")), 3);
    assert_int_equal(value_of(s, 0, "proc", "tmux: server/200/0-1/0", "Uid"), 1000);
    assert_int_equal(value_of(s, 1, "proc", "tmux: server/200/0-1/0", "Threads"), 2);
    assert_int_equal(value_of(s, 1, "proc", "sshd/100/0-1/0", "Threads"), UINT64_MAX);
    assert_int_equal(value_of(s, 0, "proc", "cc1/300/0-1/0", "Threads"), UINT64_MAX);
    assert_int_equal(value_of(s, 1, "proc", "cc1/300/0-1/0", "vm_peak"), 90000);
    mim_stats_destroy(&s);
}

static void test_3_0(void **state)
{
    (void)state;
    mim_stats *s = read_ok("tests/data/dialects/hpcperfstats-3.0.txt");
    assert_int_equal(mim_stats_dialect(s), MIM_DIALECT_HPC_3_0);
    assert_string_equal(mim_stats_type_name(s, 0), "cpu");
    assert_int_equal(mim_stats_find_type(s, "host_net"), mim_stats_find_type(s, "net"));
    assert_int_equal(mim_stats_n_keys(s, mim_stats_find_type(s, "ps")), 4);
    /* Old and new names of a key. */
    assert_int_equal(value_of(s, 0, "mem", "0", "MemTotal"), 2048000);
    assert_int_equal(value_of(s, 0, "mem", "0", "file_pages"), 512000);
    assert_int_equal(value_of(s, 0, "mem", "0", "Dirty"), 7);
    /* A partial row: the slow keys are not there, and the others are not moved into their places.
     */
    size_t net = mim_stats_find_type(s, "net");
    mim_row row = mim_stats_find_row(s, 1, net, 0);
    assert_int_equal(row.n_values, 2);
    assert_non_null(row.keys);
    assert_int_equal(row.keys[1], 2);
    assert_int_equal(value_of(s, 1, "net", "eth0", "rx_bytes"), 31744);
    assert_int_equal(value_of(s, 1, "net", "eth0", "collisions"), UINT64_MAX);
    assert_int_equal(value_of(s, 1, "net", "eth0", "tx_bytes"), 65536);
    assert_int_equal(value_of(s, 2, "net", "eth0", "collisions"), 9);
    assert_int_equal(value_of(s, 1, "mem", "0", "FilePages"), 512000);
    /* No slow key in the type: a @fast row is a whole one. */
    assert_null(mim_stats_find_row(s, 1, mim_stats_find_type(s, "ps"), 0).keys);
    mim_stats_destroy(&s);
}

/* ---- numbers ------------------------------------------------------------------------------------
 */

/* Every length of number, at every distance from the end of the text, against the C library. */
static void test_numbers(void **state)
{
    (void)state;
    static const char digits[] = "76543210987654321098";
    for (size_t length = 1; length <= 20; length++) {
        for (size_t padding = 0; padding < 40; padding++) {
            char text[512], number[32], filler[64];
            snprintf(number, sizeof number, "%s%.*s", length == 20 ? "1" : "",
                     (int)(length == 20 ? 19 : length), digits);
            memset(filler, '1', sizeof filler);
            filler[padding] = '\0';
            /* The first record takes the careful way, the second the fast one. */
            snprintf(text, sizeof text, "%s1 0 n\na d 7 %s 0\n\n2 0 n\na d 8 %s 0\n#%s\n", header,
                     number, number, filler);
            mim_stats *s = parse_ok(text);
            uint64_t expected = strtoull(number, NULL, 10);
            assert_int_equal(value_of(s, 0, "a", "d", "y"), expected);
            assert_int_equal(value_of(s, 1, "a", "d", "y"), expected);
            assert_int_equal(value_of(s, 1, "a", "d", "x"), 8);
            mim_stats_destroy(&s);
        }
    }
}

static void test_largest_number(void **state)
{
    (void)state;
    char text[256];
    snprintf(text, sizeof text, "%s1 0 n\na d 18446744073709551615 0 007\n", header);
    mim_stats *s = parse_ok(text);
    assert_true(value_of(s, 0, "a", "d", "x") == UINT64_MAX);
    assert_int_equal(value_of(s, 0, "a", "d", "z"), 7);
    mim_stats_destroy(&s);
}

/* ---- forms that are fine ------------------------------------------------------------------------
 */

static void test_tolerated_forms(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "1 0 n\na d 1 2 3\nb e 4\n\n2 0 n\na d 5 6 7\nb e 8\n",               /* plain */
        "1 0 n\r\na d 1 2 3\r\nb e 4\r\n\r\n2 0 n\r\na d 5 6 7\r\nb e 8\r\n", /* CRLF */
        "1 0 n\na  d 1\t2  3 \nb e 4 \n2 0 n\na d  5 6 7\nb e 8\n\n\n", /* blanks, no empty line */
        "# hello\n1 0 n\n@x\na d 1 2 3\nb e 4\n# note\n2 0 n\nb e 8\na d 5 6 7\n", /* order */
        "1 0 n\na d 1 2 3\nb e 4\n\n$hpcperfstats 2.4\n!b k\n\n2 0 n\na d 5 6 7\nb e 8\n",
        "1 0 n\na d @odd 1 2 3\nb e @full 4\n\n2 0 n\na d @full 5 6 7\nb e @fast 8\n", /* tiers */
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s%s", header, bodies[i]);
        mim_stats *s = parse_ok(text);
        assert_int_equal(mim_stats_n_records(s), 2);
        assert_int_equal(mim_stats_n_rows(s, 1), 2);
        assert_int_equal(value_of(s, 0, "a", "d", "z"), 3);
        assert_int_equal(value_of(s, 0, "b", "e", "k"), 4);
        assert_int_equal(value_of(s, 1, "a", "d", "x"), 5);
        assert_int_equal(value_of(s, 1, "a", "d", "z"), 7);
        assert_int_equal(value_of(s, 1, "b", "e", "k"), 8);
        assert_false(mim_stats_is_truncated(s));
        mim_stats_destroy(&s);
    }
}

/* Equal rows share their values, also when other rows come between or a device was away. */
static void test_equal_rows(void **state)
{
    (void)state;
    char text[512];
    snprintf(text, sizeof text, "%s%s", header,
             "1 0 n\na d 1 2 3\na e 1 2 3\n2 0 n\na d 1 2 3\na e 1 2 4\n"
             "3 0 n\na e 1 2 4\n4 0 n\na d 1 2 3\na e 1 2 4\n5 0 n\na d 9 2 3\na e 1 2 4\n");
    mim_stats *s = parse_ok(text);
    static const uint64_t d_x[] = {1, 1, UINT64_MAX, 1, 9}, e_z[] = {3, 4, 4, 4, 4};
    for (size_t i = 0; i < 5; i++) {
        assert_true(value_of(s, i, "a", "d", "x") == d_x[i]);
        assert_true(value_of(s, i, "a", "e", "z") == e_z[i]);
    }
    mim_stats_destroy(&s);
}

/* "cpu 1" is not the beginning of "cpu 10", in whatever order they come. */
static void test_prefixes(void **state)
{
    (void)state;
    char text[512];
    snprintf(text, sizeof text, "%s%s", header,
             "1 0 n\nb 1 10\nb 10 1\nb 100 0\n2 0 n\nb 10 2\nb 1 11\nb 100 5\n"
             "3 0 n\nb 100 7\nb 10 3\nb 1 0\n");
    mim_stats *s = parse_ok(text);
    static const uint64_t expected[3][3] = {{10, 1, 0}, {11, 2, 5}, {0, 3, 7}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(value_of(s, i, "b", "1", "k"), expected[i][0]);
        assert_int_equal(value_of(s, i, "b", "10", "k"), expected[i][1]);
        assert_int_equal(value_of(s, i, "b", "100", "k"), expected[i][2]);
    }
    assert_int_equal(mim_stats_n_devices(s, 1), 3);
    mim_stats_destroy(&s);
}

/* Cut at every byte: never an error once there is a record, and never a value that was not there.
 */
static void test_truncated_anywhere(void **state)
{
    (void)state;
    char text[512];
    size_t n_header = sizeof header - 1;
    snprintf(text, sizeof text, "%s1 0 n\na d 1 22 333\nb e 4\n\n2 0 n\na d 55 66 77\nb e 88\n",
             header);
    size_t n = strlen(text), first_record = n_header + strlen("1 0 n\n");
    for (size_t cut = first_record; cut <= n; cut++) {
        mim_stats *s = NULL;
        char *copy = malloc(cut); /* exactly as long, so that tools see a read beyond it */
        memcpy(copy, text, cut);
        assert_int_equal(mim_stats_parse("cut", copy, cut, &s), MIM_OK);
        free(copy);
        assert_int_equal(mim_stats_is_truncated(s), text[cut - 1] != '\n');
        size_t last = mim_stats_n_records(s) - 1;
        if (mim_stats_find_device(s, 1, "e") != SIZE_MAX) {
            uint64_t k = value_of(s, last, "b", "e", "k");
            assert_true(k == UINT64_MAX || k == (last ? 88 : 4));
        }
        mim_stats_destroy(&s);
    }
    for (size_t cut = 0; cut < first_record; cut++) {
        mim_stats *s = NULL;
        assert_int_equal(mim_stats_parse("cut", text, cut, &s), MIM_EDATA);
        assert_null(s);
    }
}

/* ---- refusals -----------------------------------------------------------------------------------
 */

static void test_refusals(void **state)
{
    (void)state;
#define HEAD "$hpcperfstats 2.4\n!a x,E y\n!b k\n!none\n\n"
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"", "t: empty, expected a stats text"},
        {"hello", "t: no whole line"},
        {"hello\n", "t: line 1: not a stats text: expected $hpcperfstats VERSION, found 'hello'"},
        {"\x7f"
         "ELF\x01\n",
         "line 1: not a stats text: expected $hpcperfstats VERSION, found '?ELF?'"},
        {"$hpcperfstats 4.0\n", "line 1: expected $tacc_stats 2, $hpcperfstats 2 or 3, found"},
        {"\n1000.000000 job42 n\nhost_net eth0 @fast 1 2 3\n", "line 2: a record without a header"},
        {HEAD, "t: holds no record, only a header"},
        {HEAD "1 0", "t: holds no record, its last line is cut"},
        {HEAD "a d 1 2\n", "line 6: a row before the first time stamp"},
        {HEAD "%begin\n", "line 6: a mark before the first time stamp"},
        {HEAD "1 0 n\nc d 1 2\n", "line 7: type 'c' is not declared"},
        {HEAD "1 0 n\na d 1\n", "line 7: expected 2 values of a, found 1"},
        {HEAD "1 0 n\na d 1 2b e/f 3 4\n", "line 7: expected 2 values of a, found 5"},
        {HEAD "1 0 n\na d e 3 4\n", "line 7: expected 2 values of a, found 3"},
        {HEAD "1 0 n\na \x01 3 4\n", "line 7: byte 0x01 in the name of a device"},
        {HEAD "1 0 n\na d 1 2 3\n", "line 7: expected 2 values of a, found 3"},
        {HEAD "1 0 n\na d\n", "line 7: expected 2 values of a, found 0"},
        {HEAD "1 0 n\na\n", "line 7: expected a device after a"},
        {HEAD "1 0 n\nnone d 1\n", "line 7: expected 0 values of none, found 1"},
        {HEAD "1 0 n\na d 1 18446744073709551616\n", "'18446744073709551616' does not fit 64 bits"},
        {HEAD "1 0 n\na d 1 99999999999999999999999\n", "does not fit 64 bits"},
        {HEAD "1 0 n\na d nan 1\n", "line 7: expected an unsigned number, found 'nan'"},
        {HEAD "1 0 n\na d -1 1\n", "line 7: expected an unsigned number, found '-1'"},
        {HEAD "1 0 n\na d 1.5 1\n", "line 7: expected an unsigned number, found '1.5'"},
        {HEAD "1 0 n\na d 1 2\na d 1 2\n", "line 8: device d of a is twice in one record"},
        {HEAD "1 0 n\na d 1 2\n2 0 n\na d 1 2\na d 1 2\n", "line 10: device d of a is twice"},
        {HEAD "1 0 n\na d 1 2\n2 0 n\na d 1\n", "line 9: expected 2 values of a, found 1"},
        {HEAD "1 0 n\na d 1 2\n2 0 n\na d 1 2x\n",
         "line 9: expected an unsigned number, found '2x'"},
        {HEAD "2 0 n\n1.5 0 n\n", "line 7: time goes back by 0.500000 s"},
        {HEAD "1e300 0 n\n", "line 6: expected seconds since the epoch, job and host"},
        {HEAD "nan 0 n\n", "line 6: a time stamp that is no number"},
        {HEAD "1 0 n\nInf 0 n\n", "line 7: a time stamp that is no number"},
        {HEAD "999999999999 0 n\n", "line 6: expected seconds since the epoch"},
        {HEAD "1.0\n", "line 6: expected a job id after the time stamp"},
        {HEAD "1 0 n\n\x01\x02\n",
         "line 7: expected a time stamp, a row, or $ ! % # @, found '?\?'"},
        {HEAD "1 0 n\n!a x,E\n", "line 7: type a is declared again with other keys"},
        {"$hpcperfstats 2.4\n!a x x\n1 0 n\n", "line 2: type a has key x twice"},
        {"$hpcperfstats 2.4\n!a x,W=65\n1 0 n\n",
         "expected a width of 1 to 64 bits after W=, found '65'"},
        {"$hpcperfstats 2.4\n!a x,W=4k\n1 0 n\n",
         "expected a width of 1 to 64 bits after W=, found '4k'"},
        {"$hpcperfstats 2.4\n!\n1 0 n\n", "line 2: expected a type's name"},
        {"$hpcperfstats 2.4\n!1a x\n1 0 n\n", "line 2: a type's name begins with a letter or _"},
        {"$hpcperfstats 2.4\n!a ,E\n1 0 n\n", "line 2: expected a key's name"},
        {"$hpcperfstats 2.4\n$\n1 0 n\n", "line 2: expected a name after $"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_stats *s = NULL;
        int rc = mim_stats_parse("t", cases[i].text, strlen(cases[i].text), &s);
        if (rc != MIM_EDATA || !strstr(mim_error(), cases[i].sentence) || strchr(mim_error(), '\n'))
            fail_msg("case %zu: code %d, expected '%s', got '%s'", i, rc, cases[i].sentence,
                     mim_error());
        assert_null(s);
    }
}

/* Found by fuzzing: bytes 0 made two names of one. */
static void test_bytes_0(void **state)
{
    (void)state;
    static const char device[] = HEAD "1 0 n\na d\0e 1 2\n", mark[] = HEAD "1 0 n\n%x\0y\n";
    mim_stats *s = NULL;
    assert_int_equal(mim_stats_parse("t", device, sizeof device - 1, &s), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "line 7: byte 0x00 in the name of a device"));
    assert_int_equal(mim_stats_parse("t", mark, sizeof mark - 1, &s), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "line 7: a byte 0 in the line"));
    assert_null(s);
}

/* Found by fuzzing: no type has keys, so that no value was ever stored. */
static void test_no_values(void **state)
{
    (void)state;
    mim_stats *s = parse_ok("$hpcperfstats 2.4\n!none\n\n1 0 n\nnone d\n\n2 0 n\nnone d\n");
    assert_int_equal(mim_stats_n_rows(s, 1), 1);
    assert_int_equal(mim_stats_row(s, 1, 0).n_values, 0);
    mim_stats_destroy(&s);
}

static void test_not_a_file(void **state)
{
    (void)state;
    mim_stats *s = NULL;
    assert_int_equal(mim_stats_read("tests/data", &s), MIM_EIO);
    assert_non_null(strstr(mim_error(), "tests/data"));
    assert_int_equal(mim_stats_read("tests/data/none.txt", &s), MIM_EIO);
    assert_non_null(strstr(mim_error(), "none.txt"));
    char path[512];
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/mimesys-test-stats-XXXXXX", base ? base : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    /* A hole larger than any memory takes no room on disk. */
    int rc = ftruncate(fd, (off_t)1 << 42) == 0 ? mim_stats_read(path, &s) : MIM_EDATA;
    close(fd);
    unlink(path);
    assert_int_equal(rc, MIM_EDATA);
    assert_null(s);
}

/* ---- hostile texts ------------------------------------------------------------------------------
 */

static void test_limits(void **state)
{
    (void)state;
    mim_stats *s = NULL;
    size_t n = (size_t)3 << 20;
    char *text = malloc(n + 256);
    size_t at = (size_t)sprintf(text, "%s1 0 n\n", header);
    memset(text + at, 'b', n);
    strcpy(text + at + n, "\n");
    assert_int_equal(mim_stats_parse("t", text, strlen(text), &s), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "a line of 3145728 bytes"));
    strcpy(text + at + 2, " ");
    memset(text + at, 'b', 1);
    text[at + 1] = ' ';
    memset(text + at + 2, 'd', 300);
    strcpy(text + at + 302, " 1\n");
    assert_int_equal(mim_stats_parse("t", text, strlen(text), &s), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "a device's name of 300 bytes"));
    at = (size_t)sprintf(text, "$hpcperfstats 2.4\n");
    for (int i = 0; i < 300; i++)
        at += (size_t)sprintf(text + at, "!t%d k\n", i);
    assert_int_equal(mim_stats_parse("t", text, at, &s), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "more than 256 types"));
    at = (size_t)sprintf(text, "$hpcperfstats 2.4\n!t");
    for (int i = 0; i < 600; i++)
        at += (size_t)sprintf(text + at, " k%d", i);
    at += (size_t)sprintf(text + at, "\n");
    assert_int_equal(mim_stats_parse("t", text, at, &s), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "more than 512 keys"));
    free(text);
    assert_null(s);
}

/* Many devices, in another order each record: all are found again. */
static void test_many_devices(void **state)
{
    (void)state;
    enum { N = 20000 };
    char *text = malloc(3 * N * 24 + 256), *p = text;
    p += sprintf(p, "%s", header);
    for (int record = 0; record < 3; record++) {
        p += sprintf(p, "%d 0 n\n", record);
        for (int i = 0; i < N; i++) {
            int device = record == 1 ? N - 1 - i : record == 2 ? (i * 7) % N : i;
            p += sprintf(p, "b d%d %d\n", device, device + record);
        }
    }
    mim_stats *s = NULL;
    assert_int_equal(mim_stats_parse("t", text, (size_t)(p - text), &s), MIM_OK);
    assert_int_equal(mim_stats_n_devices(s, 1), N);
    for (size_t record = 0; record < 3; record++) {
        assert_int_equal(mim_stats_n_rows(s, record), N);
        for (size_t i = 0; i < N; i++) {
            mim_row row = mim_stats_row(s, record, i);
            uint64_t number = strtoull(mim_stats_device(s, 1, row.device) + 1, NULL, 10);
            assert_int_equal(row.values[0], number + record);
        }
    }
    mim_stats_destroy(&s);
    free(text);
}

/* ---- writer -------------------------------------------------------------------------------------
 */

static void test_writer_text(void **state)
{
    (void)state;
    mim_stats_writer *w = NULL;
    assert_int_equal(mim_stats_writer_create(&w), MIM_OK);
    assert_int_equal(mim_stats_writer_header(w, "n", "Linux x86_64 6.1 #1", 12), MIM_OK);
    assert_int_equal(mim_stats_writer_property(w, "x_machine", "two cpus"), MIM_OK);
    assert_int_equal(mim_stats_writer_type(w, "a", "x,E y,U=KB"), MIM_OK);
    assert_int_equal(mim_stats_writer_record(w, 1700000000.25, "7", "n"), MIM_OK);
    assert_int_equal(mim_stats_writer_mark(w, "begin 7"), MIM_OK);
    assert_int_equal(mim_stats_writer_row(w, "a", "d", 2, (uint64_t[]){0, UINT64_MAX}), MIM_OK);
    static const char expected[] = "$hpcperfstats 2.4\n$hostname n\n$uname Linux x86_64 6.1 #1\n"
                                   "$uptime 12\n$x_machine two cpus\n!a x,E y,U=KB\n\n"
                                   "1700000000.250000 7 n\n%begin 7\na d 0 18446744073709551615\n";
    size_t n = 0;
    const char *text = mim_stats_writer_text(w, &n);
    assert_int_equal(n, sizeof expected - 1);
    assert_memory_equal(text, expected, n);
    /* Flushed text is gone from the buffer; a refused write keeps it. */
    FILE *full = fopen("/dev/full", "w");
    if (full) {
        setvbuf(full, NULL, _IONBF, 0);
        assert_int_equal(mim_stats_writer_flush(w, full), MIM_EIO);
        fclose(full);
        mim_stats_writer_text(w, &n);
        assert_int_equal(n, sizeof expected - 1);
    }
    char back[512] = "";
    FILE *out = tmpfile();
    assert_int_equal(mim_stats_writer_flush(w, out), MIM_OK);
    rewind(out);
    assert_int_equal(fread(back, 1, sizeof back, out), sizeof expected - 1);
    assert_string_equal(back, expected);
    fclose(out);
    mim_stats_writer_text(w, &n);
    assert_int_equal(n, 0);
    mim_stats_writer_destroy(&w);
    assert_null(w);
}

static void test_writer_refusals(void **state)
{
    (void)state;
    mim_stats_writer *w = NULL;
    assert_int_equal(mim_stats_writer_create(&w), MIM_OK);
    const uint64_t value = 1;
    assert_int_equal(mim_stats_writer_type(w, "a", "x"), MIM_EINVAL); /* before the header */
    assert_int_equal(mim_stats_writer_record(w, 1, "0", "n"), MIM_EINVAL);
    assert_int_equal(mim_stats_writer_header(w, "two words", "u", 1), MIM_EINVAL);
    assert_int_equal(mim_stats_writer_header(w, "n", "u\nv", 1), MIM_EINVAL);
    assert_int_equal(mim_stats_writer_header(w, "n", "u", 1), MIM_OK);
    assert_int_equal(mim_stats_writer_type(w, "a", "x"), MIM_OK);
    assert_int_equal(mim_stats_writer_type(w, "a", "x"), MIM_EINVAL);
    assert_int_equal(mim_stats_writer_row(w, "a", "d", 1, &value), MIM_EINVAL);
    assert_int_equal(mim_stats_writer_record(w, -1, "0", "n"), MIM_EINVAL);
    assert_int_equal(mim_stats_writer_record(w, 1, "", "n"), MIM_EINVAL);
    assert_int_equal(mim_stats_writer_record(w, 1, "0", "n"), MIM_OK);
    assert_int_equal(mim_stats_writer_property(w, "late", "v"), MIM_EINVAL);
    assert_int_equal(mim_stats_writer_row(w, "b", "d", 1, &value), MIM_EINVAL);
    assert_int_equal(mim_stats_writer_row(w, "a", "d e", 1, &value), MIM_EINVAL);
    assert_int_equal(mim_stats_writer_row(w, "a", "d", 0, &value), MIM_EINVAL);
    assert_int_equal(mim_stats_writer_row(w, "a", "d", 1, &value), MIM_OK);
    /* What was refused left nothing behind. */
    size_t n = 0;
    const char *text = mim_stats_writer_text(w, &n);
    mim_stats *s = NULL;
    assert_int_equal(mim_stats_parse("w", text, n, &s), MIM_OK);
    assert_int_equal(mim_stats_n_rows(s, 0), 1);
    mim_stats_destroy(&s);
    mim_stats_writer_destroy(&w);
}

/* A recorded trace, read, written and read again: the same rows in the same order. */
static void test_round_trip(void **state)
{
    (void)state;
    mim_stats *s = read_ok("tests/data/traces/stats-fio.txt"), *back = NULL;
    mim_stats_writer *w = NULL;
    assert_int_equal(mim_stats_writer_create(&w), MIM_OK);
    assert_int_equal(mim_stats_writer_header(w, mim_stats_property(s, "hostname"),
                                             mim_stats_property(s, "uname"), 1),
                     MIM_OK);
    for (size_t t = 0; t < mim_stats_n_types(s); t++) {
        char keys[4096] = "";
        for (size_t k = 0; k < mim_stats_n_keys(s, t); k++) {
            const mim_key *key = mim_stats_key(s, t, k);
            snprintf(keys + strlen(keys), sizeof keys - strlen(keys), "%s%s%s", k ? " " : "",
                     key->name, key->kind == MIM_KEY_EVENT ? ",E" : "");
        }
        assert_int_equal(mim_stats_writer_type(w, mim_stats_type_name(s, t), keys), MIM_OK);
    }
    for (size_t r = 0; r < mim_stats_n_records(s); r++) {
        assert_int_equal(mim_stats_writer_record(w, mim_stats_record_time_s(s, r),
                                                 mim_stats_record_job(s, r), "node-a"),
                         MIM_OK);
        for (size_t i = 0; i < mim_stats_n_rows(s, r); i++) {
            mim_row row = mim_stats_row(s, r, i);
            assert_int_equal(mim_stats_writer_row(w, mim_stats_type_name(s, row.type),
                                                  mim_stats_device(s, row.type, row.device),
                                                  row.n_values, row.values),
                             MIM_OK);
        }
    }
    size_t n = 0;
    const char *text = mim_stats_writer_text(w, &n);
    assert_int_equal(mim_stats_parse("back", text, n, &back), MIM_OK);
    assert_int_equal(mim_stats_n_records(back), mim_stats_n_records(s));
    for (size_t r = 0; r < mim_stats_n_records(s); r++) {
        assert_true(mim_stats_record_time_s(back, r) == mim_stats_record_time_s(s, r));
        assert_int_equal(mim_stats_n_rows(back, r), mim_stats_n_rows(s, r));
        for (size_t i = 0; i < mim_stats_n_rows(s, r); i++) {
            mim_row a = mim_stats_row(s, r, i), b = mim_stats_row(back, r, i);
            assert_int_equal(a.n_values, b.n_values);
            assert_memory_equal(a.values, b.values, a.n_values * sizeof *a.values);
        }
    }
    mim_stats_writer_destroy(&w);
    mim_stats_destroy(&s);
    mim_stats_destroy(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_2_4),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_2_3_5),
        cmocka_unit_test(test_3_0),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_largest_number),
        cmocka_unit_test(test_tolerated_forms),
        cmocka_unit_test(test_equal_rows),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bytes_0),
        cmocka_unit_test(test_no_values),
        cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_many_devices),
        cmocka_unit_test(test_writer_text),
        cmocka_unit_test(test_writer_refusals),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
