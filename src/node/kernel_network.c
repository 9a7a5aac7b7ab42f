/* TCP streams: blocks sent to a sink of our own over the loopback device, or to a peer that throws
 * them away (RFC 863, or `socat -u TCP-LISTEN:9,fork OPEN:/dev/null`).
 *
 * One operation = one block given to the connection; bytes = its length. The loopback's sink is a
 * thread that inherits the caller's CPU and tells its CPU time in extra_cpu_ns. A connection that
 * takes nothing for 2 s has failed: a slot is not to be held up by others for long. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/signals.h"
#include "core/text.h"
#include "node/kernel_family.h"

enum { CONNECT_MS = 5000, STALL_S = 2, MAX_STRANGERS = 16, SINK_BYTES = 256 << 10 };

static const int64_t arrival_ns = 5000000000, poll_ns = 1000000;

typedef struct sink {
    int fd;
    pthread_t thread;
    bool is_started;
    clockid_t clock;
    int64_t told_ns;      /* CPU time told so far */
    unsigned char *block; /* [op_bytes] what is expected, again and again */
    unsigned char *bytes; /* [SINK_BYTES] what came */
    uint64_t op_bytes;
    atomic_uint_fast64_t n_received; /* bytes */
    atomic_uint_fast64_t n_wrong;    /* pieces that did not begin as they should */
} sink;

typedef struct stream_state {
    uint64_t *block; /* [op_bytes] */
    int fd;
    char *peer; /* for sentences */
    uint64_t op_bytes;
    uint64_t n_sent; /* bytes */
    uint32_t crc;    /* of the block */
    sink *sink;      /* NULL: the peer has it */
} stream_state;

/* ---- the sink -------------------------------------------------------------------------------- */

/* What came begins with what belongs at this place of the stream; comparing all of it would double
 * the sink's work. */
static bool is_as_expected(const sink *s, uint64_t at, uint64_t n)
{
    uint64_t offset = at % s->op_bytes, left = s->op_bytes - offset, head = 8;

    head = head < n ? head : n;
    head = head < left ? head : left;
    return memcmp(s->bytes, s->block + offset, head) == 0;
}

static void *swallow(void *argument)
{
    sink *s = argument;
    ssize_t n;

    mim_signals_block();
    while ((n = recv(s->fd, s->bytes, SINK_BYTES, 0)) > 0 || (n < 0 && errno == EINTR)) {
        uint64_t at = atomic_load(&s->n_received);

        if (n < 0)
            continue;
        if (!is_as_expected(s, at, (uint64_t)n))
            atomic_fetch_add(&s->n_wrong, 1);
        atomic_store(&s->n_received, at + (uint64_t)n);
    }
    return NULL;
}

static void destroy_sink(sink *s)
{
    if (!s)
        return;
    if (s->is_started)
        pthread_join(s->thread, NULL); /* the other end is closed */
    if (s->fd >= 0)
        close(s->fd);
    free(s->block);
    free(s->bytes);
    free(s);
}

static int start_sink(sink *s)
{
    int error;

    if ((error = pthread_create(&s->thread, NULL, swallow, s)) != 0)
        return mim_fail(MIM_EIO, "kernel network: sink thread: %s", strerror(error));
    s->is_started = true;
    if ((error = pthread_getcpuclockid(s->thread, &s->clock)) != 0)
        return mim_fail(MIM_EIO, "kernel network: CPU clock of the sink: %s", strerror(error));
    return MIM_OK;
}

static void tell_sink_time(sink *s, mim_work *work)
{
    struct timespec now;

    if (clock_gettime(s->clock, &now) == 0) {
        int64_t ns = (int64_t)now.tv_sec * MIM_NS_PER_S + now.tv_nsec;

        work->extra_cpu_ns += (uint64_t)(ns - s->told_ns);
        s->told_ns = ns;
    }
}

/* ---- connecting ------------------------------------------------------------------------------ */

static int fail_socket(const char *peer, const char *what)
{
    return mim_fail(MIM_EIO, "network peer %s: %s: %s", peer, what, strerror(errno));
}

/* Waits for the connection that was begun; a blocking connect might wait for minutes. */
static int wait_connected(int fd, const char *peer)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int error = 0, n;
    socklen_t n_bytes = sizeof error;

    while ((n = poll(&wait, 1, CONNECT_MS)) < 0 && errno == EINTR)
        continue;
    if (n == 0)
        errno = ETIMEDOUT;
    else if (n > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n_bytes) == 0)
        errno = error;
    if (n > 0 && errno == 0)
        return MIM_OK;
    return fail_socket(peer, "cannot connect");
}

static int connect_to(int family, const struct sockaddr *address, socklen_t n_bytes,
                      const char *peer, int *connected)
{
    const struct timeval stall = {.tv_sec = STALL_S};
    int rc, flags, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return fail_socket(peer, "socket");
    if (connect(fd, address, n_bytes) != 0 && errno != EINPROGRESS)
        rc = fail_socket(peer, "cannot connect");
    else
        rc = wait_connected(fd, peer);
    if (rc == MIM_OK &&
        ((flags = fcntl(fd, F_GETFL)) < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0 ||
         setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof stall) != 0))
        rc = fail_socket(peer, "socket options");
    if (rc != MIM_OK) {
        close(fd);
        return rc;
    }
    *connected = fd;
    return MIM_OK;
}

/* "host:port" or "[IPv6]:port", as two new texts. */
static int split_peer(const char *peer, char **host, char **port)
{
    const char *colon = strrchr(peer, ':');
    size_t n = colon ? (size_t)(colon - peer) : 0;
    bool has_brackets = n > 2 && peer[0] == '[' && peer[n - 1] == ']';
    bool is_plain = n > 0 && !memchr(peer, ':', n) && !memchr(peer, '[', n);

    if (!colon || !colon[1] || !(has_brackets || is_plain))
        return mim_fail(MIM_EUSAGE,
                        "network peer \"%s\": expected HOST:PORT, or [ADDRESS]:PORT for IPv6",
                        peer);
    *host =
        has_brackets ? mim_format("%.*s", (int)n - 2, peer + 1) : mim_format("%.*s", (int)n, peer);
    *port = mim_strdup(colon + 1);
    return *host && *port ? MIM_OK : mim_fail(MIM_ENOMEM, "network peer");
}

/* The first of the host's addresses that answers. */
static int connect_peer(const char *peer, int *fd)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char *host = NULL, *port = NULL;
    int error, rc = split_peer(peer, &host, &port);

    if (rc == MIM_OK && (error = getaddrinfo(host, port, &hints, &found)) != 0)
        rc = mim_fail(MIM_EIO, "network peer %s: %s", peer, gai_strerror(error));
    for (const struct addrinfo *at = found; rc == MIM_OK && at; at = at->ai_next) {
        rc = connect_to(at->ai_family, at->ai_addr, at->ai_addrlen, peer, fd);
        if (rc == MIM_OK)
            break;
        if (at->ai_next)
            rc = MIM_OK;
    }
    if (found)
        freeaddrinfo(found);
    free(host);
    free(port);
    return rc;
}

/* Anyone on this host may connect to our port; the sink takes the connection that is ours. */
static int accept_own(int listener, int own, int *fd)
{
    struct sockaddr_in theirs, ours;
    socklen_t n_bytes = sizeof ours;

    if (getsockname(own, (struct sockaddr *)&ours, &n_bytes) != 0)
        return fail_socket("loopback", "own address");
    for (int i = 0; i < MAX_STRANGERS; i++) {
        int f;

        n_bytes = sizeof theirs;
        f = accept(listener, (struct sockaddr *)&theirs, &n_bytes);
        if (f < 0 && errno != EINTR)
            return fail_socket("loopback", "accepting");
        if (f >= 0 && theirs.sin_port == ours.sin_port) {
            fcntl(f, F_SETFD, FD_CLOEXEC);
            *fd = f;
            return MIM_OK;
        }
        if (f >= 0)
            close(f);
    }
    return mim_fail(MIM_EIO, "loopback: others take the connections");
}

static int connect_pair(int *fd, int *sink_fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n_bytes = sizeof address;
    int rc, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0)
        return fail_socket("loopback", "socket");
    if (bind(listener, (struct sockaddr *)&address, n_bytes) != 0 ||
        listen(listener, MAX_STRANGERS) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &n_bytes) != 0)
        rc = fail_socket("loopback", "listening");
    else
        rc = connect_to(AF_INET, (struct sockaddr *)&address, n_bytes, "loopback", fd);
    if (rc == MIM_OK)
        rc = accept_own(listener, *fd, sink_fd);
    close(listener);
    return rc;
}

/* ---- the kernels ----------------------------------------------------------------------------- */

static void destroy(void *state)
{
    stream_state *s = state;

    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    destroy_sink(s->sink);
    free(s->block);
    free(s->peer);
    free(s);
}

static int create_sink(stream_state *s)
{
    int rc;
    void *block = NULL, *bytes = NULL;

    if (!(s->sink = calloc(1, sizeof *s->sink)))
        return mim_fail(MIM_ENOMEM, "kernel network");
    s->sink->fd = -1;
    s->sink->op_bytes = s->op_bytes;
    if ((rc = mim_kernel_buffer(s->op_bytes, 0, &block)) != MIM_OK)
        return rc;
    s->sink->block = block;
    memcpy(block, s->block, s->op_bytes);
    if ((rc = mim_kernel_buffer(SINK_BYTES, 0, &bytes)) != MIM_OK)
        return rc;
    s->sink->bytes = bytes;
    rc = connect_pair(&s->fd, &s->sink->fd);
    return rc == MIM_OK ? start_sink(s->sink) : rc;
}

/* `peer` NULL: a sink of our own. */
static int create(const char *peer, const mim_stressor *stressor, const mim_kernel_place *place,
                  void **state)
{
    int rc;
    void *block = NULL;
    stream_state *s = NULL;

    if (stressor->op_bytes == 0 || stressor->op_bytes % MIM_PAGE_BYTES != 0)
        return mim_fail(MIM_EINVAL,
                        "kernel network: blocks of %" PRIu64 " bytes, expected a multiple of %d",
                        stressor->op_bytes, MIM_PAGE_BYTES);
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel network");
    s->fd = -1;
    s->op_bytes = stressor->op_bytes;
    if (!(s->peer = mim_strdup(peer ? peer : "loopback"))) {
        rc = mim_fail(MIM_ENOMEM, "kernel network");
        goto done;
    }
    if ((rc = mim_kernel_buffer(s->op_bytes, 0, &block)) != MIM_OK)
        goto done;
    s->block = block;
    mim_kernel_fill_random(s->op_bytes / sizeof *s->block, place->seed + place->row, s->block);
    s->crc = mim_crc32c_ref(0, s->block, s->op_bytes);
    if ((rc = peer ? connect_peer(peer, &s->fd) : create_sink(s)) != MIM_OK)
        goto done;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int create_loopback(const mim_stressor *stressor, const mim_kernel_place *place,
                           void **state)
{
    int rc = mim_kernel_check("net_loopback", stressor, place, state);

    return rc == MIM_OK ? create(NULL, stressor, place, state) : rc;
}

static int check_peer(const mim_stressor *stressor, mim_scratch *scratch)
{
    char *host = NULL, *port = NULL;
    int rc;

    (void)scratch;
    if (!stressor->network_peer)
        return mim_fail(MIM_EUNSUP, "no network peer: set stressors.network_peer or "
                                    "MIMESYS_NETWORK_PEER to HOST:PORT of one that discards");
    rc = split_peer(stressor->network_peer, &host, &port);
    free(host);
    free(port);
    return rc;
}

static int create_peer(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc = mim_kernel_check("net_peer", stressor, place, state);

    if (rc == MIM_OK)
        rc = check_peer(stressor, NULL);
    return rc == MIM_OK ? create(stressor->network_peer, stressor, place, state) : rc;
}

static int send_block(stream_state *s)
{
    uint64_t n_done = 0;

    while (n_done < s->op_bytes) {
        ssize_t n =
            send(s->fd, (const char *)s->block + n_done, s->op_bytes - n_done, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return mim_fail(MIM_EIO, "network peer %s: took nothing for %d s", s->peer, STALL_S);
        if (n <= 0)
            return fail_socket(s->peer, "sending");
        n_done += (uint64_t)n;
        s->n_sent += (uint64_t)n;
    }
    return MIM_OK;
}

static int run(void *state, size_t n, mim_work *work)
{
    stream_state *s = state;

    for (size_t i = 0; i < n; i++) {
        int rc = send_block(s);

        if (rc != MIM_OK)
            return rc;
        work->n_ops++;
        work->n_bytes += s->op_bytes;
    }
    if (s->sink)
        tell_sink_time(s->sink, work);
    return MIM_OK;
}

/* Sent bytes that the other side has not taken yet: neither read nor, for a peer, acknowledged. */
static int on_the_way(const stream_state *s, uint64_t *n_bytes)
{
    int queued = 0;

    if (s->sink) {
        *n_bytes = s->n_sent - atomic_load(&s->sink->n_received);
        return MIM_OK;
    }
    if (ioctl(s->fd, SIOCOUTQ, &queued) != 0)
        return fail_socket(s->peer, "length of the queue");
    *n_bytes = (uint64_t)queued;
    return MIM_OK;
}

static int verify(void *state)
{
    const stream_state *s = state;
    int64_t end_ns = mim_clock_mono_ns() + arrival_ns;
    uint64_t n_left = 0;
    int rc;

    if (mim_crc32c_ref(0, s->block, s->op_bytes) != s->crc)
        return mim_fail(MIM_ECHECK, "network: the %" PRIu64 " bytes to send have changed",
                        s->op_bytes);
    while ((rc = on_the_way(s, &n_left)) == MIM_OK && n_left > 0 && mim_clock_mono_ns() < end_ns)
        mim_clock_sleep_until(mim_clock_mono_ns() + poll_ns);
    if (rc != MIM_OK)
        return rc;
    if (n_left > 0)
        return mim_fail(MIM_ECHECK,
                        "network peer %s: %" PRIu64 " of %" PRIu64 " bytes did not arrive", s->peer,
                        n_left, s->n_sent);
    if (s->sink && atomic_load(&s->sink->n_wrong) > 0)
        return mim_fail(MIM_ECHECK, "network: %" PRIuFAST64 " pieces arrived changed",
                        atomic_load(&s->sink->n_wrong));
    return MIM_OK;
}

const mim_kernel mim_kernel_net_loopback = {.name = "net_loopback",
                                            .create = create_loopback,
                                            .destroy = destroy,
                                            .run = run,
                                            .verify = verify};
const mim_kernel mim_kernel_net_peer = {.name = "net_peer",
                                        .create = create_peer,
                                        .destroy = destroy,
                                        .run = run,
                                        .verify = verify,
                                        .check_node = check_peer};
