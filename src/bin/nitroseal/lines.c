#include "bin/nitroseal/lines.h"

#include <stdlib.h>

#include "bin/nitroseal/keeper.h"
#include "io/sys.h"

enum { PIECE_BYTES = 65536, PER_JOB = 4 /* results that may wait for an earlier line */ };

struct slot {
    bool done;
    struct buf out;
};

struct run {
    const struct options *o;
    const struct cli_enclave *e;
    lines_one *one;
    uint64_t timeout_s;
    struct keeper keeper;

    pthread_mutex_t reading; /* of standard input, and of what follows */
    struct buf pending;
    size_t used; /* of pending */
    bool ended;

    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t moved;
    struct slot *slots;
    uint64_t n_slots, n_read, n_written, n_failed;
    int status;  /* that failed lines share */
    bool broken; /* output or input fails: no more */
    struct cli_fault why;
};

/* The end of the next line in what is there; false: more has to be read. */
static bool find_end(const struct run *r, size_t from, size_t *len)
{
    struct span rest = span_from(buf_view(&r->pending), r->used + from);
    size_t at = span_find(rest, '\n');

    *len = from + at;
    return at < rest.len;
}

/* What was used makes room for the next. */
static void shift(struct run *r)
{
    AUTO(buf_clear) struct buf rest = BUF_INIT(r->pending.max);

    if (r->used == 0)
        return;
    if (buf_append(&rest, span_from(buf_view(&r->pending), r->used)) != ERR_OK)
        return; /* then it stays where it is, and the limit comes earlier */
    buf_clear(&r->pending);
    r->pending = rest;
    rest = BUF_INIT(0);
    r->used = 0;
}

/* The next line without its line feed; ERR_LIMIT: it is too long, and was passed over; ERR_MORE:
 * there is none any more. */
static enum err read_line(struct run *r, struct buf *out, struct why *why)
{
    bool too_long = false;
    size_t len = 0;

    while (!find_end(r, len, &len)) {
        if (r->ended)
            break;
        if (len >= LINES_LINE_MAX_BYTES) {
            too_long = true;
            r->used += len;
            len = 0;
        }
        shift(r);
        enum err e = fd_read_some(0, PIECE_BYTES, &r->pending, &r->ended, 0, why);
        if (e != ERR_OK)
            return e;
    }
    bool feed = r->used + len < r->pending.len;
    if (len == 0 && !feed && !too_long)
        return ERR_MORE;
    struct span line = span_sub(buf_view(&r->pending), r->used, len);
    r->used += len + feed;
    return too_long || len > LINES_LINE_MAX_BYTES ? ERR_LIMIT : buf_append(out, line);
}

/* Take the next line and its number, when there is room for its result. False: no more. */
static bool take_line(struct run *r, struct buf *line, uint64_t *number, struct cli_fault *f)
{
    struct why why = { 0 };

    pthread_mutex_lock(&r->reading);
    pthread_mutex_lock(&r->lock);
    while (!r->broken && r->n_read - r->n_written >= r->n_slots)
        pthread_cond_wait(&r->moved, &r->lock);
    bool more = !r->broken;
    pthread_mutex_unlock(&r->lock);

    enum err e = more ? read_line(r, line, &why) : ERR_MORE;
    pthread_mutex_lock(&r->lock);
    if (e == ERR_IO && !r->broken) {
        r->broken = true;
        (void)cli_fault_set(&r->why, CLI_FILE, _("cannot read %s: %s"), _("standard input"),
                            why.what);
        pthread_cond_broadcast(&r->moved);
    }
    more = e != ERR_MORE && e != ERR_IO;
    if (more)
        *number = r->n_read++;
    pthread_mutex_unlock(&r->lock);
    pthread_mutex_unlock(&r->reading);
    if (more && e != ERR_OK)
        (void)cli_fault_set(f, CLI_FILE, _("the line is longer than %d bytes"),
                            LINES_LINE_MAX_BYTES);
    return more;
}

/* {"line": N, then what the enclave said, or our own words. */
static enum err fault_write(const struct cli_fault *f, uint64_t line, struct buf *out)
{
    buf_reset(out);
    if (f->json.len > 1) {
        enum err r = buf_printf(out, "{\"line\":%llu,", (unsigned long long)line);
        return r == ERR_OK ? buf_append(out, span_from(buf_view(&f->json), 1)) : r;
    }
    struct json_out w = json_out_init(out);
    json_out_object(&w);
    json_out_key(&w, "line");
    json_out_int(&w, (int64_t)line);
    json_out_key(&w, "error");
    json_out_string(&w, buf_view(&f->text));
    json_out_key(&w, "exit_status");
    json_out_int(&w, f->status);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    return r == ERR_OK ? buf_append_byte(out, '\n') : r;
}

/* Keep the result, and write all that are next in order. */
static void put_result(struct run *r, uint64_t number, struct buf *out, int status)
{
    pthread_mutex_lock(&r->lock);
    struct slot *mine = &r->slots[number % r->n_slots];
    buf_clear(&mine->out);
    mine->out = *out;
    *out = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    mine->done = true;
    if (status != CLI_OK) {
        r->status = r->n_failed++ == 0 || r->status == status ? status : CLI_FAILED;
    }
    for (struct slot *s; !r->broken && (s = &r->slots[r->n_written % r->n_slots])->done;) {
        if (cli_print(buf_view(&s->out), &r->why) != CLI_OK)
            r->broken = true;
        buf_clear(&s->out);
        s->done = false;
        r->n_written++;
    }
    pthread_cond_broadcast(&r->moved);
    pthread_mutex_unlock(&r->lock);
}

static bool is_expired(const struct cli_exchange *x)
{
    struct json_str type = x->answer.kms_type;

    return json_str_is_set(type) && json_str_is(type, "ExpiredTokenException");
}

/* One request; a second one with new credentials where KMS calls them expired, which our clock need
 * not have told. */
static int ask(struct run *r, struct cli_link *link, struct span line, struct buf *out,
               struct cli_fault *f)
{
    int status = CLI_FAILED;
    struct cli_enclave e = *r->e;

    e.deadline_ns = clock_mono_ns() + r->timeout_s * NS_PER_S;
    for (int i = 0; i < 2; i++) {
        AUTO(cli_credentials_clear)
        struct cli_credentials cred = { .access_key_id = BUF_INIT(0) };
        AUTO(cli_exchange_clear) struct cli_exchange x = CLI_EXCHANGE_INIT;
        uint64_t generation = 0;
        status = keeper_take(&r->keeper, e.deadline_ns, &cred, &generation, f);
        if (status != CLI_OK)
            return status;
        const struct proto_credentials view = cli_credentials_view(&cred);
        buf_reset(out);
        status = r->one(r->o, &e, link, line, &view, out, &x, f);
        if (status != CLI_REFUSED || !is_expired(&x))
            return status;
        keeper_expired(&r->keeper, generation);
    }
    return status;
}

static void *work(void *arg)
{
    AUTO(cli_link_clear) struct cli_link link = { .ns = NULL }; /* kept from line to line */
    struct run *r = arg;

    for (;;) {
        AUTO(buf_clear) struct buf line = BUF_INIT(LINES_LINE_MAX_BYTES);
        AUTO(buf_clear) struct buf out = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
        AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
        uint64_t number = 0;
        if (!take_line(r, &line, &number, &f))
            return NULL;
        int status = f.status ? f.status : ask(r, &link, buf_view(&line), &out, &f);
        if (status != CLI_OK && fault_write(&f, number + 1, &out) != ERR_OK)
            buf_reset(&out); /* no memory even for that: the count at the end tells */
        put_result(r, number, &out, status);
    }
}

static int finish(struct run *r, struct cli_fault *f)
{
    if (r->broken)
        return cli_fault_set(f, r->why.status, "%.*s", (int)r->why.text.len,
                             (const char *)r->why.text.ptr);
    if (r->n_failed == 0)
        return CLI_OK;
    return cli_fault_set(f, r->status, _("%llu of %llu lines failed: each says why in its object"),
                         (unsigned long long)r->n_failed, (unsigned long long)r->n_read);
}

static void run_clear(struct run *r)
{
    for (uint64_t i = 0; r->slots && i < r->n_slots; i++)
        buf_clear(&r->slots[i].out);
    free(r->slots);
    buf_clear(&r->pending);
    cli_fault_clear(&r->why);
    keeper_clear(&r->keeper);
}

int lines_run(const struct options *o, const struct cli_enclave *e, lines_one *one,
              struct cli_fault *f)
{
    AUTO(run_clear)
    struct run r = { .o = o,
                     .e = e,
                     .one = one,
                     .pending = BUF_INIT(LINES_LINE_MAX_BYTES + 2 * PIECE_BYTES),
                     .reading = PTHREAD_MUTEX_INITIALIZER,
                     .lock = PTHREAD_MUTEX_INITIALIZER,
                     .moved = PTHREAD_COND_INITIALIZER,
                     .why = CLI_FAULT_INIT };
    pthread_t others[LINES_JOBS_MAX];
    uint64_t jobs = 0, started = 0;

    int status =
        keeper_init(&r.keeper, option_text(o, "profile"), option_count(o, "profile") > 0, f);
    if (status != CLI_OK)
        return status;
    if (!option_u64(o, "jobs", 1, LINES_JOBS_MAX, &jobs) ||
        !option_u64(o, "timeout", 1, UINT32_MAX, &r.timeout_s))
        return cli_fault_set(f, CLI_USAGE, _("see --help"));
    r.n_slots = jobs * PER_JOB;
    r.slots = calloc(r.n_slots, sizeof *r.slots);
    if (!r.slots)
        return cli_fault_set(f, CLI_FAILED, "%s", err_name(ERR_NOMEM));
    for (uint64_t i = 0; i < r.n_slots; i++)
        r.slots[i].out = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    while (started + 1 < jobs && pthread_create(&others[started], NULL, work, &r) == 0)
        started++;
    work(&r);
    while (started > 0)
        pthread_join(others[--started], NULL);
    return finish(&r, f);
}
