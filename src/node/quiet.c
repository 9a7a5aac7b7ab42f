#include "node/quiet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h> /* major, minor */
#include <unistd.h>

#include "core/clock.h"
#include "core/text.h"
#include "trace/accept.h"

static const double io_cpu_factor = 5.0;
static const double max_foreign_share = 0.1;
static const double sector_bytes = 512.0;
/* Idle, waiting and stolen time are each cut to whole ticks. */
static const double lost_ticks = 3.0;

static FILE *open_below(const char *root, const char *name)
{
    char *path = mim_format("%s%s", root, name);
    FILE *file = path ? fopen(path, "r") : NULL;
    free(path);
    return file;
}

static double ticks_a_second(void)
{
    const long n = sysconf(_SC_CLK_TCK);
    return n > 0 ? (double)n : 100.0;
}

static void read_stat(const char *root, mim_quiet_reading *reading)
{
    char line[512];
    double idle, wait, steal;
    FILE *file = open_below(root, "/proc/stat");
    reading->n_cpus = 0.0;
    while (file && fgets(line, sizeof line, file) && strncmp(line, "cpu", 3) == 0) {
        if (line[3] != ' ')
            reading->n_cpus += 1.0;
        else if (sscanf(line, "cpu %*s %*s %*s %lf %lf %*s %*s %lf", &idle, &wait, &steal) == 3) {
            reading->idle_s = (idle + wait) / ticks_a_second();
            reading->steal_s = steal / ticks_a_second();
        }
    }
    if (file)
        fclose(file);
    if (reading->n_cpus <= 0.0)
        reading->n_cpus = NAN;
}

static void read_device(const char *root, const char *folder, mim_quiet_reading *reading)
{
    struct stat status;
    char name[64], line[256];
    double read = 0.0, written = 0.0;
    if (!folder || stat(folder, &status) != 0)
        return;
    snprintf(name, sizeof name, "/sys/dev/block/%u:%u/stat", major(status.st_dev),
             minor(status.st_dev));
    FILE *file = open_below(root, name);
    if (file && fgets(line, sizeof line, file) &&
        sscanf(line, "%*s %*s %lf %*s %*s %*s %lf", &read, &written) == 2)
        reading->device_bytes = sector_bytes * (read + written);
    if (file)
        fclose(file);
}

static void read_own_io(const char *root, mim_quiet_reading *reading)
{
    char line[128];
    double read = NAN, written = NAN;
    FILE *file = open_below(root, "/proc/self/io");
    while (file && fgets(line, sizeof line, file)) {
        (void)sscanf(line, "read_bytes: %lf", &read);
        (void)sscanf(line, "write_bytes: %lf", &written);
    }
    if (file)
        fclose(file);
    reading->own_device_bytes = read + written;
}

void mim_quiet_read(const char *root, const char *folder, mim_quiet_reading *reading)
{
    *reading = (mim_quiet_reading){.mono_s = (double)mim_clock_mono_ns() * 1e-9,
                                   .own_cpu_s = (double)mim_clock_process_cpu_ns() * 1e-9,
                                   .n_cpus = NAN,
                                   .idle_s = NAN,
                                   .steal_s = NAN,
                                   .device_bytes = NAN,
                                   .own_device_bytes = NAN};
    read_stat(root, reading);
    read_device(root, folder, reading);
    read_own_io(root, reading);
}

void mim_quiet_between(const mim_quiet_reading *before, const mim_quiet_reading *after,
                       mim_quiet *quiet)
{
    const double all_s = (after->mono_s - before->mono_s) * after->n_cpus;
    const double idle_s = after->idle_s - before->idle_s,
                 steal_s = after->steal_s - before->steal_s;
    const double own_s = after->own_cpu_s - before->own_cpu_s;
    const double own = after->own_device_bytes - before->own_device_bytes;
    const double device = after->device_bytes - before->device_bytes;
    *quiet = (mim_quiet){NAN, NAN, NAN, NAN};
    if (all_s > 0.0) {
        quiet->steal_pct = 100.0 * fmax(steal_s, 0.0) / all_s;
        quiet->others_pct = 100.0 * fmax(all_s - idle_s - steal_s - own_s, 0.0) / all_s;
        quiet->resolution_pct = 100.0 * lost_ticks / ticks_a_second() / all_s;
    }
    if (isnan(steal_s + idle_s)) /* fmax would make 0 of it */
        quiet->steal_pct = quiet->others_pct = NAN;
    if (own > 0.0 && !isnan(device))
        quiet->foreign_share = fmax(device - own, 0.0) / own;
}

bool mim_quiet_is_disturbed(const mim_quiet *quiet, bool is_io)
{
    const double others =
        MIM_ACCEPT_MAX_OTHERS_PCT * (is_io ? io_cpu_factor : 1.0) + quiet->resolution_pct;
    return quiet->steal_pct > MIM_ACCEPT_MAX_STEAL_PCT + quiet->resolution_pct ||
           quiet->others_pct > others || (is_io && quiet->foreign_share > max_foreign_share);
}

const char *mim_quiet_text(const mim_quiet *quiet, char text[MIM_QUIET_TEXT_BYTES])
{
    int at = snprintf(text, MIM_QUIET_TEXT_BYTES, "others used %.0f %% of the CPUs, %.1f %% stolen",
                      quiet->others_pct, quiet->steal_pct);
    if (quiet->foreign_share > max_foreign_share && at > 0)
        snprintf(text + at, MIM_QUIET_TEXT_BYTES - (size_t)at,
                 ", others moved %.1f times its bytes on the disk", quiet->foreign_share);
    return text;
}
