#include "node/uncore_family.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

enum { READ, WRITE };
enum { LOOKUPS };
enum { LINE_BYTES = 64, ANY_BITS = 64 };

const mim_uncore_family mim_uncore_imc[] = {
    /* Intel servers: the kernel describes the events, scaled to MiB. From Granite Rapids on, a
     * controller has two sub-channels. */
    {.units = "uncore_imc_",
     .n_events = 2,
     .events = {{READ, "cas_count_read"}, {WRITE, "cas_count_write"}}},
    {.units = "uncore_imc_",
     .n_events = 4,
     .events = {{READ, "cas_count_read_sch0"},
                {READ, "cas_count_read_sch1"},
                {WRITE, "cas_count_write_sch0"},
                {WRITE, "cas_count_write_sch1"}}},
    /* Counters that nobody programs: servers (Snow Ridge, Ice Lake), then desktops. */
    {.units = "uncore_imc_free_running_",
     .n_events = 2,
     .events = {{READ, "read"}, {WRITE, "write"}}},
    {.units = "uncore_imc_free_running_",
     .n_events = 2,
     .events = {{READ, "data_read"}, {WRITE, "data_write"}}},
    {.units = "uncore_imc",
     .n_events = 2,
     .events = {{READ, "data_reads"}, {WRITE, "data_writes"}}},
    /* AMD from Zen 4 on: CAS commands of a channel. */
    {.units = "amd_umc_",
     .format = "rdwrmask",
     .min_bits = 2,
     .max_bits = 2,
     .factor = LINE_BYTES,
     .n_events = 2,
     .events = {{READ, "event=0x0a,rdwrmask=0x1"}, {WRITE, "event=0x0a,rdwrmask=0x2"}}},
    /* The same processors under kernels without amd_umc: data beats between any socket and a
     * channel. Earlier ones (umask of 8 bits) count reads and writes together: of no use here. */
    {.units = "amd_df",
     .format = "umask",
     .min_bits = 12,
     .max_bits = ANY_BITS,
     .factor = LINE_BYTES,
     .n_events = 2,
     .events = {{READ, "event=0x1f,umask=0xffe"}, {WRITE, "event=0x1f,umask=0xfff"}},
     .n_channels = 12,
     .code_step = 0x40},
};
const size_t mim_uncore_n_imc = sizeof mim_uncore_imc / sizeof *mim_uncore_imc;

/* All requests that look a line up, whatever its state. */
const mim_uncore_family mim_uncore_llc[] = {
    /* Ice Lake and later: states in the low byte, kinds of requests above. */
    {.units = "uncore_cha_",
     .format = "umask",
     .min_bits = 21,
     .max_bits = ANY_BITS,
     .factor = 1,
     .n_events = 1,
     .events = {{LOOKUPS, "event=0x34,umask=0x1fffff"}}},
    /* Skylake, Cascade Lake: a filter of states, of which those of the snoop filter are left out.
     */
    {.units = "uncore_cha_",
     .format = "filter_state",
     .min_bits = 10,
     .max_bits = 10,
     .factor = 1,
     .n_events = 1,
     .events = {{LOOKUPS, "event=0x34,umask=0x11,filter_state=0xf1"}}},
    /* Haswell, Broadwell; Ivy Bridge; Sandy Bridge: all states. */
    {.units = "uncore_cbox_",
     .format = "filter_state",
     .min_bits = 7,
     .max_bits = 7,
     .factor = 1,
     .n_events = 1,
     .events = {{LOOKUPS, "event=0x34,umask=0x11,filter_state=0x7f"}}},
    {.units = "uncore_cbox_",
     .format = "filter_state",
     .min_bits = 6,
     .max_bits = 6,
     .factor = 1,
     .n_events = 1,
     .events = {{LOOKUPS, "event=0x34,umask=0x11,filter_state=0x3f"}}},
    {.units = "uncore_cbox_",
     .format = "filter_state",
     .min_bits = 5,
     .max_bits = 5,
     .factor = 1,
     .n_events = 1,
     .events = {{LOOKUPS, "event=0x34,umask=0x11,filter_state=0x1f"}}},
    /* AMD: one unit for every complex of cores. Without a mask the kernel counts all its threads
     * and slices. */
    {.units = "amd_l3", .factor = 1, .n_events = 1, .events = {{LOOKUPS, "event=0x04,umask=0xff"}}},
};
const size_t mim_uncore_n_llc = sizeof mim_uncore_llc / sizeof *mim_uncore_llc;

bool mim_uncore_fits(const mim_uncore_family *family, const mim_pmu *unit)
{
    if (!family->format)
        return true;
    const unsigned bits = mim_pmu_bits(unit, family->format);
    return bits >= family->min_bits && bits <= family->max_bits;
}

/* Bytes in a unit of measure, 0 when it is not known. */
static double bytes_in(const char *unit)
{
    static const struct {
        const char *name;
        double bytes;
    } known[] = {{"MiB", 1048576}, {"KiB", 1024}, {"Bytes", 1}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(unit, known[i].name) == 0)
            return known[i].bytes;
    return 0;
}

/* Scales are rounded in sysfs: 6.103515625e-5 MiB are 64 bytes, 3.814697266E-6 are 4. */
static double round_off(double factor)
{
    const double whole = round(factor);
    return whole > 0 && fabs(factor - whole) < 1e-6 * whole ? whole : factor;
}

static int described_event(const mim_pmu *unit, const char *name, mim_perf_event *event,
                           double *factor)
{
    char measure[MIM_PMU_UNIT_BYTES];
    double scale = 0;
    int rc = mim_pmu_event(unit, name, event, &scale, measure);

    if (rc != MIM_OK)
        return rc;
    if (!(bytes_in(measure) > 0))
        return mim_fail(MIM_EUNSUP, "%s/%s: a count in %s", unit->name, name, measure);
    *factor = round_off(scale * bytes_in(measure));
    return MIM_OK;
}

int mim_uncore_event_of(const mim_uncore_family *family, const mim_pmu *unit, unsigned channel,
                        size_t i, mim_perf_event *event, double *factor)
{
    static const char code[] = "event=0x";
    const char *text = family->events[i].text;

    if (!(family->factor > 0))
        return described_event(unit, text, event, factor);
    char *end;
    unsigned long number = strtoul(text + strlen(code), &end, 16) + channel * family->code_step;
    char *terms = mim_format("%s%lx%s", code, number, end);
    int rc = terms ? mim_pmu_encode(unit, terms, event) : mim_fail(MIM_ENOMEM, "event %s", text);
    if (rc == MIM_OK)
        *factor = family->factor;
    free(terms);
    return rc;
}
