/* The forked reader's process: what it may do, and its conversation. */
#define _GNU_SOURCE /* close_range */
#include "core/h5_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READER_MEMORY_BYTES = 1 << 30,
    BYTES_PER_CPU_S = 20 << 20,
    SOCKET = 3, /* its descriptors: 0 to 2 go nowhere, 4 is the file as handed over, */
    N_FDS = 6,  /* 5 the library's own */
};

/* ---- talking ------------------------------------------------------------------------------- */

static void send_bytes(const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t sent = send(SOCKET, at, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            _exit(0); /* nobody listens any more */
        at += sent;
        n -= (size_t)sent;
    }
}

static void flush(mim_h5_server *s)
{
    send_bytes(s->out, s->n_out);
    s->n_out = 0;
}

static void put_bytes(mim_h5_server *s, const void *bytes, size_t n)
{
    if (n > sizeof s->out - s->n_out)
        flush(s);
    if (n > sizeof s->out) {
        send_bytes(bytes, n);
    } else if (n > 0) {
        memcpy(s->out + s->n_out, bytes, n);
        s->n_out += n;
    }
}

void mim_h5_server_frame(mim_h5_server *s, int code, const void *bytes, size_t n)
{
    mim_h5_frame frame = {.code = code, .n_bytes = (uint32_t)n};
    put_bytes(s, &frame, sizeof frame);
    put_bytes(s, bytes, n);
}

/* The descriptor that came with a message, -1 if none did. */
static int received_fd(struct msghdr *message)
{
    int fd = -1;
    const struct cmsghdr *control = CMSG_FIRSTHDR(message);
    if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS &&
        control->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(control), sizeof fd);
    return fd;
}

static void receive_request(mim_h5_request *request, int *fd)
{
    char *at = (char *)request;
    size_t n = sizeof *request;
    *fd = -1;
    while (n > 0) {
        union {
            char bytes[CMSG_SPACE(sizeof(int))];
            struct cmsghdr aligned;
        } control;
        struct iovec part = {at, n};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof control.bytes};
        ssize_t got = recvmsg(SOCKET, &message, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            _exit(0);
        int passed = received_fd(&message);
        if (passed >= 0)
            *fd = passed;
        at += got;
        n -= (size_t)got;
    }
}

/* ---- limits -------------------------------------------------------------------------------- */

void mim_h5_server_allow_cpu(uint64_t n_bytes)
{
    struct rusage usage;
    struct rlimit limit;
    if (getrusage(RUSAGE_SELF, &usage) != 0 || getrlimit(RLIMIT_CPU, &limit) != 0)
        return;
    uint64_t used = (uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec + 1;
    limit.rlim_cur = used + MIM_H5_READER_CPU_S + n_bytes / BYTES_PER_CPU_S;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_CPU, &limit);
}

static void limit_to(unsigned resource, rlim_t value)
{
    struct rlimit limit = {value, value}, now;
    if (getrlimit(resource, &now) == 0 && now.rlim_max < value)
        limit.rlim_cur = limit.rlim_max = now.rlim_max;
    setrlimit(resource, &limit);
}

#if defined(__SANITIZE_ADDRESS__)
#define HAS_SHADOW_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                         \
    __has_feature(thread_sanitizer)
#define HAS_SHADOW_MEMORY 1
#endif
#endif

static void limit_memory(void)
{
#ifndef HAS_SHADOW_MEMORY /* which takes terabytes of address space */
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm) {
        if (fscanf(statm, "%lu", &pages) != 1)
            pages = 0;
        fclose(statm);
    }
    if (pages > 0)
        limit_to(RLIMIT_AS, (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + READER_MEMORY_BYTES);
#endif
}

/* A crash shall look like one (no handler of the parent's program runs) and leave no core; a stop
 * signal to the whole job is the parent's affair. */
static void settle_signals(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS,  SIGILL,  SIGFPE, SIGABRT,
                                SIGTRAP, SIGXCPU, SIGXFSZ, SIGALRM};
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t none;
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        signal(fatal[i], SIG_DFL);
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    limit_to(RLIMIT_CORE, 0);
}

/* Makes no noise, and keeps nothing of the parent's open but the socket: other readers would miss
 * the parent's end. */
static void settle_fds(int socket)
{
    int kept = fcntl(socket, F_DUPFD, N_FDS), null = open("/dev/null", O_RDWR);
    if (kept < 0 || null < 0)
        _exit(0);
    for (int fd = 0; fd < SOCKET; fd++)
        dup2(null, fd);
    dup2(kept, SOCKET);
    if (close_range(SOCKET + 1, ~0U, 0) != 0)
        for (int other = SOCKET + 1; other < 65536; other++) /* a kernel before 5.9 */
            close(other);
}

/* ---- life ---------------------------------------------------------------------------------- */

/* 0 while it has a file: no external file, no filter plug-in, nothing left behind by whoever else
 * handles a crash. */
static void allow_fds(rlim_t n)
{
    const struct rlimit limit = {n, N_FDS};
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_file(mim_h5_server *s, uint64_t n_bytes, int fd)
{
    char path[64];
    s->fd = fd;
    s->file_bytes = n_bytes;
    mim_h5_server_allow_cpu(n_bytes);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    s->file = H5Fopen(path, H5F_ACC_RDONLY, s->access);
    allow_fds(0);
    if (s->file < 0)
        return mim_fail(MIM_EDATA, "not a readable HDF5 file: it is damaged or cut short");
    mim_h5_server_frame(s, MIM_OK, NULL, 0);
    return MIM_OK;
}

/* A file that cannot be closed is the last one: the next reader is a new process. */
static void close_file(mim_h5_server *s)
{
    if (s->file >= 0 && H5Fclose(s->file) < 0)
        _exit(0);
    if (s->fd >= 0)
        close(s->fd);
    s->file = H5I_INVALID_HID;
    s->fd = -1;
    allow_fds(N_FDS);
}

static void answer(mim_h5_server *s, const mim_h5_request *request, int fd)
{
    int rc = MIM_OK;
    if (request->question == MIM_H5_ASK_OPEN) {
        rc = open_file(s, request->max_values, fd);
    } else if (request->question == MIM_H5_ASK_CLOSE) {
        close_file(s);
    } else {
        mim_h5_server_allow_cpu(s->file_bytes);
        rc = mim_h5_server_answer(s, request);
    }
    if (rc != MIM_OK)
        mim_h5_server_frame(s, rc, mim_error(), strlen(mim_error()));
    flush(s);
}

void mim_h5_reader_run(int socket)
{
    settle_signals();
    settle_fds(socket);
    limit_memory();
    limit_to(RLIMIT_FSIZE, 0);
    mim_h5_server_allow_cpu(0);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    mim_h5_server *s = calloc(1, sizeof *s);
    if (!s || !(s->block = malloc(MIM_H5_BLOCK_BYTES)) ||
        (s->access = H5Pcreate(H5P_FILE_ACCESS)) < 0 || H5Pset_fapl_stdio(s->access) < 0 ||
        H5Pset_file_locking(s->access, false, true) < 0 ||
        H5Pset_fclose_degree(s->access, H5F_CLOSE_STRONG) < 0)
        _exit(0);
    s->file = H5I_INVALID_HID;
    s->fd = -1;
    allow_fds(N_FDS);
    for (;;) {
        mim_h5_request request;
        int fd = -1;
        receive_request(&request, &fd);
        answer(s, &request, fd);
    }
}
