/* The closed loop of one plan row: how much less (or more) than planned it takes of its CPU, so
 * that the CPU's utilisation is the planned one beside whatever else runs there.
 *
 * After each slot the share that others used, utilisation - own, moves the estimate
 *   others <- others + gain * (utilisation - own - others),
 * and the next slot asks for planned - others, within [0, 1]. With the slot's own use measured the
 * loop has no memory but the estimate, so that
 *  - after a step of others by b the error is b (1 - gain)^k in the k-th slot: it never changes
 *    sign and shrinks for every gain in (0, 1]; gain 1 is the deadbeat controller;
 *  - when what is asked for is cut at 0 or 1, or others take what was asked for, the estimate still
 *    follows what was measured: nothing winds up.
 * Others that change from slot to slot are not known in advance: a load that alternates is met one
 * slot late, which gain 1 doubles and a small gain averages. All shares are of the slot: 1 = the
 * CPU was busy all the time. */
#ifndef MIM_NODE_FEEDBACK_H
#define MIM_NODE_FEEDBACK_H

typedef struct mim_feedback {
    double gain;
    double others; /* estimate */
} mim_feedback;

/* gain: 0 < gain <= 1. */
void mim_feedback_start(mim_feedback *feedback, double gain);
/* Figures of a slot; one that is not finite tells nothing and is left out. A utilisation below the
 * own use, as counters in ticks show it, counts as others of down to -MIM_FEEDBACK_MAX_UNSEEN. */
#define MIM_FEEDBACK_MAX_UNSEEN 0.05
void mim_feedback_take(mim_feedback *feedback, double utilisation, double own);
/* What to ask for so that the CPU comes to `planned`. 0 stays 0: an idle row asks for nothing. */
double mim_feedback_share(const mim_feedback *feedback, double planned);

#endif
