#include "node/cpu_usage.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "node/sampler_source.h"

struct mim_cpu_usage {
    mim_kept_file file;
    bool is_schedstat;
    double ticks_per_s;
    size_t n;
    int *os_index; /* [n] */
};

enum {
    MAX_FIELDS = 9,
    IDLE = 3, /* of /proc/stat: user nice system idle iowait irq softirq steal */
    IOWAIT = 4,
    STEAL = 7,
    N_STAT = 8,
    RUN_NS = 6, /* of /proc/schedstat: yield, unused, schedules, idles, wakeups, local ones, time */
    N_SCHEDSTAT = 7,
};

static bool has_times(const char *text)
{
    uint64_t fields[MAX_FIELDS];
    const char *line = strstr(text, "\ncpu");
    return line && mim_scan_u64_n(line + 4 + strspn(line + 4, "0123456789"), N_SCHEDSTAT, fields) &&
           fields[RUN_NS] > 0;
}

static int open_file(mim_cpu_usage *u, const char *proc)
{
    if (mim_kept_open(&u->file, proc, "schedstat") == MIM_OK) {
        u->is_schedstat = has_times(u->file.text);
        if (u->is_schedstat)
            return MIM_OK;
        mim_kept_close(&u->file); /* its clocks may be switched off */
    }
    return mim_kept_open(&u->file, proc, "stat");
}

int mim_cpu_usage_open(const char *proc_root, size_t n, const int *os_index, mim_cpu_usage **usage)
{
    mim_cpu_usage *u = calloc(1, sizeof *u);
    int rc = u && (u->os_index = calloc(n ? n : 1, sizeof *u->os_index))
                 ? MIM_OK
                 : mim_fail(MIM_ENOMEM, "use of %zu CPUs", n);
    if (rc == MIM_OK) {
        memcpy(u->os_index, os_index, n * sizeof *u->os_index);
        u->n = n;
        u->file.fd = -1;
        u->ticks_per_s = (double)sysconf(_SC_CLK_TCK);
        rc = open_file(u, proc_root ? proc_root : "/proc");
    }
    if (rc == MIM_OK) {
        *usage = u;
        u = NULL;
    }
    mim_cpu_usage_close(&u);
    return rc;
}

static double busy_of(const mim_cpu_usage *u, const char *fields_text, double now_s)
{
    uint64_t fields[MAX_FIELDS];
    if (!mim_scan_u64_n(fields_text, u->is_schedstat ? N_SCHEDSTAT : N_STAT, fields))
        return NAN;
    if (u->is_schedstat)
        return (double)fields[RUN_NS] * 1e-9;
    return now_s - (double)(fields[IDLE] + fields[IOWAIT] + fields[STEAL]) / u->ticks_per_s;
}

int mim_cpu_usage_read(mim_cpu_usage *u, double *busy_s)
{
    bool is_read = mim_kept_read(&u->file);
    double now_s = (double)mim_clock_mono_ns() * 1e-9;
    for (size_t i = 0; i < u->n; i++)
        busy_s[i] = NAN;
    if (!is_read)
        return mim_fail(MIM_EIO, "%s: cannot be read", mim_cpu_usage_source(u));
    for (const char *line = u->file.text; *line; line = mim_next_line(line)) {
        const char *fields = line + 3;
        uint64_t number;
        if (strncmp(line, "cpu", 3) != 0 || !mim_is_digit(*fields) ||
            !mim_scan_u64(&fields, &number))
            continue; /* the sum over all CPUs, and what is not of CPUs */
        for (size_t i = 0; i < u->n; i++)
            if ((uint64_t)u->os_index[i] == number)
                busy_s[i] = busy_of(u, fields, now_s);
    }
    return MIM_OK;
}

const char *mim_cpu_usage_source(const mim_cpu_usage *usage)
{
    return usage->is_schedstat ? "schedstat" : "stat";
}

void mim_cpu_usage_close(mim_cpu_usage **usage)
{
    if (!*usage)
        return;
    mim_kept_close(&(*usage)->file);
    free((*usage)->os_index);
    free(*usage);
    *usage = NULL;
}
