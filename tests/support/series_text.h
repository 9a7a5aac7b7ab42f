/* Series made of short recordings written in the tests, and what their values must be. */
#ifndef TESTS_SUPPORT_SERIES_TEXT_H
#define TESTS_SUPPORT_SERIES_TEXT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trace/series.h"

#define HEADER                                                                                     \
    "$hpcperfstats 2.4\n$hostname n\n"                                                             \
    "!block rd_sectors,E wr_sectors,E\n"                                                           \
    "!cpu user,E nice,E system,E idle,E iowait,E irq,E softirq,E\n"                                \
    "!imc CTL0,C CTR0,E,W=48\n"                                                                    \
    "!mem MemTotal,U=KB MemFree,U=KB FilePages,U=KB\n"                                             \
    "!net rx_bytes,E tx_bytes,E\n"                                                                 \
    "!intel_hsw_imc CTR0,E,W=48 CTR1,E,W=48\n"                                                     \
    "!intel_hsw_cbo CTR0,E,W=48 CTR1,E,W=48 CTR2,E,W=48 CTR3,E,W=48\n"                             \
    "!intel_skx_imc CTR0,E,W=48 CTR1,E,W=48\n"                                                     \
    "!amd_x86_uncore_df_milan dram_chan0_bytes,E,W=48 dram_chan1_bytes,E,W=48 "                    \
    "dram_chan2_bytes,E,W=48 dram_chan3_bytes,E,W=48\n"                                            \
    "!intel_x86_uncore_imc_spr dram_cas_reads,E,W=48 dram_cas_writes,E,W=48\n"                     \
    "!x_psi some_us,E full_us,E\n"                                                                 \
    "!x_cpu steal,E,U=cs guest,E,U=cs guest_nice,E,U=cs\n"                                         \
    "!x_slot slot begin_us,E late_us own_cpu_us,E\n"                                               \
    "!x_thr cpu cpu_us,E paced_cpu_us,E\n"                                                         \
    "!x_perf cycles,E instructions,E llc_refs,E llc_misses,E enabled_ns,E running_ns,E\n"          \
    "!x_resctrl llc_occupancy,U=B mbm_total_bytes,E,U=B mbm_local_bytes,E,U=B\n"                   \
    "!x_imc read_bytes,E,U=B write_bytes,E,U=B\n"                                                  \
    "!x_llc lookups,E\n"                                                                           \
    "!x_energy energy_uj,E,U=uJ\n\n"

static inline mim_series *series_with(const char *body, const mim_series_options *options)
{
    char text[16384];
    mim_stats *stats = NULL;
    mim_series *series = NULL;
    snprintf(text, sizeof text, "%s%s", HEADER, body);
    if (mim_stats_parse("text", text, strlen(text), &stats) != MIM_OK ||
        mim_series_create(stats, options, &series) != MIM_OK)
        fail_msg("%s", mim_error());
    mim_stats_destroy(&stats);
    return series;
}

static inline mim_series *series_of(const char *body) { return series_with(body, NULL); }

static inline double at(const mim_series *s, size_t slot, const char *metric)
{
    size_t m = mim_series_find(s, metric);
    if (m == SIZE_MAX)
        fail_msg("no metric %s", metric);
    return mim_series_at(s, slot, m);
}

static inline void expect(const mim_series *s, size_t slot, const char *metric, double expected)
{
    double found = at(s, slot, metric);
    if (!(fabs(found - expected) <= 1e-9 * fmax(1.0, fabs(expected))))
        fail_msg("slot %zu: %s: expected %.12g, found %.12g", slot, metric, expected, found);
}

static inline void expect_absent(const mim_series *s, size_t slot, const char *metric)
{
    if (!isnan(at(s, slot, metric)))
        fail_msg("slot %zu: %s: expected absent, found %g", slot, metric, at(s, slot, metric));
}

#endif
