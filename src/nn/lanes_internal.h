/* MIM_TILE_LANES numbers as one vector, for what compilers do not find in loops: the largest and
 * the sum of a row, in an order that does not wait for one addition after the other. Included once
 * per precision; not guarded. */

typedef MIM_REAL MIM_NN(lanes) __attribute__((vector_size(MIM_TILE_LANES * sizeof(MIM_REAL))));

/* a = the larger of a and b; where one is NaN, a stays. */
MIM_INLINE void MIM_NN(take_larger)(MIM_NN(lanes) * a, const MIM_NN(lanes) * b)
{
    const __typeof__(*b > *a) is_larger = *b > *a;
    *a = (MIM_NN(lanes))((is_larger & (__typeof__(is_larger))*b) |
                         (~is_larger & (__typeof__(is_larger))*a));
}

MIM_INLINE MIM_REAL MIM_NN(largest_lane)(const MIM_NN(lanes) * x)
{
    MIM_NN(lanes) a = *x, b;
    b = __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    MIM_NN(take_larger)(&a, &b);
    b = __builtin_shufflevector(a, a, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    MIM_NN(take_larger)(&a, &b);
    b = __builtin_shufflevector(a, a, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    MIM_NN(take_larger)(&a, &b);
    return a[1] > a[0] ? a[1] : a[0];
}

MIM_INLINE MIM_REAL MIM_NN(sum_of_lanes)(const MIM_REAL *x)
{
    MIM_NN(lanes) a;
    memcpy(&a, x, sizeof a);
    a += __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    a += __builtin_shufflevector(a, a, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    a += __builtin_shufflevector(a, a, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    return a[0] + a[1];
}
