/* Rounds of inserts into a flat open-addressing hash set of 64-bit keys: random stores.
 *
 * A control byte a slot (seven hash bits, or empty) is searched in groups of eight; the capacity is
 * the smallest power of two that keeps the load at most 7/8, so the table of 32768 keys takes
 * 0.6 MB, of 262144 4.7 MB, of 1048576 18.9 MB. The table is allocated once; dropping it clears the
 * control bytes only, in batches like the inserts. One operation = one insert; bytes = 8 a key. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node/kernel_family.h"

enum {
    GROUP = 8,
    INSERTS_A_BATCH = 512, /* some 7 us in L2, 30 us in memory */
    CLEAR_A_BATCH = 256 << 10,
    VERIFIED_KEYS = 4096,
    MIN_KEYS = 8,
    MAX_KEYS = 1 << 28
};

static const uint64_t low_bits = UINT64_C(0x0101010101010101);
static const uint64_t high_bits = UINT64_C(0x8080808080808080);
static const unsigned char empty_byte = 0x80;

typedef struct set_state {
    unsigned char *control; /* [capacity]: empty_byte or the low seven hash bits */
    uint64_t *slots;        /* [capacity] */
    uint64_t capacity;      /* power of two, multiple of GROUP */
    uint64_t n_keys;        /* of one round */
    bool is_ordered;
    uint64_t n_inserted; /* calls in this round */
    uint64_t n_elements; /* of them new */
    uint64_t key;        /* the last one of the miss sequence */
    bool is_clearing;
    uint64_t n_cleared; /* control bytes */
} set_state;

/* The finaliser of MurmurHash3: every key bit reaches every hash bit. */
static uint64_t hash_key(uint64_t key)
{
    key = (key ^ (key >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    key = (key ^ (key >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return key ^ (key >> 33);
}

/* High bit of every byte of `group` that equals `byte`; a byte above a match may be set in error,
 * which costs one comparison of keys. */
static uint64_t match(uint64_t group, unsigned char byte)
{
    uint64_t x = group ^ (low_bits * byte);

    return (x - low_bits) & ~x & high_bits;
}

/* Position of the first set high bit, in memory order. */
static uint64_t first_byte(uint64_t bits)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return (uint64_t)__builtin_clzll(bits) / 8;
#else
    return (uint64_t)__builtin_ctzll(bits) / 8;
#endif
}

/* Slot of the key, or of the first empty place on its way. Groups are visited in triangular steps,
 * which reach all of them. */
static uint64_t locate(const set_state *s, uint64_t key, uint64_t hash, bool *is_found)
{
    const uint64_t mask = s->capacity / GROUP - 1;
    const unsigned char tag = hash & 0x7f;
    uint64_t group = (hash >> 7) & mask;

    for (uint64_t i = 1;; group = (group + i++) & mask) {
        uint64_t word, empty;

        memcpy(&word, s->control + group * GROUP, sizeof word);
        for (uint64_t hits = match(word, tag); hits != 0; hits &= hits - 1) {
            uint64_t slot = group * GROUP + first_byte(hits);

            if (s->control[slot] == tag && s->slots[slot] == key) {
                *is_found = true;
                return slot;
            }
        }
        if ((empty = word & high_bits) != 0) {
            *is_found = false;
            return group * GROUP + first_byte(empty);
        }
    }
}

static void insert(set_state *s, uint64_t key)
{
    bool is_found;
    uint64_t hash = hash_key(key), slot = locate(s, key, hash, &is_found);

    if (is_found)
        return;
    s->control[slot] = hash & 0x7f;
    s->slots[slot] = key;
    s->n_elements++;
}

static void destroy(void *state)
{
    set_state *s = state;

    if (!s)
        return;
    free(s->control);
    free(s->slots);
    free(s);
}

static uint64_t capacity_for(uint64_t n_keys)
{
    uint64_t capacity = GROUP;

    while (capacity / 8 * 7 < n_keys)
        capacity *= 2;
    return capacity;
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    void *control = NULL, *slots = NULL;
    set_state *s = NULL;

    if ((rc = mim_kernel_check("hashset", stressor, place, state)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel hashset");
    s->is_ordered = (stressor->parameter & MIM_STRESSOR_ORDERED_KEYS) != 0;
    s->n_keys = stressor->parameter & ~MIM_STRESSOR_ORDERED_KEYS;
    if (s->n_keys < MIN_KEYS || s->n_keys > MAX_KEYS) {
        rc = mim_fail(MIM_EINVAL, "kernel hashset: %" PRIu64 " keys, expected %d to %d", s->n_keys,
                      MIN_KEYS, MAX_KEYS);
        goto done;
    }
    s->capacity = capacity_for(s->n_keys);
    s->key = MIM_HASHSET_START;
    if ((rc = mim_kernel_buffer(s->capacity, empty_byte, &control)) != MIM_OK)
        goto done;
    s->control = control;
    if ((rc = mim_kernel_buffer(s->capacity * sizeof *s->slots, 0, &slots)) != MIM_OK)
        goto done;
    s->slots = slots;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static uint64_t insert_some(set_state *s)
{
    uint64_t left = s->n_keys - s->n_inserted, n = left < INSERTS_A_BATCH ? left : INSERTS_A_BATCH;

    for (uint64_t end = s->n_inserted + n; s->n_inserted < end; s->n_inserted++) {
        s->key = mim_hashset_next(s->key, s->n_inserted);
        insert(s, s->is_ordered ? s->n_inserted : s->key);
    }
    s->is_clearing = s->n_inserted == s->n_keys;
    return n;
}

static void clear_some(set_state *s)
{
    uint64_t left = s->capacity - s->n_cleared, n = left < CLEAR_A_BATCH ? left : CLEAR_A_BATCH;

    memset(s->control + s->n_cleared, empty_byte, n);
    s->n_cleared += n;
    if (s->n_cleared == s->capacity) {
        s->n_inserted = s->n_elements = s->n_cleared = 0;
        s->key = MIM_HASHSET_START;
        s->is_clearing = false;
    }
}

static int run(void *state, size_t n, mim_work *work)
{
    set_state *s = state;

    for (size_t i = 0; i < n; i++) {
        if (s->is_clearing) {
            clear_some(s);
        } else {
            uint64_t n_inserts = insert_some(s);

            work->n_ops += n_inserts;
            work->n_bytes += n_inserts * sizeof *s->slots;
        }
    }
    MIM_KEEP(s->control);
    return MIM_OK;
}

static int verify(void *state)
{
    set_state *s = state;
    uint64_t n_full = 0, key = MIM_HASHSET_START, hash;
    bool is_found;

    while (s->is_clearing && s->n_cleared > 0) /* a table half dropped says nothing */
        clear_some(s);
    for (uint64_t i = 0; i < s->capacity; i++)
        n_full += s->control[i] != empty_byte;
    /* All keys of both sequences differ. */
    if (n_full != s->n_elements || s->n_elements != s->n_inserted)
        return mim_fail(MIM_ECHECK,
                        "hash set: %" PRIu64 " keys inserted, %" PRIu64 " counted, %" PRIu64
                        " slots in use",
                        s->n_inserted, s->n_elements, n_full);
    for (uint64_t i = 0; i < s->n_inserted && i < VERIFIED_KEYS; i++) {
        key = mim_hashset_next(key, i);
        hash = hash_key(s->is_ordered ? i : key);
        locate(s, s->is_ordered ? i : key, hash, &is_found);
        if (!is_found)
            return mim_fail(MIM_ECHECK, "hash set: inserted key %" PRIu64 " is not found", i);
    }
    locate(s, UINT64_MAX, hash_key(UINT64_MAX), &is_found);
    if (is_found)
        return mim_fail(MIM_ECHECK, "hash set: a key that was never inserted is found");
    return MIM_OK;
}

const mim_kernel mim_kernel_hashset = {
    .name = "hashset", .create = create, .destroy = destroy, .run = run, .verify = verify};
