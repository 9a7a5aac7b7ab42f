/* Error codes and the per-thread error sentence.
 *
 * Every fallible call of the library returns MIM_OK or one of the codes below and leaves its
 * outputs untouched on failure. The sentence tells what was expected and what was found, with file,
 * line or key; mim_error() returns it until the next failure on the same thread. The library never
 * prints and never exits: only a program's main does. */
#ifndef MIM_CORE_ERROR_H
#define MIM_CORE_ERROR_H

#if defined(__GNUC__)
#define MIM_PRINTF(format_arg, first_arg) __attribute__((format(printf, format_arg, first_arg)))
#else
#define MIM_PRINTF(format_arg, first_arg)
#endif

enum {
    MIM_OK = 0,
    MIM_EINVAL,   /* an argument of a library call is out of its documented range */
    MIM_ENOMEM,   /* out of memory; mim_fail() says so before its text: for what */
    MIM_EIO,      /* the operating system refused: open, read, write, full disk */
    MIM_EUSAGE,   /* wrong command line or configuration */
    MIM_ECHECK,   /* a check or a stressor's verification failed */
    MIM_EUNSUP,   /* not supported on this machine, or not permitted by its ceilings */
    MIM_EDATA,    /* bad input data: a file's content is not what it should be */
    MIM_ESTOPPED, /* stopped by a signal or a time limit after saving what there was */
};

enum { MIM_ERROR_TEXT_BYTES = 1024 };

/* Stores the sentence (cut at MIM_ERROR_TEXT_BYTES; control characters become '?', so that it stays
 * one line) and returns `code`. errno is preserved. */
int mim_fail(int code, const char *format, ...) MIM_PRINTF(2, 3);

/* Puts "context: " in front of this thread's sentence and returns `code`. */
int mim_fail_in(int code, const char *format, ...) MIM_PRINTF(2, 3);

/* This thread's sentence; never NULL, "" before the first failure. Valid until the next failure. */
const char *mim_error(void);

/* Process exit status for a code: 0 done, 1 failed, 2 usage or configuration, 3 check failed,
 * 4 not supported here, 5 bad input data, 75 stopped with results saved (run me again). */
int mim_exit_status(int code);

#endif
