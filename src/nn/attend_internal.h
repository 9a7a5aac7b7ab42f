/* Bodies of attention; included by nn/attend.c once per precision.
 *
 * A worker takes a head of a sample at a time: it copies its rows, with biases added and queries
 * scaled, into memory of its own (keys and values transposed, too, where they are multiplied with
 * from the left), all widths padded with zeros to whole vectors, and goes through tiles of at most
 * query_block by key_block scores. */

#define PROJECTION MIM_OF_REAL(mim_projection)
#define GRADIENT MIM_NN(mim_projection_gradient)
#define WORKER MIM_NN(attend_worker)

typedef struct WORKER {
    size_t width, n_keys;        /* padded head width and number of keys: distances of rows */
    MIM_REAL *q, *y, *dq;        /* [n_queries][width] queries; results or their gradients */
    MIM_REAL *k, *v, *dk, *dv;   /* [n_keys][width] */
    MIM_REAL *keys_t, *values_t; /* [width][n_keys] */
    MIM_REAL *scores, *d_scores; /* [query_block][key_block] */
    MIM_REAL *thinned;           /* probabilities after dropout */
    MIM_REAL *largest, *sums;    /* [n_queries] of each row so far */
    MIM_OF_REAL(mim_tile_multiply) multiply;
} WORKER;

static WORKER MIM_NN(attend_carve)(const mim_attention *s, MIM_REAL *at)
{
    WORKER w = {.width = pad(s->head_width),
                .n_keys = pad(s->n_keys),
                .multiply = MIM_OF_REAL(mim_tile_find)()};
    const size_t queries = s->n_queries * w.width, keys = w.n_keys * w.width;
    const struct {
        MIM_REAL **array;
        size_t n;
    } parts[] = {{&w.q, queries},
                 {&w.y, queries},
                 {&w.dq, queries},
                 {&w.k, keys},
                 {&w.v, keys},
                 {&w.dk, keys},
                 {&w.dv, keys},
                 {&w.keys_t, keys},
                 {&w.values_t, keys},
                 {&w.scores, query_block * key_block},
                 {&w.d_scores, query_block * key_block},
                 {&w.thinned, query_block * key_block},
                 {&w.largest, pad(s->n_queries)},
                 {&w.sums, pad(s->n_queries)}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].array = at;
        at += parts[i].n;
    }
    return w;
}

/* out [n_rows][ld] = (rows of x + bias) scale, zeros up to ld. */
MIM_VECTOR static void MIM_NN(attend_rows)(size_t n_rows, size_t width, const MIM_REAL *x,
                                           size_t ld_x, const MIM_REAL *bias, MIM_REAL scale,
                                           MIM_REAL *restrict out, size_t ld)
{
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t i = 0; i < width; i++)
            out[r * ld + i] = ((bias ? bias[i] : 0) + x[r * ld_x + i]) * scale;
        for (size_t i = width; i < ld; i++)
            out[r * ld + i] = 0;
    }
}

/* out [width][ld] = the transpose of x [n_rows][width], zeros up to ld. */
MIM_VECTOR static void MIM_NN(attend_transpose)(size_t n_rows, size_t width, const MIM_REAL *x,
                                                MIM_REAL *restrict out, size_t ld)
{
    for (size_t i = 0; i < width; i++) {
        for (size_t r = 0; r < n_rows; r++)
            out[i * ld + r] = x[r * width + i];
        for (size_t r = n_rows; r < ld; r++)
            out[i * ld + r] = 0;
    }
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

/* Draws of the probabilities of a query and n keys. */
MIM_INLINE void MIM_NN(attend_draw)(const mim_attention *s, size_t sample, size_t head,
                                    size_t query, size_t first, size_t n, uint16_t *draws)
{
    const size_t row = head * s->n_queries + query;
    mim_dropout_draw(s->dropout, sample, row * s->n_keys + first, n, draws);
}

/* n: padded. */
MIM_INLINE MIM_REAL MIM_NN(attend_largest)(size_t n, const MIM_REAL *x)
{
    MIM_REAL most[lanes], max;
    for (size_t l = 0; l < lanes; l++)
        most[l] = x[l];
    for (size_t i = lanes; i < n; i += lanes)
        for (size_t l = 0; l < lanes; l++)
            most[l] = x[i + l] > most[l] ? x[i + l] : most[l];
    max = most[0];
    for (size_t l = 1; l < lanes; l++)
        max = most[l] > max ? most[l] : max;
    return max;
}

/* x becomes exp(x - origin); gives the sum. */
MIM_INLINE MIM_REAL MIM_NN(attend_exp)(size_t n, MIM_REAL origin, MIM_REAL *x)
{
    MIM_REAL part[lanes] = {0}, sum = 0;
    for (size_t i = 0; i < n; i += lanes)
        for (size_t l = 0; l < lanes; l++) {
            x[i + l] = MIM_OF_REAL(mim_exp)(x[i + l] - origin);
            part[l] += x[i + l];
        }
    for (size_t l = 0; l < lanes; l++)
        sum += part[l];
    return sum;
}

/* ---- forward -------------------------------------------------------------------------------- */

/* Scores of one query become weights; what was summed before is scaled to the new maximum. */
MIM_VECTOR static void MIM_NN(attend_weigh)(const mim_attention *s, const WORKER *w, size_t sample,
                                            size_t head, size_t query, size_t first, size_t n,
                                            MIM_REAL *scores)
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
        uint16_t draws[MIM_DROPOUT_DRAWS];
        const uint16_t threshold = mim_dropout_threshold(s->dropout);
        MIM_NN(attend_draw)(s, sample, head, query, first, n, draws);
        for (size_t j = 0; j < n; j++)
            scores[j] = draws[j] >= threshold ? scores[j] : 0;
    }
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
    MIM_NN(attend_transpose)(s->n_keys, w->width, w->k, w->keys_t, w->n_keys);
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
    for (size_t i = 0; i < s->n_queries; i++) {
        w->largest[i] = -(MIM_REAL)INFINITY;
        w->sums[i] = 0;
    }
    for (size_t i = 0; i < s->n_queries; i += query_block)
        for (size_t j = 0; j < s->n_keys; j += key_block) {
            const size_t rows = s->n_queries - i < query_block ? s->n_queries - i : query_block;
            const size_t n = s->n_keys - j < key_block ? s->n_keys - j : key_block;
            w->multiply(rows, n, s->head_width, w->q + i * w->width, w->width, 1, w->keys_t + j,
                        w->n_keys, false, w->scores, key_block);
            for (size_t r = 0; r < rows; r++)
                MIM_NN(attend_weigh)
            (s, w, sample, head, i + r, j, n, w->scores + r * key_block);
            w->multiply(rows, s->head_width, n, w->scores, key_block, 1, w->v + j * w->width,
                        w->width, j > 0, w->y + i * w->width, w->width);
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

/* Of one query and a block of keys: scores become probabilities, d_scores (of the thinned
 * probabilities) become those of the scores. */
MIM_VECTOR static void MIM_NN(attend_slopes)(const mim_attention *s, size_t sample, size_t head,
                                             size_t query, size_t first, size_t n, MIM_REAL log_sum,
                                             MIM_REAL dot, MIM_REAL *scores, MIM_REAL *d_scores,
                                             MIM_REAL *thinned)
{
    MIM_NN(attend_hide)(s, sample, query, first, n, scores);
    MIM_NN(attend_exp)(pad(n), log_sum, scores);
    if (!mim_dropout_is_on(s->dropout)) {
        for (size_t j = 0; j < n; j++)
            d_scores[j] = scores[j] * (d_scores[j] - dot);
        return;
    }
    uint16_t draws[MIM_DROPOUT_DRAWS];
    const uint16_t threshold = mim_dropout_threshold(s->dropout);
    const MIM_REAL kept = (MIM_REAL)(1 / (1 - s->dropout->rate));
    MIM_NN(attend_draw)(s, sample, head, query, first, n, draws);
    for (size_t j = 0; j < n; j++) {
        const MIM_REAL factor = draws[j] >= threshold ? kept : 0;
        thinned[j] = factor * scores[j];
        d_scores[j] = scores[j] * (factor * d_scores[j] - dot);
    }
}

/* dots[i] = the sum of dy y over the head's columns of query i: what a query's probabilities and
 * their gradients come to. */
MIM_VECTOR static void MIM_NN(attend_dots)(size_t n_rows, size_t width, const MIM_REAL *dy,
                                           size_t ld_dy, const MIM_HALF *y, size_t ld_y,
                                           MIM_REAL *dots)
{
    for (size_t r = 0; r < n_rows; r++) {
        MIM_REAL sum = 0;
        for (size_t i = 0; i < width; i++)
            sum += dy[r * ld_dy + i] * MIM_NN(mim_of_half)(y[r * ld_y + i]);
        dots[r] = sum;
    }
}

static void MIM_NN(attend_tile_backward)(const mim_attention *s, const WORKER *w, size_t sample,
                                         size_t head, size_t i, size_t j, const MIM_REAL *log_sums)
{
    const size_t rows = s->n_queries - i < query_block ? s->n_queries - i : query_block;
    const size_t n = s->n_keys - j < key_block ? s->n_keys - j : key_block, width = s->head_width;
    const bool is_thinned = mim_dropout_is_on(s->dropout);
    const MIM_REAL *q = w->q + i * w->width, *dy = w->y + i * w->width;
    w->multiply(rows, n, width, q, w->width, 1, w->keys_t + j, w->n_keys, false, w->scores,
                key_block);
    w->multiply(rows, n, width, dy, w->width, 1, w->values_t + j, w->n_keys, false, w->d_scores,
                key_block);
    for (size_t r = 0; r < rows; r++)
        MIM_NN(attend_slopes)
    (s, sample, head, i + r, j, n, log_sums[i + r], w->sums[i + r], w->scores + r * key_block,
     w->d_scores + r * key_block, w->thinned + r * key_block);
    w->multiply(n, width, rows, is_thinned ? w->thinned : w->scores, 1, key_block, dy, w->width,
                i > 0, w->dv + j * w->width, w->width);
    w->multiply(n, width, rows, w->d_scores, 1, key_block, q, w->width, i > 0, w->dk + j * w->width,
                w->width);
    w->multiply(rows, width, n, w->d_scores, key_block, 1, w->k + j * w->width, w->width, j > 0,
                w->dq + i * w->width, w->width);
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
                                         const MIM_REAL *dy, const GRADIENT *g, MIM_REAL *sums)
{
    const size_t width = s->head_width, own = head * width, rows = sample * s->n_queries;
    const size_t keys = sample * s->n_keys, all = s->n_samples * s->n_heads * width;
    const MIM_REAL scale = (MIM_REAL)(1 / sqrt((double)width));
    MIM_NN(attend_transpose)(s->n_keys, w->width, w->v, w->values_t, w->n_keys);
    MIM_NN(attend_rows)
    (s->n_queries, width, dy + rows * s->ld_y + own, s->ld_y, NULL, 1, w->y, w->width);
    MIM_NN(attend_dots)
    (s->n_queries, width, w->y, w->width, y + rows * s->ld_y + own, s->ld_y, w->sums);
    for (size_t j = 0; j < s->n_keys; j += key_block)
        for (size_t i = 0; i < s->n_queries; i += query_block)
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
                                 const MIM_REAL *log_sums, const MIM_REAL *dy, const GRADIENT *g,
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
