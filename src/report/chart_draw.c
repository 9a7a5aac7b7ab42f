/* Drawing of a chart with cairo: title, legend, panels from top to bottom, one time axis. */
#include "report/chart_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/ticks.h"

enum {
    LEFT = 74,
    RIGHT = 26,
    TITLE_SIZE = 20,
    NOTE_SIZE = 13,
    TEXT_SIZE = 12,
    LEGEND_ROW = 22,
    LEGEND_MAX_ROWS = 4,
    PANEL_HEAD = 26, /* room for a panel's title above its box */
    PANEL_GAP = 8,
    FOOT = 46, /* time marks and the axis label */
    MAX_TEXT_BYTES = 512,
    MAX_NOTES = 6,  /* small lines below the title */
    MAX_MARKS = 16, /* of a panel's axis */
};

typedef struct colour {
    double red, green, blue;
} colour;

static const colour ink = {0.13, 0.13, 0.13};
static const colour faint_ink = {0.40, 0.40, 0.40};
static const colour grid_ink = {0.90, 0.90, 0.90};
static const colour frame_ink = {0.72, 0.72, 0.72};

/* Okabe and Ito's palette (2008), without black (wanted) and yellow (too light on white). */
static const colour palette[] = {
    {0.835, 0.369, 0.000}, {0.000, 0.447, 0.698}, {0.000, 0.620, 0.451},
    {0.800, 0.475, 0.655}, {0.902, 0.624, 0.000}, {0.337, 0.706, 0.914},
};
enum { N_COLOURS = sizeof palette / sizeof palette[0] };

typedef struct style {
    colour colour;
    double width;
    int dash; /* 0 solid, 1 dashed, 2 dotted: for more labels than colours */
} style;

typedef struct layout {
    double legend_y, panels_y, panel_height, height;
    size_t n_notes, n_legend_rows;
    double x_low, x_high;
    mim_ticks x_ticks;
} layout;

static bool is_drawable(double value)
{
    return fabs(value) <= MIM_CHART_LARGEST; /* false for NaN */
}

static style style_of(const mim_chart *chart, size_t label)
{
    if (!strcmp(chart->labels[label], "wanted"))
        return (style){ink, 2.2, 0};
    size_t rank = 0; /* among the labels that take a colour of the palette */
    for (size_t i = 0; i < label; i++)
        rank += strcmp(chart->labels[i], "wanted") != 0;
    return (style){palette[rank % N_COLOURS], 1.6, (int)(rank / N_COLOURS % 3)};
}

static void set_colour(cairo_t *cr, colour c, double opacity)
{
    cairo_set_source_rgba(cr, c.red, c.green, c.blue, opacity);
}

static void set_stroke(cairo_t *cr, style s, bool is_repeat)
{
    static const double dashes[] = {7.0, 3.0}, dots[] = {2.0, 3.0};
    set_colour(cr, s.colour, is_repeat ? 0.55 : 1.0);
    cairo_set_line_width(cr, is_repeat ? 1.0 : s.width);
    cairo_set_dash(cr, s.dash == 1 ? dashes : dots, s.dash ? 2 : 0, 0.0);
}

static void set_font(cairo_t *cr, double size, bool is_bold)
{
    cairo_select_font_face(cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                           is_bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, size);
}

static double text_width(cairo_t *cr, const char *text)
{
    cairo_text_extents_t extents;
    cairo_text_extents(cr, text, &extents);
    return extents.x_advance;
}

/* Writes n_bytes of `text` with its base line at (x, y), cut with "..." where it would be wider
 * than `room`. Returns the width written. */
static double put_text(cairo_t *cr, double x, double y, double room, const char *text,
                       size_t n_bytes)
{
    char line[MAX_TEXT_BYTES + 4];
    size_t n = n_bytes < MAX_TEXT_BYTES ? n_bytes : MAX_TEXT_BYTES;
    bool is_cut = n < n_bytes;
    for (;;) {
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--; /* not inside a UTF-8 sequence */
        memcpy(line, text, n);
        memcpy(line + n, is_cut ? "..." : "", is_cut ? 4 : 1);
        if (n == 0 || text_width(cr, line) <= room)
            break;
        is_cut = true;
        n--;
    }
    cairo_move_to(cr, x, y);
    cairo_show_text(cr, line);
    return text_width(cr, line);
}

/* `align`: 0 starts at x, 0.5 is centred on it, 1 ends there. */
static void put_aligned(cairo_t *cr, double x, double y, double align, const char *text)
{
    put_text(cr, x - align * text_width(cr, text), y, MIM_CHART_WIDTH, text, strlen(text));
}

/* ---- layout --------------------------------------------------------------------------------- */

static double legend_entry_width(cairo_t *cr, const char *label)
{
    return fmin(34.0 + text_width(cr, label) + 26.0, 400.0);
}

/* Draws the legend, or only counts its rows when `is_dry`. */
static size_t legend(cairo_t *cr, const mim_chart *chart, double top, bool is_dry)
{
    double x = LEFT;
    size_t row = 0;
    set_font(cr, TEXT_SIZE + 1, false);
    for (size_t i = 0; i < chart->n_labels; i++) {
        const double width = legend_entry_width(cr, chart->labels[i]);
        const double y = top + (double)row * LEGEND_ROW + 15.0;
        if (x > LEFT && x + width > MIM_CHART_WIDTH - RIGHT) {
            if (++row == LEGEND_MAX_ROWS) {
                row--;
                char more[32];
                snprintf(more, sizeof more, "+%zu", chart->n_labels - i);
                if (!is_dry)
                    put_aligned(cr, MIM_CHART_WIDTH - RIGHT, y, 1.0, more);
                break;
            }
            x = LEFT;
            i--;
            continue;
        }
        if (!is_dry) {
            set_stroke(cr, style_of(chart, i), false);
            cairo_move_to(cr, x, y - 4.5);
            cairo_line_to(cr, x + 26.0, y - 4.5);
            cairo_stroke(cr);
            set_colour(cr, ink, 1.0);
            put_text(cr, x + 34.0, y, width - 50.0, chart->labels[i], strlen(chart->labels[i]));
        }
        x += width;
    }
    return chart->n_labels ? row + 1 : 0;
}

static void find_time_range(const mim_chart *chart, layout *l)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t p = 0; p < chart->n_panels; p++)
        for (size_t k = 0; k < chart->panels[p].n_lines; k++) {
            const mim_chart_line *line = &chart->panels[p].lines[k];
            for (size_t i = 0; i < line->n; i++)
                if (is_drawable(line->x[i])) {
                    low = fmin(low, line->x[i]);
                    high = fmax(high, line->x[i]);
                }
        }
    if (low > high)
        low = high = 0.0;
    /* Slots are drawn at their middles: show the half slots at both ends. */
    if (low > 0.0 && low < 0.05 * high) {
        high += low;
        low = 0.0;
    }
    if (high - low <= 1e-9 * fabs(high))
        high = low + fmax(1.0, fabs(low) * 1e-6);
    l->x_low = low;
    l->x_high = high;
    l->x_ticks = mim_ticks_choose(low, high, 14, "s");
}

static void plan_layout(cairo_t *cr, const mim_chart *chart, layout *l)
{
    double y = 40.0;
    for (const char *p = strchr(chart->title, '\n'); p && l->n_notes < MAX_NOTES;
         p = strchr(p + 1, '\n'))
        l->n_notes++;
    y += (double)l->n_notes * (NOTE_SIZE + 6);
    l->legend_y = y;
    l->n_legend_rows = legend(cr, chart, y, true);
    l->panels_y = y + (double)l->n_legend_rows * LEGEND_ROW + 4.0;
    l->panel_height = chart->n_panels <= 1 ? 320.0 : chart->n_panels <= 2 ? 220.0 : 150.0;
    l->height = ceil(l->panels_y + FOOT +
                     (double)chart->n_panels * (l->panel_height + PANEL_HEAD + PANEL_GAP));
    find_time_range(chart, l);
}

static void title(cairo_t *cr, const mim_chart *chart)
{
    double y = 32.0;
    const char *text = chart->title;
    set_colour(cr, ink, 1.0);
    set_font(cr, TITLE_SIZE, true);
    for (int i = 0; i <= MAX_NOTES; i++) {
        size_t n = strcspn(text, "\n");
        put_text(cr, LEFT, y, MIM_CHART_WIDTH - LEFT - RIGHT, text, n);
        if (!text[n])
            break;
        text += n + 1;
        y += NOTE_SIZE + 6;
        set_colour(cr, faint_ink, 1.0);
        set_font(cr, NOTE_SIZE, false);
    }
}

/* ---- panels --------------------------------------------------------------------------------- */

/* The marks of a panel's axis. */
typedef struct marks {
    size_t n;
    double at[MAX_MARKS];
    char text[MAX_MARKS][MIM_TICK_TEXT_BYTES];
    const char *unit;
} marks;

static marks marks_of(const mim_ticks *ticks)
{
    marks m = {.unit = ticks->unit};
    for (; m.n < ticks->n && m.n < MAX_MARKS; m.n++) {
        m.at[m.n] = mim_ticks_at(ticks, m.n);
        mim_ticks_text(ticks, m.n, m.text[m.n]);
    }
    return m;
}

/* Smallest and largest of the panel's numbers around `low` and `high`, which are given. */
static void widen(const mim_chart_box *panel, double *low, double *high)
{
    for (size_t k = 0; k < panel->n_lines; k++)
        for (size_t i = 0; i < panel->lines[k].n; i++)
            if (is_drawable(panel->lines[k].y[i])) {
                *low = fmin(*low, panel->lines[k].y[i]);
                *high = fmax(*high, panel->lines[k].y[i]);
            }
}

/* Whole powers of ten, with 2 and 5 times them between where there are few. */
static marks find_log_range(const mim_chart_box *panel, size_t n_marks, double *low, double *high)
{
    static const double between[] = {1, 2, 5};
    marks m = {.unit = panel->unit};
    *low = INFINITY;
    *high = -INFINITY;
    widen(panel, low, high);
    if (*low > *high)
        *low = *high = 0;
    *low = floor(*low);
    *high = fmax(ceil(*high), *low + 1);
    const double step = ceil((*high - *low) / (double)n_marks);
    const size_t n_between = *high - *low <= 2 ? 3 : 1;
    for (double power = *low; power <= *high; power += step)
        for (size_t i = 0; i < n_between && m.n < MAX_MARKS; i++) {
            const double at = power + log10(between[i]);
            if (at > *high)
                break;
            m.at[m.n] = at;
            snprintf(m.text[m.n++], MIM_TICK_TEXT_BYTES, "%g", between[i] * pow(10, power));
        }
    return m;
}

static marks find_value_range(const mim_chart_box *panel, double height, double *low, double *high)
{
    const size_t n_marks = height > 200.0 ? 8 : 5;
    mim_ticks ticks;
    if (panel->is_log)
        return find_log_range(panel, n_marks, low, high);
    *low = panel->y_min;
    *high = panel->y_max;
    if (!(*high > *low)) {
        *low = *high = 0.0;
        widen(panel, low, high);
        if (*high - *low < 1e-100)
            *high = *low + 1.0;
        ticks = mim_ticks_choose(*low, *high, n_marks, panel->unit);
        *high = mim_ticks_round_up(&ticks, *high);
        *low = -mim_ticks_round_up(&ticks, -*low);
    }
    ticks = mim_ticks_choose(*low, *high, n_marks + 1, panel->unit);
    return marks_of(&ticks);
}

typedef struct box {
    double x, y, width, height; /* pixels */
    double x_low, x_high, y_low, y_high;
} box;

static double to_px(const box *b, double x)
{
    return b->x + (x - b->x_low) / (b->x_high - b->x_low) * b->width;
}

/* Kept near the box: cairo's coordinates are 24-bit, and what lies outside is clipped anyway. */
static double to_py(const box *b, double y)
{
    double up = (y - b->y_low) / (b->y_high - b->y_low);
    return b->y + (1.0 - fmin(fmax(up, -2.0), 3.0)) * b->height;
}

static void grid(cairo_t *cr, const box *b, const mim_ticks *x_ticks, const marks *y_marks)
{
    cairo_set_dash(cr, NULL, 0, 0.0);
    cairo_set_line_width(cr, 1.0);
    set_colour(cr, grid_ink, 1.0);
    for (size_t i = 0; i < x_ticks->n; i++) {
        double x = floor(to_px(b, mim_ticks_at(x_ticks, i))) + 0.5;
        cairo_move_to(cr, x, b->y);
        cairo_line_to(cr, x, b->y + b->height);
    }
    for (size_t i = 0; i < y_marks->n; i++) {
        double y = floor(to_py(b, y_marks->at[i])) + 0.5;
        cairo_move_to(cr, b->x, y);
        cairo_line_to(cr, b->x + b->width, y);
    }
    cairo_stroke(cr);
    set_colour(cr, frame_ink, 1.0);
    cairo_rectangle(cr, floor(b->x) + 0.5, floor(b->y) + 0.5, b->width, floor(b->height));
    cairo_stroke(cr);
    set_colour(cr, faint_ink, 1.0);
    set_font(cr, TEXT_SIZE, false);
    for (size_t i = 0; i < y_marks->n; i++)
        put_aligned(cr, b->x - 8.0, to_py(b, y_marks->at[i]) + 4.0, 1.0, y_marks->text[i]);
}

typedef struct pen {
    cairo_t *cr;
    bool is_down;     /* the path has a point in this stretch */
    size_t n_stretch; /* points in this stretch */
    double x, y;      /* last one */
} pen;

static void pen_to(pen *p, double x, double y)
{
    if (p->is_down)
        cairo_line_to(p->cr, x, y);
    else
        cairo_move_to(p->cr, x, y);
    p->is_down = true;
    p->n_stretch++;
    p->x = x;
    p->y = y;
}

/* Ends a stretch; a lonely point becomes a short mark so that it is seen. */
static void pen_up(pen *p)
{
    if (p->n_stretch == 1) {
        cairo_move_to(p->cr, p->x - 1.5, p->y);
        cairo_line_to(p->cr, p->x + 1.5, p->y);
    }
    p->is_down = false;
    p->n_stretch = 0;
}

/* The curve as a path. Neighbouring points in one pixel column are reduced to the first, lowest,
 * highest and last, so that a million points cost as much as the picture is wide. */
static void trace_path(cairo_t *cr, const box *b, const mim_chart_line *line)
{
    pen p = {.cr = cr};
    size_t i = 0;
    while (i < line->n) {
        if (!is_drawable(line->x[i]) || !is_drawable(line->y[i])) {
            pen_up(&p);
            i++;
            continue;
        }
        const double x = to_px(b, line->x[i]);
        double low = to_py(b, line->y[i]), high = low, last = low, last_x = x;
        size_t n = 0;
        pen_to(&p, x, low);
        for (i++; i < line->n && is_drawable(line->x[i]) && is_drawable(line->y[i]) &&
                  floor(to_px(b, line->x[i])) == floor(x);
             i++, n++) {
            last = to_py(b, line->y[i]);
            last_x = to_px(b, line->x[i]);
            low = fmin(low, last);
            high = fmax(high, last);
        }
        if (n > 2) {
            pen_to(&p, x, low);
            pen_to(&p, x, high);
        }
        if (n > 0)
            pen_to(&p, last_x, last);
    }
    pen_up(&p);
}

static void curves(cairo_t *cr, const mim_chart *chart, const mim_chart_box *panel, const box *b)
{
    cairo_save(cr);
    /* Lines along the edges (0 %, 100 %) keep their full width. */
    cairo_rectangle(cr, b->x, b->y - 2.0, b->width, b->height + 4.0);
    cairo_clip(cr);
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    /* Repetitions below, so that the first run of each label stays readable. */
    for (int pass = 0; pass < 2; pass++)
        for (size_t k = 0; k < panel->n_lines; k++) {
            const mim_chart_line *line = &panel->lines[k];
            if (line->is_repeat != (pass == 0))
                continue;
            trace_path(cr, b, line);
            set_stroke(cr, style_of(chart, line->label), line->is_repeat);
            cairo_stroke(cr);
        }
    cairo_restore(cr);
}

static bool has_points(const mim_chart_box *panel)
{
    for (size_t k = 0; k < panel->n_lines; k++)
        for (size_t i = 0; i < panel->lines[k].n; i++)
            if (is_drawable(panel->lines[k].x[i]) && is_drawable(panel->lines[k].y[i]))
                return true;
    return false;
}

static void draw_panel(cairo_t *cr, const mim_chart *chart, const layout *l, size_t index)
{
    const mim_chart_box *panel = &chart->panels[index];
    const double top = l->panels_y + (double)index * (l->panel_height + PANEL_HEAD + PANEL_GAP);
    box b = {.x = LEFT,
             .y = top + PANEL_HEAD,
             .width = MIM_CHART_WIDTH - LEFT - RIGHT,
             .height = l->panel_height,
             .x_low = l->x_low,
             .x_high = l->x_high};
    const marks y_marks = find_value_range(panel, b.height, &b.y_low, &b.y_high);

    grid(cr, &b, &l->x_ticks, &y_marks);
    curves(cr, chart, panel, &b);
    set_colour(cr, ink, 1.0);
    set_font(cr, TEXT_SIZE + 1, true);
    double width = put_text(cr, LEFT, b.y - 8.0, 900.0, panel->title, strlen(panel->title));
    set_colour(cr, faint_ink, 1.0);
    set_font(cr, TEXT_SIZE + 1, false);
    put_text(cr, LEFT + width + 10.0, b.y - 8.0, 200.0, y_marks.unit, strlen(y_marks.unit));
    if (!has_points(panel))
        put_aligned(cr, b.x + b.width / 2.0, b.y + b.height / 2.0, 0.5, "no data");
}

static void time_axis(cairo_t *cr, const mim_chart *chart, const layout *l)
{
    const box b = {
        .x = LEFT, .width = MIM_CHART_WIDTH - LEFT - RIGHT, .x_low = l->x_low, .x_high = l->x_high};
    char text[MIM_TICK_TEXT_BYTES];
    set_colour(cr, faint_ink, 1.0);
    set_font(cr, TEXT_SIZE, false);
    for (size_t i = 0; i < l->x_ticks.n; i++)
        put_aligned(cr, to_px(&b, mim_ticks_at(&l->x_ticks, i)), l->height - FOOT + 12.0, 0.5,
                    mim_ticks_text(&l->x_ticks, i, text));
    put_aligned(cr, LEFT + b.width / 2.0, l->height - 12.0, 0.5, chart->x_label);
}

int mim_chart_draw(const mim_chart *chart, mim_chart_canvas *canvas, void *context,
                   cairo_surface_t **surface)
{
    layout l = {0};
    cairo_surface_t *probe = cairo_image_surface_create(CAIRO_FORMAT_A8, 1, 1);
    cairo_t *cr = cairo_create(probe);
    plan_layout(cr, chart, &l);
    cairo_destroy(cr);
    cairo_surface_destroy(probe);

    cairo_surface_t *s = canvas(context, MIM_CHART_WIDTH, l.height);
    cr = cairo_create(s);
    cairo_set_source_rgb(cr, 1.0, 1.0, 1.0);
    cairo_paint(cr);
    title(cr, chart);
    legend(cr, chart, l.legend_y, false);
    for (size_t i = 0; i < chart->n_panels; i++)
        draw_panel(cr, chart, &l, i);
    time_axis(cr, chart, &l);
    cairo_status_t status = cairo_status(cr);
    cairo_destroy(cr);
    if (status != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(s);
        return mim_fail(MIM_ENOMEM, "cannot draw: %s", cairo_status_to_string(status));
    }
    *surface = s;
    return MIM_OK;
}
