/* Measuring one plan: repetitions, disturbed slots again, and the rows that are stored of it.
 *
 * Every window needs n_repeats accepted slots. A try runs the whole chain (a slot's context belongs
 * to it) as often as the neediest window still lacks; accepted slots of all tries count. After
 * max_tries a window is accepted when it has any accepted slot, disturbed when it has only others,
 * failed when nothing was measured. */
#ifndef MIM_FLEET_MEASURE_H
#define MIM_FLEET_MEASURE_H

#include "corpus/campaign.h"
#include "fleet/fleet.h"

typedef struct mim_measure_options {
    size_t n_repeats; /* 1 to 64 */
    size_t max_tries; /* >= 1 */
    double slot_s;
    uint64_t seed;
} mim_measure_options;

typedef struct mim_measure_figures {
    size_t n_tries, n_failed_tries;
    size_t n_accepted, n_disturbed, n_failed; /* windows */
    bool is_refused;                          /* the node's limits: trying again is no use */
    double written_bytes;                     /* of all tries */
    const char *error; /* sentence of the last try that failed; NULL if none did */
} mim_measure_figures;

typedef struct mim_measure mim_measure;

/* Submits the first try. Keeps (borrows) fleet, layout, options and plan. */
int mim_measure_begin(mim_fleet *fleet, const mim_layout *layout,
                      const mim_measure_options *options, const mim_plan *plan, uint64_t plan_id,
                      uint32_t round, mim_measure **measure);
/* Takes the result of a try; submits another one if that is needed, else *is_over. After a stop
 * request no further try begins. */
int mim_measure_take(mim_measure *measure, const mim_fleet_result *result, bool *is_over);
/* Whether what there is may be stored: false when a stop came before windows had their tries, so
 * that the plan is better measured later. */
bool mim_measure_is_settled(const mim_measure *measure);
/* Metrics that the layout has and the node does not are absent; others are left out. */
int mim_measure_rows(const mim_measure *measure, mim_campaign_rows **rows);
mim_measure_figures mim_measure_look(const mim_measure *measure);
void mim_measure_destroy(mim_measure **measure);

#endif
