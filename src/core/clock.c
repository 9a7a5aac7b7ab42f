#include "core/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * MIM_NS_PER_S + t.tv_nsec;
}

int64_t mim_clock_mono_ns(void) { return read_clock(CLOCK_MONOTONIC); }
int64_t mim_clock_real_ns(void) { return read_clock(CLOCK_REALTIME); }
int64_t mim_clock_thread_cpu_ns(void) { return read_clock(CLOCK_THREAD_CPUTIME_ID); }
int64_t mim_clock_process_cpu_ns(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

void mim_clock_sleep_until(int64_t mono_ns)
{
    struct timespec t = {.tv_sec = (time_t)(mono_ns / MIM_NS_PER_S),
                         .tv_nsec = (long)(mono_ns % MIM_NS_PER_S)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

void mim_clock_utc_text(int64_t real_ns, char text[MIM_UTC_TEXT_BYTES])
{
    time_t seconds = (time_t)(real_ns / MIM_NS_PER_S);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(text, MIM_UTC_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts);
}
