/* Clocks in 64-bit nanoseconds: no wrap for 292 years, no double rounding in schedules. */
#ifndef MIM_CORE_CLOCK_H
#define MIM_CORE_CLOCK_H

#include <stdint.h>

#define MIM_NS_PER_S INT64_C(1000000000)

int64_t mim_clock_mono_ns(void);       /* CLOCK_MONOTONIC: schedules, durations */
int64_t mim_clock_real_ns(void);       /* CLOCK_REALTIME: time stamps in files */
int64_t mim_clock_thread_cpu_ns(void); /* CPU time the calling thread has received */
int64_t mim_clock_process_cpu_ns(void);

/* Sleeps to the absolute monotonic time; returns early (still 0) only when a signal arrives. */
void mim_clock_sleep_until(int64_t mono_ns);

/* "2026-01-02T03:04:05Z" of a CLOCK_REALTIME value. */
enum { MIM_UTC_TEXT_BYTES = 32 };
void mim_clock_utc_text(int64_t real_ns, char text[MIM_UTC_TEXT_BYTES]);

#endif
