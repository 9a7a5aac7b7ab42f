/* Which slots of a measurement were undisturbed. */
#ifndef MIM_TESTS_SUPPORT_JUDGE_H
#define MIM_TESTS_SUPPORT_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

/* By the limits of trace/accept.h, over stretches of a second at least, of which all slots are
 * accepted or none (means add up over time), and none after a disturbed one: what was missed there
 * is made up for. `is_io`: the kernel works for who is measured, and that counts as others. NaN:
 * not accepted. All arrays: [n_slots]. */
void judge_slots(size_t n_slots, double slot_s, bool is_io, const double *steal_pct,
                 const double *others_pct, bool *is_accepted);

#endif
