/* Bodies of the activations; included by nn/activation.c once per precision. */

/* e (e + 2) for e = exp x: tanh(log(1 + e)) = n / (n + 2). From 20 on that is 1 to the last bit. */
MIM_INLINE MIM_REAL MIM_NN(mish_n)(MIM_REAL x)
{
    const MIM_REAL e = MIM_NN(mim_exp)(x < 20 ? x : 20);
    return e * (e + 2);
}

MIM_INLINE MIM_REAL MIM_NN(sigmoid)(MIM_REAL x) { return 1 / (1 + MIM_NN(mim_exp)(-x)); }

MIM_INLINE MIM_REAL MIM_NN(value)(mim_activation f, MIM_REAL x)
{
    MIM_REAL density, below, n;
    switch (f) {
    case MIM_RELU:
        return x > 0 ? x : 0 * x; /* NaN stays */
    case MIM_LEAKY_RELU:
        return x > 0 ? x : (MIM_REAL)0.01 * x;
    case MIM_TANH:
        return MIM_NN(mim_tanh)(x);
    case MIM_SIGMOID:
        return MIM_NN(sigmoid)(x);
    case MIM_SILU:
        return x * MIM_NN(sigmoid)(x);
    case MIM_GELU:
        MIM_NN(mim_normal)(x, &density, &below);
        return x * below;
    case MIM_MISH:
        n = MIM_NN(mish_n)(x);
        return x * (n / (n + 2));
    case MIM_IDENTITY:
        break;
    }
    return x;
}

MIM_INLINE MIM_REAL MIM_NN(slope)(mim_activation f, MIM_REAL x)
{
    MIM_REAL a, b, n;
    switch (f) {
    case MIM_RELU:
        return x > 0 ? 1 : 0;
    case MIM_LEAKY_RELU:
        return x > 0 ? 1 : (MIM_REAL)0.01;
    case MIM_TANH:
        a = MIM_NN(mim_tanh)(x);
        return 1 - a * a;
    case MIM_SIGMOID:
        a = MIM_NN(sigmoid)(x);
        return a * (1 - a);
    case MIM_SILU:
        a = MIM_NN(sigmoid)(x);
        return a * (1 + x * (1 - a));
    case MIM_GELU:
        MIM_NN(mim_normal)(x, &a, &b);
        return b + x * a;
    case MIM_MISH: /* 1 - tanh^2 = 4 (n + 1) / (n + 2)^2, without cancelling */
        n = MIM_NN(mish_n)(x);
        a = 1 / (n + 2);
        return n * a + x * MIM_NN(sigmoid)(x) * 4 * (n + 1) * a * a;
    case MIM_IDENTITY:
        break;
    }
    return 1;
}

MIM_INLINE void MIM_NN(forward)(mim_activation f, size_t n, const MIM_REAL *x, MIM_REAL *y)
{
    MIM_ELEMENTWISE
    for (size_t i = 0; i < n; i++)
        y[i] = MIM_NN(value)(f, x[i]);
}

MIM_INLINE void MIM_NN(backward)(mim_activation f, size_t n, const MIM_REAL *x, const MIM_REAL *dy,
                                 MIM_REAL *dx)
{
    MIM_ELEMENTWISE
    for (size_t i = 0; i < n; i++)
        dx[i] = MIM_NN(slope)(f, x[i]) * dy[i];
}

/* One loop a kind, so that nothing is decided inside. */
#define MIM_EACH_ACTIVATION(f, loop, ...)                                                          \
    switch (f) {                                                                                   \
    case MIM_RELU:                                                                                 \
        loop(MIM_RELU, __VA_ARGS__);                                                               \
        break;                                                                                     \
    case MIM_LEAKY_RELU:                                                                           \
        loop(MIM_LEAKY_RELU, __VA_ARGS__);                                                         \
        break;                                                                                     \
    case MIM_TANH:                                                                                 \
        loop(MIM_TANH, __VA_ARGS__);                                                               \
        break;                                                                                     \
    case MIM_SIGMOID:                                                                              \
        loop(MIM_SIGMOID, __VA_ARGS__);                                                            \
        break;                                                                                     \
    case MIM_SILU:                                                                                 \
        loop(MIM_SILU, __VA_ARGS__);                                                               \
        break;                                                                                     \
    case MIM_GELU:                                                                                 \
        loop(MIM_GELU, __VA_ARGS__);                                                               \
        break;                                                                                     \
    case MIM_MISH:                                                                                 \
        loop(MIM_MISH, __VA_ARGS__);                                                               \
        break;                                                                                     \
    case MIM_IDENTITY:                                                                             \
        loop(MIM_IDENTITY, __VA_ARGS__);                                                           \
        break;                                                                                     \
    }

MIM_VECTOR void MIM_NN(mim_activation_forward)(mim_activation f, size_t n, const MIM_REAL *x,
                                               MIM_REAL *y){
    MIM_EACH_ACTIVATION(f, MIM_NN(forward), n, x, y)}

MIM_VECTOR void MIM_NN(mim_activation_backward)(mim_activation f, size_t n, const MIM_REAL *x,
                                                const MIM_REAL *dy, MIM_REAL *dx)
{
    MIM_EACH_ACTIVATION(f, MIM_NN(backward), n, x, dy, dx)
}
#undef MIM_EACH_ACTIVATION
