/* Reading HDF5 files by asking a forked reader, whose word is not taken for granted either: the
 * file may have corrupted it. */
#include "core/h5_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/text.h"

/* ---- the reader process -------------------------------------------------------------------- */

/* The reader is of no use any more: ends it and says why in one sentence. */
static int reader_lost(mim_h5 *file, const char *why)
{
    int status = 0;
    if (file->socket >= 0)
        close(file->socket);
    file->socket = -1;
    if (file->reader > 0) {
        pid_t done = waitpid(file->reader, &status, WNOHANG);
        for (int i = 0; done == 0 && i < 100; i++) { /* the socket closes just before the end */
            poll(NULL, 0, 1);
            done = waitpid(file->reader, &status, WNOHANG);
        }
        if (done == 0) {
            kill(file->reader, SIGKILL);
            while (waitpid(file->reader, NULL, 0) < 0 && errno == EINTR)
                ;
        } else if (done == file->reader && WIFSIGNALED(status)) {
            why = WTERMSIG(status) == SIGXCPU ? "the HDF5 library did not get done with it"
                                              : "the HDF5 library crashed on it";
        }
        file->reader = -1;
    }
    return mim_fail(MIM_EDATA, "%s: not a readable HDF5 file: %s", file->path, why);
}

static int receive(mim_h5 *file, void *bytes, size_t n)
{
    char *at = bytes;
    while (n > 0) {
        struct pollfd poll_for = {.fd = file->socket, .events = POLLIN};
        int ready = poll(&poll_for, 1, MIM_H5_READER_WAIT_S * 1000);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0) {
            kill(file->reader, SIGKILL);
            return reader_lost(file, "no answer from its reader");
        }
        ssize_t got = recv(file->socket, at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return reader_lost(file, "its reader ended");
        at += got;
        n -= (size_t)got;
    }
    return MIM_OK;
}

/* The reader's error sentence, with anything unprintable taken out. */
static int receive_error(mim_h5 *file, const mim_h5_frame *frame)
{
    char text[MIM_ERROR_TEXT_BYTES] = "";
    if (frame->n_bytes >= sizeof text || frame->code < 0 || frame->code > MIM_ESTOPPED)
        return reader_lost(file, "its reader is confused");
    int rc = receive(file, text, frame->n_bytes);
    if (rc != MIM_OK)
        return rc;
    text[frame->n_bytes] = 0;
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127)
            *c = '?';
    return mim_fail(frame->code, "%s: %s", file->path, text);
}

/* Receives a frame of exactly n_bytes into `bytes`. */
static int receive_frame(mim_h5 *file, void *bytes, size_t n_bytes)
{
    mim_h5_frame frame;
    int rc = receive(file, &frame, sizeof frame);
    if (rc != MIM_OK)
        return rc;
    if (frame.code != MIM_OK)
        return receive_error(file, &frame);
    if (frame.n_bytes != n_bytes)
        return reader_lost(file, "its reader is confused");
    return receive(file, bytes, n_bytes);
}

static int ask(mim_h5 *file, mim_h5_request *request, const char *name, const char *attribute,
               mim_h5_answer *answer)
{
    name = name ? name : "";
    if (strlen(name) >= sizeof request->name || strlen(attribute) >= sizeof request->attribute)
        return mim_fail(MIM_EINVAL, "%s: a name has more than %d bytes", file->path,
                        MIM_H5_MAX_NAME - 1);
    strcpy(request->name, name);
    strcpy(request->attribute, attribute);
    if (file->socket < 0)
        return mim_fail(MIM_EDATA, "%s: not a readable HDF5 file: its reader ended", file->path);
    const char *at = (const char *)request;
    for (size_t left = sizeof *request; left > 0;) {
        ssize_t sent = send(file->socket, at, left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return reader_lost(file, "its reader ended");
        at += sent;
        left -= (size_t)sent;
    }
    return receive_frame(file, answer, sizeof *answer);
}

/* ---- opening ------------------------------------------------------------------------------- */

/* The signature stands at 0, 512, 1024, 2048, ... Almost every wrong file is told here. */
static int check_signature(const char *path, int fd, off_t n_bytes)
{
    static const char signature[8] = "\211HDF\r\n\032\n";
    char found[8];
    if (n_bytes == 0)
        return mim_fail(MIM_EDATA, "%s: empty, expected an HDF5 file", path);
    for (off_t at = 0; at < n_bytes; at = at ? 2 * at : 512)
        if (pread(fd, found, sizeof found, at) == (ssize_t)sizeof found &&
            memcmp(found, signature, sizeof found) == 0)
            return MIM_OK;
    return mim_fail(MIM_EDATA, "%s: not an HDF5 file", path);
}

static int open_regular(const char *path, int *fd, off_t *n_bytes)
{
    struct stat status;
    int rc = MIM_OK;
    int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO shall not block */
    if (opened < 0)
        return mim_fail(MIM_EIO, "%s: %s", path, strerror(errno));
    if (fstat(opened, &status) != 0)
        rc = mim_fail(MIM_EIO, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(status.st_mode))
        rc = mim_fail(MIM_EIO, "%s: is a folder, expected an HDF5 file", path);
    else if (!S_ISREG(status.st_mode))
        rc = mim_fail(MIM_EIO, "%s: not a regular file, expected an HDF5 file", path);
    else
        rc = check_signature(path, opened, status.st_size);
    if (rc != MIM_OK) {
        close(opened);
        return rc;
    }
    *fd = opened;
    *n_bytes = status.st_size;
    return MIM_OK;
}

static int start_reader(mim_h5 *file, int fd, off_t n_bytes)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return mim_fail(MIM_EIO, "%s: no socket for its reader: %s", file->path, strerror(errno));
    file->socket = pair[0];
    file->reader = fork();
    if (file->reader == 0)
        mim_h5_reader_run(fd, pair[1], (uint64_t)n_bytes);
    int error = errno;
    close(pair[1]);
    if (file->reader < 0)
        return mim_fail(MIM_ENOMEM, "%s: no process for its reader: %s", file->path,
                        strerror(error));
    return receive_frame(file, NULL, 0);
}

int mim_h5_open(const char *path, mim_h5 **file)
{
    int fd = -1;
    off_t n_bytes = 0;
    mim_h5 *made = NULL;
    int rc = mim_fault(path);
    if (rc == MIM_OK)
        rc = open_regular(path, &fd, &n_bytes);
    if (rc != MIM_OK)
        return rc;
    if (!(made = calloc(1, sizeof *made)) || !(made->path = mim_strdup(path))) {
        free(made);
        close(fd);
        return mim_fail(MIM_ENOMEM, "%s: file handle", path);
    }
    made->id = H5I_INVALID_HID;
    made->memory = made->socket = -1;
    made->reader = -1;
    if ((rc = start_reader(made, fd, n_bytes)) == MIM_OK) {
        *file = made;
        made = NULL;
    }
    close(fd);
    mim_h5_destroy(&made);
    return rc;
}

/* ---- questions ----------------------------------------------------------------------------- */

bool mim_h5_has(mim_h5 *file, const char *dataset)
{
    mim_h5_answer answer;
    mim_h5_request request = {.question = MIM_H5_ASK_HAS};
    return dataset[0] && ask(file, &request, dataset, "", &answer) == MIM_OK && answer.is_there;
}

int mim_h5_get_shape(mim_h5 *file, const char *name, size_t *rank, size_t shape[MIM_H5_MAX_RANK])
{
    mim_h5_answer answer;
    mim_h5_request request = {.question = MIM_H5_ASK_SHAPE};
    int rc = ask(file, &request, name, "", &answer);
    if (rc != MIM_OK)
        return rc;
    if (answer.rank > MIM_H5_MAX_RANK)
        return reader_lost(file, "its reader is confused");
    *rank = answer.rank;
    for (size_t d = 0; d < answer.rank; d++)
        shape[d] = (size_t)answer.shape[d];
    return MIM_OK;
}

/* Product of the extents; false when it is not what was asked for. */
static bool check_answer(const mim_h5_answer *answer, size_t rank, size_t max_values, size_t *n)
{
    size_t product = 1;
    if (answer->rank != rank || rank > MIM_H5_MAX_RANK)
        return false;
    for (size_t d = 0; d < rank; d++)
        if (answer->shape[d] == 0)
            product = 0;
    for (size_t d = 0; d < rank && product > 0; d++) {
        if (answer->shape[d] > max_values / product)
            return false;
        product *= (size_t)answer->shape[d];
    }
    *n = product;
    return true;
}

/* Frames of 8-byte values until n_values are there. */
static int receive_values(mim_h5 *file, char *values, size_t n_values)
{
    size_t left = n_values * 8;
    while (left > 0) {
        mim_h5_frame frame;
        int rc = receive(file, &frame, sizeof frame);
        if (rc != MIM_OK)
            return rc;
        if (frame.code != MIM_OK)
            return receive_error(file, &frame);
        if (frame.n_bytes == 0 || frame.n_bytes > left)
            return reader_lost(file, "its reader is confused");
        if ((rc = receive(file, values, frame.n_bytes)) != MIM_OK)
            return rc;
        values += frame.n_bytes;
        left -= frame.n_bytes;
    }
    return MIM_OK;
}

static int get_values(mim_h5 *file, mim_h5_question question, const char *name, size_t rank,
                      size_t max_values, size_t *shape, void **values)
{
    mim_h5_answer answer;
    mim_h5_request request = {
        .question = (int32_t)question, .rank = (uint32_t)rank, .max_values = max_values};
    size_t n = 0;
    int rc = ask(file, &request, name, "", &answer);
    if (rc != MIM_OK)
        return rc;
    if (max_values > SIZE_MAX / 8 || !check_answer(&answer, rank, max_values, &n))
        return reader_lost(file, "its reader is confused");
    char *received = malloc(n ? n * 8 : 1);
    if (!received) {
        reader_lost(file, "it was given up"); /* its frames are still under way */
        return mim_fail(MIM_ENOMEM, "%s: %zu values of %s", file->path, n, name);
    }
    if ((rc = receive_values(file, received, n)) != MIM_OK) {
        free(received);
        return rc;
    }
    for (size_t d = 0; d < rank; d++)
        shape[d] = (size_t)answer.shape[d];
    *values = received;
    return MIM_OK;
}

int mim_h5_get_real(mim_h5 *file, const char *name, size_t rank, size_t max_values, size_t *shape,
                    double **values)
{
    void *received = NULL;
    int rc = get_values(file, MIM_H5_ASK_REAL, name, rank, max_values, shape, &received);
    if (rc == MIM_OK)
        *values = received;
    return rc;
}

int mim_h5_get_count(mim_h5 *file, const char *name, size_t rank, size_t max_values, size_t *shape,
                     uint64_t **values)
{
    void *received = NULL;
    int rc = get_values(file, MIM_H5_ASK_COUNT, name, rank, max_values, shape, &received);
    if (rc == MIM_OK)
        *values = received;
    return rc;
}

static int receive_text(mim_h5 *file, size_t *allowance, char **text)
{
    uint64_t n_bytes = 0;
    int rc = receive_frame(file, &n_bytes, sizeof n_bytes);
    if (rc != MIM_OK)
        return rc;
    if (n_bytes > *allowance)
        return reader_lost(file, "its texts are too long");
    char *received = malloc((size_t)n_bytes + 1);
    if (!received) {
        reader_lost(file, "it was given up");
        return mim_fail(MIM_ENOMEM, "%s: text of %zu bytes", file->path, (size_t)n_bytes);
    }
    for (size_t at = 0; rc == MIM_OK && at < n_bytes;) {
        size_t n = (size_t)n_bytes - at;
        n = n < MIM_H5_BLOCK_BYTES ? n : MIM_H5_BLOCK_BYTES;
        rc = receive_frame(file, received + at, n);
        at += n;
    }
    if (rc != MIM_OK) {
        free(received);
        return rc;
    }
    received[n_bytes] = 0;
    *allowance -= (size_t)n_bytes;
    *text = received;
    return MIM_OK;
}

int mim_h5_get_texts(mim_h5 *file, const char *name, size_t max_texts, size_t *n, char ***texts)
{
    mim_h5_answer answer;
    mim_h5_request request = {.question = MIM_H5_ASK_TEXTS, .rank = 1, .max_values = max_texts};
    size_t count = 0, allowance = MIM_H5_MAX_TEXT_BYTES;
    int rc = ask(file, &request, name, "", &answer);
    if (rc != MIM_OK)
        return rc;
    if (!check_answer(&answer, 1, max_texts, &count))
        return reader_lost(file, "its reader is confused");
    char **received = calloc(count ? count : 1, sizeof *received);
    if (!received) {
        reader_lost(file, "it was given up");
        return mim_fail(MIM_ENOMEM, "%s: %zu texts", file->path, count);
    }
    for (size_t i = 0; rc == MIM_OK && i < count; i++)
        rc = receive_text(file, &allowance, &received[i]);
    if (rc != MIM_OK) {
        mim_h5_free_texts(count, &received);
        return rc;
    }
    *n = count;
    *texts = received;
    return MIM_OK;
}

void mim_h5_free_texts(size_t n, char ***texts)
{
    if (*texts)
        for (size_t i = 0; i < n; i++)
            free((*texts)[i]);
    free(*texts);
    *texts = NULL;
}

int mim_h5_get_attribute_text(mim_h5 *file, const char *dataset, const char *name, char **text)
{
    mim_h5_answer answer;
    mim_h5_request request = {.question = MIM_H5_ASK_ATTRIBUTE_TEXT};
    size_t allowance = MIM_H5_MAX_TEXT_BYTES;
    int rc = ask(file, &request, dataset, name, &answer);
    if (rc != MIM_OK)
        return rc;
    if (answer.is_there)
        return receive_text(file, &allowance, text);
    *text = NULL;
    return MIM_OK;
}

int mim_h5_get_attribute_real(mim_h5 *file, const char *dataset, const char *name, bool *is_there,
                              double *value)
{
    mim_h5_answer answer;
    mim_h5_request request = {.question = MIM_H5_ASK_ATTRIBUTE_REAL};
    int rc = ask(file, &request, dataset, name, &answer);
    if (rc != MIM_OK)
        return rc;
    *is_there = answer.is_there != 0;
    if (answer.is_there)
        *value = answer.value;
    return MIM_OK;
}
