/* Where a thread may run, as the system itself tells. */
#define _GNU_SOURCE /* CPU sets */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/pin.h"

static mim_machine *make_machine(size_t max_cpus)
{
    mim_machine *machine = NULL;
    if (mim_machine_create(max_cpus, &machine) != MIM_OK)
        fail_msg("%s", mim_error());
    return machine;
}

static cpu_set_t allowed(void)
{
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    return set;
}

static void expect_only(int os_index)
{
    const cpu_set_t now = allowed();
    assert_int_equal(CPU_COUNT(&now), 1);
    assert_true(CPU_ISSET((size_t)os_index, &now));
}

static void test_pin_and_unpin(void **state)
{
    (void)state;
    const cpu_set_t before = allowed();
    mim_machine *machine = make_machine(0);
    for (size_t i = 0; i < machine->n_cpus; i++) {
        mim_pin(machine->cpus[i].os_index);
        expect_only(machine->cpus[i].os_index);
        assert_int_equal(sched_getcpu(), machine->cpus[i].os_index);
    }
    mim_unpin(machine);
    const cpu_set_t after = allowed();
    assert_true(CPU_EQUAL(&after, &before));
    mim_machine_destroy(&machine);
}

/* A ceiling on CPUs stays one after a thread was pinned. */
static void test_unpin_to_the_handle(void **state)
{
    (void)state;
    const cpu_set_t before = allowed();
    mim_machine *one = make_machine(1), *all = make_machine(0);
    mim_unpin(one);
    expect_only(one->cpus[0].os_index);
    mim_unpin(all);
    const cpu_set_t after = allowed();
    assert_true(CPU_EQUAL(&after, &before));
    mim_machine_destroy(&one);
    mim_machine_destroy(&all);
}

/* A CPU that is not there is refused by the system: the thread stays where it may run. */
static void test_refused(void **state)
{
    (void)state;
    const cpu_set_t before = allowed();
    mim_pin(1 << 20);
    const cpu_set_t after = allowed();
    assert_true(CPU_EQUAL(&after, &before));
}

static void *pin_itself(void *os_index)
{
    cpu_set_t *now = NULL;
    mim_pin(*(const int *)os_index);
    if ((now = CPU_ALLOC(CPU_SETSIZE)))
        *now = allowed();
    return now;
}

static void test_other_threads_stay(void **state)
{
    (void)state;
    const cpu_set_t before = allowed();
    mim_machine *machine = make_machine(0);
    int last = machine->cpus[machine->n_cpus - 1].os_index;
    pthread_t thread;
    void *of_thread = NULL;
    assert_int_equal(pthread_create(&thread, NULL, pin_itself, &last), 0);
    assert_int_equal(pthread_join(thread, &of_thread), 0);
    assert_non_null(of_thread);
    assert_int_equal(CPU_COUNT((cpu_set_t *)of_thread), 1);
    assert_true(CPU_ISSET((size_t)last, (cpu_set_t *)of_thread));
    const cpu_set_t after = allowed();
    assert_true(CPU_EQUAL(&after, &before));
    CPU_FREE(of_thread);
    mim_machine_destroy(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pin_and_unpin),
        cmocka_unit_test(test_unpin_to_the_handle),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_other_threads_stay),
    };
    return cmocka_run_group_tests_name("pin", tests, NULL, NULL);
}
