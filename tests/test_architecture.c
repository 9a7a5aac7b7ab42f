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
                                      .mlp_ratio = 2};

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
    };
    mim_architecture a = some;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mim_architecture_set(&a, cases[i].name, cases[i].text), MIM_EDATA);
        if (!strstr(mim_error(), cases[i].part))
            fail_msg("\"%s\" has no \"%s\"", mim_error(), cases[i].part);
    }
    assert_int_equal(mim_architecture_difference(&some, &a), SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
