/* Shared by the files of core/h5: h5.c (writing), h5_open.c (files and questions), h5_ask.c (the
 * reader as seen from this process), h5_process.c and h5_reader.c (the forked reader itself). */
#ifndef MIM_CORE_H5_INTERNAL_H
#define MIM_CORE_H5_INTERNAL_H

#include <hdf5.h>
#include <sys/types.h>

#include "core/h5.h"

enum {
    MIM_H5_BLOCK_BYTES = 1 << 20,     /* largest frame */
    MIM_H5_BUFFER_BYTES = 1 << 16,    /* small frames travel together */
    MIM_H5_MAX_TEXT_BYTES = 64 << 20, /* largest text read */
    MIM_H5_READER_CPU_S = 2,          /* CPU time of one request, besides time for its bytes */
    MIM_H5_READER_WAIT_S = 120,       /* silence after which a reader is given up */
    MIM_H5_READER_FILES = 1000,       /* files after which a new process takes over */
    MIM_H5_SMALL_BYTES = 1 << 20,     /* datasets below this may have a digest; larger ones are
                                         stored in compressed chunks of whole rows */
};

#define MIM_H5_DIGEST "digest" /* the attribute */

struct mim_h5_reader {
    int socket;       /* to the process; -1 when there is none */
    pid_t process;    /* -1 when there is none */
    size_t n_files;   /* handed to this process */
    bool is_busy;     /* has a file */
    bool is_spent;    /* failed once: gets no further file */
    const char *path; /* of the file it has, for sentences */
    size_t begin, end;
    char in[MIM_H5_BUFFER_BYTES]; /* received and not yet taken: [begin, end) */
};

struct mim_h5 {
    char *path;
    hid_t id;              /* writing: the open file; H5I_INVALID_HID when reading */
    int memory;            /* writing: memory file behind it; -1 when reading */
    bool is_sealed;        /* writing: small datasets get a digest */
    mim_h5_reader *reader; /* reading; NULL when writing */
    bool owns_reader;
    int fd;              /* reading: the file, -1 when writing */
    uint64_t file_bytes; /* reading */
};

typedef enum {
    MIM_H5_ASK_OPEN,  /* comes with the descriptor; max_values: bytes of the file */
    MIM_H5_ASK_CLOSE, /* has no answer */
    MIM_H5_ASK_HAS,
    MIM_H5_ASK_SHAPE,
    MIM_H5_ASK_REAL,
    MIM_H5_ASK_COUNT,
    MIM_H5_ASK_TEXTS,
    MIM_H5_ASK_ATTRIBUTE_TEXT,
    MIM_H5_ASK_ATTRIBUTE_REAL,
} mim_h5_question;

typedef struct mim_h5_request {
    int32_t question;
    uint32_t rank;              /* expected */
    uint64_t max_values;        /* values or texts */
    char name[MIM_H5_MAX_NAME]; /* dataset, "" = root */
    char attribute[MIM_H5_MAX_NAME];
} mim_h5_request;

/* The answer to ASK_OPEN is an empty frame, to others a frame with a mim_h5_answer, then the values
 * in frames of at most MIM_H5_BLOCK_BYTES, texts as a length frame and content frames each. A frame
 * with a code other than MIM_OK holds the error sentence and ends the answer. */
typedef struct mim_h5_frame {
    int32_t code;
    uint32_t n_bytes; /* that follow */
} mim_h5_frame;

typedef struct mim_h5_answer {
    uint32_t is_there, rank;
    uint64_t shape[MIM_H5_MAX_RANK];
    double value; /* of an attribute */
} mim_h5_answer;

/* ---- the reader as seen from this process (h5_ask.c) ---------------------------------------- */

/* Ends the process, if there is one. */
void mim_h5_reader_stop(mim_h5_reader *reader);
/* The same, then forks a new one. MIM_EIO, MIM_ENOMEM. */
int mim_h5_reader_start(mim_h5_reader *reader);
/* The process is of no use any more: ends it and says why in one sentence, MIM_EDATA. */
int mim_h5_reader_lost(mim_h5_reader *reader, const char *why);
/* Without an answer. fd: to hand over, or -1. MIM_EDATA: the process ended, as for the rest. */
int mim_h5_reader_send(mim_h5_reader *reader, const mim_h5_request *request, int fd);
int mim_h5_reader_receive(mim_h5_reader *reader, void *bytes, size_t n);
/* A frame of at least 1 and at most max_bytes; what an error frame says becomes the error. */
int mim_h5_reader_frame(mim_h5_reader *reader, void *bytes, size_t max_bytes, size_t *n_bytes);
/* A frame of exactly n_bytes, which may be 0. */
int mim_h5_reader_frame_of(mim_h5_reader *reader, void *bytes, size_t n_bytes);

/* Reading handles' end: gives the file back. */
void mim_h5_release(mim_h5 *file);

/* ---- inside the process (h5_process.c, h5_reader.c) ------------------------------------------ */

typedef struct mim_h5_server {
    hid_t file, access;
    int fd; /* of the file, -1 when there is none */
    uint64_t file_bytes;
    unsigned char *block; /* [MIM_H5_BLOCK_BYTES] of values */
    size_t n_out;
    char out[MIM_H5_BUFFER_BYTES]; /* [n_out] not sent yet */
} mim_h5_server;

/* The process's whole life; never returns. Opens, reads and closes the files it is handed, one
 * after the other, until the socket closes. */
_Noreturn void mim_h5_reader_run(int socket);
void mim_h5_server_frame(mim_h5_server *server, int code, const void *bytes, size_t n);
/* Allows some seconds for the library's own work, and more for bytes known to be wanted. */
void mim_h5_server_allow_cpu(uint64_t n_bytes);
/* Sends the answer in frames. On failure the error frame is still to be sent. */
int mim_h5_server_answer(mim_h5_server *server, const mim_h5_request *request);

#endif
