/* exchange.c - one request and its answer over the handle's connection. */
#include "io/talk.h"
#include "lib/handle.h"

enum nitroseal_status lib_timed_out(struct lib_call *c)
{
    static const struct lib_fault f = {
        .status = NITROSEAL_TIMEOUT,
        .code = "timeout",
        .text = "the enclave did not answer in time",
        .hint = "look at its log, or give it longer",
    };

    return lib_fail(c->error, &f);
}

enum nitroseal_status lib_unreachable(struct lib_call *c, const char *code, const char *text,
                                      const char *detail)
{
    const struct lib_fault f = {
        .status = NITROSEAL_UNREACHABLE,
        .code = code,
        .text = text,
        .detail = detail,
        .hint = "is it running, and is the address the one that it listens on?",
    };

    return lib_fail(c->error, &f);
}

/* A connection that was closed, or that says something nobody asked for, is of no use any more. */
static void drop_stale(struct nitroseal *ns)
{
    if (ns->fd >= 0 && !talk_is_quiet(ns->fd))
        fd_close(&ns->fd);
}

enum nitroseal_status lib_call_connect(struct lib_call *c)
{
    struct nitroseal *ns = c->ns;
    struct why why = { 0 };

    drop_stale(ns);
    if (ns->fd >= 0)
        return NITROSEAL_OK;
    enum err r = addr_connect(&ns->at, c->deadline_ns, &ns->fd, &why);
    if (r == ERR_OK)
        return NITROSEAL_OK;
    if (r == ERR_TIMEOUT)
        return lib_timed_out(c);
    return lib_unreachable(c, "unreachable", "could not reach the enclave",
                           why.what ? why.what : err_name(r));
}

/* How an exchange ended. `sent`: all of the request is out. */
struct outcome {
    enum err result;
    struct why why;
    bool is_broken, sent;
};

/* What has come goes to the reader. ERR_MORE: go on. */
static enum err digest(struct nitroseal *ns, bool eof, struct why *why)
{
    size_t used = 0;
    enum err r = client_reader_feed(&ns->reader, buf_view(&ns->in), &used, why);

    buf_consume(&ns->in, used);
    if (r != ERR_MORE || !eof)
        return r;
    if (client_reader_eof(&ns->reader) == ERR_OK)
        return ERR_OK;
    return why_fail(why, ERR_IO,
                    client_reader_is_empty(&ns->reader) ? "closed without an answer"
                                                        : "closed in the middle of the answer",
                    0);
}

static struct outcome talk(struct nitroseal *ns, struct span request, uint64_t deadline_ns)
{
    struct outcome o = { .result = ERR_MORE };
    bool eof = false;

    while (o.result == ERR_MORE) {
        o.result = talk_step(ns->fd, &request, &ns->in, &o.is_broken, &eof, deadline_ns, &o.why);
        if (o.result == ERR_OK)
            o.result = digest(ns, eof, &o.why);
    }
    o.sent = request.len == 0 && !o.is_broken;
    if (o.result != ERR_OK || !o.sent || !ns->reader.head.keep_alive || ns->in.len > 0)
        fd_close(&ns->fd);
    return o;
}

enum nitroseal_status lib_not_http(struct lib_call *c, const char *detail)
{
    const struct lib_fault f = {
        .status = NITROSEAL_FAILED,
        .code = "not_http",
        .text = "the answer is not HTTP",
        .detail = detail,
        .hint = "is it nitroseald that answers there?",
    };

    return lib_fail(c->error, &f);
}

static enum nitroseal_status failed(struct lib_call *c, const struct outcome *o)
{
    if (o->result == ERR_TIMEOUT)
        return lib_timed_out(c);
    if (o->result == ERR_NOMEM)
        return lib_no_memory(c->error);
    if (o->result == ERR_MALFORMED || o->result == ERR_LIMIT)
        return lib_not_http(c, o->why.what);
    if (o->is_broken && client_reader_is_empty(&c->ns->reader))
        return lib_unreachable(c, "closed", "the enclave took the request only in part",
                               o->why.what);
    return lib_unreachable(c, "closed", "the connection to the enclave broke", o->why.what);
}

static bool is_worth_repeating(const struct lib_call *c, const struct outcome *o, bool was_kept)
{
    return was_kept && o->result == ERR_IO && client_reader_is_empty(&c->ns->reader);
}

enum nitroseal_status lib_not_written(struct lib_call *c, enum err r)
{
    if (r == ERR_NOMEM)
        return lib_no_memory(c->error);
    if (r == ERR_LIMIT)
        return lib_invalid(c->error, "an argument is longer than its limit", NULL);
    return lib_invalid(c->error, "an argument holds characters that it must not", NULL);
}

static enum nitroseal_status problem(struct lib_call *c)
{
    const struct client_refusal refusal = client_reader_refusal(&c->ns->reader);
    struct client_problem p;

    client_problem_parse(&refusal, &p);
    return lib_problem(c->error, &p);
}

enum nitroseal_status lib_call_run(struct lib_call *c, enum err written)
{
    struct nitroseal *ns = c->ns;

    if (written != ERR_OK)
        return lib_not_written(c, written);
    for (;;) {
        drop_stale(ns);
        bool was_kept = ns->fd >= 0;
        enum nitroseal_status s = lib_call_connect(c);
        if (s != NITROSEAL_OK)
            return s;
        struct outcome o = talk(ns, buf_view(&c->request), c->deadline_ns);
        if (is_worth_repeating(c, &o, was_kept)) {
            client_reader_clear(&ns->reader);
            buf_reset(&ns->in);
            continue; /* over a new connection: once */
        }
        if (o.result != ERR_OK)
            return failed(c, &o);
        return ns->reader.head.status < 300 ? NITROSEAL_OK : problem(c);
    }
}
