/* Shared by the three files of core/h5: h5.c (handles, writing), h5_open.c (asking the reader) and
 * h5_reader.c (the forked reader itself). */
#ifndef MIM_CORE_H5_INTERNAL_H
#define MIM_CORE_H5_INTERNAL_H

#include <hdf5.h>
#include <sys/types.h>

#include "core/h5.h"

struct mim_h5 {
    char *path;
    hid_t id;     /* writing: the open file; H5I_INVALID_HID when reading */
    int memory;   /* writing: memory file behind it; -1 when reading */
    int socket;   /* reading: to the reader; -1 when writing or when the reader is gone */
    pid_t reader; /* -1 when there is none */
};

enum {
    MIM_H5_BLOCK_BYTES = 1 << 20,     /* largest frame */
    MIM_H5_MAX_TEXT_BYTES = 64 << 20, /* largest text read */
    MIM_H5_READER_CPU_S = 2,          /* CPU time of one request, besides time for its bytes */
    MIM_H5_READER_WAIT_S = 120,       /* silence after which a reader is given up */
};

typedef enum {
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

/* An answer is a frame with a mim_h5_answer, then the values in frames of at most
 * MIM_H5_BLOCK_BYTES, texts as a length frame and content frames each. A frame with a code other
 * than MIM_OK holds the error sentence and ends the answer. */
typedef struct mim_h5_frame {
    int32_t code;
    uint32_t n_bytes; /* that follow */
} mim_h5_frame;

typedef struct mim_h5_answer {
    uint32_t is_there, rank;
    uint64_t shape[MIM_H5_MAX_RANK];
    double value; /* of an attribute */
} mim_h5_answer;

/* The reader's whole life; never returns. Opens the file behind `fd`, says so in a frame, answers
 * requests until the socket closes. */
_Noreturn void mim_h5_reader_run(int fd, int socket, uint64_t file_bytes);

#endif
