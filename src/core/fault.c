#include "core/fault.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "core/text.h"

static uint64_t every, phase; /* every 0: nothing fails; written before threads start */
static atomic_ullong n_calls;

int mim_fault_start(uint32_t rank)
{
    const char *text = getenv("MIMESYS_FAULT"), *colon = text ? strchr(text, ':') : NULL;
    int64_t n = 0, seed = 0;
    every = 0;
    atomic_store(&n_calls, 0);
    if (!text || !*text)
        return MIM_OK;
    if (!colon)
        return mim_fail(MIM_EUSAGE, "MIMESYS_FAULT: expected every:seed, found %s", text);
    char *first = mim_format("%.*s", (int)(colon - text), text);
    if (!first)
        return mim_fail(MIM_ENOMEM, "MIMESYS_FAULT");
    int rc = mim_parse_i64("MIMESYS_FAULT (every)", first, 1, INT64_MAX, &n);
    if (rc == MIM_OK)
        rc = mim_parse_i64("MIMESYS_FAULT (seed)", colon + 1, 0, INT64_MAX, &seed);
    free(first);
    if (rc != MIM_OK)
        return rc;
    every = (uint64_t)n;
    phase = mim_rng_u32((uint64_t)seed, MIM_STREAM_FAULT, rank, 0, 0) % every;
    return MIM_OK;
}

int mim_fault(const char *what)
{
    if (every == 0)
        return MIM_OK;
    uint64_t call = atomic_fetch_add(&n_calls, 1);
    if (call % every != phase)
        return MIM_OK;
    return mim_fail(MIM_EIO, "%s: injected fault (call %llu)", what, (unsigned long long)call);
}
