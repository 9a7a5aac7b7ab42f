#include "node/contain.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h> /* major, minor */
#include <unistd.h>

#include "core/text.h"
#include "node/cgroup.h"
#include "node/contain_internal.h"

const mim_option mim_contain_options[] = {
    {"contain", "mode", MIM_OPTION_CHOICE, "", "auto", 0, 0, "auto|off|cgroup|rlimits", NULL,
     "keep a run within what it needs: auto = by a control group where one can be made, and by "
     "resource limits; cgroup = refuse to run without; rlimits = by limits only"},
    {"contain", "cpu_margin", MIM_OPTION_REAL, "", "1.25", 0, 100, NULL, NULL,
     "CPU time at most, as a multiple of one CPU for each thread of the plan; 0 = no cap"},
    {"contain", "memory_margin", MIM_OPTION_REAL, "", "1.25", 0, 100, NULL, NULL,
     "memory at most, as a multiple of what the plan needs; 0 = no cap"},
    {"contain", "io_margin", MIM_OPTION_REAL, "", "1.5", 0, 100, NULL, NULL,
     "rates of the scratch disk at most, as a multiple of the calibrated ones; 0 = no cap"},
    {"contain", "cpuset", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, NULL,
     "also keep all threads to the CPUs of the run"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

/* Beside the buffers: the program, its results, HDF5. */
static const uint64_t base_bytes = UINT64_C(256) << 20;
static const uint64_t locked_bytes = UINT64_C(64) << 20;
/* Dirty pages of a group are written back early above a tenth of its memory. */
static const uint64_t cache_share = 10;
/* A record of a small node and what each CPU adds, with room. */
static const double record_bytes = 65536.0, record_cpu_bytes = 1024.0;
static const double spare_cpus = 0.5; /* for the thread that samples */

enum {
    ROW_THREADS = 2, /* worker and helper */
    ROW_TASKS = 8,   /* and what stressors start beside them */
    BASE_TASKS = 64,
    ROW_FILES = 16,
    BASE_FILES = 256,
    CPU_FILES = 8, /* four counters of each, and those of the sockets */
    N_LIMITS = 5
};

static const struct {
    int resource;
    const char *name;
    bool is_bytes;
} limit_kinds[N_LIMITS] = {
    {RLIMIT_DATA, "data", true},          {RLIMIT_FSIZE, "a file", true},
    {RLIMIT_NOFILE, "open files", false}, {RLIMIT_MEMLOCK, "locked memory", true},
    {RLIMIT_CORE, "a core file", true},
};

struct mim_contain {
    mim_contain_groups groups;
    struct rlimit before[N_LIMITS];
    bool is_set[N_LIMITS];
    char *applied, *missing;
};

void mim_contain_settings_get(const mim_config *config, mim_contain_settings *settings)
{
    const char *mode = mim_config_text(config, "contain.mode");
    *settings = (mim_contain_settings){
        .mode = strcmp(mode, "off") == 0       ? MIM_CONTAIN_OFF
                : strcmp(mode, "cgroup") == 0  ? MIM_CONTAIN_CGROUP
                : strcmp(mode, "rlimits") == 0 ? MIM_CONTAIN_RLIMITS
                                               : MIM_CONTAIN_AUTO,
        .cpu_margin = mim_config_real(config, "contain.cpu_margin"),
        .memory_margin = mim_config_real(config, "contain.memory_margin"),
        .io_margin = mim_config_real(config, "contain.io_margin"),
        .has_cpuset = mim_config_bool(config, "contain.cpuset"),
    };
}

static uint64_t bytes_of(double bytes)
{
    return bytes >= 9e18 ? UINT64_C(9000000000000000000) : bytes > 0.0 ? (uint64_t)bytes : 0;
}

/* Bytes a second of reads, or of writes, when every row is busy with the fastest it has. */
static double rows_rate(const mim_plan *plan, const mim_plan_need *need,
                        const mim_calibration *calibration, bool of_reads)
{
    double sum = 0.0;
    const size_t n = mim_plan_n_stressors(plan);
    for (size_t row = 0; row < mim_plan_n_threads(plan); row++) {
        double best = 0.0;
        for (size_t s = 0; s < n; s++) {
            const mim_stressor *stressor = mim_actions_stressor(mim_plan_actions(plan), s);
            const double reads = stressor ? mim_stressor_read_share(stressor) : NAN;
            if (!need->uses[row * n + s] || isnan(reads))
                continue;
            const mim_cost *cost = mim_calibration_cost(calibration, stressor->name);
            const double share = of_reads ? reads : 1.0 - reads;
            if (cost && cost->ops_per_s > 0.0)
                best = fmax(best, share * cost->ops_per_s * (double)stressor->op_bytes);
        }
        sum += best;
    }
    return sum;
}

/* What was not measured for all CPUs is not known. */
static double device_rate(double max_kbs, const mim_plan *plan, const mim_plan_need *need,
                          const mim_calibration *calibration, bool of_reads)
{
    return isnan(max_kbs) ? NAN
                          : fmax(1024.0 * max_kbs, rows_rate(plan, need, calibration, of_reads));
}

void mim_contain_need_of(const mim_plan *plan, const mim_plan_need *plan_need,
                         const mim_machine *machine, const mim_calibration *calibration,
                         const mim_scratch *scratch, int nice, double n_slots, double result_bytes,
                         mim_contain_need *need)
{
    const double text_bytes =
        (n_slots + 1.0) * (record_bytes + record_cpu_bytes * (double)machine->n_cpus);
    *need = (mim_contain_need){
        .machine = machine,
        .n_rows = plan_need->n_threads,
        .memory_bytes = plan_need->memory_bytes,
        .file_bytes = plan_need->scratch_bytes,
        .output_bytes = bytes_of(fmax(text_bytes, result_bytes)),
        .nice = nice,
        .scratch_folder = scratch ? mim_scratch_folder(scratch) : NULL,
        .is_buffered = scratch && !mim_scratch_is_direct(scratch),
        .read_bytes_per_s = NAN,
        .write_bytes_per_s = NAN,
    };
    if (!calibration)
        return;
    need->read_bytes_per_s =
        device_rate(calibration->io_read_max_kbs, plan, plan_need, calibration, true);
    need->write_bytes_per_s =
        device_rate(calibration->io_write_max_kbs, plan, plan_need, calibration, false);
}

/* ---- from need to caps ------------------------------------------------------------------------
 */

static size_t stack_bytes(void)
{
    pthread_attr_t attributes;
    size_t n = 0;
    if (pthread_attr_init(&attributes) != 0)
        return 8u << 20;
    if (pthread_attr_getstacksize(&attributes, &n) != 0)
        n = 8u << 20;
    pthread_attr_destroy(&attributes);
    return n;
}

/* Allocations of a run: buffers with their margin, threads, and the rest of the program. */
static double allocated_bytes(const mim_contain_settings *settings, const mim_contain_need *need)
{
    return settings->memory_margin * (double)need->memory_bytes + (double)base_bytes +
           (double)(ROW_THREADS * need->n_rows) * (double)stack_bytes();
}

/* Number of the whole disk below the folder, "" when it is on none: partitions take no caps. */
static void find_device(const char *root, const char *folder, size_t n_bytes, char *device)
{
    struct stat status;
    char number[32];
    *device = '\0';
    if (!folder || stat(folder, &status) != 0 || major(status.st_dev) == 0)
        return;
    snprintf(number, sizeof number, "%u:%u", major(status.st_dev), minor(status.st_dev));
    char *at = mim_format("%s/sys/dev/block/%s", root, number);
    char *partition = at ? mim_format("%s/partition", at) : NULL;
    char *disk = at ? mim_format("%s/..", at) : NULL;
    if (disk && access(partition, F_OK) == 0) {
        if (!mim_cgroup_read(disk, "dev", n_bytes, device))
            *device = '\0';
    } else if (at && access(at, F_OK) == 0) {
        snprintf(device, n_bytes, "%s", number);
    }
    free(at);
    free(partition);
    free(disk);
}

static uint64_t rate_cap(double rate, double margin)
{
    return isfinite(rate) && rate > 0.0 ? bytes_of(margin * rate) : 0;
}

static char *list_cpus(const mim_machine *machine)
{
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *stream = open_memstream(&text, &n_bytes);
    for (size_t i = 0; stream && i < machine->n_cpus; i++)
        fprintf(stream, "%s%d", i ? "," : "", machine->cpus[i].os_index);
    if (stream && fclose(stream) != 0) {
        free(text);
        text = NULL;
    }
    return text;
}

/* A quota of all CPUs there are would bound nothing. */
static double cpu_cap(const mim_contain_settings *settings, const mim_contain_need *need)
{
    const size_t n = need->n_rows < need->machine->n_cpus ? need->n_rows : need->machine->n_cpus;
    const double cpus = settings->cpu_margin * (double)n + spare_cpus;
    const long n_online = sysconf(_SC_NPROCESSORS_ONLN);
    return settings->cpu_margin > 0.0 && cpus < (double)n_online ? cpus : 0.0;
}

static void plan_caps(const mim_contain_settings *settings, const mim_contain_need *need,
                      const char *root, mim_contain_caps *caps)
{
    const size_t n = need->n_rows < need->machine->n_cpus ? need->n_rows : need->machine->n_cpus;
    const double cached = (double)need->file_bytes * (need->is_buffered ? cache_share : 1);
    *caps = (mim_contain_caps){
        .is_demanded = settings->mode == MIM_CONTAIN_CGROUP,
        .cpus = cpu_cap(settings, need),
        /* a thread of niceness v weighs 1.25^-v; a group is shared out over the CPUs it is on */
        .weight = pow(1.25, -need->nice) * (double)(n ? n : 1),
        .n_tasks = BASE_TASKS + ROW_TASKS * need->n_rows,
    };
    if (settings->memory_margin > 0.0)
        caps->memory_bytes =
            bytes_of(allocated_bytes(settings, need) + settings->memory_margin * cached);
    if (settings->io_margin > 0.0 && need->scratch_folder) {
        find_device(root, need->scratch_folder, sizeof caps->device, caps->device);
        caps->read_bytes_per_s = rate_cap(need->read_bytes_per_s, settings->io_margin);
        caps->write_bytes_per_s = rate_cap(need->write_bytes_per_s, settings->io_margin);
    }
    caps->cpu_list = settings->has_cpuset ? list_cpus(need->machine) : NULL;
}

/* ---- limits -----------------------------------------------------------------------------------
 */

/* Bytes that count toward RLIMIT_DATA now; 0 = unknown. */
static uint64_t data_now(void)
{
    char line[256];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r"); /* whatever the test: limits are real */
    while (file && kib == 0 && fgets(line, sizeof line, file))
        if (sscanf(line, "VmData: %" SCNu64, &kib) != 1)
            kib = 0;
    if (file)
        fclose(file);
    return kib * 1024;
}

static size_t open_files(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static double limit_value(size_t i, const mim_contain_settings *settings,
                          const mim_contain_need *need)
{
    const uint64_t data = data_now();
    const double longest = fmax((double)need->file_bytes, (double)need->output_bytes);
    switch (limit_kinds[i].resource) {
    case RLIMIT_DATA:
        return data && settings->memory_margin > 0.0
                   ? (double)data + allocated_bytes(settings, need)
                   : INFINITY;
    case RLIMIT_FSIZE:
        return fmax(settings->memory_margin, 1.0) * longest + (double)base_bytes;
    case RLIMIT_NOFILE:
        return (double)(open_files() + BASE_FILES + ROW_FILES * need->n_rows +
                        CPU_FILES * need->machine->n_cpus);
    case RLIMIT_MEMLOCK:
        return (double)locked_bytes;
    default:
        return 0.0;
    }
}

/* Soft limits only, and only downwards: they can be lifted again. */
static void set_limits(mim_contain *c, const mim_contain_settings *settings,
                       const mim_contain_need *need)
{
    for (size_t i = 0; i < N_LIMITS; i++) {
        const double value = limit_value(i, settings, need);
        if (value >= 9e18 || getrlimit(limit_kinds[i].resource, &c->before[i]) != 0)
            continue;
        const struct rlimit lower = {(rlim_t)value, c->before[i].rlim_max};
        if (c->before[i].rlim_cur != RLIM_INFINITY && c->before[i].rlim_cur <= lower.rlim_cur)
            continue; /* tight enough */
        c->is_set[i] = setrlimit(limit_kinds[i].resource, &lower) == 0;
    }
}

static void lift_limits(mim_contain *c)
{
    for (size_t i = 0; i < N_LIMITS; i++)
        if (c->is_set[i]) {
            setrlimit(limit_kinds[i].resource, &c->before[i]);
            c->is_set[i] = false;
        }
}

/* ---- what is said of it -----------------------------------------------------------------------
 */

static void print_cap(FILE *out, const mim_contain_caps *caps, size_t controller)
{
    char a[MIM_BYTES_TEXT_BYTES], b[MIM_BYTES_TEXT_BYTES];
    switch (controller) {
    case MIM_CONTAIN_CPU:
        fprintf(out, "%.2f CPUs", caps->cpus);
        break;
    case MIM_CONTAIN_MEMORY:
        fprintf(out, "memory %s", mim_bytes_text((double)caps->memory_bytes, a));
        break;
    case MIM_CONTAIN_TASKS:
        fprintf(out, "%" PRIu64 " tasks", caps->n_tasks);
        break;
    case MIM_CONTAIN_IO:
        fprintf(out, "disk %s", caps->device);
        if (caps->read_bytes_per_s)
            fprintf(out, " read %s/s", mim_bytes_text((double)caps->read_bytes_per_s, a));
        if (caps->write_bytes_per_s)
            fprintf(out, " write %s/s", mim_bytes_text((double)caps->write_bytes_per_s, b));
        break;
    default:
        fprintf(out, "CPUs %.60s%s", caps->cpu_list, strlen(caps->cpu_list) > 60 ? "..." : "");
    }
}

static void print_applied(FILE *out, const mim_contain *c, const mim_contain_caps *caps)
{
    bool is_first = true;
    for (int version = 1; version <= 2; version++) {
        const char *between = NULL;
        for (size_t i = 0; i < MIM_CONTAIN_N_CONTROLLERS; i++) {
            if (c->groups.version[i] != version)
                continue;
            if (between)
                fputs(between, out);
            else
                fprintf(out, "%scgroup v%d: ", is_first ? "" : "; ", version);
            print_cap(out, caps, i);
            between = ", ";
            is_first = false;
        }
    }
    const char *between = is_first ? "limits: " : "; limits: ";
    for (size_t i = 0; i < N_LIMITS; i++) {
        struct rlimit now;
        char text[MIM_BYTES_TEXT_BYTES];
        if (!c->is_set[i] || getrlimit(limit_kinds[i].resource, &now) != 0)
            continue;
        if (limit_kinds[i].is_bytes)
            mim_bytes_text((double)now.rlim_cur, text);
        else
            snprintf(text, sizeof text, "%" PRIu64, (uint64_t)now.rlim_cur);
        fprintf(out, "%s%s %s", between, limit_kinds[i].name, text);
        between = ", ";
        is_first = false;
    }
    if (is_first)
        fputs("nothing", out);
}

static void print_missing(FILE *out, const mim_contain *c, const mim_contain_settings *settings,
                          const mim_contain_need *need, const mim_contain_caps *caps)
{
    const char *between = "no cgroup for ";
    for (size_t i = 0; i < MIM_CONTAIN_N_CONTROLLERS; i++)
        if (c->groups.reason[i][0]) {
            fprintf(out, "%s%s (%s)", between, mim_contain_controller_name(i), c->groups.reason[i]);
            between = ", ";
        }
    if (settings->mode == MIM_CONTAIN_OFF || settings->mode == MIM_CONTAIN_RLIMITS) {
        fprintf(out, "no cgroup: contain.mode = %s",
                settings->mode == MIM_CONTAIN_OFF ? "off" : "rlimits");
        return;
    }
    if (!need->scratch_folder || settings->io_margin <= 0.0)
        return;
    between = between[0] == ',' ? "; " : "";
    if (!caps->device[0])
        fprintf(out, "%sno cap on I/O (no disk is known for %s)", between, need->scratch_folder);
    else if (!caps->read_bytes_per_s && !caps->write_bytes_per_s)
        fprintf(out, "%sno cap on I/O (its rates are not calibrated)", between);
}

static int describe(mim_contain *c, const mim_contain_settings *settings,
                    const mim_contain_need *need, const mim_contain_caps *caps)
{
    size_t n_applied = 0, n_missing = 0;
    FILE *applied = open_memstream(&c->applied, &n_applied);
    FILE *missing = open_memstream(&c->missing, &n_missing);
    if (applied)
        print_applied(applied, c, caps);
    if (missing)
        print_missing(missing, c, settings, need, caps);
    const bool is_written = applied && missing;
    if ((applied && fclose(applied) != 0) || (missing && fclose(missing) != 0) || !is_written)
        return mim_fail(MIM_ENOMEM, "containment");
    mim_make_one_line(c->missing);
    if (n_missing == 0) {
        free(c->missing);
        c->missing = NULL;
    }
    return MIM_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int demand_groups(const mim_contain *c)
{
    for (size_t i = 0; i < MIM_CONTAIN_N_CONTROLLERS; i++)
        if (c->groups.reason[i][0])
            return mim_fail(MIM_EUNSUP, "contain.mode = cgroup: %s", c->missing);
    return MIM_OK;
}

int mim_contain_enter(const mim_contain_settings *settings, const mim_contain_need *need,
                      const char *root, mim_contain **contain)
{
    mim_contain_caps caps = {0};
    const bool has_groups =
        settings->mode == MIM_CONTAIN_AUTO || settings->mode == MIM_CONTAIN_CGROUP;
    mim_contain *c = calloc(1, sizeof *c);
    if (!c)
        return mim_fail(MIM_ENOMEM, "containment");
    if (has_groups) {
        mim_contain_sweep(root);
        plan_caps(settings, need, root, &caps);
        mim_contain_groups_enter(&caps, root, &c->groups);
    }
    if (settings->mode != MIM_CONTAIN_OFF)
        set_limits(c, settings, need);
    int rc = describe(c, settings, need, &caps);
    if (rc == MIM_OK && settings->mode == MIM_CONTAIN_CGROUP)
        rc = demand_groups(c);
    free((char *)caps.cpu_list);
    if (rc == MIM_OK) {
        *contain = c;
        c = NULL;
    }
    mim_contain_destroy(&c);
    return rc;
}

int mim_contain_step_aside(const mim_contain_settings *settings, const char *root,
                           mim_contain **contain)
{
    mim_contain *c = calloc(1, sizeof *c);
    if (!c || !(c->applied = mim_strdup("nothing"))) {
        free(c);
        return mim_fail(MIM_ENOMEM, "containment");
    }
    if (settings->mode == MIM_CONTAIN_AUTO || settings->mode == MIM_CONTAIN_CGROUP) {
        mim_contain_sweep(root);
        (void)mim_contain_groups_step_aside(root, &c->groups);
    }
    *contain = c;
    return MIM_OK;
}

void mim_contain_leave(mim_contain *contain)
{
    if (!contain)
        return;
    lift_limits(contain);
    mim_contain_groups_leave(&contain->groups);
}

void mim_contain_destroy(mim_contain **contain)
{
    mim_contain *c = contain ? *contain : NULL;
    if (!c)
        return;
    mim_contain_leave(c);
    free(c->applied);
    free(c->missing);
    free(c);
    *contain = NULL;
}

const char *mim_contain_applied(const mim_contain *contain)
{
    return contain ? contain->applied : "nothing";
}

const char *mim_contain_missing(const mim_contain *contain)
{
    return contain ? contain->missing : NULL;
}
