/* The simplest imitation: CPU of each core from one CPU stressor, reads and writes from one I/O
 * stressor each, in closed form from the calibration.
 *
 * With c = core's wanted CPU share (0..1), f = full rate of an I/O stressor in operations/s and
 * k = f * its CPU time per operation (the CPU share of weight 1):
 *   reads (then writes) need weights that sum to  wanted bytes/s / (f * device bytes per
 * operation); CPU weight of a row = c - k * I/O weight, at least 0;   CPU weight + I/O weights
 * <= 1. The I/O weight is laid on the rows, evenly as far as each takes it, in this order:
 *   1. where it costs nothing: its CPU time replaces CPU weight and the row's 1 is not reached,
 *      weight <= min(c / k, (1 - c) / (1 - k));
 *   2. on idle rows, where its CPU time comes on top (k percent of a core per percent of weight);
 *   3. in the place of CPU weight of full rows (1 - k); 3 before 2 where k > 1/2.
 * 2 and 3 are done only where they lessen the error: a unit of weight takes (f * bytes) / ceiling
 * off the normalised error of the I/O family and adds k or 1 - k, over the number of rows, to that
 * of the CPU family. What finds no place is not asked for (baseline/asked.h tells how much). Each
 * step is the cheapest left, so one I/O stressor's placement is optimal under this model; writes
 * after reads need not be jointly so. */
#ifndef MIM_BASELINE_SINGLE_H
#define MIM_BASELINE_SINGLE_H

#include "node/calibration.h"
#include "plan/plan.h"
#include "trace/series.h"

typedef struct mim_single_options {
    /* Names in the action list. I/O ones may be "none": with both, this is the original's single
     * stressor, which imitates CPU utilisation only. */
    const char *cpu_stressor, *read_stressor, *write_stressor;
} mim_single_options;

/* `wanted` is already adapted to the node (trace/adapt.h). Row i of the plan is the i-th core of
 * the series by number. Slots where a metric is absent ask for none of it; an I/O stressor that
 * moves nothing on a block device here (device_bytes_per_op not above 0) is not used. MIM_EUSAGE: a
 * stressor is not in the list or of another kind; MIM_EUNSUP: not calibrated; MIM_EDATA: no
 * per-core CPU in any slot of the series. */
int mim_single_plan(const mim_series *wanted, const mim_calibration *calibration,
                    const mim_actions *actions, const mim_single_options *options, mim_plan **plan);

#endif
