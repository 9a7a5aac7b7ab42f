/* The kind "unet": a one-dimensional U-Net along the stressors, whose channels are threads at both
 * ends.
 *
 * Levels of width times a multiplier channels: down with two residual blocks and attention each,
 * halving the positions in between; a block, attention and a block in the middle; up with the
 * activations of the way down beside them, but for the first level's. Positions are padded with
 * zeros to a power of two. A residual block is twice convolution, RMS norm, Mish, dropout, the
 * first norm scaled and shifted by the condition [time, context]; unconditional samples have a
 * context of zeros. Everything is a list of steps from plane to plane, which forward walks in order
 * and backward in reverse.
 *
 * thread_condition = bias: the metrics stand as channels beside the threads' weights at every
 * position, and a layer over channels brings them back to the threads'; here a thread's own metric
 * meets its own channel. The published options for this took stressors for threads and are left
 * out, as are numbers of a socket's own: a thread is a channel, and the first convolution has
 * weights for each. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "diffusion/context_kind_internal.h"
#include "diffusion/network_kind_internal.h"
#include "nn/attend.h"
#include "nn/convolution.h"
#include "nn/mlp.h"

enum {
    MAX_LEVELS = 6,
    MAX_PLANES = 256,
    MAX_MULTIPLIER = 64,
    MAX_NAME = 2 * MIM_TENSOR_MAX_NAME,
    TIME_RATIO = 4,
    STRETCH = 4, /* kernel of what halves and doubles positions */
};

typedef enum {
    CONVOLVE, /* y = convolution of x */
    NORM,     /* y = RMS norm of x, perhaps scaled and shifted, perhaps Mish and dropout behind */
    ATTEND,   /* y = dropout of attention, x being queries, keys and values head by head */
    JOIN,     /* y = channels of x, then those of z */
    SUM,      /* y = x + z */
} step_kind;

typedef struct step {
    step_kind kind;
    size_t x, z, y; /* planes */
    size_t tensor;  /* index in the layout: of the weight, which the bias follows, or of the gain */
    size_t film;    /* NORM: of the condition's weight, SIZE_MAX: neither scale nor shift */
    bool is_active; /* NORM: Mish and dropout behind */
    size_t width, stride, padding; /* CONVOLVE */
    bool is_transposed;
} step;

typedef struct plane {
    size_t n_positions, n_channels;
} plane;

/* Each step makes a plane; plane 0 is the input. */
typedef struct plan {
    size_t n_steps, n_planes, time, context; /* the last two: tensors */
    step steps[MAX_PLANES];
    plane planes[MAX_PLANES + 1];
} plan;

/* ---- sizes ---------------------------------------------------------------------------------- */

static int get_multipliers(const mim_architecture *a, size_t *n, size_t multipliers[MAX_LEVELS])
{
    char text[MIM_NETWORK_MAX_TEXT];
    *n = 0;
    memcpy(text, a->multipliers, sizeof text);
    for (char *at = text; at;) {
        char *comma = strchr(at, ',');
        int64_t value = 0;
        if (comma)
            *comma++ = '\0';
        if (*n == MAX_LEVELS)
            return mim_fail(MIM_EINVAL, "network: multipliers: expected 1 to %d numbers",
                            MAX_LEVELS);
        if (mim_parse_i64("multipliers", at, 1, MAX_MULTIPLIER, &value) != MIM_OK)
            return mim_fail_in(MIM_EINVAL, "network");
        multipliers[(*n)++] = (size_t)value;
        at = comma;
    }
    return MIM_OK;
}

/* Positions of the first level: a power of two, which the last level has at least one of. */
static size_t n_padded(const mim_architecture *a, size_t n_levels)
{
    size_t n = (size_t)1 << (n_levels - 1);
    while (n < a->n_stressors)
        n *= 2;
    return n;
}

/* Channels of the input besides the threads'. */
static size_t n_told(const mim_architecture *a)
{
    return a->thread == MIM_THREAD_BIAS ? mim_context_n_metrics(a) * mim_context_n_own(a) : 0;
}

static size_t inner_width(const mim_architecture *a) { return a->n_heads * a->head_width; }

static size_t n_condition(const mim_architecture *a) { return a->width + a->context_width; }

static mim_mlp_shape time_shape(const mim_architecture *a)
{
    return (mim_mlp_shape){2, {a->width, TIME_RATIO * a->width, a->width}, MIM_MISH, false};
}

static int check_size(const char *what, size_t n, size_t min, size_t max)
{
    return n < min || n > max ? mim_fail(MIM_EINVAL, "network: %s: expected %zu to %zu, found %zu",
                                         what, min, max, n)
                              : MIM_OK;
}

static int check(const mim_architecture *a)
{
    size_t n_levels, multipliers[MAX_LEVELS];
    const struct {
        const char *what;
        size_t n, min, max;
    } sizes[] = {{"stressors", a->n_stressors, 1, 1 << 12},
                 {"threads", a->n_threads, 1, 1 << 12},
                 {"width", a->width, 4, MIM_NETWORK_MAX_WIDTH},
                 {"heads", a->n_heads, 1, MIM_NETWORK_MAX_WIDTH},
                 {"head_width", a->head_width, 1, MIM_NETWORK_MAX_WIDTH},
                 {"heads times head_width", inner_width(a), 1, MIM_NETWORK_MAX_WIDTH}};
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < sizeof sizes / sizeof *sizes; i++)
        rc = check_size(sizes[i].what, sizes[i].n, sizes[i].min, sizes[i].max);
    if (rc == MIM_OK && a->width % 2)
        rc = mim_fail(MIM_EINVAL, "network: a width of %zu is odd", a->width);
    if (rc == MIM_OK)
        rc = get_multipliers(a, &n_levels, multipliers);
    if (rc == MIM_OK && !(a->dropout >= 0 && a->dropout < 1))
        rc = mim_fail(MIM_EINVAL, "network: dropout: expected 0 to less than 1, found %g",
                      a->dropout);
    if (rc == MIM_OK && a->thread != MIM_THREAD_NONE && a->thread != MIM_THREAD_BIAS)
        rc = mim_fail(MIM_EINVAL, "network: a U-Net's thread_condition is none or bias");
    return rc == MIM_OK ? mim_context_check(a) : rc;
}

/* ---- the plan and its tensors --------------------------------------------------------------- */

/* The first failure stays; what is asked then does nothing. */
typedef struct builder {
    const mim_architecture *a;
    mim_tensors *layout;
    plan *plan;
    int rc;
} builder;

static const plane *plane_at(const builder *b, size_t i) { return &b->plan->planes[i]; }

/* Where a step's own plane is. */
static size_t add_step(builder *b, step s, size_t n_positions, size_t n_channels)
{
    plan *p = b->plan;
    if (b->rc == MIM_OK && p->n_steps == MAX_PLANES)
        b->rc = mim_fail(MIM_EINVAL, "network: more than %d steps", MAX_PLANES);
    if (b->rc != MIM_OK)
        return 0;
    s.y = p->n_planes;
    p->steps[p->n_steps++] = s;
    p->planes[p->n_planes] = (plane){n_positions, n_channels};
    return p->n_planes++;
}

/* Weight [n_first][n_second][width] and bias [n_out], which start within +- 1 / sqrt(fan in). */
static size_t add_kernel(builder *b, const char *name, size_t n_first, size_t n_second,
                         size_t width, size_t n_out)
{
    const size_t shape[3] = {n_first, n_second, width};
    const double scale = 1 / sqrt((double)(n_second * width));
    char full[MAX_NAME];
    size_t index = 0;
    snprintf(full, sizeof full, "%s.weight", name);
    if (b->rc == MIM_OK)
        b->rc = mim_tensors_add(b->layout, full, 3, shape, MIM_INIT_UNIFORM, scale, true, &index);
    snprintf(full, sizeof full, "%s.bias", name);
    if (b->rc == MIM_OK)
        b->rc = mim_tensors_add(b->layout, full, 1, &n_out, MIM_INIT_UNIFORM, scale, false, NULL);
    return index;
}

static size_t convolve(builder *b, const char *name, size_t x, size_t n_out, size_t width)
{
    const plane *p = plane_at(b, x);
    step s = {.kind = CONVOLVE, .x = x, .width = width, .stride = 1, .padding = width / 2};
    s.tensor = add_kernel(b, name, n_out, p->n_channels, width, n_out);
    return add_step(b, s, p->n_positions, n_out);
}

/* Half as many positions, or twice as many. */
static size_t stretch(builder *b, const char *name, size_t x, bool is_up)
{
    const plane *p = plane_at(b, x);
    step s = {.kind = CONVOLVE,
              .x = x,
              .width = STRETCH,
              .stride = 2,
              .padding = 1,
              .is_transposed = is_up};
    s.tensor = add_kernel(b, name, p->n_channels, p->n_channels, STRETCH, p->n_channels);
    return add_step(b, s, is_up ? 2 * p->n_positions : p->n_positions / 2, p->n_channels);
}

static size_t norm(builder *b, const char *name, size_t x, const char *film, bool is_active)
{
    const plane *p = plane_at(b, x);
    step s = {.kind = NORM, .x = x, .film = SIZE_MAX, .is_active = is_active};
    char full[MAX_NAME];
    snprintf(full, sizeof full, "%s.gain", name);
    if (b->rc == MIM_OK)
        b->rc =
            mim_tensors_add(b->layout, full, 1, &p->n_channels, MIM_INIT_ONE, 0, false, &s.tensor);
    if (b->rc == MIM_OK && film)
        b->rc = mim_tensors_add_linear(b->layout, film, n_condition(b->a), 2 * p->n_channels, false,
                                       &s.film);
    return add_step(b, s, p->n_positions, p->n_channels);
}

static size_t combine(builder *b, step_kind kind, size_t x, size_t z)
{
    const plane *p = plane_at(b, x), *q = plane_at(b, z);
    const step s = {.kind = kind, .x = x, .z = z};
    return add_step(b, s, p->n_positions,
                    kind == JOIN ? p->n_channels + q->n_channels : p->n_channels);
}

static size_t add_residual(builder *b, const char *prefix, size_t x, size_t n_out)
{
    static const char *const ends[] = {"conv1", "norm1", "conv2", "norm2", "film", "skip"};
    const size_t width = b->a->is_pointwise ? 1 : 3;
    char names[6][MAX_NAME];
    size_t skip = x;
    for (size_t i = 0; i < 6; i++)
        snprintf(names[i], MAX_NAME, "%s.%s", prefix, ends[i]);
    size_t y = convolve(b, names[0], x, n_out, width);
    y = norm(b, names[1], y, names[4], true);
    y = convolve(b, names[2], y, n_out, width);
    y = norm(b, names[3], y, NULL, true);
    if (plane_at(b, x)->n_channels != n_out)
        skip = convolve(b, names[5], x, n_out, 1);
    return combine(b, SUM, y, skip);
}

static size_t add_attention(builder *b, const char *prefix, size_t x)
{
    const size_t inner = inner_width(b->a), width = plane_at(b, x)->n_channels;
    char name[MAX_NAME];
    snprintf(name, sizeof name, "%s.attention", prefix);
    size_t y = norm(b, name, x, NULL, false);
    snprintf(name, sizeof name, "%s.attention.qkv", prefix);
    y = convolve(b, name, y, 3 * inner, 1);
    y = add_step(b, (step){.kind = ATTEND, .x = y}, plane_at(b, y)->n_positions, inner);
    snprintf(name, sizeof name, "%s.attention.out", prefix);
    y = convolve(b, name, y, width, 1);
    return combine(b, SUM, y, x);
}

/* Two residual blocks and attention; in the middle attention stands between them. */
static size_t add_level(builder *b, const char *prefix, size_t x, size_t n_out, bool is_middle)
{
    char first[MAX_NAME], second[MAX_NAME];
    snprintf(first, sizeof first, "%s.res1", prefix);
    snprintf(second, sizeof second, "%s.res2", prefix);
    x = add_residual(b, first, x, n_out);
    if (is_middle)
        x = add_attention(b, prefix, x);
    x = add_residual(b, second, x, n_out);
    return is_middle ? x : add_attention(b, prefix, x);
}

static void add_levels(builder *b, size_t x, size_t n_levels, const size_t *multipliers)
{
    const size_t width = b->a->width;
    const bool is_pointwise = b->a->is_pointwise;
    size_t skips[MAX_LEVELS];
    char name[32], end[64];
    for (size_t l = 0; l < n_levels; l++) {
        snprintf(name, sizeof name, "down%zu", l);
        snprintf(end, sizeof end, "%s.down", name);
        skips[l] = x = add_level(b, name, x, multipliers[l] * width, false);
        if (l + 1 < n_levels && !is_pointwise)
            x = stretch(b, end, x, false);
    }
    x = add_level(b, "middle", x, multipliers[n_levels - 1] * width, true);
    for (size_t l = n_levels - 1; l > 0; l--) {
        snprintf(name, sizeof name, "up%zu", n_levels - 1 - l);
        snprintf(end, sizeof end, "%s.up", name);
        x = add_level(b, name, combine(b, JOIN, x, skips[l]), multipliers[l - 1] * width, false);
        if (!is_pointwise)
            x = stretch(b, end, x, true);
    }
    x = convolve(b, "out.conv1", x, plane_at(b, x)->n_channels, is_pointwise ? 1 : 3);
    x = norm(b, "out.norm", x, NULL, true);
    convolve(b, "out.conv2", x, b->a->n_threads, 1);
}

static int build(const mim_architecture *a, mim_tensors *layout, plan *p)
{
    const mim_mlp_shape time = time_shape(a);
    size_t n_levels, multipliers[MAX_LEVELS], x = 0;
    builder b = {a, layout, p, get_multipliers(a, &n_levels, multipliers)};
    if (b.rc == MIM_OK)
        b.rc = mim_mlp_add_tensors(&time, "time", layout, &p->time);
    if (b.rc == MIM_OK)
        b.rc = mim_context_add_tensors(a, layout, &p->context);
    if (b.rc != MIM_OK)
        return b.rc;
    p->n_steps = 0;
    p->n_planes = 1;
    p->planes[0] = (plane){n_padded(a, n_levels), a->n_threads + n_told(a)};
    if (n_told(a) > 0)
        x = convolve(&b, "threads", 0, a->n_threads, 1);
    add_levels(&b, x, n_levels, multipliers);
    return b.rc;
}

/* layout, plan: new, the caller's; NULL plan: not wanted. */
static int make_layout(const mim_architecture *a, mim_tensors **layout, plan **steps)
{
    mim_tensors *made = NULL;
    plan *p = calloc(1, sizeof *p);
    int rc = p ? mim_tensors_create(&made) : mim_fail(MIM_ENOMEM, "network");
    if (rc == MIM_OK)
        rc = build(a, made, p);
    if (rc == MIM_OK) {
        *layout = made;
        made = NULL;
    }
    if (rc == MIM_OK && steps) {
        *steps = p;
        p = NULL;
    }
    mim_tensors_destroy(&made);
    free(p);
    return rc;
}

static int layout_of(const mim_architecture *a, mim_tensors **layout)
{
    return make_layout(a, layout, NULL);
}

static mim_convolution convolution_of(const plan *p, const step *s, size_t n_samples)
{
    const plane *x = &p->planes[s->x], *y = &p->planes[s->y];
    return (mim_convolution){n_samples, x->n_positions, x->n_channels, y->n_channels,
                             s->width,  s->stride,      s->padding,    s->is_transposed};
}

static double step_flop(const mim_architecture *a, const plan *p, const step *s, double n_samples)
{
    const plane *y = &p->planes[s->y];
    const double n = (double)y->n_positions, c = (double)y->n_channels;
    const mim_convolution convolution = convolution_of(p, s, 1);
    switch (s->kind) {
    case CONVOLVE:
        return n_samples * mim_convolution_flop(&convolution);
    case NORM:
        return s->film == SIZE_MAX ? 0 : 4 * n_samples * c * (double)n_condition(a);
    case ATTEND:
        return 4 * n_samples * n * n * c;
    case JOIN:
    case SUM:
        break;
    }
    return 0;
}

/* 0 when there is no memory for the plan. */
static double flop(const mim_architecture *a, size_t n_samples, size_t n_threads)
{
    const mim_mlp_shape time = time_shape(a);
    mim_tensors *layout = NULL;
    plan *p = NULL;
    double sum = mim_mlp_flop(&time, n_samples) + mim_context_flop(a, n_samples);
    (void)n_threads; /* there is only one number of them */
    if (make_layout(a, &layout, &p) != MIM_OK)
        return 0;
    for (size_t i = 0; i < p->n_steps; i++)
        sum += step_flop(a, p, &p->steps[i], (double)n_samples);
    mim_tensors_destroy(&layout);
    free(p);
    return sum;
}

static size_t n_rows(const mim_architecture *a, size_t n_threads)
{
    (void)n_threads; /* there is only one number of them */
    size_t n_levels, multipliers[MAX_LEVELS];
    return get_multipliers(a, &n_levels, multipliers) == MIM_OK ? n_padded(a, n_levels)
                                                                : a->n_stressors;
}

#include "nn/as_float.h"

#include "diffusion/network_unet_internal.h"

#include "nn/as_double.h"

#include "diffusion/network_unet_internal.h"

const mim_network_kind mim_network_unet = {
    .is_for_its_threads = true,
    .only_f32 = "a U-Net",
    .check = check,
    .layout = layout_of,
    .flop = flop,
    .n_rows = n_rows,
    .create_f = create_f,
    .create_d = create_d,
};
