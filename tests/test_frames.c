/* Frames of a slot: they cover it, and the kernel's count of busy ticks comes out even, by a model
 * of ticks at every phase. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/frames.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))
#define MS INT64_C(1000000)

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        int64_t slot_ms, n;
    } table[] = {
        {10, 3},   {50, 3},       {100, 3},   {120, 7}, /* 3 and 5 divide 120 */
        {250, 7},  {500, 11},     {1000, 23}, {2000, 41},
        {550, 13}, {60000, 1201}, {350, 11}, /* 7 divides 350 */
    };
    for (size_t i = 0; i < N_OF(table); i++) {
        mim_frames frames = mim_frames_of(table[i].slot_ms * MS);
        assert_int_equal(frames.n, table[i].n);
        assert_int_equal(frames.length_ns, table[i].slot_ms * MS / table[i].n);
    }
}

/* From end to end: each frame begins where the one before ended, the last ends with the slot. */
static void test_they_cover_the_slot(void **state)
{
    (void)state;
    static const int64_t slots_ns[] = {10 * MS, 250 * MS, 333333333, 1000 * MS, 86400000 * MS};
    for (size_t i = 0; i < N_OF(slots_ns); i++) {
        mim_frames frames = mim_frames_of(slots_ns[i]);
        for (size_t slot = 0; slot < 5; slot++) {
            int64_t at = 0, n = 0;
            while (at < slots_ns[i]) {
                int64_t end = mim_frames_end(&frames, slot, at);
                assert_true(end > at && end <= slots_ns[i]);
                assert_true(end - at <= 2 * frames.length_ns);
                assert_int_equal(mim_frames_end(&frames, slot, end - 1), end);
                at = end;
                n++;
            }
            assert_int_equal(n, frames.n);
        }
    }
}

/* Ticks at phase, phase + tick, ... in [begin, end). */
static int64_t ticks_in(int64_t begin, int64_t end, int64_t phase, int64_t tick)
{
    return (end - phase + tick - 1 + 1000 * tick) / tick -
           (begin - phase + tick - 1 + 1000 * tick) / tick;
}

/* Error of the kernel's count in a slot, in ticks: a row works at the begin of each frame until it
 * has had its share of the time up to the frame's end. */
static double error_of(const mim_frames *frames, size_t slot, double weight, int64_t phase,
                       int64_t tick)
{
    int64_t used = 0, count = 0;
    int64_t slot_phase = ((phase - (int64_t)slot * frames->slot_ns) % tick + tick) % tick;
    for (int64_t at = 0; at < frames->slot_ns;) {
        int64_t end = mim_frames_end(frames, slot, at);
        int64_t busy = (int64_t)(weight * (double)end) - used;
        count += ticks_in(at, at + busy, slot_phase, tick);
        used += busy;
        at = end;
    }
    return (double)count - (double)used / (double)tick;
}

static void test_ticks_come_out_even(void **state)
{
    (void)state;
    static const int64_t slots_ms[] = {500, 1000, 2000, 5000}, ticks_ms[] = {10, 4, 1};
    for (size_t s = 0; s < N_OF(slots_ms); s++) {
        mim_frames frames = mim_frames_of(slots_ms[s] * MS);
        for (size_t t = 0; t < N_OF(ticks_ms); t++) {
            double worst = 0.0, sum = 0.0;
            int n = 0;
            for (int w = 1; w < 20; w++) {
                for (int p = 0; p < 40; p++) {
                    int64_t tick = ticks_ms[t] * MS, phase = tick * p / 40 + 12345;
                    double mean = 0.0;
                    for (size_t slot = 0; slot < 13; slot++) {
                        double error = error_of(&frames, slot, 0.05 * w, phase, tick);
                        worst = fmax(worst, fabs(error));
                        mean += error / 13.0;
                    }
                    sum += fabs(mean);
                    n++;
                }
            }
            /* One tick a slot; the first frame, longer by the shift, may cost a second. */
            assert_true(worst <= 2.0); /* one, and the first frame, longer by the shift, another */
            assert_true(sum / n * (double)ticks_ms[t] < 1.3); /* ms, on the average of 13 slots */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_they_cover_the_slot),
        cmocka_unit_test(test_ticks_come_out_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
