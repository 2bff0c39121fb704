/* gateway_answer.c - what comes back from the enclave: heads, among them those that only say "go
 * on"; a refusal that another enclave may not share; the body. */
#include "bin/nitroseal/gateway.h"

#include "io/log.h"
#include "io/sys.h"

static const struct gateway_fault not_http = { .status = 502,
                                               .code = "enclave_failed",
                                               .title = "Enclave's answer is not understood" };
static const struct gateway_fault broken = { .status = 502,
                                             .code = "enclave_failed",
                                             .title = "Enclave broke off its answer" };

static void fail(struct exchange *x, const struct gateway_fault *f)
{
    x->e->counts.failures[GATEWAY_FAIL_BROKEN]++;
    log_event(LOG_WARN, "answer broken", LOG_STR("enclave", x->e->name), LOG_STR("why", f->title));
    gw_enclave_suspect(x->e);
    exchange_fail(x, f);
}

/* --- a refusal --- */

/* 503 of the service: it has not taken the request. ERR_MORE: not all of it is here. ERR_OK with
 * *again: another enclave is asked, and the exchange is elsewhere. */
static enum err consider_refusal(struct exchange *x, const struct http1_head *head, size_t used,
                                 bool is_last, bool *again)
{
    struct buf *in = conn_in(x->up->conn);
    struct gw_enclave *e = x->e;

    if (head->framing != HTTP1_LENGTH || head->content_length > GATEWAY_REFUSAL_MAX_BYTES)
        return ERR_OK;
    size_t whole = used + (size_t)head->content_length;
    if (in->len < whole)
        return is_last || x->up->has_eof ? ERR_OK : ERR_MORE;
    enum gateway_refusal why = gateway_refusal_parse(span_sub(buf_view(in), used, whole - used));
    if (why == GATEWAY_REFUSAL_STOPPING)
        gw_enclave_note(e, GATEWAY_LEAVING, "it is stopping");
    if (why == GATEWAY_REFUSAL_NO_CREDENTIALS || why == GATEWAY_REFUSAL_NO_DOCUMENT)
        gw_enclave_suspect(e);
    if (why == GATEWAY_REFUSAL_OTHER || !exchange_can_retry(x) || x->is_moved || !x->request.done ||
        x->pinned)
        return ERR_OK;
    x->tried |= UINT64_C(1) << e->index;
    if (!exchange_has_place(x)) {
        x->tried &= ~(UINT64_C(1) << e->index);
        return ERR_OK;
    }
    x->is_moved = true;
    buf_consume(in, whole);
    *again = true;
    exchange_again(x, head->keep_alive && !is_last);
    return ERR_OK;
}

/* --- heads --- */

static enum err send_head(struct exchange *x, const struct http1_head *head)
{
    struct buf out = BUF_INIT(HTTP1_HEAD_MAX + 1024);
    enum err r = gateway_answer_write(head, &x->to, &out);

    if (r == ERR_OK)
        r = conn_send(x->cl->conn, &out);
    buf_clear(&out);
    return r;
}

static void begin(struct exchange *x, const struct http1_head *head)
{
    enum http1_framing framing = gateway_answer_framing(head, &x->to);

    x->status = head->status;
    /* It answers before it has read everything, and will not read on. */
    if (framing == HTTP1_UNTIL_CLOSE || (!x->request.done && !head->keep_alive) ||
        x->cl->g->is_stopping || x->cl->has_eof)
        x->to.keep_alive = false;
    x->up_keep_alive = head->keep_alive;
    x->answer = gateway_stream_init(head, framing);
    x->is_answering = true;
    buf_clear(&x->replay);
    x->can_replay = false;
}

/* True: an answer's head went out, and its body is next. False: wait, or the exchange is over or
 * elsewhere. */
static bool read_head(struct exchange *x, bool is_last)
{
    struct buf *in = conn_in(x->up->conn);
    struct http1_head head;
    struct why why;
    size_t used = 0;

    for (;;) {
        enum err r = http1_response_parse(buf_view(in), x->to.head_only, &head, &used, &why);
        if (r == ERR_MORE && !is_last && !x->up->has_eof)
            return false;
        if (r != ERR_OK || head.upgrade) {
            if (r == ERR_MORE && in->len == 0 && !x->up->has_answer)
                exchange_up_closed(x, ERR_OK, NULL); /* nothing came at all */
            else
                fail(x, r == ERR_MORE ? &broken : &not_http);
            return false;
        }
        if (head.status >= 200)
            break;
        x->goes_on = x->goes_on || head.status == 100;
        r = head.status == 100 && x->expects && x->to.minor == 1 ? send_head(x, &head) : ERR_OK;
        buf_consume(in, used);
        if (r != ERR_OK) {
            exchange_abort(x);
            return false;
        }
    }
    bool again = false;
    if (head.status == 503 && consider_refusal(x, &head, used, is_last, &again) == ERR_MORE)
        return false;
    if (again)
        return false;
    begin(x, &head);
    if (send_head(x, &head) != ERR_OK) {
        exchange_abort(x);
        return false;
    }
    buf_consume(in, used);
    return true;
}

/* --- the body --- */

static void finish(struct exchange *x, bool is_last)
{
    /* A service that has a body follow its answer to HEAD would answer the next one with it. */
    bool reusable = x->up_keep_alive && !is_last && !x->up->has_eof && !x->to.head_only;

    exchange_finish(x, reusable);
}

/* The service has told why, and the client gets to know it: nothing is wrong with the enclave. */
static void taken_back(struct exchange *x)
{
    log_event(LOG_DEBUG, "answer taken back", LOG_STR("enclave", x->e->name),
              LOG_STR("what", x->what));
    exchange_abort(x);
}

/* The enclave's connection is at its end: so must the answer be. */
static void end_of_stream(struct exchange *x)
{
    struct buf out = BUF_INIT(64);
    enum err r = gateway_stream_eof(&x->answer, &out);

    if (r == ERR_OK && out.len > 0)
        r = conn_send(x->cl->conn, &out);
    buf_clear(&out);
    if (r == ERR_OK)
        finish(x, true);
    else
        fail(x, &broken);
}

void exchange_answer(struct exchange *x, bool is_last)
{
    struct conn *client = x->cl->conn, *up = x->up->conn;
    enum err r = ERR_OK;

    x->moved_ns = clock_mono_ns();
    if (!x->is_answering && !read_head(x, is_last))
        return;
    while (r == ERR_OK && !x->answer.done &&
           (is_last || conn_unsent(client) < GW_UNSENT_MAX_BYTES)) {
        struct buf out = BUF_INIT(GW_PIECE_BYTES);
        struct why why;
        r = exchange_piece(&x->answer, conn_in(up), &out, &why);
        enum err sent = out.len > 0 ? conn_send(client, &out) : ERR_OK;
        buf_clear(&out);
        if (r == ERR_DENIED && sent == ERR_OK) {
            taken_back(x);
            return;
        }
        if ((r != ERR_OK && r != ERR_MORE) || sent != ERR_OK) {
            fail(x, &not_http);
            return;
        }
    }
    if (x->answer.done)
        finish(x, is_last);
    else if (r == ERR_MORE && (is_last || x->up->has_eof))
        end_of_stream(x);
    else if (!x->up->in_data)
        conn_resume(up);
}
