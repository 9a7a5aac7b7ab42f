/* Scratch files of the I/O stressors: unnamed, guarded, counted.
 *
 * Files have no name (O_TMPFILE; created and unlinked at once where the file system lacks it), so
 * nothing is left behind by any kind of end; those of stressors that make and remove names are in
 * rooms, which are. Named leftovers of dead processes of this user are
 * swept at create. Every byte to be written is asked for first; the guard says no when the ceiling
 * on written bytes is reached or the file system's free space would fall below the floor. */
#ifndef MIM_NODE_SCRATCH_H
#define MIM_NODE_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

typedef enum { MIM_IO_AUTO, MIM_IO_DIRECT, MIM_IO_BUFFERED } mim_io_mode;

typedef struct mim_scratch_options {
    const char *folder;         /* must exist and be writable */
    uint64_t min_free_bytes;    /* floor on the file system's free space */
    uint64_t max_written_bytes; /* ceiling for the whole run, 0 = none */
    mim_io_mode io_mode;        /* AUTO: direct where the file system takes it */
} mim_scratch_options;

typedef struct mim_scratch mim_scratch;

/* MIM_EIO: no such folder, not writable, read-only; MIM_EUNSUP: too little free space, or io_mode
 * DIRECT where the file system refuses O_DIRECT. */
int mim_scratch_create(const mim_scratch_options *options, mim_scratch **scratch);
void mim_scratch_destroy(mim_scratch **scratch);

bool mim_scratch_is_direct(const mim_scratch *scratch);
bool mim_scratch_is_memory(const mim_scratch *scratch); /* tmpfs: no block I/O will be seen */
const char *mim_scratch_folder(const mim_scratch *scratch);

/* An unnamed, empty file to see what the file system can do; the caller closes fd. */
int mim_scratch_probe(const mim_scratch *scratch, int *fd);
/* Whether files could be written past the page cache, also where this scratch does not. */
bool mim_scratch_takes_direct(mim_scratch *scratch);

/* A private file of n_bytes (a multiple of 4096), filled with blocks of `fill`, flushed, opened
 * read-write (O_DIRECT when the scratch is direct). The caller closes fd. MIM_EUNSUP: refused by
 * the guard or `ulimit -f`. What is written here counts toward the ceiling too. */
int mim_scratch_file(mim_scratch *scratch, uint64_t n_bytes, int fill, int *fd);
/* The one shared read file, full of 'R': made at the first call (larger when a later call asks for
 * more), opened again read-only for every caller, who closes fd. Thread-safe. */
int mim_scratch_shared_file(mim_scratch *scratch, uint64_t n_bytes, int *fd);

/* Asks to overwrite n bytes of a scratch file. False: the ceiling or the floor is reached;
 * mim_scratch_refusal tells which (its text is that of the first refusal and does not change).
 * Thread-safe; free space is looked at every 64 MiB. */
bool mim_scratch_may_write(mim_scratch *scratch, uint64_t n_bytes);
/* Asks to take n bytes of new space that nothing is written to. */
bool mim_scratch_may_allocate(mim_scratch *scratch, uint64_t n_bytes);
const char *mim_scratch_refusal(const mim_scratch *scratch); /* NULL while nothing was refused */
uint64_t mim_scratch_written_bytes(const mim_scratch *scratch);

/* A private, empty folder for stressors whose work is to make and remove names. Its owner's process
 * number is in its name and its lock is held: when the process was killed, the next
 * mim_scratch_create of this user in the same place removes it with the files in it. */
typedef struct mim_scratch_room mim_scratch_room;
/* `max_file_bytes`: of the largest file that will be made in it; MIM_EUNSUP when this process may
 * not write such files or there is no space for one. */
int mim_scratch_room_create(mim_scratch *scratch, uint64_t max_file_bytes, mim_scratch_room **room);
/* Removes the folder and the files in it. */
void mim_scratch_room_destroy(mim_scratch_room **room);
int mim_scratch_room_fd(const mim_scratch_room *room); /* of the folder, for openat and the like */
const char *mim_scratch_room_path(const mim_scratch_room *room);

#endif
