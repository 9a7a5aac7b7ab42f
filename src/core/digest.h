/* Digests that tell damaged bytes in files: XXH64, a published hash, of the values as they are
 * stored (little-endian).
 *
 * The digest of a row is that of its bytes; its seed is the digest of the dataset's name plus the
 * row's number, so that rows that changed places are told, too. Digests of many rows are added
 * (modulo 2^64): the sum does not depend on the order or on who added what. */
#ifndef MIM_CORE_DIGEST_H
#define MIM_CORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* What the digests of a dataset's rows begin with. */
uint64_t mim_digest_seed(const char *dataset);
/* Of one row; `bytes` may be NULL when there are none. */
uint64_t mim_digest_row(uint64_t seed, uint64_t row, size_t n_bytes, const void *bytes);

#endif
