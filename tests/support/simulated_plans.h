/* Plans for the simulated node, and what it makes of them. */
#ifndef TESTS_SUPPORT_SIMULATED_PLANS_H
#define TESTS_SUPPORT_SIMULATED_PLANS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/simulated.h"

/* All of these end the test when they fail. */

mim_simulated *make_node(const char *size, bool has_noise, bool has_carry_over, uint64_t seed);
mim_plan *make_plan(const mim_actions *actions, size_t n_windows, size_t n_threads); /* idle */
double random_u01(uint64_t seed, uint64_t number);
/* Up to ten stressors a row, from idle to full, a window as likely hardly used as crowded; the
 * first window is not idle. */
mim_plan *random_plan(const mim_actions *actions, size_t n_windows, size_t n_threads,
                      uint64_t seed);
/* Slots of a second, one pass. Without a plan: one idle window of the list's. `result` may be NULL.
 */
mim_series *run_series(const mim_simulated *node, const mim_actions *actions, uint64_t plan_id,
                       const mim_plan *plan, mim_run_result **result);
void parse_text(const char *text, size_t n_bytes, mim_series **series);
double metric(const mim_series *series, size_t slot, const char *name);
void expect_near(double found, double expected, double tolerance);

#endif
