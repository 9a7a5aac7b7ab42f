/* The forked reader as seen from this process, which does not take its word for granted: the file
 * may have corrupted it. */
#include "core/h5_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- its process ------------------------------------------------------------------------------
 */

static void close_socket(mim_h5_reader *r)
{
    if (r->socket >= 0)
        close(r->socket);
    r->socket = -1;
}

void mim_h5_reader_stop(mim_h5_reader *r)
{
    close_socket(r);
    if (r->process <= 0)
        return;
    kill(r->process, SIGKILL); /* it holds nothing worth an orderly end */
    while (waitpid(r->process, NULL, 0) < 0 && errno == EINTR)
        ;
    r->process = -1;
}

int mim_h5_reader_start(mim_h5_reader *r)
{
    const struct timeval patience = {.tv_sec = MIM_H5_READER_WAIT_S};
    int pair[2];
    mim_h5_reader_stop(r);
    r->n_files = r->begin = r->end = 0;
    r->is_spent = false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return mim_fail(MIM_EIO, "%s: no socket for its reader: %s", r->path, strerror(errno));
    r->socket = pair[0];
    setsockopt(r->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    r->process = fork();
    if (r->process == 0)
        mim_h5_reader_run(pair[1]);
    int error = errno;
    close(pair[1]);
    if (r->process > 0)
        return MIM_OK;
    close_socket(r);
    return mim_fail(MIM_ENOMEM, "%s: no process for its reader: %s", r->path, strerror(error));
}

int mim_h5_reader_lost(mim_h5_reader *r, const char *why)
{
    int status = 0;
    close_socket(r);
    if (r->process > 0) {
        pid_t done = waitpid(r->process, &status, WNOHANG);
        for (int i = 0; done == 0 && i < 100; i++) { /* the socket closes just before the end */
            poll(NULL, 0, 1);
            done = waitpid(r->process, &status, WNOHANG);
        }
        if (done == 0)
            mim_h5_reader_stop(r);
        else if (done == r->process && WIFSIGNALED(status))
            why = WTERMSIG(status) == SIGXCPU ? "the HDF5 library did not get done with it"
                                              : "the HDF5 library crashed on it";
        r->process = -1;
    }
    return mim_fail(MIM_EDATA, "%s: not a readable HDF5 file: %s", r->path, why);
}

int mim_h5_reader_create(mim_h5_reader **reader)
{
    mim_h5_reader *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "reader of HDF5 files");
    made->socket = -1;
    made->process = -1;
    *reader = made;
    return MIM_OK;
}

void mim_h5_reader_destroy(mim_h5_reader **reader)
{
    if (!*reader)
        return;
    mim_h5_reader_stop(*reader);
    free(*reader);
    *reader = NULL;
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static ssize_t send_part(int socket, const char *bytes, size_t n, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control = {.bytes = {0}};
    struct iovec part = {(void *)(uintptr_t)bytes, n};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *passed = CMSG_FIRSTHDR(&message);
        passed->cmsg_level = SOL_SOCKET;
        passed->cmsg_type = SCM_RIGHTS;
        passed->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(passed), &fd, sizeof fd);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

int mim_h5_reader_send(mim_h5_reader *r, const mim_h5_request *request, int fd)
{
    const char *at = (const char *)request;
    if (r->begin < r->end) /* the last answer was longer than it should be */
        return mim_h5_reader_lost(r, "its reader is confused");
    for (size_t left = sizeof *request; left > 0;) {
        ssize_t sent = send_part(r->socket, at, left, fd);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return mim_h5_reader_lost(r, "its reader ended");
        fd = -1;
        at += sent;
        left -= (size_t)sent;
    }
    return MIM_OK;
}

/* ---- receiving --------------------------------------------------------------------------------
 */

/* Some bytes, at least one. */
static int receive_some(mim_h5_reader *r, char *bytes, size_t max, size_t *n)
{
    for (;;) {
        ssize_t got = recv(r->socket, bytes, max, 0);
        if (got > 0) {
            *n = (size_t)got;
            return MIM_OK;
        }
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            mim_h5_reader_stop(r);
            return mim_h5_reader_lost(r, "no answer from its reader");
        }
        return mim_h5_reader_lost(r, "its reader ended");
    }
}

int mim_h5_reader_receive(mim_h5_reader *r, void *bytes, size_t n)
{
    char *at = bytes;
    while (n > 0) {
        size_t got = r->end - r->begin;
        int rc = MIM_OK;
        if (got > 0) {
            got = got < n ? got : n;
            memcpy(at, r->in + r->begin, got);
            r->begin += got;
        } else if (n >= sizeof r->in) {
            rc = receive_some(r, at, n, &got);
        } else {
            r->begin = r->end = 0;
            rc = receive_some(r, r->in, sizeof r->in, &r->end);
        }
        if (rc != MIM_OK)
            return rc;
        at += got;
        n -= got;
    }
    return MIM_OK;
}

/* The reader's error sentence, with anything unprintable taken out. */
static int receive_error(mim_h5_reader *r, const mim_h5_frame *frame)
{
    char text[MIM_ERROR_TEXT_BYTES] = "";
    if (frame->n_bytes >= sizeof text || frame->code < 0 || frame->code > MIM_ESTOPPED)
        return mim_h5_reader_lost(r, "its reader is confused");
    int rc = mim_h5_reader_receive(r, text, frame->n_bytes);
    if (rc != MIM_OK)
        return rc;
    text[frame->n_bytes] = 0;
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127)
            *c = '?';
    return mim_fail(frame->code, "%s: %s", r->path, text);
}

static int receive_frame(mim_h5_reader *r, void *bytes, size_t min, size_t max, size_t *n_bytes)
{
    mim_h5_frame frame;
    int rc = mim_h5_reader_receive(r, &frame, sizeof frame);
    if (rc != MIM_OK)
        return rc;
    if (frame.code != MIM_OK)
        return receive_error(r, &frame);
    if (frame.n_bytes < min || frame.n_bytes > max)
        return mim_h5_reader_lost(r, "its reader is confused");
    *n_bytes = frame.n_bytes;
    return mim_h5_reader_receive(r, bytes, frame.n_bytes);
}

int mim_h5_reader_frame(mim_h5_reader *r, void *bytes, size_t max_bytes, size_t *n_bytes)
{
    return receive_frame(r, bytes, 1, max_bytes, n_bytes);
}

int mim_h5_reader_frame_of(mim_h5_reader *r, void *bytes, size_t n_bytes)
{
    size_t n = 0;
    return receive_frame(r, bytes, n_bytes, n_bytes, &n);
}
