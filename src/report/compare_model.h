/* What a comparison holds, shared by the compare*.c files. Not for others. */
#ifndef MIM_REPORT_COMPARE_MODEL_H
#define MIM_REPORT_COMPARE_MODEL_H

#include "report/compare.h"

/* NaN where no slot could be compared. */
typedef struct mim_metric_error {
    double nl1, mse, dtw;
    double wanted_mean, measured_mean; /* over the compared slots */
    size_t n_slots, n_absent;
    bool is_left_out;
} mim_metric_error;

typedef struct mim_family_error {
    double nl1, mse, dtw; /* means over the metrics of the family */
    size_t n_metrics;     /* that took part */
    size_t n_slots;       /* the largest number among them */
} mim_family_error;

typedef struct mim_compare_run {
    char *name, *label, *hostname;
    size_t n_slots; /* common with the wanted series */
    bool is_judged; /* whether `accepted` is known */
    size_t n_accepted;
    bool *accepted;            /* [n_slots], all true when not judged */
    double *values;            /* [n_slots][n_metrics of wanted], NaN = absent */
    mim_metric_error *metrics; /* [n_metrics of wanted] */
    mim_family_error families[MIM_N_FAMILIES];
    double nl1_mean; /* over target families */
} mim_compare_run;

typedef struct mim_left_out {
    size_t metric; /* of the wanted series */
    size_t run;    /* SIZE_MAX: left out for every file */
    const char *reason;
} mim_left_out;

struct mim_compare {
    char *wanted_name;
    mim_node_limits limits;
    mim_adaptation *adaptation;
    const mim_series *wanted; /* of the adaptation */
    double *ranges;           /* [n_metrics], <= 0: left out */
    bool only_accepted;
    size_t n_notes, n_left_out, n_runs;
    char **notes;
    size_t first_range_note, n_range_notes; /* on metrics without a ceiling, or not in the corpus */
    mim_left_out *left_out;
    mim_compare_run *runs;
};

/* The runs of one label together. */
typedef struct mim_label_summary {
    const char *label; /* owned by the comparison */
    size_t n_runs;
    mim_family_error families[MIM_N_FAMILIES]; /* means over runs; n_slots: the smallest */
    double nl1_mean, spread;                   /* spread NaN for a single run */
    double floor[MIM_N_FAMILIES], floor_mean;  /* NaN for a single run */
    bool is_judged;                            /* all runs are */
    size_t n_accepted;                         /* the smallest */
} mim_label_summary;

/* Fills compare->ranges, with notes and what is left out; `ranges` NULL: none of a corpus. */
int mim_compare_find_ranges(mim_compare *compare, const mim_compare_ranges *ranges);
/* run SIZE_MAX: for every file; `reason` is kept. */
int mim_compare_leave_out(mim_compare *compare, size_t metric, size_t run, const char *reason);
/* Fills run->metrics, families and nl1_mean from its values. */
int mim_compare_measure(const mim_compare *compare, mim_compare_run *run);
bool mim_compare_first_of_label(const mim_compare *compare, size_t run);
/* Of the label of `run`. */
void mim_compare_summarise(const mim_compare *compare, size_t run, mim_label_summary *summary);

#endif
