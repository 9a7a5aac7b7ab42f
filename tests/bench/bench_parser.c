/* Speed of the stats reader on one core, beside `wc -l` on the same text.
 *
 * usage: bench_parser [TRACE [MB]]
 * The text is the trace's records over and over with growing time stamps. CPU time, median of the
 * runs; prints one JSON object. */
#define _DEFAULT_SOURCE /* wait4 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/clock.h"
#include "core/quantile.h"
#include "trace/stats.h"

enum { N_RUNS = 7 };

static int die(const char *what)
{
    fprintf(stderr, "bench_parser: %s\n", what);
    return 1;
}

/* Repeats the records of `trace` until there are `want` bytes. */
static char *repeat(const char *trace, size_t want, size_t *n_bytes)
{
    const char *records = strstr(trace, "\n\n");
    if (!records)
        return NULL;
    char *text = malloc(want + 2 * strlen(trace) + 4096), *out = text;
    if (!text)
        return NULL;
    size_t header = (size_t)(records + 1 - trace);
    memcpy(out, trace, header);
    out += header;
    double shift_s = 0.0, first_s = -1.0, last_s = 0.0;
    while ((size_t)(out - text) < want) {
        for (const char *line = records + 1; *line;) {
            const char *next = strchr(line, '\n');
            next = next ? next + 1 : line + strlen(line);
            if (*line >= '0' && *line <= '9') {
                char *rest;
                last_s = strtod(line, &rest);
                if (first_s < 0)
                    first_s = last_s;
                out += sprintf(out, "%.6f", last_s + shift_s);
                line = rest;
            }
            memcpy(out, line, (size_t)(next - line));
            out += next - line;
            line = next;
        }
        shift_s += last_s - first_s + 1.0;
    }
    *n_bytes = (size_t)(out - text);
    return text;
}

static double wc_s(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (null < 0 || dup2(null, 1) < 0)
            _exit(127);
        execlp("wc", "wc", "-l", path, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    struct rusage used;
    while (child > 0 && wait4(child, &status, 0, &used) < 0)
        if (errno != EINTR)
            return -1.0;
    if (child < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return -1.0;
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static int measure(const char *text, size_t n_bytes, const char *path)
{
    double ours[N_RUNS], peer[N_RUNS], mb = (double)n_bytes / 1e6;
    for (int i = 0; i < N_RUNS; i++) {
        mim_stats *stats = NULL;
        int64_t begin_ns = mim_clock_process_cpu_ns();
        int rc = mim_stats_parse("bench", text, n_bytes, &stats);
        ours[i] = mb / (1e-9 * (double)(mim_clock_process_cpu_ns() - begin_ns));
        if (rc != MIM_OK)
            return die(mim_error());
        mim_stats_destroy(&stats);
        double s = wc_s(path);
        if (s <= 0)
            return die("wc -l could not be run");
        peer[i] = mb / s;
    }
    qsort(ours, N_RUNS, sizeof *ours, mim_by_value);
    qsort(peer, N_RUNS, sizeof *peer, mim_by_value);
    double value = ours[N_RUNS / 2], wc = peer[N_RUNS / 2];
    printf("{\"bench\": \"parser\", \"value\": %.1f, \"unit\": \"MB/s\", "
           "\"peer\": \"wc -l: %.1f MB/s\", \"ratio\": %.3f, \"n\": %d, \"spread\": %.3f}\n",
           value, wc, value / wc, N_RUNS, (ours[N_RUNS - 1] - ours[0]) / value);
    return 0;
}

int main(int argc, char **argv)
{
    const char *trace = argc > 1 ? argv[1] : "tests/data/traces/stats-sort.txt";
    size_t mb = argc > 2 ? strtoul(argv[2], NULL, 10) : 200, size = 0, n_bytes = 0;
    const char *folder = getenv("TMPDIR");
    char *bytes = NULL, path[4096];
    if (mim_read_file(trace, (size_t)1 << 30, &bytes, &size) != MIM_OK)
        return die(mim_error());
    char *text = repeat(bytes, mb * 1000000, &n_bytes);
    free(bytes);
    if (!text)
        return die("the trace has no records, or there is no memory");
    snprintf(path, sizeof path, "%s/bench_parser.XXXXXX", folder ? folder : "/tmp");
    int fd = mkstemp(path), rc = 1;
    FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!file || fwrite(text, 1, n_bytes, file) != n_bytes || fclose(file) != 0)
        rc = die("scratch file could not be written");
    else
        rc = measure(text, n_bytes, path);
    if (fd >= 0)
        unlink(path);
    free(text);
    return rc;
}
