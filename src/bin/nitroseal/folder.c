/* The files of a folder, several at once. Each is there whole or not at all; one that fails stops
 * none of the others. What is no regular file is refused, each with a line of its own. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/nitroseal/interrupt.h"
#include "bin/nitroseal/message.h"
#include "io/sys.h"

enum { PATH_MAX_BYTES = 4096, LINE_MAX_BYTES = 1 << 17, NAMES_MAX = 1 << 20, MS_PER_S = 1000 };

struct entry {
    char *name;
    uint64_t bytes;
    bool is_file;
};

struct folder {
    struct message_run *run;
    const char *from, *to;
    struct entry *entries;
    size_t n, room;

    pthread_mutex_t lock; /* of the rest, and of what is printed */
    size_t next, failed, done;
    uint64_t bytes_in, bytes_out;
    int status;     /* that failed files share */
    bool is_untold; /* a line of the report could not be written */
};

static void folder_clear(struct folder *d)
{
    for (size_t i = 0; i < d->n; i++)
        free(d->entries[i].name);
    free(d->entries);
    pthread_mutex_destroy(&d->lock);
}

/* ---- what there is ---- */

static bool add(struct folder *d, const char *name, const struct stat *st)
{
    if (d->n == d->room) {
        size_t room = d->room ? 2 * d->room : 64;
        struct entry *more = reallocarray(d->entries, room, sizeof *more);
        if (!more)
            return false;
        d->entries = more;
        d->room = room;
    }
    char *copy = strdup(name);
    if (!copy)
        return false;
    d->entries[d->n++] = (struct entry){ copy, (uint64_t)st->st_size, S_ISREG(st->st_mode) };
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static int cannot_list(const struct folder *d, const char *what, struct cli_fault *f)
{
    return cli_fault_set(f, CLI_FILE, _("cannot read %s: %s"), d->from, what);
}

static void close_dir(DIR **at)
{
    if (*at)
        closedir(*at);
}

/* Before the first is written: the folder may be both. */
static int list(struct folder *d, struct cli_fault *f)
{
    AUTO(close_dir) DIR *at = opendir(d->from);
    const struct dirent *e;
    struct stat st;

    if (!at)
        return cannot_list(d, errno_what(errno), f);
    while (errno = 0, (e = readdir(at))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(at), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue; /* gone meanwhile */
        if (d->n == NAMES_MAX)
            return cannot_list(d, _("more than 1048576 files"), f);
        if (!add(d, e->d_name, &st))
            return cannot_list(d, err_name(ERR_NOMEM), f);
    }
    if (errno != 0)
        return cannot_list(d, errno_what(errno), f);
    if (d->n)
        qsort(d->entries, d->n, sizeof *d->entries, by_name);
    return CLI_OK;
}

static uint64_t bytes_of(const struct folder *d)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < d->n; i++)
        sum += d->entries[i].is_file ? d->entries[i].bytes : 0;
    return sum;
}

/* ---- one file ---- */

struct paths {
    char in[PATH_MAX_BYTES], out[PATH_MAX_BYTES];
};

static int too_long(const char *name, struct cli_fault *f)
{
    return cli_fault_set(f, CLI_FILE, "%s: %s", name, errno_what(ENAMETOOLONG));
}

/* encrypt adds the suffix, decrypt takes it away, rewrap keeps the name. */
static int make_paths(const struct folder *d, const char *name, struct paths *p,
                      struct cli_fault *f)
{
    const char *suffix = d->run->op == MESSAGE_ENCRYPT ? MESSAGE_SUFFIX : "";
    size_t keep = strlen(name), cut = sizeof MESSAGE_SUFFIX - 1;

    int n = snprintf(p->in, sizeof p->in, "%s/%s", d->from, name);
    if (n < 0 || (size_t)n >= sizeof p->in)
        return too_long(name, f);
    if (d->run->op == MESSAGE_DECRYPT) {
        if (keep <= cut || strcmp(name + keep - cut, MESSAGE_SUFFIX) != 0)
            return cli_fault_set(f, CLI_FILE, _("%s: its name does not end in %s"), p->in,
                                 MESSAGE_SUFFIX);
        keep -= cut;
    }
    n = snprintf(p->out, sizeof p->out, "%s/%.*s%s", d->to, (int)keep, name, suffix);
    return n < 0 || (size_t)n >= sizeof p->out ? too_long(name, f) : CLI_OK;
}

static int convert(struct folder *d, const struct entry *e, struct paths *p,
                   struct message_report *report, struct cli_fault *f)
{
    AUTO(input_close) struct input in = INPUT_CLOSED;
    bool armored = false, is_text = false;

    int status = make_paths(d, e->name, p, f);
    if (status == CLI_OK)
        status = input_open_file(p->in, &in, f);
    if (status == CLI_OK && d->run->op != MESSAGE_ENCRYPT)
        status = message_look(&in, &armored, &is_text, f);
    if (status == CLI_OK && is_text)
        status = cli_fault_set(f, CLI_FILE, _("%s: not a message of the Encryption SDK"), p->in);
    return status == CLI_OK ? message_one(d->run, &in, armored, p->out, report, f) : status;
}

/* ---- what is said of it ---- */

static void fault_members(struct json_out *w, const struct cli_fault *f)
{
    json_out_key(w, "error");
    json_out_string(w, buf_view(&f->text));
    json_out_key(w, "exit_status");
    json_out_int(w, f->status);
}

/* {"input": NAME, then what the enclave said, or our own words. */
static enum err line_write(const char *name, const struct paths *p, int status,
                           const struct message_report *report, const struct cli_fault *f,
                           struct buf *out)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    message_name_put(&w, "input", name);
    if (status == CLI_OK) {
        message_name_put(&w, "output", p->out);
        message_report_put(report, &w);
    } else if (f->json.len > 1) {
        enum err r = buf_append_byte(out, ',');
        return r == ERR_OK ? buf_append(out, span_from(buf_view(&f->json), 1)) : r;
    } else {
        fault_members(&w, f);
    }
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    return r == ERR_OK ? buf_append_byte(out, '\n') : r;
}

/* `p` is looked at only where it went well. */
static void tell(struct folder *d, const struct entry *e, const struct paths *p, int status,
                 const struct message_report *report, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf line = BUF_INIT(LINE_MAX_BYTES);
    AUTO(buf_clear) struct buf shown = BUF_INIT(PATH_MAX_BYTES);
    AUTO(cli_fault_clear) struct cli_fault own = CLI_FAULT_INIT;

    cli_append_clean(&shown, span_str(e->name));
    pthread_mutex_lock(&d->lock);
    if (status == CLI_OK) {
        d->done++;
        d->bytes_in += report->bytes_in;
        d->bytes_out += report->bytes_out;
    } else {
        d->status = d->failed++ == 0 || d->status == status ? status : CLI_FAILED;
        progress_hide(&d->run->progress);
        complain(d->run->o, "%.*s: %.*s", (int)shown.len, (const char *)shown.ptr, (int)f->text.len,
                 f->text.ptr ? (const char *)f->text.ptr : "");
    }
    if (d->run->enclave.json && (line_write(e->name, p, status, report, f, &line) != ERR_OK ||
                                 cli_print(buf_view(&line), &own) != CLI_OK))
        d->is_untold = true; /* the files are there all the same */
    pthread_mutex_unlock(&d->lock);
}

static const struct entry *take(struct folder *d)
{
    pthread_mutex_lock(&d->lock);
    bool more = d->next < d->n && !interrupt_came();
    const struct entry *e = more ? &d->entries[d->next++] : NULL;
    pthread_mutex_unlock(&d->lock);
    return e;
}

static void *work(void *arg)
{
    struct folder *d = arg;

    for (const struct entry *e; (e = take(d));) {
        AUTO(message_report_clear) struct message_report report = MESSAGE_REPORT_INIT;
        AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
        struct paths *p = calloc(1, sizeof *p);
        int status = p ? convert(d, e, p, &report, &f)
                       : cli_fault_set(&f, CLI_FAILED, "%s", err_name(ERR_NOMEM));
        progress_add(&d->run->progress, 0, 1);
        tell(d, e, p, status, &report, &f);
        free(p);
    }
    return NULL;
}

/* ---- all of them ---- */

static void run_all(struct folder *d, unsigned jobs)
{
    pthread_t threads[MESSAGE_JOBS_MAX];
    unsigned n = 0;

    while (n + 1 < jobs && n + 1 < d->n && pthread_create(&threads[n], NULL, work, d) == 0)
        n++;
    (void)work(d);
    for (unsigned i = 0; i < n; i++)
        (void)pthread_join(threads[i], NULL);
}

static int finish(struct folder *d, uint64_t started_ns, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf line = BUF_INIT(LINE_MAX_BYTES);
    char size[PROGRESS_SIZE_BYTES];
    uint64_t ms = (clock_mono_ns() - started_ns) / NS_PER_MS;
    size_t left = d->n - d->done - d->failed;

    progress_size(d->bytes_in, size);
    if (!d->run->quiet)
        complain(d->run->o, _("%zu of %zu files, %s, %llu.%03llu s"), d->done, d->n, size,
                 (unsigned long long)ms / MS_PER_S, (unsigned long long)ms % MS_PER_S);
    if (d->run->enclave.json &&
        buf_printf(
            &line,
            "{\"files\":%zu,\"failed\":%zu,\"left\":%zu,\"bytes_in\":%llu,\"bytes_out\":%llu}"
            "\n",
            d->n, d->failed, left, (unsigned long long)d->bytes_in,
            (unsigned long long)d->bytes_out) == ERR_OK) {
        int status = cli_print(buf_view(&line), f);
        if (status != CLI_OK)
            return status;
    }
    if (interrupt_came())
        return cli_fault_set(f, CLI_INTERRUPTED, _("interrupted: %zu files are left"),
                             left + d->failed);
    if (d->is_untold)
        return cli_fault_set(f, CLI_FILE, _("cannot write the report"));
    if (d->failed == 0)
        return CLI_OK;
    return cli_fault_set(f, d->status, _("%zu of %zu files failed"), d->failed, d->n);
}

int message_folder(struct message_run *run, const char *from, const char *to, struct cli_fault *f)
{
    AUTO(folder_clear)
    struct folder d = { .run = run, .from = from, .to = to, .lock = PTHREAD_MUTEX_INITIALIZER };
    uint64_t jobs = 0, started_ns = clock_mono_ns();
    struct why why = { 0 };

    if (!option_u64(run->o, "jobs", 1, MESSAGE_JOBS_MAX, &jobs))
        return CLI_USAGE;
    if (!to || strcmp(to, "-") == 0)
        return cli_fault_set(f, CLI_USAGE, _("of a folder (-i) comes a folder: give -o DIR"));
    int status = list(&d, f);
    if (status == CLI_OK && dir_make(to, &why) != ERR_OK)
        status = cli_fault_set(f, CLI_FILE, _("cannot write %s: %s"), to, why.what);
    if (status == CLI_OK)
        status = message_run_start(run, f);
    if (status != CLI_OK)
        return status;
    bool shows = !run->quiet && isatty(STDERR_FILENO);
    progress_start(&run->progress, shows, bytes_of(&d), d.n);
    run_all(&d, (unsigned)jobs);
    progress_end(&run->progress);
    return finish(&d, started_ns, f);
}
