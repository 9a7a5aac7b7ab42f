#define _GNU_SOURCE /* memmem */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cairo.h>
#include <cmocka.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "report/chart.h"
#include "report/ticks.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static int make_folder(void **state)
{
    const char *base = getenv("TMPDIR");
    char *folder = mim_format("%s/mim-chart-XXXXXX", base ? base : "/tmp");
    *state = folder;
    return folder && mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    int rc = rmdir(*state); /* fails when a test left something behind */
    free(*state);
    return rc;
}

/* ---- ticks ---------------------------------------------------------------------------------- */

static void test_ticks(void **state)
{
    (void)state;
    static const struct {
        double low, high;
        size_t n_max;
        const char *unit, *shown_unit, *first, *last;
        size_t n;
    } cases[] = {
        {0, 100, 6, "%", "%", "0", "100", 6},
        {0, 100, 5, "%", "%", "0", "100", 3},   /* steps of 50: 25 is not 1-2-5 */
        {0, 53.5, 14, "s", "s", "0", "50", 11}, /* steps of 5 */
        {0, 1, 6, "", "", "0.0", "1.0", 6},
        {0, 0.02, 5, "W", "W", "0.000", "0.020", 5},
        {0, 512, 6, "KB/s", "KB/s", "0", "500", 6},
        {0, 102400, 6, "KB/s", "MB/s", "0", "100", 6},
        {0, 5 * 1048576.0, 6, "KB/s", "GB/s", "0", "5", 6},
        {0, 9e15, 6, "KB/s", "TB/s", "0", "8000000", 5},
        {0, 4096, 5, "MB", "GB", "0", "4", 5},
        {0, 25000, 6, "1/s", "1/s", "0", "25k", 6},
        {0, 3e6, 4, "1/s", "1/s", "0", "3M", 4},
        {-20, 20, 5, "W", "W", "-20", "20", 5},
        {1003, 1017, 8, "s", "s", "1004", "1016", 7}, /* starts inside the range */
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char text[MIM_TICK_TEXT_BYTES];
        mim_ticks ticks =
            mim_ticks_choose(cases[i].low, cases[i].high, cases[i].n_max, cases[i].unit);
        print_message("%g..%g %s\n", cases[i].low, cases[i].high, cases[i].unit);
        assert_int_equal(ticks.n, cases[i].n);
        assert_string_equal(ticks.unit, cases[i].shown_unit);
        assert_string_equal(mim_ticks_text(&ticks, 0, text), cases[i].first);
        assert_string_equal(mim_ticks_text(&ticks, ticks.n - 1, text), cases[i].last);
    }
}

static void test_ticks_stay_inside_and_few(void **state)
{
    (void)state;
    static const double extremes[] = {1e-300, 1e-9, 1e-3, 0.7, 1.0, 3.3, 999.0, 1e5, 7e12, 1e99};
    for (size_t i = 0; i < N_OF(extremes); i++)
        for (size_t n_max = 2; n_max < 15; n_max++)
            for (double low = -1.0; low <= 1.0; low += 0.5) {
                const double a = low * extremes[i], b = a + extremes[i];
                mim_ticks ticks = mim_ticks_choose(a, b, n_max, "KB/s");
                assert_true(ticks.n <= n_max && ticks.step > 0.0);
                for (size_t k = 0; k < ticks.n; k++) {
                    assert_true(mim_ticks_at(&ticks, k) >= a - 1e-6 * extremes[i]);
                    assert_true(mim_ticks_at(&ticks, k) <= b + 1e-6 * extremes[i]);
                }
                assert_true(mim_ticks_round_up(&ticks, b) >= b - 1e-6 * extremes[i]);
            }
}

/* ---- pictures ------------------------------------------------------------------------------- */

typedef struct picture {
    int width, height;
    uint64_t hash;
    size_t n_coloured; /* pixels tinted by the first palette colour (vermilion) */
    double colour;     /* how strongly, summed */
} picture;

/* Decodes the file with cairo's own reader, checks the signature, removes the file. */
static picture take_picture(const char *path)
{
    static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    unsigned char head[8];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(head, 1, 8, file), 8);
    fclose(file);
    assert_memory_equal(head, signature, 8);

    cairo_surface_t *surface = cairo_image_surface_create_from_png(path);
    assert_int_equal(cairo_surface_status(surface), CAIRO_STATUS_SUCCESS);
    picture p = {cairo_image_surface_get_width(surface), cairo_image_surface_get_height(surface),
                 UINT64_C(14695981039346656037), 0, 0.0};
    const unsigned char *rows = cairo_image_surface_get_data(surface);
    const size_t stride = (size_t)cairo_image_surface_get_stride(surface);
    for (size_t y = 0; y < (size_t)p.height; y++)
        for (size_t x = 0; x < (size_t)p.width; x++) {
            uint32_t pixel;
            memcpy(&pixel, rows + y * stride + 4 * x, sizeof pixel);
            pixel &= 0xffffff;
            p.hash = (p.hash ^ pixel) * UINT64_C(1099511628211);
            const int tint = (int)(pixel >> 16) - (int)(pixel & 255);
            p.n_coloured += tint > 40;
            p.colour += tint > 40 ? tint : 0;
        }
    cairo_surface_destroy(surface);
    assert_int_equal(unlink(path), 0);
    return p;
}

static picture draw_one(const char *folder, const char *label, size_t n, const double *x,
                        const double *y)
{
    mim_chart *chart = NULL;
    char *path = mim_join_path(folder, "one.png");
    assert_int_equal(mim_chart_create("title", "time [s]", &chart), MIM_OK);
    assert_int_equal(mim_chart_panel(chart, "panel", "KB/s", 0.0, 0.0), MIM_OK);
    assert_int_equal(mim_chart_curve(chart, label, n, x, y), MIM_OK);
    assert_int_equal(mim_chart_write(chart, path), MIM_OK);
    picture p = take_picture(path);
    mim_chart_destroy(&chart);
    assert_null(chart);
    free(path);
    return p;
}

static void test_different_data_gives_different_pictures(void **state)
{
    double x[50], up[50], down[50];
    for (size_t i = 0; i < 50; i++) {
        x[i] = (double)i;
        up[i] = 1000.0 * (double)i;
        down[i] = 1000.0 * (double)(49 - i);
    }
    picture a = draw_one(*state, "single", 50, x, up), b = draw_one(*state, "single", 50, x, down);
    picture again = draw_one(*state, "single", 50, x, up);
    picture dark = draw_one(*state, "wanted", 50, x, up);
    assert_int_equal(a.width, 1200);
    assert_true(a.height > 300 && a.height < 600);
    assert_true(a.hash != b.hash);
    assert_true(a.hash == again.hash);
    assert_true(a.n_coloured > 1000); /* a line across 1100 pixels */
    assert_int_equal(dark.n_coloured, 0);
}

static void test_repetition_is_lighter(void **state)
{
    double x[2] = {0, 10}, y[2] = {5, 5}, other[2] = {10, 10};
    mim_chart *chart = NULL;
    char *path = mim_join_path(*state, "repeat.png");
    picture pictures[2];
    for (int is_same = 0; is_same < 2; is_same++) {
        assert_int_equal(mim_chart_create("", "", &chart), MIM_OK);
        assert_int_equal(mim_chart_panel(chart, "", "", 0.0, 20.0), MIM_OK);
        assert_int_equal(mim_chart_curve(chart, "single", 2, x, y), MIM_OK);
        if (is_same)
            assert_int_equal(mim_chart_curve(chart, "single", 2, x, other), MIM_OK);
        assert_int_equal(mim_chart_write(chart, path), MIM_OK);
        pictures[is_same] = take_picture(path);
        mim_chart_destroy(&chart);
    }
    /* The repetition is there, but weaker than the first run. */
    assert_true(pictures[1].colour > 1.1 * pictures[0].colour);
    assert_true(pictures[1].colour < 1.7 * pictures[0].colour);
    free(path);
}

/* The lowest row a curve reaches: a spike of one value in a million must be in the picture. */
static void test_spike_survives_a_million_points(void **state)
{
    const size_t n = 1000000;
    double *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    for (size_t i = 0; i < n; i++) {
        x[i] = (double)i;
        y[i] = 1.0;
    }
    y[0] = 100.0; /* the same axis in both pictures */
    picture flat = draw_one(*state, "single", n, x, y);
    y[n / 2] = 100.0;
    picture spike = draw_one(*state, "single", n, x, y);
    /* The box is 320 pixels high; the spike goes through nearly all of them. */
    assert_true(spike.n_coloured > flat.n_coloured + 200);
    free(x);
    free(y);
}

static void test_hostile_values(void **state)
{
    double x[] = {0, 1, 2, 3, 4, 5, 6, 7};
    static double curves[][8] = {
        {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN},
        {INFINITY, -INFINITY, NAN, 1, 2, INFINITY, 3, NAN},
        {DBL_MAX, -DBL_MAX, DBL_MAX, 1, 1, 1, 1, 1},
        {1e100, -1e100, 1e100, 0, 0, 0, 0, 0},
        {DBL_MIN, 0, DBL_MIN, 0, 0, 0, 0, 0},
        {0, 0, 0, 0, 0, 0, 0, 0},
        {-5, -5, -5, -5, -5, -5, -5, -5},
    };
    for (size_t i = 0; i < N_OF(curves); i++)
        assert_int_equal(draw_one(*state, "a", 8, x, curves[i]).width, 1200);
    double same_time[8] = {4, 4, 4, 4, 4, 4, 4, 4};
    double wild_time[8] = {1e99, -3, NAN, INFINITY, DBL_MAX, 0, 2, -1e100};
    assert_int_equal(draw_one(*state, "a", 8, same_time, x).width, 1200);
    assert_int_equal(draw_one(*state, "a", 8, wild_time, x).width, 1200);
    assert_int_equal(draw_one(*state, "a", 0, x, x).width, 1200);
    /* An absent slot in the middle breaks the line. */
    double line[8] = {3, 3, 3, 3, 3, 3, 3, 3}, gap[8] = {3, 3, 3, NAN, NAN, 3, 3, 3};
    assert_true(draw_one(*state, "a", 8, x, gap).n_coloured + 300 <
                draw_one(*state, "a", 8, x, line).n_coloured);
}

static void test_hostile_texts(void **state)
{
    static const char *const texts[] = {
        "",       "\xff\xfe\x80", "\xc3",         "\xe2\x82",
        "\x01\t", "a\nb\nc",      "\xed\xa0\x80", "\xf0\x9f\x98\x80"};
    char *path = mim_join_path(*state, "texts.png");
    char *endless = malloc(100001);
    memset(endless, 'm', 100000);
    endless[100000] = 0;
    for (size_t i = 0; i <= N_OF(texts); i++) {
        const char *text = i < N_OF(texts) ? texts[i] : endless;
        double x[2] = {0, 1};
        mim_chart *chart = NULL;
        assert_int_equal(mim_chart_create(text, text, &chart), MIM_OK);
        assert_int_equal(mim_chart_panel(chart, text, text, 0.0, 0.0), MIM_OK);
        assert_int_equal(mim_chart_curve(chart, text, 2, x, x), MIM_OK);
        assert_int_equal(mim_chart_write(chart, path), MIM_OK);
        assert_int_equal(take_picture(path).width, 1200);
        mim_chart_destroy(&chart);
    }
    free(endless);
    free(path);
}

static void test_many_panels_and_labels(void **state)
{
    double x[3] = {0, 1, 2};
    mim_chart *chart = NULL;
    char *path = mim_join_path(*state, "many.png");
    assert_int_equal(mim_chart_create("many", "time [s]", &chart), MIM_OK);
    assert_int_equal(mim_chart_curve(chart, "no panel yet", 3, x, x), MIM_EINVAL);
    assert_int_equal(mim_chart_panel(chart, "0", "%", 0.0, 100.0), MIM_OK);
    for (int i = 0; i < 200; i++) {
        char *label = mim_format("label number %d", i);
        assert_int_equal(mim_chart_curve(chart, label, 3, x, x), MIM_OK);
        free(label);
    }
    for (int i = 1; i < 64; i++)
        assert_int_equal(mim_chart_panel(chart, "more", "%", 0.0, 100.0), MIM_OK);
    assert_int_equal(mim_chart_panel(chart, "too many", "%", 0.0, 100.0), MIM_EINVAL);
    assert_int_equal(mim_chart_write(chart, path), MIM_OK);
    picture p = take_picture(path);
    assert_int_equal(p.width, 1200);
    assert_true(p.height > 64 * 150);
    mim_chart_destroy(&chart);
    free(path);
}

/* On a logarithmic axis powers of ten are a straight line, and what is not positive is a gap. */
static void test_logarithmic(void **state)
{
    static const double x[] = {0, 1, 2, 3}, y[] = {1e-3, 1e-2, 1e-1, 1},
                        none[] = {0, -1, NAN, 1e200};
    char *path = mim_join_path(*state, "a.svg"), *text = NULL;
    mim_chart *chart = NULL;
    size_t n = 0;
    double at[4][2];
    assert_int_equal(mim_chart_create("title", "step", &chart), MIM_OK);
    assert_int_equal(mim_chart_panel_log(chart, "panel", ""), MIM_OK);
    assert_int_equal(mim_chart_curve(chart, "curve", 4, x, y), MIM_OK);
    assert_int_equal(mim_chart_curve(chart, "nothing", 4, x, none), MIM_OK);
    assert_int_equal(mim_chart_write(chart, path), MIM_OK);
    assert_int_equal(mim_read_file(path, 1 << 24, &text, &n), MIM_OK);
    const char *line = strstr(text, "d=\"M ");
    for (; line; line = strstr(line + 1, "d=\"M "))
        if (sscanf(line, "d=\"M %lf %lf L %lf %lf L %lf %lf L %lf %lf", &at[0][0], &at[0][1],
                   &at[1][0], &at[1][1], &at[2][0], &at[2][1], &at[3][0], &at[3][1]) == 8 &&
            at[1][0] > at[0][0] + 100 && at[2][0] > at[1][0] + 100 && at[3][0] > at[2][0] + 100)
            break; /* no frame and no letter */
    assert_non_null(line);
    for (int i = 2; i < 4; i++) {
        assert_true(fabs((at[i][0] - at[i - 1][0]) - (at[1][0] - at[0][0])) < 0.01);
        assert_true(fabs((at[i][1] - at[i - 1][1]) - (at[1][1] - at[0][1])) < 0.01);
    }
    assert_true(at[3][1] < at[0][1] - 100); /* upwards, over the whole panel */
    mim_chart_destroy(&chart);
    assert_int_equal(unlink(path), 0);
    free(text);
    free(path);
}

/* The same picture as lines: the form follows the ending, whatever the texts. */
static void test_forms(void **state)
{
    static const struct {
        const char *name, *begins, *holds;
    } forms[] = {{"a.png", "\x89PNG", NULL},
                 {"a.svg", "<?xml", "width=\"1200\" height="},
                 {"a.pdf", "%PDF-", "MediaBox [ 0 0 1200 "},
                 {"a.other", "\x89PNG", NULL}};
    static const double x[] = {0, 1, 2}, y[] = {1, 3, 2};
    for (size_t i = 0; i < N_OF(forms); i++) {
        mim_chart *chart = NULL;
        char *path = mim_join_path(*state, forms[i].name), *bytes = NULL;
        size_t n = 0;
        assert_int_equal(mim_chart_has_form(path), i < 3);
        assert_int_equal(mim_chart_create("a <b> & \"c\" \xff", "step", &chart), MIM_OK);
        assert_int_equal(mim_chart_panel(chart, "panel", "", 0, 0), MIM_OK);
        assert_int_equal(mim_chart_curve(chart, "curve", 3, x, y), MIM_OK);
        assert_int_equal(mim_chart_write(chart, path), MIM_OK);
        assert_int_equal(mim_read_file(path, 1 << 24, &bytes, &n), MIM_OK);
        assert_memory_equal(bytes, forms[i].begins, strlen(forms[i].begins));
        if (forms[i].holds && !memmem(bytes, n, forms[i].holds, strlen(forms[i].holds)))
            fail_msg("%s: no %s", forms[i].name, forms[i].holds);
        mim_chart_destroy(&chart);
        assert_int_equal(unlink(path), 0);
        free(bytes);
        free(path);
    }
    assert_false(mim_chart_has_form(".png"));
    assert_false(mim_chart_has_form("a.PNG"));
}

/* Everything that is on the charts is on the page, side by side and below each other. */
static void test_page(void **state)
{
    enum { N_CHARTS = 3 };
    const double x[2] = {0, 1}, y[2] = {3, 4};
    mim_chart *charts[N_CHARTS];
    picture alone[N_CHARTS];
    char *path = mim_join_path(*state, "page.png");
    double colour = 0.0;
    for (size_t i = 0; i < N_CHARTS; i++) { /* of different heights */
        assert_int_equal(mim_chart_create("title", "own axis", &charts[i]), MIM_OK);
        for (size_t k = 0; k < (i == 1 ? 4 : 1); k++) {
            assert_int_equal(mim_chart_panel(charts[i], "p", "%", 0.0, 5.0), MIM_OK);
            assert_int_equal(mim_chart_curve(charts[i], "c", 2, x, y), MIM_OK);
        }
        assert_int_equal(mim_chart_write(charts[i], path), MIM_OK);
        alone[i] = take_picture(path);
        colour += alone[i].colour;
    }
    assert_true(alone[1].height > alone[0].height);
    assert_int_equal(mim_chart_write_page(N_CHARTS, charts, 2, path), MIM_OK);
    const picture page = take_picture(path);
    assert_int_equal(page.width, 2 * alone[0].width);
    assert_int_equal(page.height, alone[1].height + alone[2].height);
    assert_true(fabs(page.colour - colour) < 1e-6 * colour);
    assert_int_equal(mim_chart_write_page(1, charts, 2, path), MIM_OK);
    assert_int_equal(take_picture(path).hash, alone[0].hash); /* no empty column */
    assert_int_equal(mim_chart_write_page(0, charts, 2, path), MIM_EINVAL);
    assert_int_equal(mim_chart_write_page(1, charts, 0, path), MIM_EINVAL);
    for (size_t i = 0; i < N_CHARTS; i++)
        mim_chart_destroy(&charts[i]);
    free(path);
}

static void test_unwritable(void **state)
{
    double x[2] = {0, 1};
    mim_chart *chart = NULL;
    char *nowhere = mim_join_path(*state, "no/such/folder/a.png");
    assert_int_equal(mim_chart_create("t", "x", &chart), MIM_OK);
    assert_int_equal(mim_chart_panel(chart, "p", "%", 0.0, 100.0), MIM_OK);
    assert_int_equal(mim_chart_curve(chart, "c", 2, x, x), MIM_OK);
    assert_int_equal(mim_chart_write(chart, nowhere), MIM_EIO);
    assert_non_null(strstr(mim_error(), "no/such/folder"));
    assert_int_equal(mim_chart_write(chart, *state), MIM_EIO); /* a folder */
    mim_chart_destroy(&chart);
    mim_chart_destroy(&chart); /* twice is fine */
    free(nowhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_ticks_stay_inside_and_few),
        cmocka_unit_test(test_different_data_gives_different_pictures),
        cmocka_unit_test(test_repetition_is_lighter),
        cmocka_unit_test(test_spike_survives_a_million_points),
        cmocka_unit_test(test_hostile_values),
        cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_many_panels_and_labels),
        cmocka_unit_test(test_logarithmic),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_unwritable),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
