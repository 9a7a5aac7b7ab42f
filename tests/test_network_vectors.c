/* Published networks against their test vectors: tiny ones filled by rule, forward and backward,
 * and the numbers of parameters and operations of those that were trained. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "diffusion/network.h"
#include "support/gradient.h"

/* Tensor k of the given order holds 0.1 sin(1 + i + 10 k), i the row-major index; gains of norms 1
 * more. */
static void fill(mim_params_d *p, const char *const *names, size_t n)
{
    size_t n_filled = 0;
    for (size_t k = 0; k < n; k++) {
        const size_t at = mim_tensors_find(p->layout, names[k]);
        if (at == SIZE_MAX)
            fail_msg("there is no tensor %s", names[k]);
        const mim_tensor *t = &p->layout->tensors[at];
        const double base = strstr(t->name, "gain") ? 1 : 0;
        for (size_t i = 0; i < t->n_values; i++)
            p->values[t->offset + i] = base + 0.1 * sin(1 + (double)i + 10 * (double)k);
        n_filled += t->n_values;
    }
    assert_int_equal(n_filled, p->n_values);
    assert_int_equal(n, p->layout->n_tensors);
}

static double norm_of(const mim_params_d *p, const char *name)
{
    const size_t at = name ? mim_tensors_find(p->layout, name) : 0;
    assert_true(at != SIZE_MAX);
    const mim_tensor *t = &p->layout->tensors[at];
    const double *g = p->grads + (name ? t->offset : 0);
    return sqrt(mim_test_dot(name ? t->n_values : p->n_values, g, g));
}

static size_t n_parameters(const mim_architecture *a)
{
    mim_tensors *layout = NULL;
    assert_int_equal(mim_network_layout(a, &layout), MIM_OK);
    const size_t n = layout->n_values;
    mim_tensors_destroy(&layout);
    return n;
}

typedef struct expected {
    const char *name; /* of a tensor, NULL: of all */
    double norm;      /* of its gradient */
} expected;

/* Two samples; the inputs of the published vectors lie stressor by stressor. */
typedef struct vectors {
    const mim_architecture *a;
    const char *const *names;
    size_t n_names;
    double loss;
    const double *out; /* [2][S][T] */
    double out_is_known_to;
    const expected *norms; /* ended by a norm of 0 */
} vectors;

enum { MOST = 2 * 2 * 3 };

static void to_rows(const mim_architecture *a, const double *from, double *to)
{
    const size_t s = a->n_stressors, t = a->n_threads;
    for (size_t i = 0; i < 2 * s * t; i++)
        to[(i / (s * t) * t + i % t) * s + i / t % s] = from[i];
}

typedef struct question {
    double x[MOST], previous[MOST], eps[MOST], cpu[8], node[8], ones[16];
    double time[2], is_conditional[2];
    uint32_t socket[8];
} question;

static mim_network_input_d ask(const mim_architecture *a, question *q)
{
    const size_t t = a->n_threads, m = t + a->n_node_metrics, n = 2 * a->n_stressors * t;
    double flat[3][MOST] = {{0}};
    *q = (question){.time = {3, 12}, .is_conditional = {1, 0}};
    for (size_t i = 0; i < n; i++) {
        flat[0][i] = cos(0.5 * (double)i);
        flat[1][i] = cos(0.9 * (double)i);
        flat[2][i] = sin(0.3 * (double)i + 0.1);
    }
    to_rows(a, flat[0], q->x);
    to_rows(a, flat[1], q->previous);
    to_rows(a, flat[2], q->eps);
    for (size_t i = 0; i < 16; i++)
        q->ones[i] = 1;
    for (size_t i = 0; i < 2 * m; i++) {
        const double metric = cos(0.7 * (double)i);
        if (i % m < t)
            q->cpu[i / m * t + i % m] = metric;
        else
            q->node[i / m * a->n_node_metrics + i % m - t] = metric;
    }
    return (mim_network_input_d){.n_samples = 2,
                                 .n_threads = t,
                                 .noisy = q->x,
                                 .previous = q->previous,
                                 .cpu = q->cpu,
                                 .cpu_mask = q->ones,
                                 .node = q->node,
                                 .node_mask = q->ones,
                                 .has_previous = q->ones,
                                 .is_conditional = q->is_conditional,
                                 .time = q->time,
                                 .socket = q->socket};
}

static void check_vectors(const vectors *v)
{
    const mim_architecture *a = v->a;
    const size_t n = 2 * a->n_stressors * a->n_threads;
    const mim_network_options options = {
        &mim_gemm_plain, MIM_PRECISION_F32, NULL, 2, a->n_threads, true};
    double y[MOST], dy[MOST], out[MOST], loss = 0;
    question q;
    mim_tensors *layout = NULL;
    mim_params_d *p = NULL;
    mim_network_d *network = NULL;
    assert_true(n <= MOST && a->n_threads + a->n_node_metrics <= 8);
    const mim_network_input_d input = ask(a, &q);
    assert_int_equal(mim_network_layout(a, &layout), MIM_OK);
    assert_int_equal(mim_params_create_d(layout, &p), MIM_OK);
    fill(p, v->names, v->n_names);
    assert_int_equal(mim_network_create_d(a, &options, &network), MIM_OK);
    mim_network_forward_d(network, p->values, &input, y);
    to_rows(a, v->out, out);
    for (size_t i = 0; i < n; i++) {
        if (!isnan(out[i]) && !(fabs(y[i] - out[i]) < v->out_is_known_to))
            fail_msg("value %zu: %.13f, expected %.13f", i, y[i], out[i]);
        loss += (y[i] - q.eps[i]) * (y[i] - q.eps[i]) / (double)n;
        dy[i] = 2 * (y[i] - q.eps[i]) / (double)n;
    }
    if (!(fabs(loss - v->loss) < 1e-11))
        fail_msg("loss %.12f, expected %.12f", loss, v->loss);
    mim_network_backward_d(network, p->values, &input, dy, p->grads);
    for (const expected *e = v->norms; e->norm > 0; e++)
        if (!(fabs(norm_of(p, e->name) / e->norm - 1) < 1e-9))
            fail_msg("gradient of %s: %.12g, expected %.12g", e->name ? e->name : "all",
                     norm_of(p, e->name), e->norm);
    mim_network_destroy_d(&network);
    mim_params_destroy_d(&p);
    mim_tensors_destroy(&layout);
}

/* ---- the transformer with one token a cell -------------------------------------------------- */

static const mim_architecture tiny_cells = {.kind = MIM_NETWORK_CELL_TOKEN,
                                            .n_stressors = 2,
                                            .n_threads = 3,
                                            .n_node_metrics = 1,
                                            .n_sockets = 1,
                                            .width = 8,
                                            .n_blocks = 1,
                                            .n_heads = 2,
                                            .mlp_ratio = 4,
                                            .encoder = MIM_CONTEXT_METRICS_ONLY,
                                            .encoder_width = 8,
                                            .context_width = 8};

#define LINEAR(name) name ".weight", name ".bias"
#define CELL_TENSORS                                                                               \
    LINEAR("token"), "stressor", "thread", LINEAR("time1"), LINEAR("time2"), LINEAR("context1"),   \
        LINEAR("context2"), LINEAR("context3"), LINEAR("block0.qkv"), LINEAR("block0.mix"),        \
        LINEAR("block0.mlp1"), LINEAR("block0.mlp2"), LINEAR("block0.condition"),                  \
        LINEAR("last.condition"), LINEAR("last")

static void test_cells(void **state)
{
    (void)state;
    static const char *const names[] = {CELL_TENSORS};
    static const double out[12] = {
        -0.4856087408817, -0.1908279920920, 0.4889033035838, NAN, NAN, NAN,
        0.2738075452945,  0.5709451615915,  0.5941194470615, NAN, NAN, NAN};
    static const expected norms[] = {{NULL, 0.947666358082},
                                     {"token.weight", 0.2311294609},
                                     {"stressor", 0.3834499249},
                                     {"thread", 0.3983362435},
                                     {"time1.weight", 3.642106884e-3},
                                     {"context1.weight", 1.953278513e-5},
                                     {"context3.bias", 6.17469294e-3},
                                     {"block0.qkv.weight", 6.954161626e-3},
                                     {"block0.mix.weight", 0.01360295413},
                                     {"block0.mlp1.weight", 0.01233353304},
                                     {"block0.mlp2.weight", 0.02757813049},
                                     {"block0.condition.weight", 9.150717286e-3},
                                     {"last.condition.bias", 0.09329602474},
                                     {"last.weight", 0.3318591812},
                                     {"last.bias", 0.4651072968},
                                     {NULL, 0}};
    const vectors v = {&tiny_cells, names, sizeof names / sizeof *names, 0.250991624230, out,
                       1e-12,       norms};
    check_vectors(&v);
}

static void test_cells_with_previous(void **state)
{
    (void)state;
    static const char *const names[] = {CELL_TENSORS, LINEAR("previous1"), LINEAR("previous2")};
    static const double out[12] = {
        -0.0651399338067, 0.1048901755283, 0.5263474749077, NAN, NAN, NAN,
        0.2738075452945,  0.5709451615915, 0.5941194470615, NAN, NAN, NAN};
    static const expected norms[] = {{NULL, 1.029021714499},
                                     {"previous1.weight", 9.477052362e-3},
                                     {"previous2.weight", 0.031988065},
                                     {"previous2.bias", 0.375076423},
                                     {"last.bias", 0.2798180257},
                                     {NULL, 0}};
    mim_architecture a = tiny_cells;
    a.previous = MIM_PREVIOUS_TOKEN;
    const vectors v = {&a, names, sizeof names / sizeof *names, 0.171292136065, out, 1e-12, norms};
    check_vectors(&v);
}

/* ---- the U-Net ------------------------------------------------------------------------------ */

static const mim_architecture tiny_unet = {.kind = MIM_NETWORK_UNET,
                                           .n_stressors = 3,
                                           .n_threads = 2,
                                           .n_node_metrics = 1,
                                           .n_sockets = 1,
                                           .width = 4,
                                           .n_heads = 2,
                                           .head_width = 2,
                                           .multipliers = "1,2,4",
                                           .encoder = MIM_CONTEXT_METRICS_ONLY,
                                           .encoder_width = 4,
                                           .context_width = 4};

#define RESIDUAL(name)                                                                             \
    LINEAR(name ".conv1"), name ".norm1.gain", LINEAR(name ".conv2"), name ".norm2.gain",          \
        LINEAR(name ".film")
#define WIDENED(name) RESIDUAL(name), LINEAR(name ".skip")
#define ATTENTION(name)                                                                            \
    name ".attention.gain", LINEAR(name ".attention.qkv"), LINEAR(name ".attention.out")
#define LEVEL(name) WIDENED(name ".res1"), RESIDUAL(name ".res2"), ATTENTION(name)

static void test_unet(void **state)
{
    (void)state;
    static const char *const names[] = {
        LINEAR("time1"),         LINEAR("time2"),     LINEAR("context1"),      LINEAR("context2"),
        LINEAR("context3"),      LEVEL("down0"),      LINEAR("down0.down"),    LEVEL("down1"),
        LINEAR("down1.down"),    LEVEL("down2"),      RESIDUAL("middle.res1"), ATTENTION("middle"),
        RESIDUAL("middle.res2"), LEVEL("up0"),        LINEAR("up0.up"),        LEVEL("up1"),
        LINEAR("up1.up"),        LINEAR("out.conv1"), "out.norm.gain",         LINEAR("out.conv2")};
    static const double out[12] = {0.0159967816404, -0.0168076613121, -0.0040163183970,
                                   0.0006660156182, 0.0250294590051,  -0.0150080034292,
                                   0.0144185983484, -0.0161523662045, -0.0056411237078,
                                   0.0013237053234, 0.0238942429958,  -0.0140076522778};
    static const expected norms[] = {{NULL, 2.911305384007},
                                     {"time1.weight", 3.059076326e-4},
                                     {"down0.res1.conv1.weight", 0.1542369842},
                                     {"down0.attention.qkv.weight", 3.132085653e-3},
                                     {"down0.down.weight", 0.08044433267},
                                     {"middle.res1.conv2.weight", 0.2215127752},
                                     {"up0.res1.conv1.weight", 0.3684156333},
                                     {"up0.up.weight", 0.1860410037},
                                     {"out.conv1.weight", 0.1501830647},
                                     {"out.norm.gain", 0.07244847515},
                                     {"out.conv2.bias", 0.7545816155},
                                     {NULL, 0}};
    const vectors v = {&tiny_unet, names, sizeof names / sizeof *names, 0.441067099925, out,
                       1e-12,      norms};
    assert_int_equal(v.n_names, 159);
    assert_int_equal(n_parameters(&tiny_unet), 13286);
    check_vectors(&v);
}

/* ---- sizes ---------------------------------------------------------------------------------- */

static const mim_architecture published_cells = {.kind = MIM_NETWORK_CELL_TOKEN,
                                                 .n_stressors = 20,
                                                 .n_threads = 20,
                                                 .n_node_metrics = 8,
                                                 .n_sockets = 2,
                                                 .width = 256,
                                                 .n_blocks = 6,
                                                 .n_heads = 8,
                                                 .mlp_ratio = 4,
                                                 .encoder = MIM_CONTEXT_METRICS_ONLY,
                                                 .encoder_width = 256,
                                                 .context_width = 256};

static void test_published_sizes(void **state)
{
    (void)state;
    mim_architecture a = published_cells;
    assert_int_equal(n_parameters(&a), 10398465);
    assert_true(fabs(mim_network_flop(&a, 1, 20) * 1e-9 - 4.770) < 5e-4);
    a.previous = MIM_PREVIOUS_TOKEN;
    assert_int_equal(n_parameters(&a), 10464769);
    assert_true(fabs(mim_network_flop(&a, 1, 20) * 1e-9 - 4.822) < 1e-3);
}

/* The body of the U-Net is what is left without the context encoder. */
static void test_published_unets(void **state)
{
    (void)state;
    mim_architecture a = {.kind = MIM_NETWORK_UNET,
                          .n_stressors = 20,
                          .n_threads = 20,
                          .n_node_metrics = 8,
                          .n_sockets = 2,
                          .width = 64,
                          .n_heads = 4,
                          .head_width = 32,
                          .multipliers = "1,2,4",
                          .encoder = MIM_CONTEXT_METRICS_ONLY,
                          .encoder_width = 256,
                          .context_width = 256,
                          .encoder_blocks = 6,
                          .encoder_heads = 4,
                          .encoder_ratio = 4};
    assert_int_equal(n_parameters(&a), 4073684 + 139008);
    assert_true(fabs(mim_network_flop(&a, 1, 20) * 1e-9 - 0.0601) < 5e-4);
    a.encoder = MIM_CONTEXT_TRANSFORMER;
    assert_int_equal(n_parameters(&a), 8895956);
    a.encoder = MIM_CONTEXT_CONCAT;
    assert_int_equal(n_parameters(&a), 4315092);
    a.n_stressors = 13; /* the first generation: 25 metrics */
    a.n_node_metrics = 5;
    assert_int_equal(n_parameters(&a), 4278484);
    assert_true(fabs(mim_network_flop(&a, 1, 20) * 1e-9 - 0.031) < 1e-3);
    a.encoder = MIM_CONTEXT_TRANSFORMER;
    assert_int_equal(n_parameters(&a), 8893396);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_cells_with_previous),
        cmocka_unit_test(test_unet),
        cmocka_unit_test(test_published_sizes),
        cmocka_unit_test(test_published_unets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
