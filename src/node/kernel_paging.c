/* Page faults, and mappings made and removed: the memory management of the kernel.
 *
 * Faults: groups of pages of a private region are given back and touched again, one fault a page;
 * each must come back zeroed. Mappings: each new one is touched at its first page, the one before
 * it is removed. One operation = one fault, or one mapping; bytes = a page, or the mapping. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "node/kernel_family.h"

enum {
    PAGES_A_BATCH = 16,
    MAPPINGS_A_BATCH = 3,
    WORDS_A_PAGE = MIM_PAGE_BYTES / sizeof(uint64_t),
    MAX_BYTES = 1 << 30
};

typedef struct paging_state {
    uint64_t *region;
    uint64_t n_bytes;
    uint64_t page;    /* faults: the next one to touch */
    uint64_t n_done;  /* operations */
    uint64_t n_stale; /* pages that were not zero when they came */
} paging_state;

static int map(const char *kernel, uint64_t n_bytes, uint64_t **region)
{
    void *made = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (made == MAP_FAILED)
        return mim_fail(errno == ENOMEM ? MIM_ENOMEM : MIM_EIO,
                        "kernel %s: mapping of %" PRIu64 " bytes: %s", kernel, n_bytes,
                        strerror(errno));
    *region = made;
    return MIM_OK;
}

/* An exchange, as a load and then a store would take two faults: one for the page of zeros that all
 * share, one for a copy. */
static void put_stamp(paging_state *s, uint64_t *word, uint64_t stamp)
{
    s->n_stale += __atomic_exchange_n(word, stamp, __ATOMIC_RELAXED) != 0;
}

static void destroy(void *state)
{
    paging_state *s = state;

    if (!s)
        return;
    if (s->region)
        munmap(s->region, s->n_bytes);
    free(s);
}

static int create(const char *kernel, uint64_t step_bytes, const mim_stressor *stressor,
                  const mim_kernel_place *place, paging_state **state)
{
    int rc;
    paging_state *s = NULL;

    if ((rc = mim_kernel_check(kernel, stressor, place, (void *const *)state)) != MIM_OK)
        return rc;
    if (stressor->memory_bytes < step_bytes || stressor->memory_bytes % step_bytes != 0 ||
        stressor->memory_bytes > MAX_BYTES)
        return mim_fail(MIM_EINVAL,
                        "kernel %s: %" PRIu64 " bytes, expected a multiple of %" PRIu64 " up to %d",
                        kernel, stressor->memory_bytes, step_bytes, MAX_BYTES);
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel %s", kernel);
    s->n_bytes = stressor->memory_bytes;
    if ((rc = map(kernel, s->n_bytes, &s->region)) != MIM_OK) {
        free(s);
        return rc;
    }
    *state = s;
    return MIM_OK;
}

/* ---- faults ---------------------------------------------------------------------------------- */

static uint64_t *page_at(const paging_state *s, uint64_t page)
{
    return s->region + page * WORDS_A_PAGE;
}

static void touch(paging_state *s, uint64_t page) { put_stamp(s, page_at(s, page), page + 1); }

static int create_faults(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    paging_state *s = NULL;
    int rc =
        create("page_faults", PAGES_A_BATCH * MIM_PAGE_BYTES, stressor, place, state ? &s : NULL);

    if (rc != MIM_OK)
        return rc;
    /* A huge page would come with one fault; refused where there are none. */
    madvise(s->region, s->n_bytes, MADV_NOHUGEPAGE);
    for (uint64_t page = 0; page < s->n_bytes / MIM_PAGE_BYTES; page++)
        touch(s, page);
    *state = s;
    return MIM_OK;
}

static int run_faults(void *state, size_t n, mim_work *work)
{
    paging_state *s = state;

    for (size_t i = 0; i < n; i++) {
        if (madvise(page_at(s, s->page), PAGES_A_BATCH * MIM_PAGE_BYTES, MADV_DONTNEED) != 0)
            return mim_fail(MIM_EIO, "kernel page_faults: giving pages back: %s", strerror(errno));
        for (uint64_t end = s->page + PAGES_A_BATCH; s->page < end; s->page++)
            touch(s, s->page);
        if (s->page == s->n_bytes / MIM_PAGE_BYTES)
            s->page = 0;
        work->n_ops += PAGES_A_BATCH;
        work->n_bytes += PAGES_A_BATCH * MIM_PAGE_BYTES;
    }
    return MIM_OK;
}

static int verify_faults(void *state)
{
    const paging_state *s = state;

    if (s->n_stale > 0)
        return mim_fail(MIM_ECHECK, "page_faults: %" PRIu64 " pages came with old content",
                        s->n_stale);
    for (uint64_t page = 0; page < s->n_bytes / MIM_PAGE_BYTES; page++)
        for (uint64_t i = 0; i < WORDS_A_PAGE; i++)
            if (page_at(s, page)[i] != (i == 0 ? page + 1 : 0))
                return mim_fail(MIM_ECHECK,
                                "page_faults: word %" PRIu64 " of page %" PRIu64 " is %" PRIu64, i,
                                page, page_at(s, page)[i]);
    return MIM_OK;
}

/* ---- mappings -------------------------------------------------------------------------------- */

static int create_mappings(const mim_stressor *stressor, const mim_kernel_place *place,
                           void **state)
{
    paging_state *s = NULL;
    int rc = create("mmap_churn", MIM_PAGE_BYTES, stressor, place, state ? &s : NULL);

    if (rc != MIM_OK)
        return rc;
    put_stamp(s, s->region, s->n_done + 1);
    *state = s;
    return MIM_OK;
}

static int run_mappings(void *state, size_t n, mim_work *work)
{
    paging_state *s = state;

    for (size_t i = 0; i < n * MAPPINGS_A_BATCH; i++) {
        uint64_t *made = NULL;
        int rc = map("mmap_churn", s->n_bytes, &made);

        if (rc != MIM_OK)
            return rc;
        munmap(s->region, s->n_bytes);
        s->region = made;
        s->n_done++;
        put_stamp(s, s->region, s->n_done + 1);
        work->n_ops++;
        work->n_bytes += s->n_bytes;
    }
    return MIM_OK;
}

static int verify_mappings(void *state)
{
    const paging_state *s = state;

    if (s->n_stale > 0)
        return mim_fail(MIM_ECHECK, "mmap_churn: %" PRIu64 " mappings came with old content",
                        s->n_stale);
    for (uint64_t i = 0; i < WORDS_A_PAGE; i++)
        if (s->region[i] != (i == 0 ? s->n_done + 1 : 0))
            return mim_fail(MIM_ECHECK,
                            "mmap_churn: word %" PRIu64 " of mapping %" PRIu64 " is %" PRIu64, i,
                            s->n_done, s->region[i]);
    return MIM_OK;
}

const mim_kernel mim_kernel_page_faults = {.name = "page_faults",
                                           .create = create_faults,
                                           .destroy = destroy,
                                           .run = run_faults,
                                           .verify = verify_faults};
const mim_kernel mim_kernel_mmap_churn = {.name = "mmap_churn",
                                          .create = create_mappings,
                                          .destroy = destroy,
                                          .run = run_mappings,
                                          .verify = verify_mappings};
