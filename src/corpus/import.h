/* Measured runs and campaign rows as samples.
 *
 * A part is what one source gave: samples with their own layout (files may hold different metrics).
 * Parts are merged into one layout whose metrics are the union; what a part lacks is absent. */
#ifndef MIM_CORPUS_IMPORT_H
#define MIM_CORPUS_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/h5.h"
#include "corpus/campaign.h"
#include "corpus/corpus.h"

typedef struct mim_part {
    mim_layout *layout;
    mim_samples *samples; /* is_validation not yet decided */
    size_t n_slots;       /* measured slots that were looked at */
    size_t n_disturbed;   /* of them left out because others used the machine */
    size_t n_lost;        /* windows that no slot was left of */
    bool is_unchecked;    /* nothing tells whether its slots were disturbed */
    uint64_t n_bytes;     /* of text read */
} mim_part;

void mim_part_destroy(mim_part **part);

/* ---- folders as mimesys_run leaves them ---------------------------------------------------- */

typedef struct mim_run_files {
    char *plan, *stats; /* paths of NAME.h5 and stats-NAME.txt */
    char *result;       /* of result-NAME.h5, NULL when there is none */
} mim_run_files;

/* Every stats-NAME.txt of the folder with its plan NAME.h5, which stands there or in the folder
 * above (stats-simulated-NAME.txt: that, too); sorted by name. MIM_EIO; MIM_EDATA: none, or one
 * without its plan. */
int mim_runs_list(const char *folder, size_t *n, mim_run_files **runs);
void mim_runs_free(size_t n, mim_run_files **runs);

typedef enum { MIM_IDLE_AUTO, MIM_IDLE_NO, MIM_IDLE_YES } mim_idle_slot;

typedef struct mim_import_options {
    bool all_metrics;        /* else only what a plan can be asked to imitate */
    bool with_disturbed;     /* take slots that others disturbed, too */
    mim_idle_slot idle_slot; /* whether an idle slot follows each pass; AUTO: as the result file
                                says, else as the number of slots allows */
    size_t min_repeats;      /* windows with fewer usable repetitions are left out; >= 1 */
} mim_import_options;

/* One run: each window of the plan is a sample, summarised over the passes of the run (median and
 * spread, zeros kept). The slot before a window is the window before it; before the first one it is
 * the idle slot or, in passes that follow directly, the last window (the first pass is left out
 * then, as it began from an idle machine). Working sets are as the result file tells, without one
 * the original. The plan's id is a hash of its weights and names.
 * `reader` reads its HDF5 files (core/h5.h); NULL: one for each. MIM_EDATA, naming the file. */
int mim_run_import(mim_h5_reader *reader, const mim_run_files *run,
                   const mim_import_options *options, mim_part **part);

/* ---- campaigns ----------------------------------------------------------------------------- */

/* The first row from `row` on that begins a plan (or the number of rows). */
int mim_campaign_plan_start(mim_campaign *campaign, size_t row, size_t *start);
/* The accepted windows of rows [first, first + n), which must be whole plans. MIM_EDATA also when
 * none of the metrics is wanted. */
int mim_campaign_import(mim_campaign *campaign, size_t first, size_t n,
                        const mim_import_options *options, mim_part **part);

/* ---- merging ------------------------------------------------------------------------------- */

/* The layout for what stands under both: metrics united, slots as long as those of `a` (see
 * mim_layout_compare_slots), all else equal (MIM_EDATA, `what` naming the second). With
 * `mixed_hosts`, host classes may differ and become "mixed". */
int mim_layout_merge(const mim_layout *a, const mim_layout *b, const char *what, bool mixed_hosts,
                     mim_layout **merged);
/* All parts' samples in the merged layout, split. */
int mim_parts_join(size_t n, mim_part *const *parts, const mim_layout *layout, uint64_t split_seed,
                   double validation_share, mim_samples **samples);

#endif
