/* Opening HDF5 files for reading, and the questions about them. */
#include "core/h5_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/text.h"

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

/* Gives the file to the reader: to a new process if there is none, or it has failed before, or has
 * had its share of files. A new one is also tried where another one fails, for the files before may
 * have harmed it: so what is said of a file never depends on other files. */
static int hand_over(mim_h5 *file)
{
    mim_h5_reader *r = file->reader;
    const mim_h5_request request = {.question = MIM_H5_ASK_OPEN, .max_values = file->file_bytes};
    for (;;) {
        int rc = MIM_OK;
        if (r->socket < 0 || r->is_spent || r->n_files >= MIM_H5_READER_FILES)
            rc = mim_h5_reader_start(r);
        if (rc != MIM_OK)
            return rc;
        r->n_files++;
        rc = mim_h5_reader_send(r, &request, file->fd);
        if (rc == MIM_OK)
            rc = mim_h5_reader_frame_of(r, NULL, 0);
        r->is_spent = rc != MIM_OK;
        if (rc == MIM_OK || r->n_files == 1)
            return rc;
    }
}

int mim_h5_open_with(mim_h5_reader *reader, const char *path, mim_h5 **file)
{
    off_t n_bytes = 0;
    mim_h5 *made = NULL;
    if (reader && reader->is_busy)
        return mim_fail(MIM_EINVAL, "%s: its reader has another file open", path);
    if (!(made = calloc(1, sizeof *made)) || !(made->path = mim_strdup(path))) {
        free(made);
        return mim_fail(MIM_ENOMEM, "%s: file handle", path);
    }
    made->id = H5I_INVALID_HID;
    made->memory = made->fd = -1;
    int rc = mim_fault(path);
    if (rc == MIM_OK)
        rc = open_regular(path, &made->fd, &n_bytes);
    made->file_bytes = (uint64_t)n_bytes;
    made->reader = reader;
    made->owns_reader = !reader;
    if (rc == MIM_OK && !reader)
        rc = mim_h5_reader_create(&made->reader);
    if (rc == MIM_OK) {
        made->reader->is_busy = true;
        made->reader->path = made->path;
        rc = hand_over(made);
    }
    if (rc == MIM_OK) {
        *file = made;
        made = NULL;
    }
    mim_h5_destroy(&made);
    return rc;
}

int mim_h5_open(const char *path, mim_h5 **file) { return mim_h5_open_with(NULL, path, file); }

void mim_h5_release(mim_h5 *file)
{
    mim_h5_reader *r = file->reader;
    const mim_h5_request request = {.question = MIM_H5_ASK_CLOSE};
    if (file->fd >= 0)
        close(file->fd);
    if (file->owns_reader) {
        mim_h5_reader_destroy(&file->reader);
    } else if (r && r->path == file->path) { /* else the file was never its */
        if (r->socket < 0 || r->is_spent || mim_h5_reader_send(r, &request, -1) != MIM_OK)
            mim_h5_reader_stop(r);
        r->is_busy = false;
        r->path = NULL;
    }
}

/* ---- questions ----------------------------------------------------------------------------- */

/* What is asked, and the answer. */
typedef struct question {
    mim_h5_request request;
    int (*take)(mim_h5_reader *r, struct question *q); /* what follows the first frame, or NULL */
    mim_h5_answer answer;
    size_t n; /* values or texts taken */
    char *values;
    char **texts;
} question;

static int ask_once(mim_h5 *file, question *q)
{
    mim_h5_reader *r = file->reader;
    if (r->socket < 0)
        return mim_fail(MIM_EDATA, "%s: not a readable HDF5 file: its reader ended", file->path);
    int rc = mim_h5_reader_send(r, &q->request, -1);
    if (rc == MIM_OK)
        rc = mim_h5_reader_frame_of(r, &q->answer, sizeof q->answer);
    return rc == MIM_OK && q->take ? q->take(r, q) : rc;
}

static int ask(mim_h5 *file, const char *name, const char *attribute, question *q)
{
    name = name ? name : "";
    if (strlen(name) >= sizeof q->request.name || strlen(attribute) >= sizeof q->request.attribute)
        return mim_fail(MIM_EINVAL, "%s: a name has more than %d bytes", file->path,
                        MIM_H5_MAX_NAME - 1);
    strcpy(q->request.name, name);
    strcpy(q->request.attribute, attribute);
    int rc = ask_once(file, q);
    while (rc != MIM_OK && rc != MIM_ENOMEM) {
        file->reader->is_spent = true;
        if (file->reader->n_files <= 1) /* a new process: it is the file's fault */
            break;
        rc = hand_over(file);
        if (rc == MIM_OK)
            rc = ask_once(file, q);
    }
    return rc;
}

/* Memory is short: the frames under way are lost with their reader. */
static int give_up(mim_h5_reader *r, size_t n, const char *what)
{
    mim_h5_reader_lost(r, "it was given up");
    return mim_fail(MIM_ENOMEM, "%s: %zu %s", r->path, n, what);
}

bool mim_h5_has(mim_h5 *file, const char *dataset)
{
    question q = {.request = {.question = MIM_H5_ASK_HAS}};
    return dataset[0] && ask(file, dataset, "", &q) == MIM_OK && q.answer.is_there;
}

static int take_shape(mim_h5_reader *r, question *q)
{
    return q->answer.rank > MIM_H5_MAX_RANK ? mim_h5_reader_lost(r, "its reader is confused")
                                            : MIM_OK;
}

int mim_h5_get_shape(mim_h5 *file, const char *name, size_t *rank, size_t shape[MIM_H5_MAX_RANK])
{
    question q = {.request = {.question = MIM_H5_ASK_SHAPE}, .take = take_shape};
    int rc = ask(file, name, "", &q);
    if (rc != MIM_OK)
        return rc;
    *rank = q.answer.rank;
    for (size_t d = 0; d < q.answer.rank; d++)
        shape[d] = (size_t)q.answer.shape[d];
    return MIM_OK;
}

/* Product of the extents; false when it is not what was asked for. */
static bool check_answer(question *q)
{
    const mim_h5_answer *answer = &q->answer;
    size_t product = 1;
    if (answer->rank != q->request.rank || answer->rank > MIM_H5_MAX_RANK)
        return false;
    for (size_t d = 0; d < answer->rank; d++)
        if (answer->shape[d] == 0)
            product = 0;
    for (size_t d = 0; d < answer->rank && product > 0; d++) {
        if (answer->shape[d] > q->request.max_values / product)
            return false;
        product *= (size_t)answer->shape[d];
    }
    q->n = product;
    return true;
}

/* Frames of 8-byte values until all are there. */
static int take_values(mim_h5_reader *r, question *q)
{
    size_t at = 0, frame = 0;
    if (q->request.max_values > SIZE_MAX / 8 || !check_answer(q))
        return mim_h5_reader_lost(r, "its reader is confused");
    const size_t n_bytes = q->n * 8;
    char *received = malloc(n_bytes ? n_bytes : 1);
    int rc = received ? MIM_OK : give_up(r, q->n, "values");
    for (; rc == MIM_OK && at < n_bytes; at += frame)
        rc = mim_h5_reader_frame(r, received + at, n_bytes - at, &frame);
    if (rc != MIM_OK) {
        free(received);
        return rc;
    }
    q->values = received;
    return MIM_OK;
}

static int get_values(mim_h5 *file, mim_h5_question kind, const char *name, size_t rank,
                      size_t max_values, size_t *shape, void **values)
{
    question q = {
        .request = {.question = (int32_t)kind, .rank = (uint32_t)rank, .max_values = max_values},
        .take = take_values};
    int rc = ask(file, name, "", &q);
    if (rc != MIM_OK)
        return rc;
    for (size_t d = 0; d < rank; d++)
        shape[d] = (size_t)q.answer.shape[d];
    *values = q.values;
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

static int take_text(mim_h5_reader *r, size_t *allowance, char **text)
{
    uint64_t n_bytes = 0;
    int rc = mim_h5_reader_frame_of(r, &n_bytes, sizeof n_bytes);
    if (rc != MIM_OK)
        return rc;
    if (n_bytes > *allowance)
        return mim_h5_reader_lost(r, "its texts are too long");
    char *received = malloc((size_t)n_bytes + 1);
    if (!received)
        return give_up(r, (size_t)n_bytes, "bytes of text");
    for (size_t at = 0; rc == MIM_OK && at < n_bytes;) {
        size_t n = (size_t)n_bytes - at;
        n = n < MIM_H5_BLOCK_BYTES ? n : MIM_H5_BLOCK_BYTES;
        rc = mim_h5_reader_frame_of(r, received + at, n);
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

static int take_texts(mim_h5_reader *r, question *q)
{
    size_t allowance = MIM_H5_MAX_TEXT_BYTES;
    if (!check_answer(q))
        return mim_h5_reader_lost(r, "its reader is confused");
    char **received = calloc(q->n ? q->n : 1, sizeof *received);
    int rc = received ? MIM_OK : give_up(r, q->n, "texts");
    for (size_t i = 0; rc == MIM_OK && i < q->n; i++)
        rc = take_text(r, &allowance, &received[i]);
    if (rc != MIM_OK) {
        mim_h5_free_texts(q->n, &received);
        return rc;
    }
    q->texts = received;
    return MIM_OK;
}

int mim_h5_get_texts(mim_h5 *file, const char *name, size_t max_texts, size_t *n, char ***texts)
{
    question q = {.request = {.question = MIM_H5_ASK_TEXTS, .rank = 1, .max_values = max_texts},
                  .take = take_texts};
    int rc = ask(file, name, "", &q);
    if (rc != MIM_OK)
        return rc;
    *n = q.n;
    *texts = q.texts;
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

static int take_attribute_text(mim_h5_reader *r, question *q)
{
    size_t allowance = MIM_H5_MAX_TEXT_BYTES;
    return q->answer.is_there ? take_text(r, &allowance, &q->values) : MIM_OK;
}

int mim_h5_get_attribute_text(mim_h5 *file, const char *dataset, const char *name, char **text)
{
    question q = {.request = {.question = MIM_H5_ASK_ATTRIBUTE_TEXT}, .take = take_attribute_text};
    int rc = ask(file, dataset, name, &q);
    if (rc == MIM_OK)
        *text = q.values;
    return rc;
}

int mim_h5_get_attribute_real(mim_h5 *file, const char *dataset, const char *name, bool *is_there,
                              double *value)
{
    question q = {.request = {.question = MIM_H5_ASK_ATTRIBUTE_REAL}};
    int rc = ask(file, dataset, name, &q);
    if (rc != MIM_OK)
        return rc;
    *is_there = q.answer.is_there != 0;
    if (q.answer.is_there)
        *value = q.answer.value;
    return MIM_OK;
}
