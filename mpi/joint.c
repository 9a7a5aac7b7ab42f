#include "mpi/joint.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/signals.h"
#include "mpi/asleep.h"

enum { TAG_TO_ROOT = 111, TAG_FROM_ROOT = 112 };
static const double look_s = 0.1;
/* From a stop that is known to rank 0 to the instant of it: all have heard by then. */
static const int64_t notice_ns = 400000000;
static const int64_t longest_wait_ns = 10000000000;
/* A stop comes so long after its edge, as whoever works must have seen the edge go by. */
static const int64_t longest_settle_ns = 200000000;

typedef enum {
    WORD_STOP, /* this rank shall stop, or cannot go on */
    WORD_END,  /* its work has ended */
    WORD_GONE, /* its last word */
} word;

typedef enum { ORDER_STOP, ORDER_END } order_kind;

typedef struct command {
    int32_t order;
    int32_t is_edge;
    int64_t root_ns; /* when to stop, by rank 0's clock */
} command;

/* The gate between the two threads of a rank. */
typedef enum { GATE_CLOSED, GATE_ASKED, GATE_OPEN } gate_state;

struct mim_joint {
    MPI_Comm comm;
    int rank, n_ranks;
    const mim_joint_options *options;
    int (*work)(void *context, mim_joint *joint);
    void *context;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    gate_state gate;
    int gate_rc; /* asked: of the work's set-up; open: of the agreement */
    char gate_error[MIM_ERROR_TEXT_BYTES];
    int64_t start_ns;
    bool has_ended;
    int rc; /* of the work */
    char error[MIM_ERROR_TEXT_BYTES];

    /* main thread only */
    mim_start start;
    bool has_said_stop, has_said_end;
    int64_t stop_at_ns; /* by this rank's clock; 0: not told to stop */
    bool has_stopped;
    int n_ended, n_gone; /* rank 0 */
    bool is_stop_ordered;
};

/* ---- the work's thread ----------------------------------------------------------------------- */

int mim_joint_start(void *joint, int rc, int64_t *start_ns)
{
    mim_joint *j = joint;
    pthread_mutex_lock(&j->mutex);
    j->gate = GATE_ASKED;
    j->gate_rc = rc;
    if (rc != MIM_OK)
        strcpy(j->gate_error, mim_error());
    pthread_cond_broadcast(&j->changed);
    while (j->gate != GATE_OPEN)
        pthread_cond_wait(&j->changed, &j->mutex);
    rc = j->gate_rc;
    if (rc == MIM_OK)
        *start_ns = j->start_ns;
    pthread_mutex_unlock(&j->mutex);
    return rc == MIM_OK ? MIM_OK : mim_fail(rc, "%s", j->gate_error);
}

static void *live(void *joint)
{
    mim_joint *j = joint;
    const int rc = j->work(j->context, j);
    pthread_mutex_lock(&j->mutex);
    j->rc = rc;
    if (rc != MIM_OK)
        strcpy(j->error, mim_error());
    j->has_ended = true;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->mutex);
    return NULL;
}

/* ---- the start ------------------------------------------------------------------------------- */

/* Until the work asks for the start, or ends without; what came of its set-up. */
static int wait_for_work(mim_joint *j)
{
    pthread_mutex_lock(&j->mutex);
    while (j->gate == GATE_CLOSED && !j->has_ended)
        pthread_cond_wait(&j->changed, &j->mutex);
    int rc = j->gate == GATE_ASKED ? j->gate_rc : j->rc;
    const char *error = j->gate == GATE_ASKED ? j->gate_error : j->error;
    if (rc != MIM_OK)
        mim_fail(rc, "%s", error);
    else if (j->gate == GATE_CLOSED)
        rc = mim_fail(MIM_EINVAL, "the work ended before it asked for its start");
    pthread_mutex_unlock(&j->mutex);
    return rc;
}

static void open_gate(mim_joint *j, int rc)
{
    pthread_mutex_lock(&j->mutex);
    j->gate = GATE_OPEN;
    j->gate_rc = rc;
    if (rc != MIM_OK)
        strcpy(j->gate_error, mim_error());
    j->start_ns = j->start.local_ns;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->mutex);
}

static int start_all(mim_joint *j)
{
    int rc = wait_for_work(j);
    mim_barrier_asleep(j->comm); /* that may take long: a second SIGTERM still ends at once */
    mim_signals_block();         /* from here on a signal is for all ranks */
    if (rc == MIM_OK && mim_signals_stop())
        rc = mim_fail(MIM_ESTOPPED,
                      "stopped by a signal before the first slot; nothing was measured");
    rc = mim_start_agree(j->comm, &j->options->clock, rc, j->options->lead_s, &j->start);
    open_gate(j, rc);
    return rc;
}

/* ---- the end --------------------------------------------------------------------------------- */

static bool work_has_ended(mim_joint *j)
{
    pthread_mutex_lock(&j->mutex);
    const bool has_ended = j->has_ended;
    pthread_mutex_unlock(&j->mutex);
    return has_ended;
}

static int64_t now_ns(const mim_joint *j) { return mim_start_now_ns(&j->options->clock); }

static void obey_stop(mim_joint *j, const command *order)
{
    const int64_t slot_ns = (int64_t)(j->options->slot_s * 1e9);
    j->stop_at_ns = mim_clock_offset_to_local(&j->start.before, order->root_ns);
    if (order->is_edge)
        j->stop_at_ns += slot_ns / 4 < longest_settle_ns ? slot_ns / 4 : longest_settle_ns;
}

/* Rank 0: when all shall stop, told once. */
static void order_stop(mim_joint *j)
{
    const int64_t slot_ns = (int64_t)(j->options->slot_s * 1e9);
    command order = {.order = ORDER_STOP, .root_ns = now_ns(j) + notice_ns};
    if (j->is_stop_ordered)
        return;
    j->is_stop_ordered = true;
    if (slot_ns > 0) {
        const int64_t since_ns = order.root_ns - j->start.root_ns;
        const int64_t n_slots = since_ns > 0 ? (since_ns + slot_ns - 1) / slot_ns : 0;
        const int64_t edge_ns = j->start.root_ns + n_slots * slot_ns;
        order.is_edge = edge_ns - order.root_ns < longest_wait_ns;
        if (order.is_edge)
            order.root_ns = edge_ns;
    }
    for (int r = 1; r < j->n_ranks; r++)
        MPI_Send(&order, (int)sizeof order, MPI_BYTE, r, TAG_FROM_ROOT, j->comm);
    obey_stop(j, &order);
}

static void understand(mim_joint *j, word what)
{
    if (what == WORD_STOP)
        order_stop(j);
    j->n_ended += what == WORD_END;
    j->n_gone += what == WORD_GONE;
}

static void say(mim_joint *j, word what)
{
    const int32_t word_32 = (int32_t)what;
    if (j->rank == 0)
        understand(j, what);
    else
        MPI_Send(&word_32, 1, MPI_INT32_T, 0, TAG_TO_ROOT, j->comm); /* small: does not wait */
}

/* Rank 0 hears all; true when everybody's work has ended. */
static bool listen(mim_joint *j)
{
    int is_there = 0;
    int32_t what = 0;
    for (;;) {
        MPI_Iprobe(MPI_ANY_SOURCE, TAG_TO_ROOT, j->comm, &is_there, MPI_STATUS_IGNORE);
        if (!is_there)
            return j->n_ended == j->n_ranks;
        MPI_Recv(&what, 1, MPI_INT32_T, MPI_ANY_SOURCE, TAG_TO_ROOT, j->comm, MPI_STATUS_IGNORE);
        understand(j, (word)what);
    }
}

/* The others obey; true when everybody's work has ended. */
static bool hear(mim_joint *j)
{
    int is_there = 0;
    command order = {.order = ORDER_STOP};
    for (;;) {
        MPI_Iprobe(0, TAG_FROM_ROOT, j->comm, &is_there, MPI_STATUS_IGNORE);
        if (!is_there)
            return false;
        MPI_Recv(&order, (int)sizeof order, MPI_BYTE, 0, TAG_FROM_ROOT, j->comm, MPI_STATUS_IGNORE);
        if (order.order == ORDER_END)
            return true;
        obey_stop(j, &order);
    }
}

/* What this rank has to say, once each. */
static void speak(mim_joint *j, bool has_signal)
{
    const bool has_ended = work_has_ended(j);
    if ((has_signal || mim_signals_stop() || (has_ended && j->rc != MIM_OK)) && !j->has_said_stop) {
        j->has_said_stop = true;
        say(j, WORD_STOP);
    }
    if (has_ended && !j->has_said_end) {
        j->has_said_end = true;
        say(j, WORD_END);
    }
}

static void stop_in_time(mim_joint *j)
{
    if (j->stop_at_ns && !j->has_stopped && now_ns(j) >= j->stop_at_ns) {
        j->has_stopped = true;
        mim_signals_ask_stop();
        mim_signals_block();
    }
}

static double next_look_s(const mim_joint *j)
{
    const double left_s = (double)(j->stop_at_ns - now_ns(j)) * 1e-9;
    return j->stop_at_ns && !j->has_stopped ? fmin(look_s, left_s) : look_s;
}

static void attend(mim_joint *j)
{
    bool all_ended = false;
    while (!all_ended) {
        speak(j, mim_signals_wait(next_look_s(j)) != 0);
        all_ended = j->rank == 0 ? listen(j) : hear(j);
        stop_in_time(j);
    }
    const command end = {.order = ORDER_END};
    for (int r = 1; j->rank == 0 && r < j->n_ranks; r++)
        MPI_Send(&end, (int)sizeof end, MPI_BYTE, r, TAG_FROM_ROOT, j->comm);
    say(j, WORD_GONE); /* so that rank 0 leaves no word unheard */
    while (j->rank == 0 && j->n_gone < j->n_ranks) {
        listen(j);
        mim_clock_sleep_until(mim_clock_mono_ns() + MIM_NS_PER_S / 1000);
    }
}

/* ---- both ------------------------------------------------------------------------------------ */

/* Where the thread cannot be made, its end is what the others hear of. */
static bool make_thread(mim_joint *j, pthread_t *thread)
{
    mim_signals_block(); /* the new thread has them blocked from its first moment on */
    int rc = mim_fault("thread of the work"), error = 0;
    if (rc == MIM_OK && (error = pthread_create(thread, NULL, live, j)) != 0)
        rc = mim_fail(MIM_EIO, "thread of the work: %s", strerror(error));
    mim_signals_unblock();
    if (rc == MIM_OK)
        return true;
    j->has_ended = true;
    j->rc = rc;
    strcpy(j->error, mim_error());
    return false;
}

int mim_joint_run(MPI_Comm comm, const mim_joint_options *options,
                  int (*work)(void *context, mim_joint *joint), void *context, mim_start *start,
                  bool *has_started)
{
    mim_joint j = {.comm = comm, .options = options, .work = work, .context = context};
    pthread_t thread;
    MPI_Comm_rank(comm, &j.rank);
    MPI_Comm_size(comm, &j.n_ranks);
    pthread_mutex_init(&j.mutex, NULL);
    pthread_cond_init(&j.changed, NULL);
    const bool has_thread = make_thread(&j, &thread);
    int rc = start_all(&j);
    *has_started = rc == MIM_OK;
    if (rc == MIM_OK)
        attend(&j);
    if (has_thread)
        pthread_join(thread, NULL);
    mim_signals_unblock();
    if (rc == MIM_OK) {
        *start = j.start;
        rc = j.rc == MIM_OK ? MIM_OK : mim_fail(j.rc, "%s", j.error);
    } else {
        mim_fail(rc, "%s", j.gate_error);
    }
    pthread_cond_destroy(&j.changed);
    pthread_mutex_destroy(&j.mutex);
    return rc;
}
