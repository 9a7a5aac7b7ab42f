/* What a sample costs (as a monitor takes them, and with the slow sources in each): CPU time and
 * wall time, whole and source by source, beside a bare read of /proc/stat kept open, and the share
 * of a core of a monitor that samples once a second. Goals: a sample 100 us, a share of 0.1 %. One
 * JSON object a line. usage: bench_sampler [SAMPLES [SECONDS]]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "node/sampler.h"
#include "node/sampler_source.h"
#include "tests/support/bench.h"

enum { N_DEFAULT = 400, N_MIN = 200, SECONDS_DEFAULT = 8, SECONDS_MAX = 1000 };

static const double goal_us = 100.0, goal_share_pct = 0.1;

static double cpu_us(void) { return (double)mim_clock_thread_cpu_ns() / 1e3; }
static double wall_us(void) { return (double)mim_clock_mono_ns() / 1e3; }

/* peer 0: none; goal 0: none. */
static void print_line(const char *name, const char *unit, size_t n, double *values, double peer,
                       double goal)
{
    double spread, value = bench_median(n, values, &spread);

    printf("{\"bench\": \"%s\", \"value\": %.4g, \"unit\": \"%s\", ", name, value, unit);
    if (peer > 0)
        printf("\"peer\": %.4g, \"ratio\": %.3g, ", peer, value / peer);
    else
        printf("\"peer\": null, \"ratio\": null, ");
    if (goal > 0)
        printf("\"goal\": %.4g, \"goal_ratio\": %.3g, ", goal, value / goal);
    printf("\"n\": %zu, \"spread\": %.3g}\n", n, spread);
}

/* Reading the clock costs some 0.4 us and is part of every figure, this one too. */
static double bare_read_us(size_t n, double *us)
{
    static char text[1 << 16];
    double spread;
    int fd = open("/proc/stat", O_RDONLY);
    ssize_t got = 0;

    for (size_t i = 0; i < n; i++) {
        double start = cpu_us();
        got = pread(fd, text, sizeof text, 0);
        us[i] = cpu_us() - start;
    }
    close(fd);
    return got > 0 ? bench_median(n, us, &spread) : -1;
}

static int bench_sources(size_t n, double *us, double peer_us)
{
    const mim_source_roots roots = {.proc = "/proc", .sys = "/sys", .perf = &mim_perf_kernel};

    for (size_t s = 0; mim_sources[s]; s++) {
        mim_source *source = NULL;
        char name[64];
        if (mim_sources[s]->open(&roots, &source) != MIM_OK)
            continue; /* not offered here */
        for (size_t i = 0; i < n; i++) {
            double start = cpu_us();
            source->ops->read(source);
            us[i] = cpu_us() - start;
        }
        snprintf(name, sizeof name, "sampler_source_%s", mim_sources[s]->name);
        print_line(name, "us", n, us, peer_us, 0);
        source->ops->close(source);
    }
    return MIM_OK;
}

/* slow_s 0: every source in every sample. */
static int open_sampler(double slow_s, mim_sampler **sampler, FILE **sink)
{
    const mim_sampler_options options = {.slow_s = slow_s};
    int rc;

    if (!(*sink = fopen("/dev/null", "w")))
        return mim_fail(MIM_EIO, "/dev/null");
    rc = mim_sampler_create(&options, sampler);
    return rc == MIM_OK ? mim_sampler_header(*sampler) : rc;
}

static int bench_sample(const char *name, double slow_s, size_t n, double *us, double *passed_us,
                        double peer_us)
{
    char wall_name[64];
    mim_sampler *sampler = NULL;
    FILE *sink = NULL;
    int rc = open_sampler(slow_s, &sampler, &sink);

    snprintf(wall_name, sizeof wall_name, "%s_wall", name);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        double start = cpu_us(), begun = wall_us();
        rc = mim_sampler_take(sampler, NULL, 0, NULL);
        passed_us[i] = wall_us() - begun;
        us[i] = cpu_us() - start;
        if (rc == MIM_OK)
            rc = mim_sampler_flush(sampler, sink);
    }
    if (rc == MIM_OK) {
        print_line(name, "us", n, us, peer_us, goal_us);
        print_line(wall_name, "us", n, passed_us, 0, goal_us);
    }
    mim_sampler_destroy(&sampler);
    if (sink)
        fclose(sink);
    return rc;
}

/* Once a second, as a monitor does: caches are cold then. Text and writing included. */
static int bench_share(size_t n_seconds, double *share_pct)
{
    mim_sampler *sampler = NULL;
    FILE *sink = NULL;
    int rc = open_sampler(MIM_SAMPLER_SLOW_S, &sampler, &sink);
    int64_t next = mim_clock_mono_ns();

    for (size_t i = 0; rc == MIM_OK && i < n_seconds; i++) {
        double start = cpu_us();
        rc = mim_sampler_take(sampler, NULL, 0, NULL);
        if (rc == MIM_OK)
            rc = mim_sampler_flush(sampler, sink);
        next += MIM_NS_PER_S;
        mim_clock_sleep_until(next);
        share_pct[i] = 100.0 * (cpu_us() - start) / 1e6;
    }
    if (rc == MIM_OK)
        print_line("sampler_core_share_1hz", "%", n_seconds, share_pct, 0, goal_share_pct);
    mim_sampler_destroy(&sampler);
    if (sink)
        fclose(sink);
    return rc;
}

static size_t number_of(int argc, char **argv, int i, size_t otherwise, size_t min, size_t max)
{
    size_t n = argc > i ? strtoul(argv[i], NULL, 10) : otherwise;

    return n < min ? min : n > max ? max : n;
}

int main(int argc, char **argv)
{
    const size_t n = number_of(argc, argv, 1, N_DEFAULT, N_MIN, SIZE_MAX / 16);
    const size_t n_seconds = number_of(argc, argv, 2, SECONDS_DEFAULT, 1, SECONDS_MAX);
    double *us = calloc(n, sizeof *us), *passed_us = calloc(n, sizeof *passed_us);
    double *share_pct = calloc(n_seconds, sizeof *share_pct);
    double peer_us = us && passed_us && share_pct ? bare_read_us(n, us) : -1;
    int rc = peer_us > 0 ? MIM_OK : mim_fail(MIM_EUNSUP, "/proc/stat cannot be read");

    if (rc == MIM_OK)
        rc = bench_sample("sampler_sample", MIM_SAMPLER_SLOW_S, n, us, passed_us, peer_us);
    if (rc == MIM_OK)
        rc = bench_sample("sampler_sample_full", 0, n, us, passed_us, peer_us);
    if (rc == MIM_OK)
        rc = bench_share(n_seconds, share_pct);
    if (rc == MIM_OK)
        rc = bench_sources(n, us, peer_us);
    free(us);
    free(passed_us);
    free(share_pct);
    if (rc != MIM_OK)
        fprintf(stderr, "bench_sampler: %s\n", mim_error());
    return mim_exit_status(rc);
}
