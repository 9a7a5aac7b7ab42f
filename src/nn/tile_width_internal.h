/* Included by nn/tile_internal.h once per type of number and width of vectors. Not guarded. */

#define VECTOR MIM_TILE(vector)

typedef MIM_REAL VECTOR __attribute__((vector_size(MIM_TILE_BYTES)));

/* `rows` by `vectors` (both constants where it is inlined) of C. */
MIM_TILE_TARGET MIM_INLINE void MIM_TILE(tile)(size_t rows, size_t vectors, size_t n_k,
                                               const MIM_REAL *a, size_t step_r, size_t step_k,
                                               const MIM_REAL *b, size_t ld_b, bool is_added,
                                               MIM_REAL *c, size_t ld_c)
{
    const size_t width = MIM_TILE_BYTES / sizeof(MIM_REAL);
    VECTOR sum[MIM_TILE_ROWS][2], from[2];
    MIM_TILE_UNROLL
    for (size_t r = 0; r < rows; r++)
        MIM_TILE_UNROLL
    for (size_t v = 0; v < vectors; v++) {
        sum[r][v] = (VECTOR){0};
        if (is_added)
            memcpy(&sum[r][v], c + r * ld_c + v * width, sizeof(VECTOR));
    }
    for (size_t k = 0; k < n_k; k++) {
        MIM_TILE_UNROLL
        for (size_t v = 0; v < vectors; v++)
            memcpy(&from[v], b + k * ld_b + v * width, sizeof(VECTOR));
        MIM_TILE_UNROLL
        for (size_t r = 0; r < rows; r++)
            MIM_TILE_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] += a[r * step_r + k * step_k] * from[v];
    }
    MIM_TILE_UNROLL
    for (size_t r = 0; r < rows; r++)
        MIM_TILE_UNROLL
    for (size_t v = 0; v < vectors; v++)
        memcpy(c + r * ld_c + v * width, &sum[r][v], sizeof(VECTOR));
}

/* All rows of one or two vectors of columns. */
MIM_TILE_TARGET MIM_INLINE void MIM_TILE(panel)(size_t vectors, size_t n_rows, size_t n_k,
                                                const MIM_REAL *a, size_t step_r, size_t step_k,
                                                const MIM_REAL *b, size_t ld_b, bool is_added,
                                                MIM_REAL *c, size_t ld_c)
{
    size_t r = 0;
    for (; r + MIM_TILE_ROWS <= n_rows; r += MIM_TILE_ROWS)
        MIM_TILE(tile)
    (MIM_TILE_ROWS, vectors, n_k, a + r * step_r, step_r, step_k, b, ld_b, is_added, c + r * ld_c,
     ld_c);
    if (r + 3 <= n_rows) {
        MIM_TILE(tile)
        (3, vectors, n_k, a + r * step_r, step_r, step_k, b, ld_b, is_added, c + r * ld_c, ld_c);
        r += 3;
    }
    for (; r < n_rows; r++)
        MIM_TILE(tile)
    (1, vectors, n_k, a + r * step_r, step_r, step_k, b, ld_b, is_added, c + r * ld_c, ld_c);
}

MIM_TILE_TARGET static void MIM_TILE(multiply)(size_t n_rows, size_t n_columns, size_t n_k,
                                               const MIM_REAL *a, size_t step_r, size_t step_k,
                                               const MIM_REAL *b, size_t ld_b, bool is_added,
                                               MIM_REAL *c, size_t ld_c)
{
    const size_t width = MIM_TILE_BYTES / sizeof(MIM_REAL);
    size_t i = 0;
    for (; i + width < n_columns; i += 2 * width)
        MIM_TILE(panel)
    (2, n_rows, n_k, a, step_r, step_k, b + i, ld_b, is_added, c + i, ld_c);
    if (i < n_columns)
        MIM_TILE(panel)
    (1, n_rows, n_k, a, step_r, step_k, b + i, ld_b, is_added, c + i, ld_c);
}

#undef VECTOR
#undef MIM_TILE
#undef MIM_TILE_BYTES
#undef MIM_TILE_TARGET
