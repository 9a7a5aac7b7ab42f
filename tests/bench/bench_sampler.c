/* CPU time of one sample, whole and source by source, beside a bare read of /proc/stat kept open.
 * One JSON object a line. usage: bench_sampler [SAMPLES] */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "node/sampler.h"
#include "node/sampler_source.h"

enum { N_DEFAULT = 400, N_MIN = 200 };

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Median; *spread is the distance of the quartiles. Sorts. */
static double median(size_t n, double *us, double *spread)
{
    qsort(us, n, sizeof *us, compare);
    *spread = us[3 * n / 4] - us[n / 4];
    return us[n / 2];
}

static double now_us(void) { return (double)mim_clock_thread_cpu_ns() / 1e3; }

static void print_line(const char *name, size_t n, double *us, double peer_us)
{
    double spread, value = median(n, us, &spread);

    printf("{\"bench\": \"%s\", \"value\": %.2f, \"unit\": \"us\", \"peer\": %.2f, \"ratio\": "
           "%.2f, \"n\": %zu, \"spread\": %.2f}\n",
           name, value, peer_us, value / peer_us, n, spread);
}

/* Reading the clock costs some 0.4 us and is part of every figure, this one too. */
static double bare_read_us(size_t n, double *us)
{
    static char text[1 << 16];
    double spread;
    int fd = open("/proc/stat", O_RDONLY);
    ssize_t got = 0;

    for (size_t i = 0; i < n; i++) {
        double start = now_us();
        got = pread(fd, text, sizeof text, 0);
        us[i] = now_us() - start;
    }
    close(fd);
    return got > 0 ? median(n, us, &spread) : -1;
}

static int bench_sources(size_t n, double *us, double peer_us)
{
    const mim_source_roots roots = {.proc = "/proc", .sys = "/sys"};

    for (size_t s = 0; mim_sources[s]; s++) {
        mim_source *source = NULL;
        char name[64];
        if (mim_sources[s]->open(&roots, &source) != MIM_OK)
            continue; /* not offered here */
        for (size_t i = 0; i < n; i++) {
            double start = now_us();
            source->ops->read(source);
            us[i] = now_us() - start;
        }
        snprintf(name, sizeof name, "sampler_source_%s", mim_sources[s]->name);
        print_line(name, n, us, peer_us);
        source->ops->close(source);
    }
    return MIM_OK;
}

static int bench_sample(size_t n, double *us, double peer_us)
{
    mim_sampler *sampler = NULL;
    FILE *sink = fopen("/dev/null", "w");
    int rc = sink ? mim_sampler_create(NULL, &sampler) : MIM_EIO;

    if (rc == MIM_OK)
        rc = mim_sampler_header(sampler);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        double start = now_us();
        rc = mim_sampler_take(sampler, NULL, 0, NULL);
        us[i] = now_us() - start;
        if (rc == MIM_OK)
            rc = mim_sampler_flush(sampler, sink);
    }
    if (rc == MIM_OK)
        print_line("sampler_sample", n, us, peer_us);
    mim_sampler_destroy(&sampler);
    if (sink)
        fclose(sink);
    return rc;
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : N_DEFAULT;
    if (n < N_MIN)
        n = N_MIN;
    double *us = calloc(n, sizeof *us);
    double peer_us = us ? bare_read_us(n, us) : -1;
    int rc = peer_us > 0 ? MIM_OK : mim_fail(MIM_EUNSUP, "/proc/stat cannot be read");

    if (rc == MIM_OK)
        rc = bench_sample(n, us, peer_us);
    if (rc == MIM_OK)
        rc = bench_sources(n, us, peer_us);
    free(us);
    if (rc != MIM_OK)
        fprintf(stderr, "bench_sampler: %s\n", mim_error());
    return mim_exit_status(rc);
}
