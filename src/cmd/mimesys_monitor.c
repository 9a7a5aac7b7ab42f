/* mimesys_monitor: records this machine into a stats file, without privileges. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/program_main.h"
#include "core/clock.h"
#include "core/signals.h"
#include "core/summary.h"
#include "core/text.h"
#include "node/machine.h"
#include "node/pqos_log.h"
#include "node/record_file.h"
#include "node/sampler.h"

static const mim_option options[] = {
    {"monitor", "interval_s", MIM_OPTION_REAL, "s", "1", 0.01, 86400, NULL, NULL,
     "time between two records of loop"},
    {"monitor", "duration_s", MIM_OPTION_REAL, "s", "0", 0, 1e9, NULL, NULL,
     "length of loop, 0 = until a signal"},
    {"monitor", "job", MIM_OPTION_TEXT, "", "", 0, 0, NULL, "SLURM_JOB_ID",
     "job id in the records; empty = that of the file's last record for collect and end, else 0"},
    {"monitor", "strict", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, NULL,
     "write only what HPCPerfStats 2.4 knows, no x_ types"},
    {"monitor", "slow_s", MIM_OPTION_REAL, "s", "10", 0, 86400, NULL, NULL,
     "time between two readings of what changes slowly (sysv_shm, tmpfs, vfs); records in between "
     "lack them, and the header says so; 0 = in every record"},
    {"monitor", "peak_bandwidth_gb_s", MIM_OPTION_REAL, "GB/s", "0", 0, 1e6, NULL, NULL,
     "what this machine's memory can move, for the header: readers give bandwidth in % of it; 0 = "
     "not told"},
    {"monitor", "pqos_log", MIM_OPTION_TEXT, "", "", 0, 0, NULL, NULL,
     "file for loop to append the original's second log to (instructions, cache, memory traffic "
     "between records); needs x_perf and x_resctrl"},
    {"monitor", "pqos_cpus", MIM_OPTION_TEXT, "", "", 0, 0, NULL, "PQOS_CPUS",
     "CPUs whose instructions and misses that log counts: one, or a range such as 0-19; empty = "
     "all"},
    {"monitor", "lock_s", MIM_OPTION_REAL, "s", "30", 0, 3600, NULL, NULL,
     "longest wait for another process that is writing to the file"},
    {NULL, NULL, MIM_OPTION_INT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const mim_option *const tables[] = {options, NULL};

static const mim_flag flags[] = {
    {"out", "FILE", NULL, false, "stats file to write or to continue"},
    {"interval", "S", "monitor.interval_s", false, "seconds between two records of loop"},
    {"duration", "S", "monitor.duration_s", false, "seconds that loop records"},
    {"job", "ID", "monitor.job", false, "job id in the records"},
    {"strict", NULL, "monitor.strict", false, "write only the types of HPCPerfStats 2.4"},
    {NULL, NULL, NULL, false, NULL},
};

static const mim_command commands[] = {
    {"begin", "append a record with the mark %begin JOB"},
    {"collect", "append a record"},
    {"end", "append a record with the mark %end JOB"},
    {"loop", "begin, then a record every interval until a signal or the duration, then end"},
    {NULL, NULL},
};

static const char *const synopsis[] = {
    "begin|collect|end --out FILE [--job ID] [--strict]",
    "loop --out FILE [--interval S] [--duration S] [--job ID] [--strict]", NULL};

static const mim_program program = {
    .name = "mimesys_monitor",
    .summary = "records this machine's counters into a stats file",
    .synopsis = synopsis,
    .commands = commands,
    .flags = flags,
    .tables = tables,
    .min_arguments = 1,
    .max_arguments = 1,
    .description =
        "Reads the counters of processors, disks, memory and network and appends them to a stats "
        "file (text, HPCPerfStats 2.4). What this machine does not offer "
        "is absent from the file, never 0, and the header says why. Where the kernel and the "
        "rights of the caller allow, the processor's counters (perf_event), cache monitoring "
        "(resctrl) and energy (powercap) are recorded, too; --dry-run lists every source, and why "
        "it is not read.\n\n"
        "An existing file is continued when it is of this host and has the same types; any other "
        "file is left as it is. A record is one write under a lock, so several callers may share "
        "a file, and a kill leaves whole records. A file that is moved away during loop is "
        "followed by a new one of the same name.\n\n"
        "Counters of perf_event begin with the process that opens them, and energy is counted on "
        "where it wraps: such types (x_perf, x_imc, x_llc, x_energy) are only in records of loop, "
        "and not in one that follows a record of another process, as a difference between "
        "processes means nothing.\n\n"
        "loop keeps to an absolute schedule: a record that is late by more than half an interval "
        "is left out, never doubled. SIGTERM, SIGINT, SIGHUP and SIGUSR1 end it with a last "
        "record and exit status 0.",
    .json_keys = "command: begin, collect, end or loop\n"
                 "out: the file\n"
                 "job: job id of the records\n"
                 "n_records: records written by this call\n"
                 "n_skipped: records of loop left out because they would have been late\n"
                 "n_bytes: size of the file, null with --dry-run when it does not exist\n"
                 "tiers: which counters this machine offers, and why others are absent\n"
                 "sources: the same source by source: name, tier, types (of the file), is_read, "
                 "note (why not, or what is read of it)",
    .files = "FILE: the records; about 1 KB each on a small machine, and a header of 3 KB\n"
             "monitor.pqos_log: three lines a record (time in UTC, titles, figures), the layout of "
             "the original's pqos-PLAN.log: misses and traffic are those since the record before, "
             "whatever the interval",
    .examples = "mimesys_monitor loop --out trace.txt --duration 60\n"
                "mimesys_monitor begin --out trace.txt --job 17\n"
                "mimesys_monitor end --out trace.txt",
};

/* One file and the sampler whose types its header lists. */
typedef struct recording {
    const mim_config *config;
    mim_log *log;
    const char *path;
    bool is_loop;
    char job[MIM_RECORD_JOB_BYTES];
    mim_sampler *sampler;
    mim_record_file *file;
    mim_pqos_log *pqos; /* NULL = not wanted */
    FILE *pqos_file;
    FILE *record; /* memory stream over `text` */
    char *text;
    size_t n_bytes;
    size_t n_records, n_skipped;
} recording;

static void recording_close(recording *r)
{
    mim_record_file_destroy(&r->file);
    mim_pqos_log_destroy(&r->pqos);
    mim_sampler_destroy(&r->sampler);
    if (r->pqos_file)
        fclose(r->pqos_file); /* flushed after every block */
    r->pqos_file = NULL;
    if (r->record)
        fclose(r->record);
    free(r->text);
    r->record = NULL;
    r->text = NULL;
}

/* "cpus=2 sockets=1 memory_bytes=... model=...", NULL when unknown. */
static char *machine_text(mim_log *log)
{
    mim_machine *m = NULL;
    char *text = NULL;

    if (mim_machine_create(0, &m) == MIM_OK)
        text = mim_format("key=%s cpus=%zu sockets=%zu l3_bytes=%llu memory_bytes=%llu model=%s",
                          m->key, m->n_cpus, m->n_sockets, (unsigned long long)m->l3_bytes,
                          (unsigned long long)m->memory_bytes, m->cpu_model);
    else
        mim_log_debug(log, "monitor", "machine unknown: %s", mim_error());
    mim_machine_destroy(&m);
    return text;
}

/* What was gathered since the last call, in r->text. */
static int take_text(recording *r)
{
    rewind(r->record);
    return mim_sampler_flush(r->sampler, r->record);
}

/* The log of pqos, when it is wanted and this machine can give it. */
static int open_pqos(recording *r)
{
    const char *path = mim_config_text(r->config, "monitor.pqos_log");
    int rc = MIM_OK;

    if (!*path)
        return MIM_OK;
    rc = mim_pqos_log_create(r->sampler, mim_config_text(r->config, "monitor.pqos_cpus"), &r->pqos);
    if (rc != MIM_OK)
        return mim_fail_in(rc, "monitor.pqos_%s", rc == MIM_EUSAGE ? "cpus" : "log");
    return MIM_OK;
}

/* Not before the first block, so that --dry-run makes no file. */
static int add_pqos(recording *r)
{
    const char *path = mim_config_text(r->config, "monitor.pqos_log");
    char text[MIM_PQOS_TEXT_BYTES];
    int rc = MIM_OK;

    if (!r->pqos)
        return MIM_OK;
    rc = mim_pqos_log_add(r->pqos, r->sampler, (double)mim_clock_real_ns() / (double)MIM_NS_PER_S,
                          text);
    if (rc != MIM_OK || !*text)
        return rc;
    if (!r->pqos_file)
        r->pqos_file = fopen(path, "a");
    if (!r->pqos_file || fputs(text, r->pqos_file) < 0 || fflush(r->pqos_file) != 0)
        return mim_fail(MIM_EIO, "%s: cannot be written: %s", path, strerror(errno));
    return MIM_OK;
}

static int recording_open(recording *r)
{
    char *machine = machine_text(r->log), *header = NULL;
    mim_sampler_options wanted = {.job = r->job,
                                  .machine = machine,
                                  .slow_s = mim_config_real(r->config, "monitor.slow_s"),
                                  .peak_bandwidth_gb_s =
                                      mim_config_real(r->config, "monitor.peak_bandwidth_gb_s"),
                                  .is_strict = mim_config_bool(r->config, "monitor.strict")};
    int rc = MIM_OK;

    if (!(r->record = open_memstream(&r->text, &r->n_bytes))) {
        rc = mim_fail(MIM_ENOMEM, "record buffer");
        goto done;
    }
    if ((rc = mim_sampler_create(&wanted, &r->sampler)) != MIM_OK ||
        (rc = open_pqos(r)) != MIM_OK || (rc = mim_sampler_header(r->sampler)) != MIM_OK ||
        (rc = take_text(r)) != MIM_OK)
        goto done;
    if (!(header = mim_format("%.*s", (int)r->n_bytes, r->text))) {
        rc = mim_fail(MIM_ENOMEM, "header of %zu bytes", r->n_bytes);
        goto done;
    }
    rc = mim_record_file_create(r->path, header, mim_config_real(r->config, "monitor.lock_s"),
                                &r->file);
done:
    free(header);
    free(machine);
    return rc;
}

/* The file was moved away while the loop ran: the new one gets a header of now. */
static int start_again(recording *r)
{
    mim_record_file_unlock(r->file);
    recording_close(r);
    mim_log_info(r->log, "monitor", "%s is gone: going on in a new one", r->path);
    int rc = recording_open(r);
    return rc == MIM_OK ? mim_record_file_lock(r->file) : rc;
}

/* A record that may no longer be taken at `latest` (monotonic ns) is skipped. */
static int add_record(recording *r, const char *mark, int64_t latest)
{
    int rc = mim_record_file_lock(r->file);

    if (rc == MIM_OK && r->n_records > 0 && mim_record_file_is_empty(r->file))
        rc = start_again(r);
    if (rc != MIM_OK)
        return rc;
    if (mim_record_file_trimmed_bytes(r->file) > 0)
        mim_log_warn(r->log, "monitor", "%s: removed a record that was cut off, %zu bytes", r->path,
                     mim_record_file_trimmed_bytes(r->file));
    if (mim_clock_mono_ns() > latest) {
        r->n_skipped++;
    } else {
        if (!r->is_loop || (!mim_record_file_is_empty(r->file) && !mim_record_file_is_own(r->file)))
            mim_sampler_break(r->sampler);
        rc = mim_sampler_take(r->sampler, mark, 0, NULL);
        if (rc == MIM_OK)
            rc = take_text(r);
        if (rc == MIM_OK)
            rc = mim_record_file_append(r->file, r->text, r->n_bytes);
        r->n_records += rc == MIM_OK;
        if (rc == MIM_OK)
            rc = add_pqos(r);
    }
    mim_record_file_unlock(r->file);
    return rc;
}

static int add_marked(recording *r, const char *word)
{
    char mark[MIM_RECORD_JOB_BYTES + 16];

    snprintf(mark, sizeof mark, "%s %s", word, r->job);
    int rc = add_record(r, mark, INT64_MAX);
    if (rc == MIM_OK && strcmp(word, "end") == 0)
        rc = mim_record_file_sync(r->file);
    return rc;
}

/* A signal that comes between the check and the sleep is seen after this time at the latest. */
static const int64_t longest_sleep_ns = MIM_NS_PER_S / 2;

static bool sleep_until(int64_t time)
{
    for (int64_t now; !mim_signals_stop() && (now = mim_clock_mono_ns()) < time;)
        mim_clock_sleep_until(time - now > longest_sleep_ns ? now + longest_sleep_ns : time);
    return !mim_signals_stop();
}

static int run_loop(recording *r)
{
    int64_t interval = llround(mim_config_real(r->config, "monitor.interval_s") * 1e9);
    int64_t duration = llround(mim_config_real(r->config, "monitor.duration_s") * 1e9);
    int64_t start = mim_clock_mono_ns(), step = 1;
    int64_t end = duration > 0 ? start + duration : INT64_MAX;
    int rc = add_marked(r, "begin");

    while (rc == MIM_OK && !mim_signals_stop()) {
        /* the next time of the schedule that is still to come */
        int64_t passed = (mim_clock_mono_ns() - start) / interval + 1;
        if (passed > step)
            r->n_skipped += (size_t)(passed - step);
        step = passed > step ? passed : step;
        int64_t next = start + step * interval;
        if (next >= end || !sleep_until(next))
            break;
        rc = add_record(r, NULL, next + interval / 2);
        step++;
    }
    if (rc == MIM_OK && end != INT64_MAX)
        sleep_until(end);
    if (rc == MIM_ESTOPPED && r->n_records > 0) /* while another process held the lock */
        rc = MIM_OK;
    if (rc == MIM_OK)
        rc = add_marked(r, "end");
    return rc;
}

static int choose_job(recording *r, const char *command)
{
    const char *job = mim_config_text(r->config, "monitor.job");

    if (strlen(job) >= sizeof r->job)
        return mim_fail(MIM_EUSAGE, "monitor.job: expected at most %zu characters, found %zu",
                        sizeof r->job - 1, strlen(job));
    for (const char *p = job; *p; p++)
        if (!isgraph((unsigned char)*p))
            return mim_fail(MIM_EUSAGE, "monitor.job: expected one word, found \"%s\"", job);
    snprintf(r->job, sizeof r->job, "%s", job);
    if (!*job && (strcmp(command, "collect") == 0 || strcmp(command, "end") == 0))
        mim_record_file_last_job(r->path, r->job);
    if (!r->job[0])
        snprintf(r->job, sizeof r->job, "0");
    return MIM_OK;
}

/* The file's size now, null when there is none. */
static json_t *size_json(const recording *r)
{
    uint64_t n_bytes = 0;

    if (mim_record_file_check(r->file, &n_bytes) != MIM_OK || n_bytes == 0)
        return json_null();
    return json_integer((json_int_t)n_bytes);
}

/* NULL when out of memory. */
static json_t *sources_json(const mim_probe *probe)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < probe->n_sources; i++) {
        const mim_probe_source *s = &probe->sources[i];
        json_t *source =
            json_pack("{s:s, s:I, s:s, s:b, s:s}", "name", s->name, "tier", (json_int_t)s->tier,
                      "types", s->types, "is_read", (int)s->is_read, "note", s->note);
        if (json_array_append_new(array, source) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static int report(const recording *r, const char *command)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:s, s:o}", "command", command,
                               "out", r->path, "job", r->job, "n_records", (json_int_t)r->n_records,
                               "n_skipped", (json_int_t)r->n_skipped, "n_bytes", size_json(r),
                               "tiers", mim_sampler_tiers(r->sampler), "sources",
                               sources_json(mim_sampler_probe(r->sampler)));
    int rc = object ? mim_json_print(object, stdout) : mim_fail(MIM_ENOMEM, "JSON object");

    json_decref(object);
    return rc;
}

static int dry_run(recording *r, const char *command, bool is_json)
{
    uint64_t n_file = 0;
    int rc = mim_record_file_check(r->file, &n_file);

    if (rc == MIM_OK && (rc = mim_sampler_take(r->sampler, NULL, 0, NULL)) == MIM_OK)
        rc = take_text(r);
    if (rc != MIM_OK || is_json)
        return rc;
    char *table = mim_probe_table(mim_sampler_probe(r->sampler));
    if (!table)
        return mim_fail(MIM_ENOMEM, "table of the sources");
    printf("%s: would %s %s, job %s, %zu bytes a record\n%s", command,
           n_file > 0 ? "continue" : "make", r->path, r->job, r->n_bytes, table);
    free(table);
    return MIM_OK;
}

static int run(const mim_args *args, mim_log *log)
{
    const char *command = mim_args_at(args, 0);
    recording r = {.config = mim_args_config(args), .log = log};
    bool is_json = mim_args_has(args, "json");
    int rc = MIM_OK;

    signal(SIGXFSZ, SIG_IGN); /* a file size limit is a write error with a sentence */
    if (!(r.path = mim_args_value(args, "out")) || !*r.path)
        return mim_fail(MIM_EUSAGE, "expected --out FILE");
    r.is_loop = strcmp(command, "loop") == 0;
    if (*mim_config_text(r.config, "monitor.pqos_log") && !r.is_loop)
        return mim_fail(MIM_EUSAGE, "monitor.pqos_log: only loop can write it, not %s", command);
    if ((rc = choose_job(&r, command)) != MIM_OK || (rc = recording_open(&r)) != MIM_OK)
        goto done;
    mim_log_debug(log, "monitor", "tiers %s", mim_sampler_tiers(r.sampler));
    if (mim_args_has(args, "dry-run"))
        rc = dry_run(&r, command, is_json);
    else if (r.is_loop)
        rc = run_loop(&r);
    else if (strcmp(command, "collect") == 0)
        rc = add_record(&r, NULL, INT64_MAX);
    else
        rc = add_marked(&r, command);
    if (r.n_skipped > 0)
        mim_log_warn(log, "monitor", "%zu records were late and left out", r.n_skipped);
    if (rc == MIM_OK && is_json)
        rc = report(&r, command);
done:
    recording_close(&r);
    return rc;
}

int main(int argc, char **argv) { return mim_program_main(&program, argc, argv, run); }
