#include "node/frames.h"

#include <math.h>
#include <stdbool.h>

static const int64_t wanted_ns = 50000000;
/* The longest of the kernel's ticks, which are 10, 4 or 1 ms (100, 250 or 1000 a second). */
static const double tick_ns = 1e7;
static const double golden_section = 0.6180339887498949;

static bool is_prime(int64_t n)
{
    for (int64_t d = 2; d * d <= n; d++)
        if (n % d == 0)
            return false;
    return n > 1;
}

mim_frames mim_frames_of(int64_t slot_ns)
{
    /* All ticks are whole milliseconds: a prime that does not divide those of the slot divides no
     * number of ticks. */
    int64_t n = (slot_ns + wanted_ns - 1) / wanted_ns, slot_ms = slot_ns / 1000000;
    n = n < 3 ? 3 : n;
    while (!is_prime(n) || slot_ms % n == 0)
        n++;
    return (mim_frames){.slot_ns = slot_ns, .n = n, .length_ns = slot_ns / n};
}

int64_t mim_frames_end(const mim_frames *frames, size_t slot, int64_t since_ns)
{
    double part = fmod((double)slot * golden_section, 1.0);
    int64_t shift_ns = (int64_t)(part * tick_ns / (double)frames->n);
    if (shift_ns > frames->length_ns / 2) /* slots of few ticks */
        shift_ns = 0;
    int64_t frame = since_ns > shift_ns ? (since_ns - shift_ns) / frames->length_ns : 0;
    return frame >= frames->n - 1 ? frames->slot_ns : shift_ns + (frame + 1) * frames->length_ns;
}
