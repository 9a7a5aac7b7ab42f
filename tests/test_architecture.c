/* diffusion/architecture: fields as text and back, differences, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "diffusion/architecture.h"

static const mim_architecture some = {.kind = MIM_NETWORK_THREAD_TOKEN,
                                      .n_stressors = 20,
                                      .n_threads = 4,
                                      .n_node_metrics = 8,
                                      .n_sockets = 2,
                                      .width = 64,
                                      .n_blocks = 3,
                                      .n_heads = 4,
                                      .mlp_ratio = 2,
                                      .dropout = 0.1,
                                      .head_width = 6,
                                      .multipliers = "1,2,4",
                                      .is_pointwise = true,
                                      .encoder = MIM_CONTEXT_CONCAT_TRANSFORMER,
                                      .encoder_width = 96,
                                      .context_width = 33,
                                      .encoder_blocks = 5,
                                      .encoder_heads = 3,
                                      .encoder_ratio = 7,
                                      .encoder_dropout = 1.0 / 3,
                                      .has_masks = true,
                                      .previous = MIM_PREVIOUS_TOKEN,
                                      .is_previous_frozen = true,
                                      .thread = MIM_THREAD_FILM_ENC,
                                      .quiet_rows = "8-14,3"};

static void test_round_trip(void **state)
{
    (void)state;
    mim_architecture back = {0};
    assert_int_equal(mim_architecture_difference(&some, &some), SIZE_MAX);
    for (size_t i = 0; i < mim_architecture_n_fields(); i++) {
        char text[MIM_ARCHITECTURE_TEXT_BYTES], again[MIM_ARCHITECTURE_TEXT_BYTES];
        mim_architecture_text(&some, i, text);
        assert_int_equal(mim_architecture_set(&back, mim_architecture_field(i), text), MIM_OK);
        mim_architecture_text(&back, i, again);
        assert_string_equal(text, again);
    }
    assert_int_equal(mim_architecture_difference(&some, &back), SIZE_MAX);
    assert_memory_equal(&back.n_stressors, &some.n_stressors, 8 * sizeof(size_t));
    assert_true(back.dropout == some.dropout && back.encoder_dropout == some.encoder_dropout);
    assert_true(back.encoder == some.encoder && back.thread == some.thread && back.has_masks &&
                back.is_previous_frozen && back.previous == some.previous);
    assert_string_equal(back.quiet_rows, some.quiet_rows);
    assert_string_equal(back.multipliers, some.multipliers);
    assert_true(back.is_pointwise && back.head_width == 6);
    back.n_heads = 8;
    assert_string_equal(mim_architecture_field(mim_architecture_difference(&some, &back)), "heads");
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *part;
    } cases[] = {
        {"kind", "tokens", "kind \"tokens\" is not known"},
        {"kind", "", "is not known"},
        {"colour", "1", "\"colour\" is not known"},
        {"width", "12abc", "width"},
        {"width", "-1", "width"},
        {"width", "", "width"},
        {"dropout", "much", "dropout"},
        {"dropout", "nan", "dropout"},
        {"metric_masks", "maybe", "metric_masks"},
        {"encoder", "film_enc", "encoder \"film_enc\" is not known"},
        {"quiet_rows",
         "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,"
         "33,34,35,36,37",
         "at most 95 characters"},
    };
    mim_architecture a = some;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mim_architecture_set(&a, cases[i].name, cases[i].text), MIM_EDATA);
        if (!strstr(mim_error(), cases[i].part))
            fail_msg("\"%s\" has no \"%s\"", mim_error(), cases[i].part);
    }
    assert_int_equal(mim_architecture_difference(&some, &a), SIZE_MAX);
}

/* Numbers read with a point whatever stands behind it: short where that is exact. */
static void test_reals(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } reals[] = {{0.1, "0.1"}, {0, "0"}, {1.0 / 3, "0.33333333333333331"}, {1e-3, "0.001"}};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        const mim_architecture a = {.dropout = reals[i].value};
        char text[MIM_ARCHITECTURE_TEXT_BYTES] = "";
        for (size_t f = 0; f < mim_architecture_n_fields(); f++)
            if (strcmp(mim_architecture_field(f), "dropout") == 0)
                mim_architecture_text(&a, f, text);
        assert_string_equal(text, reals[i].text);
    }
}

static void test_rows(void **state)
{
    (void)state;
    static const struct {
        const char *text, *named; /* of 6 rows; NULL: refused */
    } rows[] = {{"", "000000"},    {"3", "000100"},     {"1-3", "011100"}, {"0,5", "100001"},
                {"0-5", "111111"}, {"1,1-2", "011000"}, {"6", NULL},       {"4-6", NULL},
                {"3-1", NULL},     {"-1", NULL},        {"1-", NULL},      {"a", NULL},
                {"1,,2", NULL},    {"1,", NULL},        {"1 -2", NULL},    {"1-2-3", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char is_named[6];
        const int rc = mim_architecture_rows(rows[i].text, 6, is_named);
        if ((rc == MIM_OK) != (rows[i].named != NULL))
            fail_msg("rows \"%s\": %d", rows[i].text, rc);
        for (size_t r = 0; r < 6 && rows[i].named; r++)
            assert_int_equal(is_named[r], rows[i].named[r] - '0');
        assert_int_equal(mim_architecture_rows(rows[i].text, 6, NULL), rc);
    }
}

/* Who looks at what: an encoder is nothing to thread_token, a ratio nothing to a U-Net. */
static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool of_domain, of[MIM_N_NETWORKS];
    } known[] = {
        {"kind", false, {true, true, true}},         {"threads", true, {true, true, true}},
        {"node_metrics", true, {true, true, true}},  {"mlp_ratio", false, {true, true, false}},
        {"encoder", false, {false, true, true}},     {"previous", false, {false, true, false}},
        {"multipliers", false, {false, false, true}}};
    size_t n_found = 0;
    for (size_t i = 0; i < mim_architecture_n_fields(); i++)
        for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
            if (strcmp(mim_architecture_field(i), known[k].name) != 0)
                continue;
            n_found++;
            assert_int_equal(mim_architecture_is_of_domain(i), known[k].of_domain);
            for (size_t kind = 0; kind < MIM_N_NETWORKS; kind++)
                assert_int_equal(mim_architecture_is_of_kind(i, (mim_network_name)kind),
                                 known[k].of[kind]);
        }
    assert_int_equal(n_found, sizeof known / sizeof *known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_reals),      cmocka_unit_test(test_rows),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
