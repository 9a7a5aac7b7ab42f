/* Decompression of zstd frames, one after the other: branches, table look-ups and short copies.
 *
 * The frames are made at the start from invented text, at the library's default level; they shrink
 * to a third or so, as text does. One operation = one frame of 16 KiB; bytes = those it unfolds to.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "node/kernel_family.h"

enum {
    FRAME_BYTES = 16 << 10, /* some 30 us */
    N_WORDS = 512,
    MAX_WORD = 12,
    LEVEL = 0, /* the default */
    MAX_BYTES = 1 << 30
};

typedef struct unfold_state {
    unsigned char *output; /* [FRAME_BYTES] of the last frame */
    unsigned char *text;   /* [n_frames][FRAME_BYTES] */
    unsigned char *packed; /* [n_frames][bound] */
    size_t *packed_bytes;  /* [n_frames] */
    size_t n_frames, bound;
    size_t next, last;
    uint64_t n_done, n_wrong; /* frames; of them not of the right length */
    ZSTD_DCtx *context;
} unfold_state;

static void destroy(void *state)
{
    unfold_state *s = state;

    if (!s)
        return;
    ZSTD_freeDCtx(s->context);
    free(s->output);
    free(s->text);
    free(s->packed);
    free(s->packed_bytes);
    free(s);
}

/* Words of a small dictionary, the first ones far more often than the last. */
static void invent_text(uint64_t seed, size_t n_bytes, unsigned char *text)
{
    char words[N_WORDS][MAX_WORD];
    uint64_t random[N_WORDS * 2];
    size_t at = 0;

    mim_kernel_fill_random(N_WORDS * 2, seed + 1, random);
    for (size_t i = 0; i < N_WORDS; i++) {
        size_t n = 2 + random[i] % (MAX_WORD - 3);

        for (size_t k = 0; k < n; k++)
            words[i][k] = (char)('a' + (random[i] >> (5 * k + 4)) % 26);
        words[i][n] = ' ';
        words[i][n + 1] = '\0';
    }
    for (uint64_t x = random[N_WORDS] | 1; at < n_bytes;) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t a = (x >> 11) % N_WORDS, b = (x >> 37) % N_WORDS;
        const char *word = words[a * b / N_WORDS];
        size_t n = strlen(word), left = n_bytes - at;

        memcpy(text + at, word, n < left ? n : left);
        at += n < left ? n : left;
    }
}

static int pack(unfold_state *s)
{
    ZSTD_CCtx *packer = ZSTD_createCCtx();
    int rc = packer ? MIM_OK : mim_fail(MIM_ENOMEM, "kernel zstd");

    for (size_t i = 0; rc == MIM_OK && i < s->n_frames; i++) {
        size_t n = ZSTD_compressCCtx(packer, s->packed + i * s->bound, s->bound,
                                     s->text + i * FRAME_BYTES, FRAME_BYTES, LEVEL);

        if (ZSTD_isError(n))
            rc = mim_fail(MIM_EIO, "kernel zstd: %s", ZSTD_getErrorName(n));
        s->packed_bytes[i] = n;
    }
    ZSTD_freeCCtx(packer);
    return rc;
}

static int allocate(unfold_state *s)
{
    int rc;
    void *output = NULL, *text = NULL, *packed = NULL;

    s->bound = ZSTD_compressBound(FRAME_BYTES);
    if (!(s->context = ZSTD_createDCtx()) ||
        !(s->packed_bytes = calloc(s->n_frames, sizeof *s->packed_bytes)))
        return mim_fail(MIM_ENOMEM, "kernel zstd");
    if ((rc = mim_kernel_buffer(FRAME_BYTES, 0, &output)) != MIM_OK)
        return rc;
    s->output = output;
    if ((rc = mim_kernel_buffer(s->n_frames * FRAME_BYTES, 0, &text)) != MIM_OK)
        return rc;
    s->text = text;
    if ((rc = mim_kernel_buffer(s->n_frames * s->bound, 0, &packed)) != MIM_OK)
        return rc;
    s->packed = packed;
    return MIM_OK;
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    unfold_state *s = NULL;

    if ((rc = mim_kernel_check("zstd", stressor, place, state)) != MIM_OK)
        return rc;
    if (stressor->memory_bytes < 2 * FRAME_BYTES || stressor->memory_bytes > MAX_BYTES)
        return mim_fail(MIM_EINVAL, "kernel zstd: %" PRIu64 " bytes, expected %d to %d",
                        stressor->memory_bytes, 2 * FRAME_BYTES, MAX_BYTES);
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel zstd");
    s->n_frames = (size_t)stressor->memory_bytes / 2 / FRAME_BYTES; /* text and, at most, frames */
    if ((rc = allocate(s)) != MIM_OK)
        goto done;
    invent_text(place->seed + place->row, s->n_frames * FRAME_BYTES, s->text);
    if ((rc = pack(s)) != MIM_OK)
        goto done;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int run(void *state, size_t n, mim_work *work)
{
    unfold_state *s = state;

    for (size_t i = 0; i < n; i++) {
        size_t n_bytes =
            ZSTD_decompressDCtx(s->context, s->output, FRAME_BYTES, s->packed + s->next * s->bound,
                                s->packed_bytes[s->next]);

        s->n_wrong += n_bytes != FRAME_BYTES; /* an error is a huge number */
        s->last = s->next;
        s->next = (s->next + 1) % s->n_frames;
        s->n_done++;
    }
    work->n_ops += n;
    work->n_bytes += (uint64_t)n * FRAME_BYTES;
    return MIM_OK;
}

static int verify(void *state)
{
    const unfold_state *s = state;

    if (s->n_wrong > 0)
        return mim_fail(MIM_ECHECK, "zstd: %" PRIu64 " of %" PRIu64 " frames did not unfold",
                        s->n_wrong, s->n_done);
    if (s->n_done > 0 && memcmp(s->output, s->text + s->last * FRAME_BYTES, FRAME_BYTES) != 0)
        return mim_fail(MIM_ECHECK, "zstd: frame %zu does not unfold to its text", s->last);
    return MIM_OK;
}

const mim_kernel mim_kernel_zstd = {
    .name = "zstd", .create = create, .destroy = destroy, .run = run, .verify = verify};
