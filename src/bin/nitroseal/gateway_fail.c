/* gateway_fail.c - requests that get no answer of an enclave: refused, broken off, out of time. */
#include "bin/nitroseal/gateway.h"

#include "io/log.h"
#include "io/sys.h"

static void answer_fault(struct exchange *x, const struct gateway_fault *f)
{
    bool keep = x->to.keep_alive && x->request.done;

    x->to.keep_alive = keep;
    x->status = f->status;
    client_answer_fault(x->cl, f, &x->to);
    exchange_end(x, NULL, keep);
}

/* A small body that is on its way is taken before the refusal: the connection can stay, and no
 * proxy before us is answered in the middle of what it sends. */
static bool is_worth_taking(const struct exchange *x)
{
    return !x->request.done && x->request.out == HTTP1_LENGTH &&
           x->request.in.left <= GW_REPLAY_MAX_BYTES && !x->expects && !x->cl->has_eof;
}

bool exchange_take_refused(struct exchange *x)
{
    struct buf *in = conn_in(x->cl->conn);
    size_t n = gateway_stream_plain(&x->request, buf_view(in));

    if (n > 0) {
        gateway_stream_skip(&x->request, n);
        buf_consume(in, n);
    }
    if (!x->request.done && !x->cl->has_eof)
        return false;
    answer_fault(x, &x->fault);
    return true;
}

void exchange_fail(struct exchange *x, const struct gateway_fault *f)
{
    struct client *cl = x->cl;

    if (x->is_answering) { /* the rest of an answer cannot be made up: the client sees it cut */
        exchange_abort(x);
        if (cl->phase == CLIENT_LEAVING)
            conn_close(cl->conn);
        return;
    }
    exchange_release(x, false);
    if (x->is_refused || !is_worth_taking(x)) {
        answer_fault(x, f);
        return;
    }
    exchange_leave_waiting(x);
    x->is_refused = true;
    x->fault = *f;
    (void)exchange_take_refused(x);
}

/* Who is to move next decides how long that may take. */
static void out_of_time(struct exchange *x, bool is_for_client, bool is_for_reader)
{
    static const struct gateway_fault late = { .status = 408,
                                               .code = "read_timeout",
                                               .title = "Request did not arrive in time" };
    static const struct gateway_fault silent = { .status = 504,
                                                 .code = "enclave_timeout",
                                                 .title = "Enclave did not answer in time" };

    if (is_for_reader)
        x->is_answering = true; /* it reads no answer: broken off */
    if (is_for_reader || is_for_client) {
        x->is_refused = true; /* at once */
        exchange_fail(x, &late);
        return;
    }
    x->e->counts.failures[GATEWAY_FAIL_TIMEOUT]++;
    log_event(LOG_WARN, "enclave silent", LOG_STR("enclave", x->e->name), LOG_STR("what", x->what));
    gw_enclave_suspect(x->e);
    exchange_fail(x, &silent);
}

void exchange_tick(struct exchange *x, uint64_t now_ns)
{
    static const struct gateway_fault waited = { .status = 503,
                                                 .code = "busy",
                                                 .title = "Gateway is busy",
                                                 .detail = "no enclave had time for it" };
    const struct gw_settings *set = x->cl->g->set;
    size_t unsent = conn_unsent(x->cl->conn);

    if (x->link) {
        if (now_ns > x->born_ns + set->wait_ms * NS_PER_MS)
            exchange_fail(x, &waited);
        return;
    }
    if (x->is_refused) {
        if (now_ns > x->moved_ns + set->read_ms * NS_PER_MS)
            answer_fault(x, &x->fault);
        return;
    }
    if (unsent < x->unsent)
        x->moved_ns = now_ns;
    x->unsent = unsent;
    bool is_for_reader = unsent > 0;
    /* A client that asked whether to go on is waited for once it was told, or has gone on anyway.
     */
    bool has_asked = x->expects && !x->goes_on && x->request.bytes == 0;
    bool is_for_client = !is_for_reader && !x->request.done && !has_asked && x->up &&
                         x->up->is_open && conn_unsent(x->up->conn) == 0;
    uint64_t ms = is_for_reader ? set->write_ms : is_for_client ? set->read_ms : set->answer_ms;
    if (now_ns > x->moved_ns + ms * NS_PER_MS)
        out_of_time(x, is_for_client, is_for_reader);
}
