/* Included by nn/tile_internal.h once per type of number and width of vectors. Not guarded. */

#define VECTOR MIM_TILE(vector)
#define UNITS MIM_TILE(units)
#define UNIT MIM_NN(mim_unit)

typedef MIM_REAL VECTOR __attribute__((vector_size(MIM_TILE_BYTES)));
#if MIM_IS_BF16
typedef uint32_t UNITS __attribute__((vector_size(MIM_TILE_BYTES)));
#else
typedef VECTOR UNITS;
#endif

/* sum += a b, of each lane. */
MIM_TILE_TARGET MIM_INLINE void MIM_TILE(multiply_add)(VECTOR *sum, UNIT a, const UNITS *b)
{
#if defined(MIM_TILE_IS_NATIVE)
    const __m512i both_a = _mm512_set1_epi32((int)a);
    *sum = (VECTOR)_mm512_dpbf16_ps((__m512)*sum, (__m512bh)both_a, (__m512bh)*b);
#elif MIM_IS_BF16
    const uint32_t low = a << 16, high = a & 0xffff0000u;
    float first, second;
    memcpy(&first, &low, sizeof first);
    memcpy(&second, &high, sizeof second);
    *sum += first * (VECTOR)(*b << 16);
    *sum += second * (VECTOR)(*b & 0xffff0000u);
#else
    *sum += a * *b;
#endif
}

#define GROUP 4 /* rows whose addresses are told from one pointer */
/* Of the largest tile: with two vectors a row its sums fill three quarters of the registers. */
#define MOST_ROWS (MIM_TILE_BYTES == 64 ? 12 : 6)

/* `rows` by `vectors` (both constants where it is inlined) of C. */
MIM_TILE_TARGET MIM_INLINE void MIM_TILE(tile)(size_t rows, size_t vectors, size_t n_units,
                                               const UNIT *a, size_t step_r, size_t step_k,
                                               const UNIT *b, size_t ld_b, bool is_added,
                                               MIM_REAL *c, size_t ld_c)
{
    const size_t width = MIM_TILE_BYTES / sizeof(MIM_REAL);
    VECTOR sum[MOST_ROWS][2];
    UNITS from[2];
    const UNIT *at[(MOST_ROWS + GROUP - 1) / GROUP];
    MIM_TILE_UNROLL
    for (size_t g = 0; GROUP * g < rows; g++)
        at[g] = a + GROUP * g * step_r;
    MIM_TILE_UNROLL
    for (size_t r = 0; r < rows; r++)
        MIM_TILE_UNROLL
    for (size_t v = 0; v < vectors; v++) {
        sum[r][v] = (VECTOR){0};
        if (is_added)
            memcpy(&sum[r][v], c + r * ld_c + v * width, sizeof(VECTOR));
    }
    for (size_t k = 0; k < n_units; k++) {
        MIM_TILE_UNROLL
        for (size_t v = 0; v < vectors; v++)
            memcpy(&from[v], b + k * ld_b + v * width, sizeof from[v]);
        MIM_TILE_UNROLL
        for (size_t r = 0; r < rows; r++)
            MIM_TILE_UNROLL
        for (size_t v = 0; v < vectors; v++)
            MIM_TILE(multiply_add)(&sum[r][v], at[r / GROUP][r % GROUP * step_r], &from[v]);
        MIM_TILE_UNROLL
        for (size_t g = 0; GROUP * g < rows; g++)
            at[g] += step_k;
    }
    MIM_TILE_UNROLL
    for (size_t r = 0; r < rows; r++)
        MIM_TILE_UNROLL
    for (size_t v = 0; v < vectors; v++)
        memcpy(c + r * ld_c + v * width, &sum[r][v], sizeof(VECTOR));
}

/* All rows of one or two vectors of columns. */
MIM_TILE_TARGET MIM_INLINE void MIM_TILE(panel)(size_t vectors, size_t n_rows, size_t n_units,
                                                const UNIT *a, size_t step_r, size_t step_k,
                                                const UNIT *b, size_t ld_b, bool is_added,
                                                MIM_REAL *c, size_t ld_c)
{
    size_t r = 0;
    for (; r + MOST_ROWS <= n_rows; r += MOST_ROWS)
        MIM_TILE(tile)
    (MOST_ROWS, vectors, n_units, a + r * step_r, step_r, step_k, b, ld_b, is_added, c + r * ld_c,
     ld_c);
    if (MOST_ROWS > 6 && r + 6 <= n_rows) {
        MIM_TILE(tile)
        (6, vectors, n_units, a + r * step_r, step_r, step_k, b, ld_b, is_added, c + r * ld_c,
         ld_c);
        r += 6;
    }
    if (r + 3 <= n_rows) {
        MIM_TILE(tile)
        (3, vectors, n_units, a + r * step_r, step_r, step_k, b, ld_b, is_added, c + r * ld_c,
         ld_c);
        r += 3;
    }
    for (; r < n_rows; r++)
        MIM_TILE(tile)
    (1, vectors, n_units, a + r * step_r, step_r, step_k, b, ld_b, is_added, c + r * ld_c, ld_c);
}

MIM_TILE_TARGET static void MIM_TILE(multiply)(size_t n_rows, size_t n_columns, size_t n_units,
                                               const UNIT *a, size_t step_r, size_t step_k,
                                               const UNIT *b, size_t ld_b, bool is_added,
                                               MIM_REAL *c, size_t ld_c)
{
    const size_t width = MIM_TILE_BYTES / sizeof(MIM_REAL);
    size_t i = 0;
    for (; i + width < n_columns; i += 2 * width)
        MIM_TILE(panel)
    (2, n_rows, n_units, a, step_r, step_k, b + i, ld_b, is_added, c + i, ld_c);
    if (i < n_columns)
        MIM_TILE(panel)
    (1, n_rows, n_units, a, step_r, step_k, b + i, ld_b, is_added, c + i, ld_c);
}

#undef VECTOR
#undef MOST_ROWS
#undef GROUP
#undef UNITS
#undef UNIT
#undef MIM_TILE
#undef MIM_TILE_BYTES
#undef MIM_TILE_TARGET
