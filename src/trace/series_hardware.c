/* Metrics of the processor's counters: memory bandwidth and last-level cache in the original's
 * types and ours, instructions, energy. */
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "trace/series_internal.h"

/* What no box does, per second (see series_catalog.c). */
static const double max_events = 1e12;
static const double max_memory_bytes = 1e14; /* 1e5 GB/s */
static const double max_uj = 1e11;           /* 100 kW of a package */

/* ---- what the file holds ---------------------------------------------------------------------
 */

/* Counters that were never set going stand at 0 in every record: the file does not hold the figure.
 */
static bool is_live(const mim_stats *stats, const char *type_name, size_t n_keys,
                    const mim_key_term *keys)
{
    size_t type = mim_stats_find_type(stats, type_name), found[MIM_CHANNEL_MAX_KEYS];
    if (type == SIZE_MAX)
        return false;
    for (size_t i = 0; i < n_keys; i++)
        if ((found[i] = mim_stats_find_key(stats, type, keys[i].name)) == SIZE_MAX)
            return false;
    for (size_t record = 0; record < mim_stats_n_records(stats); record++) {
        for (size_t r = 0; r < mim_stats_n_rows(stats, record); r++) {
            mim_row row = mim_stats_row(stats, record, r);
            uint64_t value;
            for (size_t i = 0; row.type == type && i < n_keys; i++)
                if (mim_row_value(&row, found[i], &value) && value > 0)
                    return true;
        }
    }
    return false;
}

static bool has_devices(const mim_stats *stats, const char *type_name)
{
    size_t type = mim_stats_find_type(stats, type_name);
    return type != SIZE_MAX && mim_stats_n_devices(stats, type) > 0;
}

/* 0: the file does not tell. */
static int peak_of_header(const mim_stats *stats, double *gb_s)
{
    static const char name[] = "x_peak_bandwidth_gb_s";
    const char *text = mim_stats_property(stats, name);
    *gb_s = 0;
    if (!text)
        return MIM_OK;
    int rc = mim_parse_real(name, text, 1e-3, 1e6, gb_s);
    return rc == MIM_EUSAGE ? mim_fail(MIM_EDATA, "header line $%s", mim_error()) : rc;
}

/* GB/s of the machine classes of the original: Skylake by its types, older ones by their number of
 * CPUs, a Haswell of another size as the smallest class. 0: not known. */
static double peak_bandwidth_gb_s(const mim_stats *stats, const mim_series_options *options)
{
    if (options && options->peak_bandwidth_gb_s > 0)
        return options->peak_bandwidth_gb_s;
    if (has_devices(stats, "intel_skx_imc") || has_devices(stats, "intel_skx_cha") ||
        has_devices(stats, "intel_x86_uncore_imc_skx"))
        return 115.0;
    bool is_haswell = has_devices(stats, "intel_hsw_imc") || has_devices(stats, "intel_hsw_cbo");
    if (!is_haswell && !has_devices(stats, "intel_bdw_imc"))
        return 0.0;
    size_t type = mim_stats_find_type(stats, "cpu");
    switch (type == SIZE_MAX ? 0 : mim_stats_n_devices(stats, type)) {
    case 20:
    case 40:
        return 59.0;
    case 16:
    case 32:
        return 68.3;
    case 56:
    case 112:
        return 281.4;
    default:
        return is_haswell ? 59.0 : 0.0;
    }
}

/* ---- memory and cache ------------------------------------------------------------------------
 */

typedef struct memory_family {
    const char *type, *read, *write;
    double unit_bytes; /* of a step of the counter */
} memory_family;

static double bandwidth_scale(double unit_bytes, double peak)
{
    return unit_bytes / 1e9 * (peak > 0 ? 100.0 / peak : 1.0);
}

/* Reads and writes apart. */
static int add_bandwidth(const mim_stats *stats, mim_series_plan *plan, double peak)
{
    static const memory_family families[] = {
        {"intel_hsw_imc", "CTR0", "CTR1", 64},
        {"intel_bdw_imc", "CTR0", "CTR1", 64},
        {"intel_skx_imc", "CTR0", "CTR1", 64},
        {"intel_x86_uncore_imc_skx", "dram_cas_reads", "dram_cas_writes", 64},
        {"intel_x86_uncore_imc_icx", "dram_cas_reads", "dram_cas_writes", 64},
        {"intel_x86_uncore_imc_spr", "dram_cas_reads", "dram_cas_writes", 64},
        {"intel_x86_uncore_imc_emr", "dram_cas_reads", "dram_cas_writes", 64},
        {"intel_x86_uncore_imc_gnr", "dram_cas_reads", "dram_cas_writes", 64},
        {"intel_x86_uncore_imc_srf", "dram_cas_reads", "dram_cas_writes", 64},
        {"x_imc", "read_bytes", "write_bytes", 1}};
    const char *unit = peak > 0 ? "%" : "GB/s";
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        mim_key_term keys[] = {{families[i].read, 1}, {families[i].write, 1}};
        if (!is_live(stats, families[i].type, 2, keys))
            continue;
        const double bytes = families[i].unit_bytes, scale = bandwidth_scale(bytes, peak);
        mim_channel read =
            mim_series_rate("memory_bandwidth_read", unit, MIM_FAMILY_MEMORY, MIM_TIER_MSR, scale);
        mim_channel write =
            mim_series_rate("memory_bandwidth_write", unit, MIM_FAMILY_MEMORY, MIM_TIER_MSR, scale);
        read.max_per_s = write.max_per_s = max_memory_bytes / bytes;
        int rc = mim_series_add_channel(stats, plan, &read, families[i].type, 1, &keys[0]);
        return rc == MIM_OK
                   ? mim_series_add_channel(stats, plan, &write, families[i].type, 1, &keys[1])
                   : rc;
    }
    return MIM_OK;
}

/* "64B" says that a step of the counter is 64 bytes. */
static double bytes_of_unit(const char *unit)
{
    char *rest;
    double bytes = strtod(unit, &rest);
    return bytes > 0 && bytes < 1e6 && *rest == 'B' ? bytes : 1.0;
}

/* AMD's data fabric counts reads and writes together. */
static int add_fabric(const mim_stats *stats, mim_series_plan *plan, double peak)
{
    static const char *const types[] = {"amd_x86_uncore_df_rome", "amd_x86_uncore_df_milan",
                                        "amd_x86_uncore_df_genoa", "amd_x86_uncore_df_turin"};
    static const mim_key_term keys[] = {{"dram_chan0_bytes", 1},
                                        {"dram_chan1_bytes", 1},
                                        {"dram_chan2_bytes", 1},
                                        {"dram_chan3_bytes", 1}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!is_live(stats, types[i], 4, keys))
            continue;
        size_t type = mim_stats_find_type(stats, types[i]);
        size_t key = mim_stats_find_key(stats, type, keys[0].name);
        double unit_bytes = bytes_of_unit(mim_stats_key(stats, type, key)->unit);
        mim_channel both =
            mim_series_rate("memory_bandwidth", peak > 0 ? "%" : "GB/s", MIM_FAMILY_MEMORY,
                            MIM_TIER_MSR, bandwidth_scale(unit_bytes, peak));
        both.max_per_s = max_memory_bytes / unit_bytes;
        return mim_series_add_channel(stats, plan, &both, types[i], 4, keys);
    }
    return MIM_OK;
}

static int add_cache(const mim_stats *stats, mim_series_plan *plan)
{
    static const char *const types[] = {"intel_hsw_cbo", "intel_bdw_cbo", "intel_skx_cha"};
    static const mim_key_term keys[] = {{"CTR0", 1}, {"CTR1", 1}, {"CTR2", 1}, {"CTR3", 1}};
    mim_channel events =
        mim_series_rate("l3_cache_usage", "10^6 events/s", MIM_FAMILY_CACHE, MIM_TIER_MSR, 1e-6);
    events.max_per_s = max_events;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (is_live(stats, types[i], 4, keys))
            return mim_series_add_channel(stats, plan, &events, types[i], 4, keys);
    static const mim_key_term lookups = {"lookups", 1};
    return is_live(stats, "x_llc", 1, &lookups)
               ? mim_series_add_channel(stats, plan, &events, "x_llc", 1, &lookups)
               : MIM_OK;
}

/* resctrl: what the cache holds at the end of a slot and, when nothing else tells, all traffic. */
static int add_resctrl(const mim_stats *stats, mim_series_plan *plan, double peak,
                       bool has_bandwidth)
{
    static const mim_key_term held = {"llc_occupancy", 1}, moved = {"mbm_total_bytes", 1};
    mim_channel occupancy =
        mim_series_rate("pqos_llc_kb", "KB", MIM_FAMILY_CACHE, MIM_TIER_MSR, 1.0 / 1024);
    mim_channel both = mim_series_rate("memory_bandwidth", peak > 0 ? "%" : "GB/s",
                                       MIM_FAMILY_MEMORY, MIM_TIER_MSR, bandwidth_scale(1, peak));
    int rc = MIM_OK;
    occupancy.is_gauge = true;
    both.max_per_s = max_memory_bytes;
    if (is_live(stats, "x_resctrl", 1, &held))
        rc = mim_series_add_channel(stats, plan, &occupancy, "x_resctrl", 1, &held);
    if (rc == MIM_OK && !has_bandwidth && is_live(stats, "x_resctrl", 1, &moved))
        rc = mim_series_add_channel(stats, plan, &both, "x_resctrl", 1, &moved);
    return rc;
}

/* ---- instructions ----------------------------------------------------------------------------
 */

/* A perf_event counter summed over the CPUs, each scaled by the part of the time it was counting;
 * `place`: where the plan keeps it, SIZE_MAX when the file has not got it. */
static int add_perf(const mim_stats *stats, mim_series_plan *plan, mim_channel channel,
                    const char *key, size_t *place)
{
    const mim_key_term keys[] = {{key, 1}, {"enabled_ns", 0}, {"running_ns", 0}};
    const size_t before = plan->n_channels;
    channel.is_multiplexed = true;
    channel.max_per_s = max_events;
    *place = SIZE_MAX;
    if (!is_live(stats, "x_perf", 1, keys))
        return MIM_OK;
    int rc = mim_series_add_channel(stats, plan, &channel, "x_perf", 3, keys);
    if (rc == MIM_OK && plan->n_channels > before)
        *place = before;
    return rc;
}

/* The original's misses are of the time since its last poll, some second; these are of a second. */
static int add_instructions(const mim_stats *stats, mim_series_plan *plan)
{
    mim_channel hidden = mim_series_rate("", "1/s", MIM_FAMILY_CACHE, MIM_TIER_PERF, 1);
    mim_channel misses = mim_series_rate("pqos_misses", "1/s", MIM_FAMILY_CACHE, MIM_TIER_PERF, 1);
    size_t place;
    hidden.is_hidden = true;
    int rc = add_perf(stats, plan, hidden, "cycles", &plan->cycles_channel);
    if (rc == MIM_OK)
        rc = add_perf(stats, plan, hidden, "instructions", &plan->instructions_channel);
    return rc == MIM_OK ? add_perf(stats, plan, misses, "llc_misses", &place) : rc;
}

/* ---- energy ----------------------------------------------------------------------------------
 */

/* Behind `prefix` and the number that follows it; NULL when `text` does not begin so. */
static const char *skip_numbered(const char *text, const char *prefix)
{
    const size_t n = strlen(prefix),
                 n_digits = strncmp(text, prefix, n) == 0 ? strspn(text + n, "0123456789") : 0;
    return n_digits ? text + n + n_digits : NULL;
}

/* "package-0", or "package-0-die-1" where a package has several; not "package-0:dram", which is
 * part of it or told beside it, nor "psys". */
static bool is_package(const char *domain)
{
    const char *behind = skip_numbered(domain, "package-");
    if (behind && *behind == '-')
        behind = skip_numbered(behind, "-die-");
    return behind && *behind == 0;
}

static int add_energy(const mim_stats *stats, mim_series_plan *plan)
{
    static const mim_key_term energy = {"energy_uj", 1};
    size_t type = mim_stats_find_type(stats, "x_energy"), n_packages = 0;
    size_t n = type == SIZE_MAX ? 0 : mim_stats_n_devices(stats, type);
    mim_channel power = mim_series_rate("energy_w", "W", MIM_FAMILY_ENERGY, MIM_TIER_MSR, 1e-6);
    bool *counted = calloc(n + 1, sizeof *counted);
    if (!counted)
        return mim_fail(MIM_ENOMEM, "%zu energy domains", n);
    for (size_t i = 0; i < n; i++)
        n_packages += counted[i] = is_package(mim_stats_device(stats, type, i));
    power.counted = counted;
    power.max_per_s = max_uj;
    int rc = n_packages > 0 && is_live(stats, "x_energy", 1, &energy)
                 ? mim_series_add_channel(stats, plan, &power, "x_energy", 1, &energy)
                 : MIM_OK;
    free(counted);
    return rc;
}

/* ---- all of it -------------------------------------------------------------------------------
 */

int mim_series_add_hardware(const mim_stats *stats, const mim_series_options *options,
                            mim_series_plan *plan)
{
    double peak = 0;
    int rc = peak_of_header(stats, &peak);
    if (rc != MIM_OK)
        return rc;
    if (!(peak > 0) || (options && options->peak_bandwidth_gb_s > 0))
        peak = peak_bandwidth_gb_s(stats, options);
    const size_t before = plan->n_channels;
    rc = add_bandwidth(stats, plan, peak);
    if (rc == MIM_OK)
        rc = add_fabric(stats, plan, peak);
    const bool has_bandwidth = plan->n_channels > before;
    if (rc == MIM_OK)
        rc = add_cache(stats, plan);
    if (rc == MIM_OK)
        rc = add_resctrl(stats, plan, peak, has_bandwidth);
    if (rc == MIM_OK)
        rc = add_instructions(stats, plan);
    return rc == MIM_OK ? add_energy(stats, plan) : rc;
}
