/* Small products for attention; included by nn/attend.c once per type of number. */

#define VECTOR MIM_NN(vector)
#define HALF_VECTOR MIM_NN(half_vector)

typedef MIM_REAL VECTOR __attribute__((vector_size(lanes * sizeof(MIM_REAL))));
typedef MIM_REAL HALF_VECTOR __attribute__((vector_size(lanes / 2 * sizeof(MIM_REAL))));

/* C += or = A B for a tile of `rows` (a constant) by one vector: A's element (r, k) at
 * a[r step_r + k step_k], so A may be transposed. */
#define MIM_TILE(name, type)                                                                       \
    MIM_INLINE void MIM_NN(name)(size_t rows, size_t n_k, const MIM_REAL *a, size_t step_r,        \
                                 size_t step_k, const MIM_REAL *b, size_t ld_b, bool is_added,     \
                                 MIM_REAL *c, size_t ld_c)                                         \
    {                                                                                              \
        type sum[tile_rows], from;                                                                 \
        for (size_t r = 0; r < rows; r++)                                                          \
            if (is_added)                                                                          \
                memcpy(&sum[r], c + r * ld_c, sizeof from);                                        \
            else                                                                                   \
                sum[r] = (type){0};                                                                \
        for (size_t k = 0; k < n_k; k++) {                                                         \
            memcpy(&from, b + k * ld_b, sizeof from);                                              \
            for (size_t r = 0; r < rows; r++)                                                      \
                sum[r] += a[r * step_r + k * step_k] * from;                                       \
        }                                                                                          \
        for (size_t r = 0; r < rows; r++)                                                          \
            memcpy(c + r * ld_c, &sum[r], sizeof from);                                            \
    }
MIM_TILE(tile, VECTOR)
MIM_TILE(narrow_tile, HALF_VECTOR)
#undef MIM_TILE

/* One vector of columns, all rows. */
#define MIM_PANEL(name, tile)                                                                      \
    MIM_INLINE void MIM_NN(name)(size_t n_rows, size_t n_k, const MIM_REAL *a, size_t step_r,      \
                                 size_t step_k, const MIM_REAL *b, size_t ld_b, bool is_added,     \
                                 MIM_REAL *c, size_t ld_c)                                         \
    {                                                                                              \
        size_t r = 0;                                                                              \
        for (; r + tile_rows <= n_rows; r += tile_rows)                                            \
            tile(tile_rows, n_k, a + r * step_r, step_r, step_k, b, ld_b, is_added, c + r * ld_c,  \
                 ld_c);                                                                            \
        for (; r + 3 <= n_rows; r += 3)                                                            \
            tile(3, n_k, a + r * step_r, step_r, step_k, b, ld_b, is_added, c + r * ld_c, ld_c);   \
        for (; r < n_rows; r++)                                                                    \
            tile(1, n_k, a + r * step_r, step_r, step_k, b, ld_b, is_added, c + r * ld_c, ld_c);   \
    }
MIM_PANEL(panel, MIM_NN(tile))
MIM_PANEL(narrow_panel, MIM_NN(narrow_tile))
#undef MIM_PANEL

/* C [n_rows, n_columns] += or = A B; the columns up to the next multiple of half the lanes are
 * formed too: B and C must have them. */
MIM_VECTOR static void MIM_NN(multiply)(size_t n_rows, size_t n_columns, size_t n_k,
                                        const MIM_REAL *a, size_t step_r, size_t step_k,
                                        const MIM_REAL *b, size_t ld_b, bool is_added, MIM_REAL *c,
                                        size_t ld_c)
{
    size_t i = 0;
    for (; i + lanes / 2 < n_columns; i += lanes)
        MIM_NN(panel)(n_rows, n_k, a, step_r, step_k, b + i, ld_b, is_added, c + i, ld_c);
    if (i < n_columns)
        MIM_NN(narrow_panel)(n_rows, n_k, a, step_r, step_k, b + i, ld_b, is_added, c + i, ld_c);
}

#undef VECTOR
#undef HALF_VECTOR
