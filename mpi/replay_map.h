/* Which plan each rank replays: a text with a line "RANK-OR-HOST PLAN" a rank or host.
 *
 * Blank lines and lines that begin with # say nothing. A name of digits alone is a rank's number,
 * anything else a host's name, with or without its domain; a line for a rank goes before one for
 * its host. The rest of the line is the plan's path. */
#ifndef MIM_MPI_REPLAY_MAP_H
#define MIM_MPI_REPLAY_MAP_H

#include <stddef.h>

#include "mpi/hosts.h"

enum { MIM_REPLAY_MAP_BYTES = 16 << 20 }; /* of the text at most */

typedef struct mim_replay_map mim_replay_map;

/* `path` names the text in sentences. MIM_EUSAGE, with the line: no plan in it, something named
 * twice; no line at all. */
int mim_replay_map_create(const char *path, const char *text, mim_replay_map **map);
void mim_replay_map_destroy(mim_replay_map **map);

size_t mim_replay_map_n(const mim_replay_map *map);
const char *mim_replay_map_plan(const mim_replay_map *map, size_t i);
size_t mim_replay_map_line(const mim_replay_map *map, size_t i); /* of the text, from 1 */

/* Which entry of the map `rank` follows, from 0. MIM_EUSAGE, the same for every `rank`: a rank
 * without a plan, or a line for a rank that there is not. Lines for other hosts are left alone. */
int mim_replay_map_choose(const mim_replay_map *map, const mim_hosts *hosts, int rank,
                          size_t *chosen);

#endif
