/* corpus/campaign: what was appended is read back; kills, faults and damaged files lose nothing
 * that was reported and crash nobody. */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/fault.h"
#include "core/h5.h"
#include "corpus/campaign_internal.h"
#include "tests/support/flipped.h"
#include "tests/support/made_rows.h"

static char folder[64], path[128];
static mim_layout *layout;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/mim_campaign.XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/c.h5", folder);
    return made_layout(&layout);
}

static int teardown(void **state)
{
    (void)state;
    mim_layout_destroy(&layout);
    unlink(path);
    return rmdir(folder); /* fails when something was left behind */
}

static mim_campaign *create(size_t capacity)
{
    mim_campaign *campaign = NULL;
    unlink(path);
    assert_int_equal(
        mim_campaign_create(path, layout, UINT64_C(1) << 63, "[a]\nb = 1\n", capacity, &campaign),
        MIM_OK);
    return campaign;
}

static int append(mim_campaign *campaign, uint64_t first, size_t n)
{
    mim_campaign_rows *rows = NULL;
    assert_int_equal(made_rows(layout, first, n, &rows), MIM_OK);
    int rc = mim_campaign_append(campaign, rows);
    mim_campaign_rows_destroy(&rows);
    return rc;
}

/* All rows by rule; plans 0 .. n - 1. */
static void expect_plans(mim_campaign *campaign, size_t n)
{
    mim_campaign_rows *rows = NULL;
    size_t n_rows = 0;
    for (size_t p = 0; p < n; p++)
        n_rows += 1 + p % 4;
    assert_int_equal(mim_campaign_n_rows(campaign), n_rows);
    assert_int_equal(mim_campaign_n_plans(campaign), n);
    assert_int_equal(mim_campaign_read(campaign, 0, n_rows, &rows), MIM_OK);
    for (size_t i = 0; i < n_rows; i++)
        assert_true(made_row_is_right(layout, rows, i));
    mim_campaign_rows_destroy(&rows);
    for (size_t p = 0; p < n + 3; p++)
        assert_int_equal(mim_campaign_has(campaign, p), p < n);
    assert_int_equal(mim_campaign_check(campaign), MIM_OK);
}

/* ---- ordinary life -------------------------------------------------------------------------- */

static void reopens_with_everything(void **state)
{
    (void)state;
    mim_campaign *campaign = create(0);
    expect_plans(campaign, 0);
    assert_int_equal(append(campaign, 0, 3), MIM_OK);
    assert_int_equal(append(campaign, 3, 0), MIM_OK); /* nothing is fine, too */
    assert_int_equal(append(campaign, 3, 7), MIM_OK);
    mim_campaign_destroy(&campaign);
    assert_null(campaign);

    assert_int_equal(mim_campaign_open(path, false, &campaign), MIM_OK);
    expect_plans(campaign, 10);
    assert_true(mim_campaign_seed(campaign) == UINT64_C(1) << 63);
    assert_string_equal(mim_campaign_config(campaign), "[a]\nb = 1\n");
    assert_int_equal(mim_layout_compare(layout, mim_campaign_layout(campaign), "the store", true),
                     MIM_OK);
    assert_int_equal(append(campaign, 10, 1), MIM_EINVAL); /* opened for reading */
    mim_campaign_destroy(&campaign);
    mim_campaign_destroy(&campaign);
}

static void grows_and_old_readers_go_on(void **state)
{
    (void)state;
    mim_campaign *campaign = create(4), *reader = NULL;
    assert_int_equal(append(campaign, 0, 2), MIM_OK);
    assert_int_equal(mim_campaign_open(path, false, &reader), MIM_OK);
    for (uint64_t p = 2; p < 60; p++)
        assert_int_equal(append(campaign, p, 1), MIM_OK);
    assert_int_equal(append(campaign, 60, 140), MIM_OK);
    expect_plans(campaign, 200);
    expect_plans(reader, 2);
    mim_campaign_destroy(&reader);
    mim_campaign_destroy(&campaign);
    assert_int_equal(mim_campaign_open(path, true, &campaign), MIM_OK);
    expect_plans(campaign, 200);
    mim_campaign_destroy(&campaign);
}

static void one_appends_at_a_time(void **state)
{
    (void)state;
    mim_campaign *first = create(4), *second = NULL;
    assert_int_equal(mim_campaign_open(path, true, &second), MIM_EIO);
    assert_non_null(strstr(mim_error(), "another process is appending"));
    assert_int_equal(append(first, 0, 20), MIM_OK); /* in a larger file, which is locked as well */
    assert_int_equal(mim_campaign_open(path, true, &second), MIM_EIO);
    mim_campaign_destroy(&first);
    assert_int_equal(mim_campaign_open(path, true, &second), MIM_OK);
    mim_campaign_destroy(&second);
    assert_int_equal(mim_campaign_create(path, layout, 1, "", 0, &second), MIM_EIO);
    assert_non_null(strstr(mim_error(), "there already"));
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void spoil(mim_campaign_rows *r, size_t how)
{
    switch (how) {
    case 0:
        r->window[1] = 2; /* a window is missing */
        break;
    case 1:
        r->n = 3; /* the last window is missing */
        break;
    case 2:
        r->plan_id[2] = 99; /* another plan in between */
        break;
    case 3:
        r->n_windows[3] = 5;
        break;
    case 4:
        r->action[0] = -0.1f;
        break;
    case 5:
        r->action[0] = NAN;
        break;
    case 6:
        r->action[0] = r->action[1] = 0.6f; /* more than the slot */
        break;
    case 7:
        r->metric[2] = INFINITY;
        break;
    case 8:
        r->spread[2] = -1;
        break;
    case 9:
        r->spread[2] = NAN; /* present, but its spread is not */
        break;
    case 10:
        r->status[0] = 3;
        break;
    case 11:
        r->start_s[0] = NAN;
        break;
    default:
        memset(r->host[1], 'x', sizeof r->host[1]);
    }
}

static void refuses_bad_rows(void **state)
{
    (void)state;
    mim_campaign *campaign = create(0);
    assert_int_equal(append(campaign, 0, 3), MIM_OK);
    for (size_t how = 0; how <= 12; how++) {
        mim_campaign_rows *rows = NULL;
        assert_int_equal(made_rows(layout, 3, 1, &rows), MIM_OK);
        spoil(rows, how);
        assert_int_equal(mim_campaign_append(campaign, rows), MIM_EINVAL);
        mim_campaign_rows_destroy(&rows);
    }
    assert_int_equal(append(campaign, 1, 1), MIM_EINVAL); /* is in the store */
    assert_non_null(strstr(mim_error(), "plan 1 is in the store"));
    assert_int_equal(append(campaign, 2, 3), MIM_EINVAL); /* one of them is */
    expect_plans(campaign, 3);
    assert_int_equal(append(campaign, 3, 1), MIM_OK);
    expect_plans(campaign, 4);
    mim_campaign_destroy(&campaign);
}

static void other_versions_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        int version;
        const char *part;
    } table[] = {
        {MIM_CAMPAIGN_SCHEMA, 3,
         "mimesys_campaign of version 3, this program knows versions 1 to 2"},
        {MIM_CAMPAIGN_SCHEMA, 0,
         "mimesys_campaign of version 0, this program knows versions 1 to 2"},
        {"mimesys_plan", 1, "holds \"mimesys_plan\", expected a campaign store"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        mim_h5 *file = NULL;
        mim_campaign *campaign = NULL;
        assert_int_equal(mim_h5_create(path, table[i].schema, table[i].version, "", &file), MIM_OK);
        assert_int_equal(mim_h5_commit(&file), MIM_OK);
        for (int for_append = 0; for_append < 2; for_append++) {
            assert_int_equal(mim_campaign_open(path, for_append, &campaign), MIM_EDATA);
            assert_non_null(strstr(mim_error(), path));
            assert_non_null(strstr(mim_error(), table[i].part));
        }
    }
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    mim_campaign *campaign = create(64);
    struct stat status;
    assert_int_equal(append(campaign, 0, 3), MIM_OK);
    const uint64_t place = campaign->count_place;
    mim_campaign_destroy(&campaign);

    const unsigned char count[8] = {65};
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, count, 8, (off_t)place), 8);
    assert_int_equal(mim_campaign_open(path, false, &campaign), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "committed says 65 rows, there is room for 64"));

    assert_int_equal(fstat(fd, &status), 0);
    for (off_t size = status.st_size - 1; size > 0; size = size / 3 * 2) {
        assert_int_equal(ftruncate(fd, size), 0);
        const int rc = mim_campaign_open(path, true, &campaign);
        assert_true(rc == MIM_EDATA || rc == MIM_EIO);
    }
    close(fd);
}

/* ---- damaged bytes -------------------------------------------------------------------------- */

/* What reading all of the file says. */
static int look_through(void)
{
    mim_campaign *campaign = NULL;
    int rc = mim_campaign_open(path, false, &campaign);
    if (rc == MIM_OK)
        rc = mim_campaign_check(campaign);
    mim_campaign_destroy(&campaign);
    return rc;
}

/* Bytes of a row of a dataset; 0: has no rows. */
static size_t bytes_of_row(const char *name)
{
    mim_column columns[MIM_CAMPAIGN_MAX_COLUMNS];
    const size_t n = mim_campaign_all_columns(layout, MIM_CAMPAIGN_VERSION, columns);
    for (size_t c = 0; c < n; c++)
        if (strcmp(columns[c].name, name) == 0)
            return mim_column_row_bytes(&columns[c]);
    return 0;
}

/* One byte of any dataset, in turn; rows are named, and the plan. */
static void check_names_damaged_bytes(void **state)
{
    (void)state;
    enum { N_PLANS = 12, N_ROWS = 30, ROW = 15 }; /* plan 6 has rows 13 to 15 */
    flipped_place places[FLIPPED_MAX];
    mim_campaign *campaign = create(64);
    assert_int_equal(append(campaign, 0, 5), MIM_OK);
    assert_int_equal(append(campaign, 5, N_PLANS - 5), MIM_OK);
    assert_int_equal(mim_campaign_n_rows(campaign), N_ROWS);
    const size_t count_digest = (size_t)campaign->slot * 8;
    mim_campaign_destroy(&campaign);
    const size_t n = flipped_places(path, places);
    assert_int_equal(n, MIM_CAMPAIGN_MAX_COLUMNS + 7);
    for (size_t i = 0; i < n; i++) {
        const size_t row_bytes = bytes_of_row(places[i].name);
        const uint64_t place = row_bytes ? places[i].place + (ROW + 1) * row_bytes - 1
                                         : places[i].place + count_digest % places[i].n_bytes;
        assert_int_equal(flip_byte(path, place), 0);
        if (look_through() != MIM_EDATA || !strstr(mim_error(), path) ||
            !strstr(mim_error(), places[i].name) || !strstr(mim_error(), "is damaged") ||
            (row_bytes && !strstr(mim_error(), "in rows 15 to 15 (plan ")))
            fail_msg("%s: \"%s\"", places[i].name, mim_error());
        assert_int_equal(flip_byte(path, place), 0);
        assert_int_equal(look_through(), MIM_OK);
    }
}

/* Rows are read as long as they are sound, and their damage outlives a larger file. */
static void damaged_rows_are_not_read(void **state)
{
    (void)state;
    uint64_t place = 0;
    mim_campaign *campaign = create(8);
    mim_campaign_rows *rows = NULL;
    assert_int_equal(append(campaign, 0, 3), MIM_OK); /* rows 0, 1 to 2, 3 to 5 */
    mim_campaign_destroy(&campaign);
    assert_int_equal(mim_table_offset(path, "metric", &place), MIM_OK);
    for (size_t row = 3; row < 5; row++)
        assert_int_equal(flip_byte(path, place + row * layout->n_metrics * sizeof(double)), 0);
    assert_int_equal(mim_campaign_open(path, true, &campaign), MIM_OK);
    assert_int_equal(append(campaign, 3, 9), MIM_OK);
    assert_int_equal(mim_campaign_read(campaign, 0, 3, &rows), MIM_OK);
    mim_campaign_rows_destroy(&rows);
    assert_int_equal(mim_campaign_read(campaign, 5, 10, &rows), MIM_OK);
    mim_campaign_rows_destroy(&rows);
    assert_int_equal(mim_campaign_read(campaign, 0, 6, &rows), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "c.h5: metric is damaged in rows 3 to 4 (plan 2)"));
    assert_null(rows);
    assert_int_equal(mim_campaign_check(campaign), MIM_EDATA);
    mim_campaign_destroy(&campaign);
}

/* A file as the first version of the program left it: 4 plans, room for 16 rows. */
static void files_of_version_1_go_on(void **state)
{
    (void)state;
    char *bytes = NULL;
    size_t n_bytes = 0;
    mim_campaign *campaign = NULL;
    assert_int_equal(mim_read_file("tests/data/campaign-1.h5", 1 << 20, &bytes, &n_bytes), MIM_OK);
    assert_int_equal(mim_atomic_write(path, bytes, n_bytes), MIM_OK);
    free(bytes);
    for (size_t n = 4; n <= 20; n += 16) {
        assert_int_equal(mim_campaign_open(path, true, &campaign), MIM_OK);
        assert_int_equal(mim_campaign_version(campaign), 1);
        expect_plans(campaign, n);
        if (n == 4)
            assert_int_equal(append(campaign, 4, 16), MIM_OK); /* and grows */
        mim_campaign_destroy(&campaign);
    }
    assert_int_equal(mim_campaign_open(path, false, &campaign), MIM_OK);
    expect_plans(campaign, 20);
    mim_campaign_destroy(&campaign);
}

/* ---- kills and faults ----------------------------------------------------------------------- */

/* Every call that may fail does once: nothing is added then, and the next append works. */
static void failed_appends_leave_the_store_as_it_was(void **state)
{
    (void)state;
    size_t n_failed = 0;
    for (int seed = 0; seed < 40; seed++) {
        mim_campaign *campaign = create(4); /* so small that it must grow as well */
        char text[32];
        assert_int_equal(append(campaign, 0, 1), MIM_OK);
        snprintf(text, sizeof text, "9:%d", seed);
        setenv("MIMESYS_FAULT", text, 1);
        assert_int_equal(mim_fault_start(0), MIM_OK);
        const int rc = append(campaign, 1, 9);
        unsetenv("MIMESYS_FAULT");
        assert_int_equal(mim_fault_start(0), MIM_OK);
        if (rc != MIM_OK) {
            n_failed++;
            assert_int_equal(rc, MIM_EIO);
            assert_non_null(strstr(mim_error(), "injected fault"));
            expect_plans(campaign, 1);
            assert_int_equal(append(campaign, 1, 9), MIM_OK);
        }
        expect_plans(campaign, 10);
        mim_campaign_destroy(&campaign);
        assert_int_equal(mim_campaign_open(path, false, &campaign), MIM_OK);
        expect_plans(campaign, 10);
        mim_campaign_destroy(&campaign);
    }
    assert_true(n_failed >= 10);
}

/* Killed when the rows are in the file and the count is not: they are not there, and overwritten.
 */
static void uncounted_rows_are_overwritten(void **state)
{
    (void)state;
    mim_campaign *campaign = create(64);
    assert_int_equal(append(campaign, 0, 3), MIM_OK);
    mim_campaign_destroy(&campaign);
    const pid_t child = fork();
    if (child == 0) {
        void *buffers[MIM_CAMPAIGN_N_COLUMNS];
        mim_column columns[MIM_CAMPAIGN_N_COLUMNS];
        mim_campaign_rows *rows = NULL;
        mim_table *table = NULL;
        mim_campaign_columns(layout, columns);
        if (made_rows(layout, 1000, 10, &rows) != MIM_OK ||
            mim_table_open(path, true, H5P_DEFAULT, H5P_DEFAULT, MIM_CAMPAIGN_N_COLUMNS, columns,
                           64, &table) != MIM_OK)
            _exit(1);
        mim_campaign_buffers(layout, rows, 0, buffers);
        if (mim_table_write(table, 6, rows->n, buffers) != MIM_OK ||
            mim_table_flush(table) != MIM_OK)
            _exit(1);
        raise(SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    assert_int_equal(mim_campaign_open(path, true, &campaign), MIM_OK);
    expect_plans(campaign, 3);
    assert_false(mim_campaign_has(campaign, 1000));
    assert_int_equal(append(campaign, 3, 2), MIM_OK);
    expect_plans(campaign, 5);
    mim_campaign_destroy(&campaign);
}

/* Killed when the digest of a count is in the file and the count is not, once and again. */
static void a_count_without_its_digest_counts(void **state)
{
    (void)state;
    mim_campaign *campaign = create(64);
    for (size_t p = 0; p < 4; p++) {
        assert_int_equal(append(campaign, p, 1), MIM_OK);
        assert_int_equal(mim_campaign_write_count_digest(campaign, 60 + p), MIM_OK);
        mim_campaign_destroy(&campaign);
        assert_int_equal(mim_campaign_open(path, true, &campaign), MIM_OK);
        expect_plans(campaign, p + 1);
    }
    mim_campaign_destroy(&campaign);
}

/* A child that appends plan after plan and says so after each one. */
static void append_until_killed(int told)
{
    mim_campaign *campaign = NULL;
    if (mim_campaign_open(path, true, &campaign) != MIM_OK)
        _exit(1);
    for (uint64_t p = mim_campaign_n_plans(campaign);; p++) {
        mim_campaign_rows *rows = NULL;
        if (made_rows(layout, p, 1, &rows) != MIM_OK ||
            mim_campaign_append(campaign, rows) != MIM_OK || write(told, &p, sizeof p) != sizeof p)
            _exit(1);
        mim_campaign_rows_destroy(&rows);
    }
}

static void what_was_reported_survives_kills(void **state)
{
    (void)state;
    mim_campaign *campaign = create(8);
    size_t n_reported = 0;
    mim_campaign_destroy(&campaign);
    for (uint32_t trial = 0; trial < 25; trial++) {
        int pipes[2];
        uint64_t plan = 0;
        assert_int_equal(pipe(pipes), 0);
        const pid_t child = fork();
        if (child == 0)
            append_until_killed(pipes[1]);
        close(pipes[1]);
        /* at a moment after some report: in the middle of the next append, or of growing */
        for (uint32_t i = 0; i < 1 + trial % 5; i++) {
            assert_int_equal(read(pipes[0], &plan, sizeof plan), sizeof plan);
            n_reported = (size_t)plan + 1;
        }
        usleep(trial * 97 % 1000);
        kill(child, SIGKILL);
        while (read(pipes[0], &plan, sizeof plan) == sizeof plan)
            n_reported = (size_t)plan + 1;
        close(pipes[0]);
        assert_int_equal(waitpid(child, NULL, 0), child);

        assert_int_equal(mim_campaign_open(path, false, &campaign), MIM_OK);
        const size_t n = mim_campaign_n_plans(campaign);
        assert_true(n == n_reported || n == n_reported + 1); /* counted, not yet reported */
        expect_plans(campaign, n);
        mim_campaign_destroy(&campaign);
        n_reported = n;
    }
    assert_true(n_reported >= 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reopens_with_everything),
        cmocka_unit_test(grows_and_old_readers_go_on),
        cmocka_unit_test(one_appends_at_a_time),
        cmocka_unit_test(refuses_bad_rows),
        cmocka_unit_test(other_versions_are_refused_by_name),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(check_names_damaged_bytes),
        cmocka_unit_test(damaged_rows_are_not_read),
        cmocka_unit_test(files_of_version_1_go_on),
        cmocka_unit_test(failed_appends_leave_the_store_as_it_was),
        cmocka_unit_test(uncounted_rows_are_overwritten),
        cmocka_unit_test(a_count_without_its_digest_counts),
        cmocka_unit_test(what_was_reported_survives_kills),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
