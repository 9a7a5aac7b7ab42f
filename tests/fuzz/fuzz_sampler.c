/* libFuzzer target: whatever stands in a file of /proc or /sys, the sampler opens or says why not,
 * and every record that it writes is one that our reader takes. The first byte chooses the file,
 * the rest is its text. Run with -max_len=4096 -timeout=5 tests/fuzz/corpus_sampler from the root
 * of the repository: it works on a copy of tests/data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text.h"
#include "node/pqos_log.h"
#include "node/sampler.h"
#include "tests/support/fake_perf.h"
#include "trace/stats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNITS "sys/bus/event_source/devices/"
/* Append only: the corpus counts on the places. */
static const char *const files[] = {
    "proc/stat",
    "proc/loadavg",
    "proc/net/dev",
    "proc/vmstat",
    "proc/sys/fs/file-nr",
    "proc/sysvipc/shm",
    "proc/pressure/io",
    "proc/self/mounts",
    "proc/uptime",
    "proc/filesystems",
    "proc/cpuinfo",
    "proc/sys/kernel/perf_event_paranoid",
    "sys/block/sda/stat",
    "sys/class/net/eth0/flags",
    "sys/class/net/eth0/statistics/rx_dropped",
    "sys/devices/system/node/node0/meminfo",
    "sys/devices/system/node/node0/numastat",
    "sys/devices/system/cpu/online",
    "sys/devices/system/cpu/cpu2/topology/physical_package_id",
    UNITS "cpu/type",
    UNITS "uncore_imc_0/type",
    UNITS "uncore_imc_0/cpumask",
    UNITS "uncore_imc_0/events/cas_count_read",
    UNITS "uncore_imc_0/events/cas_count_read.scale",
    UNITS "uncore_imc_0/events/cas_count_read.unit",
    UNITS "uncore_imc_0/format/umask",
    UNITS "uncore_cha_0/format/filter_state",
    "sys/fs/resctrl/mon_data/mon_L3_00/llc_occupancy",
    "sys/fs/resctrl/mon_data/mon_L3_01/mbm_total_bytes",
    "sys/class/powercap/intel-rapl:0/energy_uj",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj",
    "sys/class/powercap/intel-rapl:0:0/name",
};

static char folder[256];
static fake_perf fake;

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

static void shell(const char *format)
{
    char *command = mim_format(format, folder);

    check(command && system(command) == 0);
    free(command);
}

static void remove_folder(void) { shell("rm -rf '%s'"); }

static void make_folder(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/mim_fuzz.XXXXXX", base && *base ? base : "/tmp");
    check(mkdtemp(folder) != NULL);
    atexit(remove_folder);
    shell("cp -r tests/data/proc-fixture/. tests/data/hardware/skylake/. '%s'");
}

static void put_file(const char *name, const void *bytes, size_t n)
{
    char *path = mim_join_path(folder, name);
    FILE *file = path ? fopen(path, "r+") : NULL;

    /* the same file, longer or shorter, as the kernel's files are */
    check(file && fwrite(bytes, 1, n, file) == n && fflush(file) == 0 &&
          ftruncate(fileno(file), (off_t)n) == 0 && fclose(file) == 0);
    free(path);
}

static char *get_file(const char *name, size_t *n)
{
    char *path = mim_join_path(folder, name), *text = calloc(1, 1 << 16);
    FILE *file = path ? fopen(path, "r") : NULL;

    check(file && text);
    *n = fread(text, 1, 1 << 16, file);
    fclose(file);
    free(path);
    return text;
}

static int open_sampler(mim_sampler **sampler)
{
    char *proc = mim_join_path(folder, "proc"), *sys = mim_join_path(folder, "sys");
    const mim_sampler_options options = {
        .hostname = "a", .proc_root = proc, .sys_root = sys, .perf = &fake.calls};

    check(proc && sys);
    int rc = mim_sampler_create(&options, sampler);
    check(rc == MIM_OK ? *sampler != NULL : *mim_error() != 0);
    if (rc == MIM_OK)
        check(mim_sampler_header(*sampler) == MIM_OK);
    free(proc);
    free(sys);
    return rc;
}

static void take(mim_sampler *sampler, mim_pqos_log *log)
{
    char block[MIM_PQOS_TEXT_BYTES];

    fake.now_ns += 1000000;
    check(mim_sampler_take(sampler, NULL, 0, NULL) == MIM_OK);
    if (log)
        check(mim_pqos_log_add(log, sampler, 1e9, block) == MIM_OK);
}

/* All that was written is read again. */
static void check_text(mim_sampler *sampler)
{
    char *text = NULL;
    size_t n = 0;
    mim_stats *stats = NULL;
    FILE *stream = open_memstream(&text, &n);

    check(stream && mim_sampler_flush(sampler, stream) == MIM_OK && fclose(stream) == 0);
    if (mim_stats_parse("sampler", text, n, &stats) != MIM_OK) {
        fprintf(stderr, "%s\n", mim_error());
        abort();
    }
    mim_stats_destroy(&stats);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!*folder)
        make_folder();
    if (size == 0)
        return 0;
    const char *name = files[data[0] % (sizeof files / sizeof *files)];
    mim_sampler *before = NULL, *after = NULL;
    mim_pqos_log *log = NULL;
    size_t n = 0;
    char *good = get_file(name, &n);

    fake_perf_init(&fake);
    check(open_sampler(&before) == MIM_OK);
    check(mim_pqos_log_create(before, "", &log) == MIM_OK);
    take(before, log);
    put_file(name, data + 1, size - 1);
    take(before, log);
    if (open_sampler(&after) == MIM_OK) {
        take(after, NULL);
        check_text(after);
    }
    put_file(name, good, n);
    take(before, log);
    check_text(before);
    mim_pqos_log_destroy(&log);
    mim_sampler_destroy(&before);
    mim_sampler_destroy(&after);
    check(fake.n_open == 0);
    free(good);
    return 0;
}
