#include "cmd/program_main.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/signals.h"
#include "core/version.h"

/* A comment where there is nothing to set, so that it can be loaded again, too. */
static int print_config(const mim_program *program, const mim_args *args)
{
    if (!program->tables || !program->tables[0]) {
        printf("# %s has no settings\n", program->name);
        return MIM_OK;
    }
    char *ini = mim_config_text_ini(mim_args_config(args));
    if (!ini)
        return mim_fail(MIM_ENOMEM, "configuration text");
    fputs(ini, stdout);
    free(ini);
    return MIM_OK;
}

static int answer_question(const mim_program *program, const mim_args *args)
{
    if (mim_args_has(args, "help"))
        mim_program_help(program, stdout);
    else if (mim_args_has(args, "version"))
        printf("%s %s\n", program->name, mim_version_text());
    else if (mim_args_has(args, "man"))
        mim_program_man(program, MIM_VERSION, stdout);
    else if (mim_args_has(args, "completion"))
        mim_program_completion(program, stdout);
    else
        return print_config(program, args);
    return MIM_OK;
}

static bool is_question(const mim_args *args)
{
    static const char *const questions[] = {"help", "version", "man", "completion", "print-config"};
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        if (mim_args_has(args, questions[i]))
            return true;
    return false;
}

int mim_program_log_level(const mim_args *args, mim_log_level *level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    const char *wanted = mim_args_value(args, "log-level");
    for (size_t i = 0; wanted && i < 4; i++) {
        if (strcmp(names[i], wanted) == 0) {
            *level = (mim_log_level)i;
            return MIM_OK;
        }
    }
    if (wanted)
        return mim_fail(MIM_EUSAGE, "--log-level: expected error, warn, info or debug, found %s",
                        wanted);
    return MIM_OK;
}

void mim_program_fill_streams(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF)
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int mim_program_main(const mim_program *program, int argc, char **argv,
                     int (*run)(const mim_args *args, mim_log *log))
{
    mim_args *args = NULL;
    mim_log *log = NULL;
    mim_log_level level = MIM_LOG_INFO;
    mim_program_fill_streams();
    setenv("HWLOC_HIDE_ERRORS", "2",
           0); /* where /sys is hidden hwloc prints; we tell it ourselves */
    int rc = mim_args_create(program, argc, argv, &args);
    if (rc == MIM_OK)
        rc = mim_program_log_level(args, &level);
    if (rc == MIM_OK && is_question(args)) {
        rc = answer_question(program, args);
    } else if (rc == MIM_OK) {
        rc = mim_fault_start(0);
        if (rc == MIM_OK)
            rc = mim_signals_install();
        if (rc == MIM_OK)
            rc = mim_log_create(stderr, level, 0, 1, &log);
        if (rc == MIM_OK)
            rc = run(args, log);
    }
    if (rc == MIM_OK && (fflush(stdout) != 0 || ferror(stdout)))
        rc = mim_fail(MIM_EIO, "standard output: cannot be written: %s", strerror(errno));
    if (rc != MIM_OK)
        fprintf(stderr, "%s: %s\n", program->name, mim_error());
    mim_log_destroy(&log);
    mim_args_destroy(&args);
    return mim_exit_status(rc);
}
