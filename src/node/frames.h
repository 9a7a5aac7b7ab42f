/* How a slot is cut into frames: in each a row works first and sleeps then.
 *
 * The kernel counts busy time in whole timer ticks: a busy interval counts as the ticks that fall
 * into it. A slot has a prime number n of frames that divides none of its numbers of ticks, so
 * that n equal intervals begin at n places spread evenly over the tick; the sum of their counts is
 * then that of one interval n times as long (Hermite's identity), within one tick. From slot to
 * slot the frames are shifted by a part of a tick's nth, so that what is left averages out. */
#ifndef MIM_NODE_FRAMES_H
#define MIM_NODE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

typedef struct mim_frames {
    int64_t slot_ns;
    int64_t n;         /* of a slot */
    int64_t length_ns; /* of one, rounded down */
} mim_frames;

/* slot_ns > 0. Frames of some 50 ms, three at least. */
mim_frames mim_frames_of(int64_t slot_ns);
/* End of the frame that holds the instant `since_ns` after the slot's begin, since then; the last
 * one ends with the slot. */
int64_t mim_frames_end(const mim_frames *frames, size_t slot, int64_t since_ns);

#endif
