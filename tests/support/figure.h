/* A measured figure with its goal, those of peers, and the curves behind it: one row of the table,
 * one JSON object a line. */
#ifndef MIM_TESTS_SUPPORT_FIGURE_H
#define MIM_TESTS_SUPPORT_FIGURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Below so many accepted slots a figure is "not measurable now", never met or missed. */
enum { FIGURE_SLOTS_NEEDED = 50 };
enum { FIGURE_MAX_PEERS = 3, FIGURE_MAX_CURVES = 24, FIGURE_NAME_BYTES = 160 };

typedef enum {
    FIGURE_MET,
    FIGURE_MISSED,
    FIGURE_NOT_MEASURABLE,
    FIGURE_NO_GOAL,
    FIGURE_N_VERDICTS,
} figure_verdict;

typedef struct figure_peer {
    const char *name;
    double value;
    const char *reason; /* instead of a value, e.g. "not installed"; NULL */
} figure_peer;

/* Points of a curve; the arrays are the caller's. */
typedef struct figure_curve {
    char label[FIGURE_NAME_BYTES];
    size_t n;
    const double *x, *y;
} figure_curve;

typedef struct figure {
    const char *part, *unit;
    char name[FIGURE_NAME_BYTES];
    double value, spread; /* NaN = not known */
    size_t n, n_rejected; /* what was counted, and slots that were not as others disturbed them */
    size_t n_needed;      /* 0 = FIGURE_SLOTS_NEEDED */
    double at_most, at_least; /* the goal; NaN = none */
    /* A further goal: at most the first peer's value and this much more; NaN = none. What can be
     * told apart by the measurement, not more. */
    double peer_allowance;
    size_t n_peers;
    figure_peer peers[FIGURE_MAX_PEERS];
    /* How the picture shows the curves: figures of the same chart are its panels; bars: x is a
     * place. NULL = only the table. */
    const char *chart, *panel, *x_label, *y_label;
    bool is_bars;
    size_t n_curves;
    figure_curve curves[FIGURE_MAX_CURVES];
} figure;

/* No value, no goal, no peers. */
figure figure_of(const char *part, const char *unit, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void figure_add_peer(figure *f, const char *name, double value, const char *reason);
void figure_add_curve(figure *f, const char *label, size_t n, const double *x, const double *y);

/* Where figures go: the table to `table`, lines to `lines`; counts verdicts. */
typedef struct figure_report {
    FILE *table, *lines;
    const char *part;  /* of the row printed last; NULL at first */
    bool is_disturbed; /* figures are of disturbed slots, too: nothing can be judged */
    size_t n_verdicts[FIGURE_N_VERDICTS];
} figure_report;

figure_verdict figure_judge(const figure *f);
void figure_print(const figure *f, figure_report *report);

#endif
