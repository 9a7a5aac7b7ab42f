/* diffusion/train_settings: the settings of networks and what they become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "diffusion/train_settings.h"

static const mim_option *const tables[] = {mim_model_settings, mim_train_settings,
                                           mim_examples_settings, mim_validate_settings, NULL};

static int plan_of(size_t n, const char *const *settings, mim_train_plan *plan)
{
    mim_config *config = NULL;
    assert_int_equal(mim_config_create(tables, &config), MIM_OK);
    for (size_t i = 0; i < n; i++)
        if (mim_config_set(config, "--set", settings[i]) != MIM_OK)
            fail_msg("%s", mim_error());
    const int rc = mim_train_plan_get(config, plan);
    mim_config_destroy(&config);
    return rc;
}

/* Without settings: the network with one token a thread, and nothing of others in it. */
static void test_defaults(void **state)
{
    (void)state;
    mim_train_plan plan;
    assert_int_equal(plan_of(0, NULL, &plan), MIM_OK);
    const mim_architecture *a = &plan.size;
    assert_int_equal(a->kind, MIM_NETWORK_THREAD_TOKEN);
    assert_true(a->width == 128 && a->n_blocks == 4 && a->n_heads == 4 && a->mlp_ratio == 4);
    assert_true(a->encoder_width == 0 && !a->has_masks && !*a->multipliers);
}

/* Every word that a setting offers is one that networks know, and the other way round. */
static void test_words(void **state)
{
    (void)state;
    for (const mim_option *o = mim_model_settings; o->section; o++) {
        size_t field = 0, n_words = 0;
        mim_architecture a = {0};
        while (field < mim_architecture_n_fields() &&
               strcmp(mim_architecture_field(field), o->key) != 0)
            field++;
        if (field == mim_architecture_n_fields() || o->type != MIM_OPTION_CHOICE)
            continue;
        char *words = mim_strdup(o->choices), *rest = NULL;
        for (char *w = strtok_r(words, "|", &rest); w; w = strtok_r(NULL, "|", &rest), n_words++) {
            char text[MIM_ARCHITECTURE_TEXT_BYTES];
            if (mim_architecture_set(&a, o->key, w) != MIM_OK)
                fail_msg("%s: %s", o->key, mim_error());
            mim_architecture_text(&a, field, text);
            assert_string_equal(text, w);
        }
        if (strcmp(o->key, "kind") == 0)
            assert_int_equal(n_words, MIM_N_NETWORKS);
        if (strcmp(o->key, "encoder") == 0)
            assert_int_equal(n_words, MIM_N_CONTEXTS);
        free(words);
    }
    for (size_t i = 0; i < mim_architecture_n_fields(); i++) { /* every field can be set */
        const mim_option *o = mim_model_settings;
        while (o->section && strcmp(o->key, mim_architecture_field(i)) != 0)
            o++;
        assert_int_equal(o->section != NULL, !mim_architecture_is_of_domain(i));
    }
}

static void test_kinds(void **state)
{
    (void)state;
    static const char *const cells[] = {"model.kind=cell_token",
                                        "model.width=256",
                                        "model.blocks=6",
                                        "model.heads=8",
                                        "model.dropout=0.05",
                                        "model.encoder=per_position",
                                        "model.thread_condition=film",
                                        "model.quiet_rows=8-14",
                                        "model.metric_masks=false",
                                        "model.multipliers=1"};
    static const char *const unet[] = {"model.kind=unet", "model.width=64", "model.multipliers=1,2",
                                       "model.pointwise=yes"};
    mim_train_plan plan;
    assert_int_equal(plan_of(10, cells, &plan), MIM_OK);
    const mim_architecture *a = &plan.size;
    assert_true(a->kind == MIM_NETWORK_CELL_TOKEN && a->width == 256 && a->n_blocks == 6 &&
                a->n_heads == 8 && a->encoder_width == 128 && a->encoder_blocks == 6);
    assert_true(a->dropout > 0.049 && a->dropout < 0.051 && !a->has_masks);
    assert_true(a->encoder == MIM_CONTEXT_PER_POSITION && a->thread == MIM_THREAD_FILM &&
                a->previous == MIM_PREVIOUS_TOKEN);
    assert_string_equal(a->quiet_rows, "8-14");
    assert_string_equal(a->multipliers, ""); /* not of this kind */
    assert_int_equal(plan_of(4, unet, &plan), MIM_OK);
    assert_true(a->kind == MIM_NETWORK_UNET && a->width == 64 && a->head_width == 32 &&
                a->is_pointwise && a->n_blocks == 0 && a->previous == MIM_PREVIOUS_NONE);
    assert_string_equal(a->multipliers, "1,2");
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *settings[3], *part;
    } cases[] = {
        {{"model.heads=3"}, "no multiple of 3 heads"},
        {{"model.kind=unet", "model.multipliers=1,x"}, "multipliers"},
        {{"model.kind=unet", "model.thread_condition=film"}, "none or bias"},
        {{"model.kind=cell_token", "model.thread_condition=film_enc"}, "per_position"},
        {{"model.kind=cell_token", "model.quiet_rows=3"}, "quiet_rows goes with"},
        {{"model.kind=cell_token", "model.encoder=transformer", "model.encoder_heads=3"},
         "no multiple of 3 heads"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 0;
        mim_train_plan plan;
        while (n < 3 && cases[i].settings[n])
            n++;
        assert_int_equal(plan_of(n, cases[i].settings, &plan), MIM_EUSAGE);
        if (!strstr(mim_error(), cases[i].part) || !strstr(mim_error(), "[model]"))
            fail_msg("\"%s\" has no \"%s\"", mim_error(), cases[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
