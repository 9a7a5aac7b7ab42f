#include "core/digest.h"

#include <string.h>

#include <xxhash.h>

/* Values in memory are hashed as they are. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "digests are of little-endian values");

uint64_t mim_digest_seed(const char *dataset) { return XXH64(dataset, strlen(dataset), 0); }

uint64_t mim_digest_row(uint64_t seed, uint64_t row, size_t n_bytes, const void *bytes)
{
    return XXH64(bytes, n_bytes, seed + row);
}
