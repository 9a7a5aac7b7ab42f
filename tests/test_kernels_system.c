/* Stressors of the kernel and the network, against what the kernel itself counts. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "node/kernel.h"
#include "node/kernel_family.h"
#include "node/machine.h"
#include "node/pin.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

/* The thread sanitizer's own memory is faulted in beside ours. */
#if defined(__SANITIZE_THREAD__)
#define HAS_SHADOW_FAULTS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_SHADOW_FAULTS 1
#endif
#endif
#ifndef HAS_SHADOW_FAULTS
#define HAS_SHADOW_FAULTS 0
#endif

static const mim_kernel_place here = {.row = 0, .seed = 7};

static void check_ok(int rc)
{
    if (rc != MIM_OK)
        fail_msg("%s", mim_error());
}

static struct rusage own_usage(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage;
}

/* ---- paging ---------------------------------------------------------------------------------- */

/* One minor fault each, by the kernel's count. */
static void test_faults_are_counted_by_the_kernel(void **unused)
{
    static const struct {
        mim_stressor stressor;
        size_t n_batches;
    } cases[] = {
        {{.name = "faults", .kernel = "page_faults", .memory_bytes = 4 * MIB}, 200},
        {{.name = "mappings", .kernel = "mmap_churn", .memory_bytes = 64 * KIB}, 200},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mim_kernel *kernel = mim_kernel_find(cases[i].stressor.kernel);
        mim_work work = {0};
        void *state = NULL;
        uint64_t n;

        check_ok(kernel->create(&cases[i].stressor, &here, &state));
        check_ok(kernel->run(state, 1, &work));
        work = (mim_work){0};
        n = (uint64_t)own_usage().ru_minflt;
        check_ok(kernel->run(state, cases[i].n_batches, &work));
        n = (uint64_t)own_usage().ru_minflt - n;
        if (n < work.n_ops || (!HAS_SHADOW_FAULTS && n > work.n_ops + work.n_ops / 20 + 20))
            fail_msg("%s: %llu faults in %llu operations", cases[i].stressor.name,
                     (unsigned long long)n, (unsigned long long)work.n_ops);
        check_ok(kernel->verify(state));
        kernel->destroy(state);
    }
}

/* ---- switches -------------------------------------------------------------------------------- */

/* Away from this thread: it waited, or whom it woke was put in its place at once. */
static long n_switches_so_far(void)
{
    struct rusage usage = own_usage();

    return usage.ru_nvcsw + usage.ru_nivcsw;
}

/* On one CPU, so that the two threads' CPU times cannot exceed the time that passed. */
static mim_machine *pin_self(void)
{
    mim_machine *machine = NULL;

    check_ok(mim_machine_create(0, &machine));
    mim_pin(machine->cpus[0].os_index);
    return machine;
}

static void run_pinned(const mim_stressor *stressor, size_t n, mim_work *work, long *n_switches)
{
    const mim_kernel *kernel = mim_kernel_find(stressor->kernel);
    void *state = NULL;
    mim_work warm = {0};
    int64_t begin_ns, cpu_ns, both_ns;

    check_ok(kernel->create(stressor, &here, &state));
    check_ok(kernel->run(state, 1, &warm));
    *n_switches = n_switches_so_far();
    begin_ns = mim_clock_mono_ns();
    cpu_ns = mim_clock_thread_cpu_ns();
    check_ok(kernel->run(state, n, work));
    both_ns = mim_clock_thread_cpu_ns() - cpu_ns + (int64_t)work->extra_cpu_ns;
    *n_switches = n_switches_so_far() - *n_switches;
    assert_true(work->extra_cpu_ns > 0);
    if (both_ns > mim_clock_mono_ns() - begin_ns + 1000000)
        fail_msg("%s: %lld ns of CPU time in %lld ns", stressor->name, (long long)both_ns,
                 (long long)(mim_clock_mono_ns() - begin_ns));
    check_ok(kernel->verify(state));
    kernel->destroy(state);
}

static void test_switches_are_counted_by_the_kernel(void **unused)
{
    static const mim_stressor stressors[] = {
        {.name = "futex", .kernel = "switch_futex", .memory_bytes = 4 * KIB},
        {.name = "pipes", .kernel = "switch_pipe", .memory_bytes = 4 * KIB},
    };
    mim_machine *machine = pin_self();

    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        mim_work work = {0};
        long n_switches = 0;

        run_pinned(&stressors[i], 500, &work, &n_switches);
        assert_int_equal(work.n_bytes, 0);
        /* to the partner once a trip; more when others have the CPU in between */
        if (n_switches < (long)work.n_ops)
            fail_msg("%s: %ld switches in %llu trips", stressors[i].name, n_switches,
                     (unsigned long long)work.n_ops);
    }
    mim_unpin(machine);
    mim_machine_destroy(&machine);
}

/* ---- network --------------------------------------------------------------------------------- */

/* Bytes the loopback device has sent so far; 0 when it is not to be seen. */
static uint64_t loopback_bytes(void)
{
    char line[512];
    unsigned long long sent = 0;
    FILE *file = fopen("/proc/net/dev", "r");

    while (file && fgets(line, sizeof line, file)) {
        char *lo = strstr(line, "lo:");

        if (lo && sscanf(lo + 3, "%*u %*u %*u %*u %*u %*u %*u %*u %llu", &sent) == 1)
            break;
    }
    if (file)
        fclose(file);
    return sent;
}

static void test_loopback_carries_what_is_sent(void **unused)
{
    static const mim_stressor stressor = {
        .name = "loopback", .kernel = "net_loopback", .op_bytes = 256 * KIB};
    mim_machine *machine = pin_self();
    mim_work work = {0};
    long n_switches = 0;
    uint64_t before = loopback_bytes(), after;

    (void)unused;
    run_pinned(&stressor, 100, &work, &n_switches);
    after = loopback_bytes();
    assert_int_equal(work.n_ops, 100);
    assert_int_equal(work.n_bytes, 100 * 256 * KIB);
    if (after > 0)
        assert_true(after - before >= work.n_bytes);
    mim_unpin(machine);
    mim_machine_destroy(&machine);
}

static void test_sink_sees_damage_on_the_way(void **unused)
{
    static const mim_stressor stressor = {
        .name = "loopback", .kernel = "net_loopback", .op_bytes = 64 * KIB};
    const mim_kernel *kernel = &mim_kernel_net_loopback;
    void *state = NULL;
    mim_work work = {0};

    (void)unused;
    check_ok(kernel->create(&stressor, &here, &state));
    check_ok(kernel->run(state, 3, &work));
    check_ok(kernel->verify(state));
    (*(unsigned char **)state)[0] ^= 1; /* sent so, and mended before anyone looks at the source */
    check_ok(kernel->run(state, 1, &work));
    (*(unsigned char **)state)[0] ^= 1;
    assert_int_equal(kernel->verify(state), MIM_ECHECK);
    assert_non_null(strstr(mim_error(), "arrived changed"));
    kernel->destroy(state);
}

/* What a peer may do with a connection. */
typedef enum { DISCARDS, CLOSES, NEVER_READS } manners;

typedef struct peer {
    manners manners;
    int listener;
    char name[64];
    pthread_t thread;
    uint64_t n_bytes;
    atomic_bool is_over;
} peer;

static void *serve(void *argument)
{
    static char bytes[64 << 10];
    peer *p = argument;
    ssize_t n;
    int fd = accept(p->listener, NULL, NULL);

    if (p->manners == CLOSES) {
        while (p->n_bytes < 1000 && (n = read(fd, bytes, 1000)) > 0)
            p->n_bytes += (uint64_t)n;
    } else if (p->manners == DISCARDS) {
        while ((n = read(fd, bytes, sizeof bytes)) > 0)
            p->n_bytes += (uint64_t)n;
    } else {
        while (!atomic_load(&p->is_over))
            usleep(10000);
    }
    close(fd);
    return NULL;
}

static void start_peer(peer *p, manners how)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;

    *p = (peer){.manners = how, .listener = socket(AF_INET, SOCK_STREAM, 0)};
    assert_true(p->listener >= 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&address, n), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&address, &n), 0);
    assert_int_equal(listen(p->listener, 1), 0);
    snprintf(p->name, sizeof p->name, "127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void stop_peer(peer *p)
{
    atomic_store(&p->is_over, true);
    pthread_join(p->thread, NULL);
    close(p->listener);
}

static mim_stressor for_peer(const char *name)
{
    return (mim_stressor){
        .name = "peer", .kernel = "net_peer", .op_bytes = 64 * KIB, .network_peer = name};
}

static void test_a_peer_gets_what_is_sent(void **unused)
{
    peer p;
    void *state = NULL;
    mim_work work = {0};

    (void)unused;
    start_peer(&p, DISCARDS);
    const mim_stressor stressor = for_peer(p.name);
    const mim_kernel *kernel = NULL;
    check_ok(mim_kernel_for(&stressor, NULL, &kernel));
    check_ok(kernel->create(&stressor, &here, &state));
    for (int i = 0; i < 20; i++)
        check_ok(kernel->run(state, 1, &work));
    check_ok(kernel->verify(state));
    assert_int_equal(work.n_bytes, 20 * 64 * KIB);
    assert_int_equal(work.extra_cpu_ns, 0);
    (*(unsigned char **)state)[7] ^= 1;
    assert_int_equal(kernel->verify(state), MIM_ECHECK);
    kernel->destroy(state);
    stop_peer(&p);
    assert_int_equal(p.n_bytes, 20 * 64 * KIB);
}

static void test_peers_that_misbehave(void **unused)
{
    static const struct {
        manners manners;
        const char *says;
    } cases[] = {{CLOSES, "sending"}, {NEVER_READS, "took nothing for 2 s"}};

    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        peer p;
        void *state = NULL;
        mim_work work = {0};
        int rc = MIM_OK;

        start_peer(&p, cases[i].manners);
        const mim_stressor stressor = for_peer(p.name);
        check_ok(mim_kernel_net_peer.create(&stressor, &here, &state));
        for (int k = 0; rc == MIM_OK && k < 10000; k++)
            rc = mim_kernel_net_peer.run(state, 1, &work);
        assert_int_equal(rc, MIM_EIO);
        if (!strstr(mim_error(), cases[i].says) || !strstr(mim_error(), p.name))
            fail_msg("%s", mim_error());
        mim_kernel_net_peer.destroy(state);
        stop_peer(&p);
    }
}

static void test_peers_that_are_none(void **unused)
{
    peer gone;
    static const struct {
        const char *name;
        int rc;
        const char *says;
    } cases[] = {
        {NULL, MIM_EUNSUP, "MIMESYS_NETWORK_PEER"},
        {"", MIM_EUSAGE, "expected HOST:PORT"},
        {"host", MIM_EUSAGE, "expected HOST:PORT"},
        {"host:", MIM_EUSAGE, "expected HOST:PORT"},
        {":9", MIM_EUSAGE, "expected HOST:PORT"},
        {"::1:9", MIM_EUSAGE, "for IPv6"},
        {"[]:9", MIM_EUSAGE, "expected HOST:PORT"},
        {"127.0.0.1:no-such-service", MIM_EIO, "127.0.0.1:no-such-service"},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mim_stressor stressor = for_peer(cases[i].name);
        const mim_kernel *kernel = NULL;
        void *state = NULL;

        if (mim_kernel_net_peer.create(&stressor, &here, &state) != cases[i].rc ||
            !strstr(mim_error(), cases[i].says))
            fail_msg("%s: %s", cases[i].name, mim_error());
        assert_null(state);
        if (cases[i].rc != MIM_EIO) { /* known without trying */
            assert_int_equal(mim_kernel_for(&stressor, NULL, &kernel), cases[i].rc);
            assert_null(kernel);
        }
    }
    start_peer(&gone, CLOSES); /* a port that nobody has any more */
    shutdown(gone.listener, SHUT_RDWR);
    stop_peer(&gone);
    const mim_stressor stressor = for_peer(gone.name);
    void *state = NULL;
    assert_int_equal(mim_kernel_net_peer.create(&stressor, &here, &state), MIM_EIO);
    assert_non_null(strstr(mim_error(), "refused"));
    assert_null(state);
}

/* ---- NUMA ------------------------------------------------------------------------------------ */

static void test_other_node_goes_round(void **unused)
{
    enum { BITS = sizeof(unsigned long) * CHAR_BIT };
    static const struct {
        unsigned long allowed[2];
        int own, other;
    } cases[] = {
        {{0x1, 0}, 0, -1},     {{0x3, 0}, 0, 1},      {{0x3, 0}, 1, 0},
        {{0xf, 0}, 2, 3},      {{0xf, 0}, 3, 0},      {{0x9, 0}, 0, 3},
        {{0x9, 0}, 3, 0},      {{0x2, 0}, 0, 1}, /* own CPU's node without memory for us */
        {{0x1, 0x1}, 0, BITS}, {{0x1, 0x1}, BITS, 0}, {{0, 0}, 0, -1},
        {{0, 1}, BITS, -1},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int other = mim_numa_other_node(2, cases[i].allowed, cases[i].own);

        if (other != cases[i].other)
            fail_msg("case %zu: %d, expected %d", i, other, cases[i].other);
    }
}

/* The node that the page of this address is on; -1 where that cannot be seen. */
static int node_of(void *address)
{
    int node = -1;

    if (syscall(SYS_get_mempolicy, &node, NULL, 0UL, address, MPOL_F_NODE | MPOL_F_ADDR) != 0)
        return -1;
    return node;
}

/* From every node that this process has a CPU on: one, on most machines. */
static void test_buffers_are_on_the_node_of_their_thread(void **unused)
{
    mim_machine *machine = NULL;

    (void)unused;
    check_ok(mim_machine_create(0, &machine));
    for (size_t i = 0; i < machine->n_cpus; i++) {
        const mim_cpu *cpu = &machine->cpus[i];
        void *buffer = NULL;

        if (i > 0 && cpu->numa_node == machine->cpus[i - 1].numa_node)
            continue;
        mim_pin(cpu->os_index);
        check_ok(mim_kernel_buffer(4 * MIB, 1, &buffer));
        for (uint64_t at = 0; at < 4 * MIB; at += 64 * KIB) {
            int node = node_of((char *)buffer + at);

            if (node >= 0 && node != cpu->numa_node)
                fail_msg("CPU %d is on node %d, its buffer on %d", cpu->os_index, cpu->numa_node,
                         node);
        }
        free(buffer);
    }
    mim_unpin(machine);
    mim_machine_destroy(&machine);
}

/* Where there are two nodes it runs and its pages are looked up; where there is one it says so. */
static void test_remote_memory(void **unused)
{
    static const char *const kernels[] = {"remote_read", "remote_write"};

    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        const mim_stressor stressor = {
            .name = "remote", .kernel = kernels[i], .memory_bytes = 5 * MIB + 4096};
        const mim_kernel *kernel = mim_kernel_find(kernels[i]), *found = NULL;
        void *state = NULL;
        mim_work work = {0};
        int rc = kernel->create(&stressor, &here, &state);

        assert_int_equal(mim_kernel_for(&stressor, NULL, &found), rc);
        if (rc != MIM_OK) {
            assert_int_equal(rc, MIM_EUNSUP);
            assert_non_null(strstr(mim_error(), "NUMA"));
            assert_null(state);
            if (i == 0)
                print_message("skipped: %s\n", mim_error());
            continue;
        }
        check_ok(kernel->run(state, 25, &work));
        check_ok(kernel->verify(state));
        assert_int_equal(work.n_bytes, 25 * 512 * KIB);
        (*(unsigned char **)state)[0] ^= 1;
        assert_int_equal(kernel->verify(state), MIM_ECHECK);
        kernel->destroy(state);
    }
}

/* With an argument only the tests whose names match it. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_are_counted_by_the_kernel),
        cmocka_unit_test(test_switches_are_counted_by_the_kernel),
        cmocka_unit_test(test_loopback_carries_what_is_sent),
        cmocka_unit_test(test_sink_sees_damage_on_the_way),
        cmocka_unit_test(test_a_peer_gets_what_is_sent),
        cmocka_unit_test(test_peers_that_misbehave),
        cmocka_unit_test(test_peers_that_are_none),
        cmocka_unit_test(test_other_node_goes_round),
        cmocka_unit_test(test_buffers_are_on_the_node_of_their_thread),
        cmocka_unit_test(test_remote_memory),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("kernels of the system", tests, NULL, NULL);
}
