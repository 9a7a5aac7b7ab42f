#include "tests/support/fake_perf.h"

#include <assert.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>

static fake_perf_counter *counter_of(fake_perf *fake, int fd)
{
    assert(fd >= FAKE_PERF_FIRST_FD && fd < FAKE_PERF_FIRST_FD + FAKE_PERF_MAX_FDS);
    fake_perf_counter *c = &fake->counters[fd - FAKE_PERF_FIRST_FD];
    assert(c->is_open);
    return c;
}

static int group_size(const fake_perf *fake, int leader)
{
    int n = 0;

    for (size_t i = 0; i < FAKE_PERF_MAX_FDS; i++)
        n += fake->counters[i].is_open && fake->counters[i].leader == leader;
    return n;
}

static int fake_open(void *context, struct perf_event_attr *attr, int cpu, int group_fd)
{
    fake_perf *fake = context;
    const mim_perf_event event = {attr->type, attr->config, attr->config1, attr->config2};
    int error = fake->refuse ? fake->refuse(&event, cpu) : 0, i = 0;

    assert(attr->size == sizeof *attr);
    assert(attr->read_format ==
           (PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING));
    if (!error && cpu == fake->offline_cpu)
        error = ENODEV;
    const int leader = group_fd < 0 ? -1 : group_fd - FAKE_PERF_FIRST_FD;
    if (!error && leader >= 0) {
        assert(counter_of(fake, group_fd)->leader == leader);
        assert(counter_of(fake, group_fd)->cpu == cpu);
        if (fake->max_group && (size_t)group_size(fake, leader) >= fake->max_group)
            error = EINVAL;
    }
    if (error)
        return -error;
    while (i < FAKE_PERF_MAX_FDS && fake->counters[i].is_open)
        i++;
    if (i == FAKE_PERF_MAX_FDS)
        return -EMFILE;
    fake->counters[i] = (fake_perf_counter){.is_open = true,
                                            .event = event,
                                            .cpu = cpu,
                                            .leader = leader < 0 ? i : leader,
                                            .opened_ns = fake->now_ns};
    fake->n_opened++;
    fake->n_open++;
    return FAKE_PERF_FIRST_FD + i;
}

static bool take_answer(fake_perf *fake, int cpu, fake_perf_answer *answer)
{
    for (size_t i = 0; i < fake->n_answers; i++) {
        if (fake->answers[i].cpu != cpu)
            continue;
        *answer = fake->answers[i];
        fake->n_answers--;
        memmove(fake->answers + i, fake->answers + i + 1,
                (fake->n_answers - i) * sizeof *fake->answers);
        return true;
    }
    return false;
}

static ssize_t fake_read(void *context, int fd, void *bytes, size_t n_bytes)
{
    fake_perf *fake = context;
    const fake_perf_counter *leader = counter_of(fake, fd);
    uint64_t words[3 + FAKE_PERF_MAX_FDS];
    fake_perf_answer answer;
    size_t n = 3;

    fake->n_reads++;
    if (take_answer(fake, leader->cpu, &answer)) {
        if (answer.result > 0)
            memcpy(bytes, answer.words, (size_t)answer.result);
        return answer.result;
    }
    if (leader->leader != fd - FAKE_PERF_FIRST_FD)
        return -EINVAL;
    words[0] = (uint64_t)group_size(fake, leader->leader);
    words[1] = leader->cpu == fake->offline_cpu ? 0 : fake->now_ns - leader->opened_ns;
    words[2] = (uint64_t)((double)words[1] * fake->running);
    for (size_t i = 0; i < FAKE_PERF_MAX_FDS; i++) {
        const fake_perf_counter *c = &fake->counters[i];
        if (!c->is_open || c->leader != leader->leader)
            continue;
        const uint64_t us = words[2] / 1000;
        words[n++] = fake->count ? fake->count(&c->event, c->cpu, us) : c->event.config * us;
    }
    if (n * sizeof *words > n_bytes)
        return -ENOSPC;
    memcpy(bytes, words, n * sizeof *words);
    return (ssize_t)(n * sizeof *words);
}

static void fake_close(void *context, int fd)
{
    fake_perf *fake = context;

    counter_of(fake, fd)->is_open = false;
    fake->n_open--;
}

void fake_perf_init(fake_perf *fake)
{
    memset(fake, 0, sizeof *fake);
    fake->calls = (mim_perf_calls){fake, fake_open, fake_read, fake_close};
    fake->now_ns = 1000000;
    fake->running = 1.0;
    fake->offline_cpu = -1;
}

void fake_perf_answer_once(fake_perf *fake, int cpu, long result, const uint64_t *words)
{
    assert(fake->n_answers < FAKE_PERF_MAX_ANSWERS);
    fake->answers[fake->n_answers++] = (fake_perf_answer){cpu, result, words};
}
