/* gateway_exchange.c - one request: an enclave for it, its body on the way there, another try where
 * one is safe.
 *
 * Sent again is only what cannot have been lost on the way: all of it is still here (head, and at
 * most GW_REPLAY_MAX_BYTES of body), no byte of an answer has come, and either nobody was reached,
 * or a kept connection turned out to be closed, or the service itself said that it did not take the
 * request. Each reason counts once; after a closed connection only a fresh one will do.
 */
#include "bin/nitroseal/gateway.h"

#include <stdlib.h>

#include "io/log.h"
#include "io/sys.h"

enum { HEAD_OUT_MAX_BYTES = GATEWAY_HEAD_MAX_BYTES + 1024 };

static const struct gateway_fault out_of_memory = { .status = 503,
                                                    .code = "busy",
                                                    .title = "Gateway is out of memory" };

void exchange_leave_waiting(struct exchange *x)
{
    struct gateway *g = x->cl->g;

    if (!x->link)
        return;
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    else
        g->waiting_last = x->link;
    x->link = NULL;
    g->n_waiting--;
}

void exchange_release(struct exchange *x, bool reusable)
{
    struct gw_up *up = x->up;

    x->up = NULL;
    if (up)
        gw_up_put(up, reusable);
    if (x->e)
        x->e->in_flight--;
    x->e = NULL;
}

void exchange_end(struct exchange *x, struct gw_enclave *by, bool keep)
{
    struct client *cl = x->cl;
    struct gateway *g = cl->g;
    uint64_t ns = clock_mono_ns() - x->born_ns;

    exchange_leave_waiting(x);
    if (by)
        gateway_count_answer(&by->counts, x->status, ns);
    g->bytes_in += x->request.bytes;
    g->bytes_out += x->answer.bytes;
    log_event(LOG_DEBUG, "request", LOG_STR("what", x->what), LOG_INT("status", x->status),
              LOG_STR("enclave", by ? by->name : ""), LOG_INT("us", ns / 1000),
              LOG_INT("in", x->request.bytes), LOG_INT("out", x->answer.bytes));
    buf_clear(&x->head);
    buf_clear(&x->replay);
    free(x);
    cl->x = NULL;
    exchange_place_waiting(g); /* before this client's next request, which may be here already */
    client_done(cl, keep);
}

void exchange_finish(struct exchange *x, bool reusable)
{
    struct gw_enclave *by = x->e;
    bool whole = x->request.done;

    exchange_release(x, reusable && whole);
    exchange_end(x, by, x->to.keep_alive && whole);
}

void exchange_abort(struct exchange *x)
{
    struct gw_enclave *by = x->e;

    x->status = 0;
    exchange_release(x, false);
    exchange_end(x, by, false);
}

/* --- an enclave for it --- */

static bool may_use(const struct exchange *x, const struct gw_enclave *e)
{
    return x->pinned ? x->pinned == e : gw_enclave_usable(e);
}

static enum gateway_verdict choose(const struct exchange *x, struct gw_enclave **out)
{
    struct gateway *g = x->cl->g;
    struct gateway_candidate c[GATEWAY_ENCLAVES_MAX];
    size_t i = 0;

    for (unsigned k = 0; k < g->n_enclaves; k++)
        c[k] = (struct gateway_candidate){
            .usable = may_use(x, &g->enclaves[k]),
            .tried = x->tried >> k & 1,
            .in_flight = g->enclaves[k].in_flight,
            .max = x->pinned ? UINT32_MAX : (unsigned)g->set->running_max,
        };
    enum gateway_verdict v = gateway_choose(c, g->n_enclaves, g->turn, &i);
    if (v == GATEWAY_CHOSEN)
        *out = &g->enclaves[i];
    return v;
}

static void no_place(struct exchange *x)
{
    static const struct gateway_fault none = { .status = 503,
                                               .code = "no_enclave",
                                               .title = "No enclave can be asked",
                                               .detail = "none answers the gateway's health "
                                                         "checks" };
    static const struct gateway_fault unreachable = { .status = 502,
                                                      .code = "enclave_unreachable",
                                                      .title = "Enclave cannot be reached",
                                                      .detail = "nothing of the request was sent" };

    exchange_fail(x, x->tried ? &unreachable : &none);
}

static void wait_for_place(struct exchange *x)
{
    static const struct gateway_fault busy = { .status = 503,
                                               .code = "busy",
                                               .title = "Gateway is busy",
                                               .detail = "too many requests wait" };
    struct gateway *g = x->cl->g;

    if (g->n_waiting >= g->set->waiting_max) {
        exchange_fail(x, &busy);
        return;
    }
    x->next = NULL;
    x->link = g->waiting_last;
    *x->link = x;
    g->waiting_last = &x->next;
    g->n_waiting++;
}

static void go_to(struct exchange *x, struct gw_enclave *e)
{
    x->e = e;
    x->cl->g->turn = (e->index + 1) % x->cl->g->n_enclaves;
    e->in_flight++;
    x->moved_ns = clock_mono_ns();
    x->up = gw_up_get(e, x, x->needs_fresh);
    if (!x->up)
        exchange_fail(x, &out_of_memory);
    else if (x->up->is_open)
        exchange_open(x);
}

static void place(struct exchange *x)
{
    struct gw_enclave *e = NULL;

    switch (choose(x, &e)) {
    case GATEWAY_CHOSEN:
        exchange_leave_waiting(x);
        go_to(x, e);
        break;
    case GATEWAY_WAIT:
        wait_for_place(x);
        break;
    case GATEWAY_NONE:
        exchange_leave_waiting(x);
        no_place(x);
        break;
    }
}

void exchange_place_waiting(struct gateway *g)
{
    struct gw_enclave *e;

    if (g->is_placing)
        return;
    g->is_placing = true;
    while (g->waiting && choose(g->waiting, &e) != GATEWAY_WAIT)
        place(g->waiting);
    g->is_placing = false;
}

bool exchange_can_retry(const struct exchange *x)
{
    return x->can_replay && !x->is_answering;
}

bool exchange_has_place(const struct exchange *x)
{
    struct gw_enclave *e;

    return choose(x, &e) == GATEWAY_CHOSEN;
}

void exchange_again(struct exchange *x, bool reusable)
{
    x->e->counts.retries++;
    exchange_release(x, reusable);
    place(x);
}

/* --- the request's way --- */

static void remember(struct exchange *x, const struct http1_head *head)
{
    struct span rest = head->target;
    struct span path = span_cut(&rest, '?'); /* a query stays out of logs */

    (void)snprintf(x->what, sizeof x->what, "%.*s %.*s", (int)head->method.len,
                   (const char *)head->method.ptr, (int)path.len, (const char *)path.ptr);
}

static struct gw_enclave *find(struct gateway *g, const struct gateway_route *route)
{
    for (unsigned i = 0; i < g->n_enclaves; i++)
        if (g->enclaves[i].at.cid == route->cid &&
            (route->port == 0 || g->enclaves[i].at.port == route->port))
            return &g->enclaves[i];
    return NULL;
}

void exchange_start(struct client *cl, const struct http1_head *head, size_t used,
                    const struct gateway_route *route)
{
    static const struct gateway_fault unknown = { .status = 404,
                                                  .code = "not_found",
                                                  .title = "No such enclave" };
    struct exchange *x = calloc(1, sizeof *x);

    if (!x) {
        client_close(cl);
        return;
    }
    cl->x = x;
    x->cl = cl;
    x->born_ns = x->moved_ns = clock_mono_ns();
    x->to = (struct gateway_client){
        .minor = head->minor,
        .head_only = span_is(head->method, "HEAD"),
        .keep_alive = head->keep_alive,
    };
    x->expects = head->expect_continue;
    x->can_replay = true;
    x->head = BUF_INIT(HEAD_OUT_MAX_BYTES);
    x->replay = BUF_INIT(GW_REPLAY_MAX_BYTES);
    x->request = gateway_stream_init(head, head->framing);
    if (route->place == GATEWAY_ENCLAVE)
        x->pinned = find(cl->g, route);
    remember(x, head);
    enum err r = gateway_request_write(head, route->target, &x->head);
    buf_consume(conn_in(cl->conn), used); /* the head's views are gone */
    if (r != ERR_OK)
        exchange_fail(x, &out_of_memory);
    else if (route->place == GATEWAY_ENCLAVE && !x->pinned)
        exchange_fail(x, &unknown);
    else
        place(x);
}

static enum err send_copy(struct gw_up *up, struct span bytes)
{
    AUTO(buf_clear) struct buf copy = BUF_INIT(bytes.len);
    enum err r = buf_append(&copy, bytes);

    return r == ERR_OK ? conn_send(up->conn, &copy) : r;
}

void exchange_open(struct exchange *x)
{
    enum err r = send_copy(x->up, buf_view(&x->head));

    if (r == ERR_OK)
        r = send_copy(x->up, buf_view(&x->replay)); /* empty but for another try */
    x->moved_ns = clock_mono_ns();
    if (r != ERR_OK)
        exchange_fail(x, &out_of_memory);
    else if (!x->request.done)
        exchange_request(x);
}

enum err exchange_piece(struct gateway_stream *s, struct buf *in, struct buf *out, struct why *why)
{
    size_t plain = gateway_stream_plain(s, buf_view(in)), used = 0;

    if (plain > 0 && plain == in->len) { /* not even copied */
        gateway_stream_skip(s, plain);
        *out = buf_take(in);
        return s->done ? ERR_OK : ERR_MORE;
    }
    enum err r = gateway_stream_next(s, buf_view(in), out, &used, why);
    buf_consume(in, used);
    return r;
}

static void keep_for_replay(struct exchange *x, struct span bytes)
{
    if (!x->can_replay || buf_append(&x->replay, bytes) == ERR_OK)
        return;
    x->can_replay = false;
    buf_clear(&x->replay);
}

static void cut_short(struct exchange *x, const char *what)
{
    const struct gateway_fault bad = { .status = 400,
                                       .code = "invalid_request",
                                       .title = "Not an HTTP request that is understood",
                                       .detail = what };

    exchange_fail(x, &bad);
}

/* One piece. ERR_OK: there may be more; ERR_MORE: wait; else the exchange is over, or is about to
 * be told that its connection is. */
static enum err send_piece(struct exchange *x)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(GW_PIECE_BYTES);
    struct why why = { .what = "body" };
    enum err r = exchange_piece(&x->request, conn_in(x->cl->conn), &out, &why);

    if (r == ERR_MALFORMED || r == ERR_LIMIT) {
        cut_short(x, why.what);
        return r;
    }
    keep_for_replay(x, buf_view(&out));
    enum err sent = ERR_OK;
    if (out.len > 0) {
        x->moved_ns = clock_mono_ns();
        sent = conn_send(x->up->conn, &out);
    }
    if (r == ERR_NOMEM || sent == ERR_NOMEM) {
        exchange_fail(x, &out_of_memory);
        return ERR_NOMEM;
    }
    return sent == ERR_OK ? r : ERR_IO;
}

void exchange_request(struct exchange *x)
{
    struct client *cl = x->cl;
    enum err r = ERR_OK;

    if (x->is_refused) {
        if (!exchange_take_refused(x) && !cl->in_data)
            conn_resume(cl->conn);
        return;
    }
    if (!x->up || !x->up->is_open)
        return;
    while (r == ERR_OK && !x->request.done && conn_unsent(x->up->conn) < GW_UNSENT_MAX_BYTES)
        r = send_piece(x);
    if (r != ERR_OK && r != ERR_MORE)
        return;
    if (r == ERR_MORE && !x->request.done && cl->has_eof)
        cut_short(x, "the request ended before its body did");
    else if (!cl->in_data)
        conn_resume(cl->conn);
}

/* --- the end of its connection --- */

static const struct gateway_fault broken = { .status = 502,
                                             .code = "enclave_failed",
                                             .title = "Enclave broke off the connection" };

void exchange_up_closed(struct exchange *x, enum err r, const struct why *why)
{
    struct gw_up *up = x->up;
    struct gw_enclave *e = x->e;
    bool was_open = up->is_open, is_stale = up->is_reused && !up->has_answer;
    const char *what = why && why->what ? why->what : err_name(r);

    if (!was_open) {
        e->counts.failures[GATEWAY_FAIL_CONNECT]++;
        gw_enclave_note(e, GATEWAY_UNREACHABLE, what);
        x->tried |= UINT64_C(1) << e->index;
        exchange_again(x, false);
        return;
    }
    if (x->is_answering || up->has_answer) {
        exchange_answer(x, true); /* frees it */
        return;
    }
    gw_enclave_suspect(e);
    if (is_stale && exchange_can_retry(x)) {
        x->needs_fresh = true;
        exchange_again(x, false);
        return;
    }
    e->counts.failures[GATEWAY_FAIL_BROKEN]++;
    log_event(LOG_WARN, "request lost its enclave", LOG_STR("enclave", e->name),
              LOG_STR("why", what));
    exchange_fail(x, &broken);
}
