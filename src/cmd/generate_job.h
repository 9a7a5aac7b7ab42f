/* What the halves of mimesys_generate share: the job, and the methods that make plans. */
#ifndef MIM_CMD_GENERATE_JOB_H
#define MIM_CMD_GENERATE_JOB_H

#include "baseline/asked.h"
#include "core/args.h"
#include "core/log.h"
#include "core/summary.h"
#include "node/calibration.h"
#include "trace/adapt.h"

/* Wanted and asked means of one family. */
typedef struct mim_generate_figures {
    const char *name, *unit;
    double trace, wanted, asked;
    size_t n_off;
} mim_generate_figures;

enum { FIGURE_CPU, FIGURE_READ, FIGURE_WRITE, N_FIGURES };

typedef struct mim_generate_method mim_generate_method;

typedef struct mim_generate_job {
    const mim_args *args;
    const mim_config *config;
    mim_log *log;
    const mim_generate_method *how;
    size_t first;
    double slot_s;
    mim_series *trace; /* the slots to imitate */
    mim_calibration *calibration;
    mim_actions *actions;
    mim_adaptation *adaptation;
    mim_plan *plan;
    mim_plan_need need;
    mim_asked *asked;
    json_t *notes; /* texts */
    mim_generate_figures figures[N_FIGURES];
    json_t *json;
} mim_generate_job;

struct mim_generate_method {
    const char *name;
    int (*make)(mim_generate_job *j); /* adaptation -> plan */
    const char *knowledge; /* flag naming the file it knows stressors and plans from, or NULL */
    const char *lacking;   /* what it does where a slot lacks a metric */
};

/* Sets `how` by --method and checks that its file is given, and no other method's. */
int mim_generate_find_method(mim_generate_job *j);
/* `note` was allocated and is taken; NULL is MIM_ENOMEM. */
int mim_generate_add_note(mim_generate_job *j, char *note);

/* Settings of the methods. */
extern const mim_option mim_generate_single_options[], mim_generate_idw_options[],
    mim_generate_diffusion_options[];

#endif
