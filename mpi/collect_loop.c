/* mimesys_collect: who measures what, and storing it.
 *
 * A rank other than 0 asks for a plan, measures it, sends what came of it, asks again; rank 0
 * answers every question with an id or the end. The last word of a rank is "gone", so that rank 0
 * leaves no message behind. When a rank fails, rank 0 ends all at once; what failed is agreed upon
 * after the loop. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/signals.h"
#include "core/text.h"
#include "mpi/agree.h"
#include "mpi/collect.h"

enum { TAG_TO_ROOT = 1, TAG_FROM_ROOT = 2 };
static const int64_t nap_ns = 20000000;
static const double look_s = 0.02, progress_every_s = 10.0;

typedef enum {
    WORD_ASK,    /* give me a plan */
    WORD_STOP,   /* a signal asked this rank to stop */
    WORD_RESULT, /* of a plan */
    WORD_FAIL,   /* this rank cannot go on */
    WORD_GONE,   /* the last one */
} word;

typedef enum { ORDER_PLAN, ORDER_END, ORDER_END_NOW } order_kind;

/* What a rank tells rank 0; a settled result is followed by its packed rows. */
typedef struct message {
    int32_t word;
    int32_t is_settled, is_refused;
    uint32_t n_windows, n_tries, n_accepted, n_disturbed, n_failed;
    uint64_t plan_id;
    double written_bytes;
    char error[256];
} message;

typedef struct command {
    int32_t order;
    uint64_t plan_id;
} command;

/* The plan a rank is measuring; NULLs while it is idle. */
typedef struct running {
    mim_plan *plan;
    mim_measure *measure;
    uint64_t id;
} running;

/* ---- rows as bytes --------------------------------------------------------------------------- */

static size_t pack_or_not(const mim_layout *l, mim_campaign_rows *rows, char *bytes, bool is_in)
{
    const struct {
        void *at;
        size_t n;
    } columns[] = {
        {rows->plan_id, sizeof *rows->plan_id},
        {rows->window, sizeof *rows->window},
        {rows->n_windows, sizeof *rows->n_windows},
        {rows->action, l->n_threads * l->n_stressors * sizeof *rows->action},
        {rows->metric, l->n_metrics * sizeof *rows->metric},
        {rows->spread, l->n_metrics * sizeof *rows->spread},
        {rows->n_repeats, sizeof *rows->n_repeats},
        {rows->round, sizeof *rows->round},
        {rows->status, sizeof *rows->status},
        {rows->start_s, sizeof *rows->start_s},
        {rows->host, sizeof *rows->host},
    };
    size_t at = 0;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        size_t n = columns[i].n * rows->n;
        if (bytes && is_in)
            memcpy(columns[i].at, bytes + at, n);
        else if (bytes)
            memcpy(bytes + at, columns[i].at, n);
        at += n;
    }
    return at;
}

/* ---- measuring on this rank ------------------------------------------------------------------ */

static void clear_running(running *r)
{
    mim_measure_destroy(&r->measure);
    mim_plan_destroy(&r->plan);
    *r = (running){0};
}

static int start_plan(const mim_collect *c, uint64_t id, running *r)
{
    uint32_t round = 0;
    int rc = mim_propose(&c->proposer, id, &r->plan, &round);
    if (rc == MIM_OK)
        rc = mim_measure_begin(c->fleet, c->layout, &c->measure, r->plan, id, round, &r->measure);
    r->id = id;
    if (rc != MIM_OK)
        clear_running(r);
    return rc;
}

/* Looks for a result; fills `m` and `rows` (NULL unless settled) when the plan is over. */
static int look(const mim_collect *c, running *r, bool *is_over, message *m,
                mim_campaign_rows **rows)
{
    mim_fleet_result *result = NULL;
    int rc = mim_fleet_poll(c->fleet, look_s, &result);
    *is_over = false;
    if (rc == MIM_OK && result)
        rc = mim_measure_take(r->measure, result, is_over);
    mim_fleet_result_destroy(&result);
    if (rc != MIM_OK || !*is_over)
        return rc;
    mim_measure_figures f = mim_measure_look(r->measure);
    *m = (message){.word = WORD_RESULT,
                   .is_settled = mim_measure_is_settled(r->measure),
                   .is_refused = f.is_refused,
                   .n_windows = (uint32_t)mim_plan_n_windows(r->plan),
                   .n_tries = (uint32_t)f.n_tries,
                   .n_accepted = (uint32_t)f.n_accepted,
                   .n_disturbed = (uint32_t)f.n_disturbed,
                   .n_failed = (uint32_t)f.n_failed,
                   .plan_id = r->id,
                   .written_bytes = f.written_bytes};
    snprintf(m->error, sizeof m->error, "%.255s", f.error ? f.error : "");
    if (m->is_settled)
        rc = mim_measure_rows(r->measure, rows);
    clear_running(r);
    return rc;
}

/* ---- the other ranks ------------------------------------------------------------------------- */

static int tell(const mim_collect *c, const message *m, mim_campaign_rows *rows)
{
    size_t n_rows = rows ? pack_or_not(c->layout, rows, NULL, false) : 0;
    size_t n = sizeof *m + n_rows;
    char *bytes = n <= INT_MAX ? malloc(n) : NULL;
    if (!bytes)
        return mim_fail(MIM_ENOMEM, "a result of %zu bytes", n);
    memcpy(bytes, m, sizeof *m);
    if (rows)
        pack_or_not(c->layout, rows, bytes + sizeof *m, false);
    MPI_Request request;
    int is_sent = 0;
    MPI_Isend(bytes, (int)n, MPI_BYTE, 0, TAG_TO_ROOT, c->comm, &request);
    for (MPI_Test(&request, &is_sent, MPI_STATUS_IGNORE); !is_sent;
         MPI_Test(&request, &is_sent, MPI_STATUS_IGNORE))
        mim_clock_sleep_until(mim_clock_mono_ns() + nap_ns);
    free(bytes);
    return MIM_OK;
}

static void say(const mim_collect *c, word what)
{
    message m = {.word = (int32_t)what};
    MPI_Send(&m, (int)sizeof m, MPI_BYTE, 0, TAG_TO_ROOT, c->comm); /* small: does not wait */
}

static bool hear(const mim_collect *c, command *order)
{
    int is_there = 0;
    MPI_Iprobe(0, TAG_FROM_ROOT, c->comm, &is_there, MPI_STATUS_IGNORE);
    if (is_there)
        MPI_Recv(order, (int)sizeof *order, MPI_BYTE, 0, TAG_FROM_ROOT, c->comm, MPI_STATUS_IGNORE);
    return is_there;
}

/* One look at a running plan; sends what came of it and asks for the next. */
static int work(const mim_collect *c, running *r)
{
    message m;
    bool is_over = false;
    mim_campaign_rows *rows = NULL;
    int rc = look(c, r, &is_over, &m, &rows);
    if (rc == MIM_OK && is_over)
        rc = tell(c, &m, rows);
    if (rc == MIM_OK && is_over)
        say(c, WORD_ASK);
    mim_campaign_rows_destroy(&rows);
    return rc;
}

static int be_member(mim_collect *c)
{
    running r = {0};
    command order = {0};
    bool has_ended = false, has_said_stop = false;
    int rc = MIM_OK;
    say(c, WORD_ASK);
    while (!has_ended) {
        int step = MIM_OK;
        if (hear(c, &order)) {
            has_ended = order.order != ORDER_PLAN;
            if (!has_ended && rc == MIM_OK)
                step = start_plan(c, order.plan_id, &r);
        } else if (r.measure) {
            step = work(c, &r);
        } else {
            mim_clock_sleep_until(mim_clock_mono_ns() + nap_ns);
        }
        if (!has_said_stop && mim_signals_stop()) {
            has_said_stop = true;
            say(c, WORD_STOP);
        }
        if (step != MIM_OK && rc == MIM_OK) {
            rc = step;
            clear_running(&r);
            say(c, WORD_FAIL);
        }
    }
    clear_running(&r);
    say(c, WORD_GONE);
    return rc;
}

/* ---- rank 0 ---------------------------------------------------------------------------------- */

typedef struct root {
    mim_collect *c;
    running own;
    mim_progress *progress;
    bool *is_asking, *is_ended, *is_gone; /* [n_ranks] */
    int64_t *since_ns;                    /* [n_ranks] when its plan was handed out, 0 = idle */
    bool must_end;                        /* hand out nothing more */
    bool must_end_now;                    /* and wait for nothing */
    double plan_s;                        /* how long a plan takes, from hand-out to result */
    size_t n_timed;
} root;

static double spent_s(const mim_collect *c)
{
    return (double)(mim_clock_mono_ns() - c->begin_ns) * 1e-9;
}

/* Whether something says that no further plan shall begin. */
static bool is_time_to_end(root *o)
{
    mim_collect *c = o->c;
    double minutes = mim_config_real(c->config, "collect.max_minutes");
    double bytes = (double)mim_config_bytes(c->config, "collect.disk_write");
    if (mim_signals_stop() && !c->ended_by)
        c->ended_by = "a signal";
    else if (minutes > 0 && spent_s(c) + o->plan_s > 60 * minutes && !c->ended_by)
        c->ended_by = "collect.max_minutes";
    else if (bytes > 0 && c->written_bytes >= bytes && !c->ended_by)
        c->ended_by = "collect.disk_write";
    o->must_end = o->must_end || c->ended_by;
    return o->must_end;
}

/* The next plan that is not in the store; false when there is none, or no time for it. */
static bool take_id(root *o, uint64_t *id)
{
    mim_collect *c = o->c;
    while (c->next_id < c->n_plans && mim_campaign_has(c->campaign, c->next_id))
        c->next_id++;
    if (c->next_id >= c->n_plans)
        return false;
    if (is_time_to_end(o))
        return false;
    *id = c->next_id++;
    return true;
}

static void note_time(root *o, int rank)
{
    double s = (double)(mim_clock_mono_ns() - o->since_ns[rank]) * 1e-9;
    o->plan_s = o->n_timed ? (o->plan_s * (double)o->n_timed + s) / (double)(o->n_timed + 1) : s;
    o->n_timed++;
    o->since_ns[rank] = 0;
}

/* Many in a row that could not be measured: something is wrong with the node, not with them. */
static int count_failures(mim_collect *c, const message *m)
{
    size_t most = (size_t)mim_config_int(c->config, "collect.max_failures");
    c->n_failed_in_a_row = m->n_failed == m->n_windows ? c->n_failed_in_a_row + 1 : 0;
    if (c->n_failed_in_a_row < most)
        return MIM_OK;
    return mim_fail(m->is_refused ? MIM_EUNSUP : MIM_EIO,
                    "%zu plans in a row could not be measured; the last (%llu) %s",
                    c->n_failed_in_a_row, (unsigned long long)m->plan_id, m->error);
}

/* Stores a plan; only then is it reported. */
static int take_result(root *o, int rank, const message *m, mim_campaign_rows *rows)
{
    mim_collect *c = o->c;
    note_time(o, rank);
    c->n_tries += m->n_tries;
    c->written_bytes += m->written_bytes;
    if (!m->is_settled)
        return MIM_OK;
    int rc = mim_campaign_append(c->campaign, rows);
    if (rc != MIM_OK)
        return rc;
    c->n_new++;
    c->n_accepted += m->n_accepted;
    c->n_disturbed += m->n_disturbed;
    c->n_failed += m->n_failed;
    mim_log_info(c->log, "collect",
                 "stored plan=%llu round=%u tries=%u accepted=%u disturbed=%u failed=%u host=%s",
                 (unsigned long long)m->plan_id, rows->round[0], m->n_tries, m->n_accepted,
                 m->n_disturbed, m->n_failed, rows->host[0]);
    if (m->error[0])
        mim_log_warn(c->log, "collect", "plan=%llu a try %s", (unsigned long long)m->plan_id,
                     m->error);
    mim_progress_step(o->progress, c->n_plans == UINT64_MAX ? (size_t)spent_s(c) : c->n_new);
    return count_failures(c, m);
}

/* Rows that came behind a message. */
static int unpack_rows(const mim_collect *c, const message *m, char *bytes, size_t n_bytes,
                       mim_campaign_rows **rows)
{
    mim_campaign_rows *made = NULL;
    int rc = mim_campaign_rows_create(c->layout, m->n_windows, &made);
    if (rc == MIM_OK && pack_or_not(c->layout, made, NULL, true) != n_bytes)
        rc = mim_fail(MIM_EDATA, "rows of plan %llu: %zu bytes", (unsigned long long)m->plan_id,
                      n_bytes);
    if (rc == MIM_OK) {
        pack_or_not(c->layout, made, bytes, true);
        *rows = made;
        made = NULL;
    }
    mim_campaign_rows_destroy(&made);
    return rc;
}

static int understand(root *o, int rank, char *bytes, size_t n_bytes)
{
    message m;
    mim_campaign_rows *rows = NULL;
    int rc = MIM_OK;
    memcpy(&m, bytes, sizeof m);
    switch ((word)m.word) {
    case WORD_ASK:
        o->is_asking[rank] = true;
        break;
    case WORD_STOP:
        if (!o->c->ended_by)
            o->c->ended_by = "a signal";
        o->must_end = true;
        break;
    case WORD_RESULT:
        if (m.is_settled)
            rc = unpack_rows(o->c, &m, bytes + sizeof m, n_bytes - sizeof m, &rows);
        if (rc == MIM_OK)
            rc = take_result(o, rank, &m, rows);
        mim_campaign_rows_destroy(&rows);
        break;
    case WORD_FAIL:
        o->must_end = o->must_end_now = true;
        break;
    case WORD_GONE:
        o->is_gone[rank] = true;
        break;
    }
    return rc;
}

/* All messages that are there. */
static int listen(root *o, bool *has_heard)
{
    MPI_Status status;
    int is_there = 0, rc = MIM_OK, n = 0;
    for (;;) {
        MPI_Iprobe(MPI_ANY_SOURCE, TAG_TO_ROOT, o->c->comm, &is_there, &status);
        if (!is_there || rc != MIM_OK)
            return rc;
        *has_heard = true;
        MPI_Get_count(&status, MPI_BYTE, &n);
        char *bytes = malloc((size_t)n + 1);
        if (!bytes)
            return mim_fail(MIM_ENOMEM, "a result of %d bytes", n);
        MPI_Recv(bytes, n, MPI_BYTE, status.MPI_SOURCE, TAG_TO_ROOT, o->c->comm, MPI_STATUS_IGNORE);
        rc = understand(o, status.MPI_SOURCE, bytes, (size_t)n);
        free(bytes);
    }
}

static void send_order(root *o, int rank, order_kind what, uint64_t id)
{
    const command order = {(int32_t)what, id};
    MPI_Send(&order, (int)sizeof order, MPI_BYTE, rank, TAG_FROM_ROOT, o->c->comm);
    o->is_asking[rank] = false;
    o->is_ended[rank] = what != ORDER_PLAN;
    if (what == ORDER_PLAN)
        o->since_ns[rank] = mim_clock_mono_ns();
}

static void answer_all(root *o)
{
    for (int rank = 1; rank < o->c->n_ranks; rank++) {
        uint64_t id = 0;
        if (o->is_ended[rank])
            continue;
        if (o->must_end_now)
            send_order(o, rank, ORDER_END_NOW, 0);
        else if (o->is_asking[rank] && take_id(o, &id))
            send_order(o, rank, ORDER_PLAN, id);
        else if (o->is_asking[rank])
            send_order(o, rank, ORDER_END, 0);
    }
}

/* Rank 0's own plan: a look at it, or the next one. Not busy: nothing is left for it to begin. */
static int work_self(root *o, bool *is_busy)
{
    message m;
    bool is_over = false;
    uint64_t id = 0;
    mim_campaign_rows *rows = NULL;
    int rc = MIM_OK;
    if (!o->own.measure && !o->must_end_now && take_id(o, &id)) {
        rc = start_plan(o->c, id, &o->own);
        o->since_ns[0] = mim_clock_mono_ns();
    }
    *is_busy = o->own.measure != NULL;
    if (rc != MIM_OK || !*is_busy)
        return rc;
    rc = look(o->c, &o->own, &is_over, &m, &rows);
    if (rc == MIM_OK && is_over)
        rc = take_result(o, 0, &m, rows);
    mim_campaign_rows_destroy(&rows);
    return rc;
}

static bool are_all_gone(const root *o)
{
    for (int rank = 1; rank < o->c->n_ranks; rank++)
        if (!o->is_gone[rank])
            return false;
    return true;
}

static int direct(root *o)
{
    int rc = MIM_OK;
    for (;;) {
        bool is_busy = false, has_heard = false;
        int step = listen(o, &has_heard);
        if (step == MIM_OK && rc == MIM_OK)
            step = work_self(o, &is_busy);
        if (step != MIM_OK && rc == MIM_OK) {
            rc = step;
            o->must_end = o->must_end_now = true;
        }
        if (o->must_end_now && o->own.measure)
            clear_running(&o->own);
        answer_all(o);
        if (!is_busy && are_all_gone(o))
            return rc;
        if (!is_busy && !has_heard)
            mim_clock_sleep_until(mim_clock_mono_ns() + nap_ns);
    }
}

static double nominal_plan_s(const mim_collect *c)
{
    if (mim_collect_is_simulated(c))
        return 0;
    return 2 +
           (double)c->measure.n_repeats * (double)c->proposer.sweep.n_windows * c->measure.slot_s;
}

static int be_root(mim_collect *c)
{
    size_t n = (size_t)c->n_ranks;
    root o = {.c = c, .plan_s = nominal_plan_s(c)};
    size_t n_left = (size_t)(60 * mim_config_real(c->config, "collect.max_minutes"));
    size_t n_stored = mim_campaign_n_plans(c->campaign);
    if (c->n_plans != UINT64_MAX)
        n_left = c->n_plans > n_stored ? (size_t)c->n_plans - n_stored : 0;
    o.is_asking = calloc(3 * n, sizeof *o.is_asking);
    o.since_ns = calloc(n, sizeof *o.since_ns);
    int rc = o.is_asking && o.since_ns ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu ranks", n);
    if (rc == MIM_OK)
        rc = mim_progress_create(c->log, "collect", n_left, progress_every_s, &o.progress);
    if (rc == MIM_OK) {
        o.is_ended = o.is_asking + n;
        o.is_gone = o.is_asking + 2 * n;
    }
    rc = mim_agree(c->comm, rc);
    if (rc == MIM_OK)
        rc = direct(&o);
    clear_running(&o.own);
    mim_progress_destroy(&o.progress);
    free(o.is_asking);
    free(o.since_ns);
    return rc;
}

int mim_collect_loop(mim_collect *c)
{
    int rc = MIM_OK;
    if (c->rank == 0)
        rc = be_root(c);
    else if ((rc = mim_agree(c->comm, MIM_OK)) == MIM_OK)
        rc = be_member(c);
    mim_collect_wait(c->comm);
    return mim_agree(c->comm, rc);
}
