/* Bodies of attention; included by nn/attend.c once per precision.
 *
 * A worker takes a head of a sample at a time: it copies its rows, with biases added and queries
 * scaled, into memory of its own, all widths padded with zeros to whole vectors, and goes through
 * tiles of at most query_block by key_block scores. Operands of the tiles' products (nn/tile_
 * internal.h) lie in one of three ways: as rows, for sums along the width from the left;
 * transposed, for such sums from the right; in pairs of rows, for sums along the rows. Numbers
 * other than bf16 have no pairs: there rows serve as they are. */

#define PROJECTION MIM_NN(mim_projection)
#define GRADIENT MIM_NN(mim_projection_gradient)
#define WORKER MIM_NN(attend_worker)
#define UNIT MIM_NN(mim_unit)
#define QUERIES (MIM_IS_BF16 ? query_block / 2 : query_block) /* of a tile: faster (measured) */
#define PAIR (MIM_IS_BF16 ? 2 : 1)                            /* numbers of a unit */

typedef struct WORKER {
    size_t width, n_keys;          /* padded head width and number of keys: distances of rows */
    MIM_HALF *q, *k, *v, *dy;      /* [n_queries or n_keys][width] */
    UNIT *q_pairs, *dy_pairs;      /* [n_queries / PAIR][width] */
    UNIT *k_pairs, *v_pairs;       /* [n_keys / PAIR][width] */
    UNIT *keys_t, *values_t;       /* [width / PAIR][n_keys] */
    MIM_REAL *y, *dq, *dk, *dv;    /* [n_queries or n_keys][width] */
    MIM_REAL *scores, *d_scores;   /* [query_block][key_block] */
    MIM_HALF *weights, *d_weights; /* the same, rounded for products */
    UNIT *weights_pairs, *d_weights_pairs;
    MIM_REAL *largest, *sums; /* [n_queries] of each row so far */
    MIM_NN(mim_tile_multiply) multiply;
} WORKER;

/* Where the types are the same, what is rounded or paired stays where it is. Pairs of a tile take
 * the place of its floats, which are not needed any more. */
static WORKER MIM_NN(attend_carve)(const mim_attention *s, MIM_REAL *at)
{
    WORKER w = {
        .width = pad(s->head_width), .n_keys = pad(s->n_keys), .multiply = MIM_NN(mim_tile_find)()};
    void *parts[N_PARTS];
    for (int p = 0; p < N_PARTS; p++) {
        parts[p] = at;
        at += part_size(s, (part)p);
    }
    const size_t tile = query_block * key_block, paired = PAIR - 1; /* 0: in place */
    w.q = parts[Q];
    w.q_pairs = (UNIT *)parts[Q] + paired * part_size(s, Q) / 2;
    w.y = parts[Y];
    w.dy = parts[Y];
    w.dy_pairs = (UNIT *)parts[Y] + paired * part_size(s, Y) / 2;
    w.dq = parts[DQ];
    w.k = parts[K];
    w.k_pairs = (UNIT *)parts[K] + paired * part_size(s, K) / 2;
    w.v = parts[V];
    w.v_pairs = (UNIT *)parts[V] + paired * part_size(s, V) / 2;
    w.dk = parts[DK];
    w.dv = parts[DV];
    w.keys_t = parts[KEYS_T];
    w.values_t = parts[VALUES_T];
    w.scores = parts[SCORES];
    w.d_scores = parts[D_SCORES];
    w.weights = parts[MIM_IS_BF16 ? ROUNDED : SCORES];
    w.d_weights = MIM_IS_BF16 ? w.weights + tile : parts[D_SCORES];
    w.weights_pairs = parts[SCORES];
    w.d_weights_pairs = parts[D_SCORES];
    w.largest = at;
    w.sums = at + pad(s->n_queries);
    return w;
}

/* Units that hold n numbers. */
static size_t MIM_NN(attend_units)(size_t n) { return (n + PAIR - 1) / PAIR; }

/* out [n_rows][ld] = (rows of x + bias) scale, zeros up to ld. */
MIM_VECTOR static void MIM_NN(attend_rows)(size_t n_rows, size_t width, const MIM_HALF *x,
                                           size_t ld_x, const MIM_REAL *bias, MIM_REAL scale,
                                           MIM_HALF *restrict out, size_t ld)
{
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t i = 0; i < width; i++)
            out[r * ld + i] = MIM_NN(mim_to_half)(
                ((bias ? bias[i] : 0) + MIM_NN(mim_of_half)(x[r * ld_x + i])) * scale);
        for (size_t i = width; i < ld; i++)
            out[r * ld + i] = 0;
    }
}

/* out [n_units][ld] = the transpose of x [n_rows][n_units], zeros up to ld. */
MIM_VECTOR static void MIM_NN(attend_transpose)(size_t n_rows, size_t n_units, const UNIT *x,
                                                UNIT *restrict out, size_t ld)
{
    for (size_t i = 0; i < n_units; i++) {
        for (size_t r = 0; r < n_rows; r++)
            out[i * ld + r] = x[r * n_units + i];
        for (size_t r = n_rows; r < ld; r++)
            out[i * ld + r] = 0;
    }
}

/* Rows 2 r and 2 r + 1 of x [n_rows][width] become row r of out; behind the last comes a zero. */
MIM_VECTOR static void MIM_NN(attend_pair)(size_t n_rows, size_t width, const MIM_HALF *x,
                                           UNIT *restrict out)
{
#if MIM_IS_BF16
    for (size_t r = 0; r < n_rows; r += 2) {
        const MIM_HALF *low = x + r * width, *high = low + width;
        UNIT *to = out + r / 2 * width;
        if (r + 1 == n_rows)
            for (size_t i = 0; i < width; i++)
                to[i] = low[i];
        else
            MIM_ELEMENTWISE
        for (size_t i = 0; i < width; i++)
            to[i] = low[i] | (uint32_t)high[i] << 16;
    }
#else
    (void)n_rows;
    (void)width;
    (void)x;
    (void)out;
#endif
}

/* What of a block of keys a query does not see, and what stands beyond the keys, becomes
 * -infinity. */
MIM_INLINE void MIM_NN(attend_hide)(const mim_attention *s, size_t sample, size_t query,
                                    size_t first, size_t n, MIM_REAL *scores)
{
    const MIM_REAL never = -(MIM_REAL)INFINITY;
    for (size_t j = n; j < pad(n); j++)
        scores[j] = never;
    if (s->is_key)
        for (size_t j = 0; j < n; j++)
            scores[j] = s->is_key[sample * s->n_keys + first + j] ? scores[j] : never;
    if (s->is_causal)
        for (size_t j = query < first ? 0 : query - first + 1; j < n; j++)
            scores[j] = never;
}

/* n: padded. */
MIM_INLINE MIM_REAL MIM_NN(attend_largest)(size_t n, const MIM_REAL *x)
{
    MIM_NN(lanes) most, next;
    memcpy(&most, x, sizeof most);
    for (size_t i = lanes; i < n; i += lanes) {
        memcpy(&next, x + i, sizeof next);
        MIM_NN(take_larger)(&most, &next);
    }
    return MIM_NN(largest_lane)(&most);
}

/* x becomes exp(x - origin); gives the sum. */
MIM_INLINE MIM_REAL MIM_NN(attend_exp)(size_t n, MIM_REAL origin, MIM_REAL *x)
{
    MIM_REAL sums[lanes] = {0};
    for (size_t i = 0; i < n; i += lanes)
        for (size_t l = 0; l < lanes; l++) {
            x[i + l] = MIM_NN(mim_exp)(x[i + l] - origin);
            sums[l] += x[i + l];
        }
    return MIM_NN(sum_of_lanes)(sums);
}

/* For a product, behind n numbers that were rounded; numbers that were not are 0 there already. */
MIM_INLINE void MIM_NN(attend_end)(size_t n, MIM_HALF *x)
{
    for (size_t j = n; MIM_IS_BF16 && j < pad(n); j++)
        x[j] = 0;
}

/* ---- forward -------------------------------------------------------------------------------- */

/* Scores of one query become `weights`, thinned; what was summed before is scaled to the new
 * maximum. */
MIM_VECTOR static void MIM_NN(attend_weigh)(const mim_attention *s, const WORKER *w, size_t sample,
                                            size_t head, size_t query, size_t first, size_t n,
                                            drawn *known, MIM_REAL *scores, MIM_HALF *weights)
{
    const MIM_REAL never = -(MIM_REAL)INFINITY, before = w->largest[query];
    MIM_NN(attend_hide)(s, sample, query, first, n, scores);
    const MIM_REAL own = MIM_NN(attend_largest)(pad(n), scores), max = own > before ? own : before;
    const MIM_REAL sum = MIM_NN(attend_exp)(pad(n), max == never ? 0 : max, scores);
    if (max > before && before != never) {
        const MIM_REAL factor = MIM_OF_REAL(mim_exp)(before - max);
        w->sums[query] *= factor;
        for (size_t i = 0; i < w->width; i++)
            w->y[query * w->width + i] *= factor;
    }
    w->sums[query] += sum;
    w->largest[query] = max;
    if (mim_dropout_is_on(s->dropout)) {
        const mim_draw *draws = draw(s, sample, head * s->n_queries + query, first, n, known);
        const uint16_t threshold = mim_dropout_threshold(s->dropout);
        MIM_ELEMENTWISE
        for (size_t j = 0; j < n; j++)
            weights[j] = MIM_NN(mim_to_half)(draws[j] >= threshold ? scores[j] : 0);
    } else if (MIM_IS_BF16) {
        MIM_ELEMENTWISE
        for (size_t j = 0; j < n; j++)
            weights[j] = MIM_NN(mim_to_half)(scores[j]);
    }
    MIM_NN(attend_end)(n, weights);
}

static void MIM_NN(attend_load)(const mim_attention *s, const PROJECTION *p, const WORKER *w,
                                size_t sample, size_t head)
{
    const size_t width = s->head_width, own = head * width;
    const MIM_REAL scale = (MIM_REAL)(1 / sqrt((double)width));
    MIM_NN(attend_rows)
    (s->n_queries, width, p->q + sample * s->n_queries * s->ld_q + own, s->ld_q,
     p->bias_q ? p->bias_q + own : NULL, scale, w->q, w->width);
    MIM_NN(attend_rows)
    (s->n_keys, width, p->k + sample * s->n_keys * s->ld_k + own, s->ld_k,
     p->bias_k ? p->bias_k + own : NULL, 1, w->k, w->width);
    MIM_NN(attend_rows)
    (s->n_keys, width, p->v + sample * s->n_keys * s->ld_v + own, s->ld_v,
     p->bias_v ? p->bias_v + own : NULL, 1, w->v, w->width);
    MIM_NN(attend_transpose)(s->n_keys, w->width / PAIR, (UNIT *)w->k, w->keys_t, w->n_keys);
}

/* A tile of rows by n scores from row i and key j on, of what stands in `rows_of`. */
static void MIM_NN(attend_compare)(const mim_attention *s, const WORKER *w, size_t rows, size_t n,
                                   MIM_HALF *rows_of, size_t i, const UNIT *transposed, size_t j,
                                   MIM_REAL *scores)
{
    w->multiply(rows, n, MIM_NN(attend_units)(s->head_width), (UNIT *)rows_of + i * w->width / PAIR,
                w->width / PAIR, 1, transposed + j, w->n_keys, false, scores, key_block);
}

MIM_VECTOR static void MIM_NN(attend_store)(size_t n, const MIM_REAL *x, MIM_REAL factor,
                                            MIM_HALF *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = MIM_NN(mim_to_half)(factor * x[i]);
}

static void MIM_NN(attend_head)(const mim_attention *s, const WORKER *w, size_t sample, size_t head,
                                MIM_HALF *y, MIM_REAL *log_sums)
{
    const double kept = mim_dropout_is_on(s->dropout) ? 1 / (1 - s->dropout->rate) : 1;
    MIM_NN(attend_pair)(s->n_keys, w->width, w->v, w->v_pairs);
    for (size_t i = 0; i < s->n_queries; i++) {
        w->largest[i] = -(MIM_REAL)INFINITY;
        w->sums[i] = 0;
    }
    for (size_t i = 0; i < s->n_queries; i += QUERIES)
        for (size_t j = 0; j < s->n_keys; j += key_block) {
            const size_t rows = s->n_queries - i < QUERIES ? s->n_queries - i : QUERIES;
            const size_t n = s->n_keys - j < key_block ? s->n_keys - j : key_block;
            drawn known;
            known.n_rows = 0;
            MIM_NN(attend_compare)(s, w, rows, n, w->q, i, w->keys_t, j, w->scores);
            for (size_t r = 0; r < rows; r++)
                MIM_NN(attend_weigh)
            (s, w, sample, head, i + r, j, n, &known, w->scores + r * key_block,
             w->weights + r * key_block);
            w->multiply(rows, s->head_width, MIM_NN(attend_units)(n), (UNIT *)w->weights,
                        key_block / PAIR, 1, w->v_pairs + j / PAIR * w->width, w->width, j > 0,
                        w->y + i * w->width, w->width);
        }
    for (size_t i = 0; i < s->n_queries; i++) {
        const size_t row = (sample * s->n_heads + head) * s->n_queries + i;
        const double sum = (double)w->sums[i];
        log_sums[row] = sum > 0 ? w->largest[i] + (MIM_REAL)log(sum) : 0;
        MIM_NN(attend_store)
        (s->head_width, w->y + i * w->width, sum > 0 ? (MIM_REAL)(kept / sum) : 0,
         y + (sample * s->n_queries + i) * s->ld_y + head * s->head_width);
    }
}

void MIM_NN(mim_attend_forward)(const mim_attention *s, const PROJECTION *p, MIM_HALF *y,
                                MIM_REAL *log_sums, MIM_REAL *work)
{
    const size_t n = s->n_samples * s->n_heads, n_own = mim_n_workers(n_workers(s));
    MIM_PARALLEL_FOR(n_own > 1)
    for (size_t number = 0; number < n_own; number++) {
        const WORKER w = MIM_NN(attend_carve)(s, work + number * worker_size(s));
        for (size_t i = number * n / n_own; i < (number + 1) * n / n_own; i++) {
            MIM_NN(attend_load)(s, p, &w, i / s->n_heads, i % s->n_heads);
            MIM_NN(attend_head)(s, &w, i / s->n_heads, i % s->n_heads, y, log_sums);
        }
    }
}

/* ---- backward ------------------------------------------------------------------------------- */

/* Of one query and a block of keys: `weights` become the scores' probabilities, thinned, and
 * `d_weights` from d_scores, gradients of those, the gradients of the scores. */
MIM_VECTOR static void MIM_NN(attend_slopes)(const mim_attention *s, size_t sample, size_t head,
                                             size_t query, size_t first, size_t n, MIM_REAL log_sum,
                                             MIM_REAL dot, drawn *known, MIM_REAL *scores,
                                             MIM_REAL *d_scores, MIM_HALF *weights,
                                             MIM_HALF *d_weights)
{
    MIM_NN(attend_hide)(s, sample, query, first, n, scores);
    MIM_NN(attend_exp)(pad(n), log_sum, scores);
    if (mim_dropout_is_on(s->dropout)) {
        const mim_draw *draws = draw(s, sample, head * s->n_queries + query, first, n, known);
        const uint16_t threshold = mim_dropout_threshold(s->dropout);
        const MIM_REAL kept = (MIM_REAL)(1 / (1 - s->dropout->rate));
        MIM_ELEMENTWISE
        for (size_t j = 0; j < n; j++) {
            const MIM_REAL factor = draws[j] >= threshold ? kept : 0, p = scores[j];
            weights[j] = MIM_NN(mim_to_half)(factor * p);
            d_weights[j] = MIM_NN(mim_to_half)(p * (factor * d_scores[j] - dot));
        }
    } else {
        MIM_ELEMENTWISE
        for (size_t j = 0; j < n; j++) {
            const MIM_REAL p = scores[j];
            weights[j] = MIM_NN(mim_to_half)(p);
            d_weights[j] = MIM_NN(mim_to_half)(p * (d_scores[j] - dot));
        }
    }
    MIM_NN(attend_end)(n, weights);
    MIM_NN(attend_end)(n, d_weights);
}

/* dots[i] = the sum of dy y over the head's columns of query i: what a query's probabilities and
 * their gradients come to. */
MIM_VECTOR static void MIM_NN(attend_dots)(size_t n_rows, size_t width, const MIM_HALF *dy,
                                           size_t ld_dy, const MIM_HALF *y, size_t ld_y,
                                           MIM_REAL *dots)
{
    for (size_t r = 0; r < n_rows; r++) {
        const MIM_HALF *a = dy + r * ld_dy, *b = y + r * ld_y;
        MIM_REAL sums[lanes] = {0}, rest = 0;
        size_t i = 0;
        for (; i + lanes <= width; i += lanes)
            for (size_t l = 0; l < lanes; l++)
                sums[l] += MIM_NN(mim_of_half)(a[i + l]) * MIM_NN(mim_of_half)(b[i + l]);
        for (; i < width; i++)
            rest += MIM_NN(mim_of_half)(a[i]) * MIM_NN(mim_of_half)(b[i]);
        dots[r] = MIM_NN(sum_of_lanes)(sums) + rest;
    }
}

static void MIM_NN(attend_tile_backward)(const mim_attention *s, const WORKER *w, size_t sample,
                                         size_t head, size_t i, size_t j, const MIM_REAL *log_sums)
{
    const size_t rows = s->n_queries - i < QUERIES ? s->n_queries - i : QUERIES;
    const size_t n = s->n_keys - j < key_block ? s->n_keys - j : key_block, width = s->head_width;
    const size_t row = i / PAIR * w->width;
    drawn known;
    known.n_rows = 0;
    MIM_NN(attend_compare)(s, w, rows, n, w->q, i, w->keys_t, j, w->scores);
    MIM_NN(attend_compare)(s, w, rows, n, w->dy, i, w->values_t, j, w->d_scores);
    for (size_t r = 0; r < rows; r++)
        MIM_NN(attend_slopes)
    (s, sample, head, i + r, j, n, log_sums[i + r], w->sums[i + r], &known,
     w->scores + r * key_block, w->d_scores + r * key_block, w->weights + r * key_block,
     w->d_weights + r * key_block);
    w->multiply(rows, width, MIM_NN(attend_units)(n), (UNIT *)w->d_weights, key_block / PAIR, 1,
                w->k_pairs + j / PAIR * w->width, w->width, j > 0, w->dq + i * w->width, w->width);
    MIM_NN(attend_pair)(rows, key_block, w->weights, w->weights_pairs);
    MIM_NN(attend_pair)(rows, key_block, w->d_weights, w->d_weights_pairs);
    w->multiply(n, width, MIM_NN(attend_units)(rows), w->weights_pairs, 1, key_block,
                w->dy_pairs + row, w->width, i > 0, w->dv + j * w->width, w->width);
    w->multiply(n, width, MIM_NN(attend_units)(rows), w->d_weights_pairs, 1, key_block,
                w->q_pairs + row, w->width, i > 0, w->dk + j * w->width, w->width);
}

/* Rows of out = factor rows of x; their sum (of x, times factor) goes to `sum` [width]. */
MIM_VECTOR static void MIM_NN(attend_give)(size_t n_rows, size_t width, const MIM_REAL *x,
                                           size_t ld_x, MIM_REAL factor, MIM_HALF *out, size_t ld,
                                           MIM_REAL *sum)
{
    for (size_t i = 0; i < width; i++)
        sum[i] = 0;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < width; i++) {
            const MIM_REAL value = factor * x[r * ld_x + i];
            sum[i] += value;
            out[r * ld + i] = MIM_NN(mim_to_half)(value);
        }
}

static void MIM_NN(attend_head_backward)(const mim_attention *s, const WORKER *w, size_t sample,
                                         size_t head, const MIM_HALF *y, const MIM_REAL *log_sums,
                                         const MIM_HALF *dy, const GRADIENT *g, MIM_REAL *sums)
{
    const size_t width = s->head_width, own = head * width, rows = sample * s->n_queries;
    const size_t keys = sample * s->n_keys, all = s->n_samples * s->n_heads * width;
    const MIM_REAL scale = (MIM_REAL)(1 / sqrt((double)width));
    MIM_NN(attend_transpose)(s->n_keys, w->width / PAIR, (UNIT *)w->v, w->values_t, w->n_keys);
    MIM_NN(attend_rows)
    (s->n_queries, width, dy + rows * s->ld_y + own, s->ld_y, NULL, 1, w->dy, w->width);
    MIM_NN(attend_dots)
    (s->n_queries, width, w->dy, w->width, y + rows * s->ld_y + own, s->ld_y, w->sums);
    MIM_NN(attend_pair)(s->n_queries, w->width, w->q, w->q_pairs);
    MIM_NN(attend_pair)(s->n_queries, w->width, w->dy, w->dy_pairs);
    MIM_NN(attend_pair)(s->n_keys, w->width, w->k, w->k_pairs);
    for (size_t j = 0; j < s->n_keys; j += key_block)
        for (size_t i = 0; i < s->n_queries; i += QUERIES)
            MIM_NN(attend_tile_backward)
    (s, w, sample, head, i, j, log_sums + (sample * s->n_heads + head) * s->n_queries);
    sums += (sample * s->n_heads + head) * width;
    MIM_NN(attend_give)
    (s->n_queries, width, w->dq, w->width, scale, g->dq + rows * s->ld_q + own, s->ld_q, sums);
    MIM_NN(attend_give)
    (s->n_keys, width, w->dk, w->width, 1, g->dk + keys * s->ld_k + own, s->ld_k, sums + all);
    MIM_NN(attend_give)
    (s->n_keys, width, w->dv, w->width, 1, g->dv + keys * s->ld_v + own, s->ld_v, sums + 2 * all);
}

/* dbias += sums over samples, [n_samples][width]. */
MIM_VECTOR static void MIM_NN(attend_total)(size_t n_samples, size_t width, const MIM_REAL *sums,
                                            MIM_REAL *dbias)
{
    for (size_t i = 0; i < width && dbias; i++) {
        double total = 0;
        for (size_t s = 0; s < n_samples; s++)
            total += (double)sums[s * width + i];
        dbias[i] += (MIM_REAL)total;
    }
}

void MIM_NN(mim_attend_backward)(const mim_attention *s, const PROJECTION *p, const MIM_HALF *y,
                                 const MIM_REAL *log_sums, const MIM_HALF *dy, const GRADIENT *g,
                                 MIM_REAL *work)
{
    const size_t n = s->n_samples * s->n_heads, n_own = mim_n_workers(n_workers(s));
    const size_t width = s->n_heads * s->head_width, all = s->n_samples * width;
    MIM_REAL *sums = work + n_workers(s) * worker_size(s);
    MIM_PARALLEL_FOR(n_own > 1)
    for (size_t number = 0; number < n_own; number++) {
        const WORKER w = MIM_NN(attend_carve)(s, work + number * worker_size(s));
        for (size_t i = number * n / n_own; i < (number + 1) * n / n_own; i++) {
            MIM_NN(attend_load)(s, p, &w, i / s->n_heads, i % s->n_heads);
            MIM_NN(attend_head_backward)
            (s, &w, i / s->n_heads, i % s->n_heads, y, log_sums, dy, g, sums);
        }
    }
    MIM_NN(attend_total)(s->n_samples, width, sums, g->dbias_q);
    MIM_NN(attend_total)(s->n_samples, width, sums + all, g->dbias_k);
    MIM_NN(attend_total)(s->n_samples, width, sums + 2 * all, g->dbias_v);
}

#undef PROJECTION
#undef GRADIENT
#undef WORKER
#undef UNIT
#undef PAIR
#undef QUERIES
