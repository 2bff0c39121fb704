/* http.c - the HTTP API on one connection: a head, its body, one request at a time, its answer.
 *
 * Later requests of a pipelining client wait in conn_in(), whose maximum follows what is expected,
 * so that a connection holds what it may and the kernel holds back the rest.
 */
#include "bin/nitroseald/service.h"

#include <stdlib.h>

enum {
    HEAD_MAX = 16384,
    PIPELINED_MAX = 65536,     /* bytes of requests behind the one that runs */
    UNSENT_MAX = 256 * 1024,   /* then a client has to read answers before it is served again */
    SMALL_MAX = 4096,          /* a body that goes out in one piece with its head */
    KEEP_OPEN_MAX = 64 * 1024, /* bytes of a refused body that are taken to keep the connection */
    ROOM_FROM = 8192, /* bytes of a body that are here, and what part of it that has to be */
    ROOM_PART = 64,
    HEADERS_OUT_MAX = 8,
    PROBLEM_MAX = 65536, /* KMS's own words may be long */
};

void http_call_free(struct http_call *call)
{
    if (!call)
        return;
    batch_free(call->batch);
    stream_free(call->stream);
    buf_clear(&call->chunks);
    buf_clear(&call->beside);
    free(call);
}

/* --- answers --- */

static void drop(struct client *cl)
{
    cl->phase = CLIENT_LEAVING;
    conn_close(cl->conn);
}

static void end_call(struct client *cl)
{
    service_served(cl->s, cl->largest);
    cl->largest = 0;
    http_call_free(cl->call);
    cl->call = NULL;
    cl->scanned = 0;
    cl->phase = CLIENT_READING;
    client_count(cl, 0);
}

/* The answer is with the connection: go on with the next request, or end it. */
static void call_is_over(struct client *cl, bool keep)
{
    end_call(cl);
    if (!keep)
        client_leave(cl);
    else if (!cl->is_pumping)
        http_data(cl);
}

void http_call_over(struct client *cl)
{
    call_is_over(cl, cl->call->keep_alive && !cl->s->is_stopping);
}

/* Head of an answer whose body has so many bytes, and what of it is to be copied behind it. */
static enum err write_answer(struct buf *head, unsigned status, const struct http1_header *headers,
                             size_t n, struct span id, struct span connection, size_t body_bytes,
                             struct span body)
{
    struct http1_header all[HEADERS_OUT_MAX + 3];
    AUTO(buf_clear) struct buf length = BUF_INIT(32);
    size_t k = 0;

    if (buf_append_uint(&length, body_bytes) != ERR_OK)
        return ERR_NOMEM;
    for (; k < n && k < HEADERS_OUT_MAX; k++)
        all[k] = headers[k];
    if (id.len)
        all[k++] = (struct http1_header){ SPAN_LIT("nitroseal-request-id"), id };
    if (connection.len)
        all[k++] = (struct http1_header){ SPAN_LIT("connection"), connection };
    if (status != 204)
        all[k++] = (struct http1_header){ SPAN_LIT("content-length"), buf_view(&length) };
    return http1_response_write(head, status, all, k, body);
}

void http_answer(struct client *cl, unsigned status, const struct http1_header *headers, size_t n,
                 struct span id, struct buf *body)
{
    AUTO(buf_clear) struct buf head = BUF_INIT(HEAD_MAX + SMALL_MAX);
    bool keep = cl->call && cl->call->keep_alive && !cl->s->is_stopping;
    bool has_body = !cl->call || !cl->call->is_head;
    bool is_small = has_body && body->len <= SMALL_MAX;

    if (!cl->conn) {
        end_call(cl);
        return;
    }
    enum err r = write_answer(&head, status, headers, n, id, keep ? SPAN_EMPTY : SPAN_LIT("close"),
                              body->len, is_small ? buf_view(body) : SPAN_EMPTY);
    if (r == ERR_OK)
        r = conn_send(cl->conn, &head);
    if (r == ERR_OK && has_body && !is_small)
        r = conn_send(cl->conn, body);
    if (r == ERR_OK) {
        call_is_over(cl, keep);
        return;
    }
    end_call(cl);
    drop(cl);
}

void http_answer_problem(struct client *cl, const struct proto_error *e, struct span allow,
                         struct span id)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(PROBLEM_MAX);
    unsigned status = api_status(e->code);
    struct http1_header h[3] = { { SPAN_LIT("content-type"),
                                   SPAN_LIT("application/problem+json") } };
    size_t n = 1;

    if (status == 503)
        h[n++] = (struct http1_header){ SPAN_LIT("retry-after"), SPAN_LIT("1") };
    if (allow.len)
        h[n++] = (struct http1_header){ SPAN_LIT("allow"), allow };
    if (api_problem_write(&body, e, id) != ERR_OK)
        buf_reset(&body); /* the status says something, too */
    http_answer(cl, status, h, n, id, &body);
}

static void answer_fault(struct client *cl, const struct api_fault *f)
{
    const struct proto_error e = { .error = f->title,
                                   .code = f->code,
                                   .detail = span_str(f->detail) };
    char id[ENCLAVE_ID_BYTES];

    enclave_id_next(cl->s->enclave, id);
    metrics_request(&cl->s->metrics,
                    cl->call && cl->call->route.endpoint < API_ENDPOINTS
                        ? api_endpoint_name(cl->call->route.endpoint)
                        : "?",
                    f->code, 0);
    log_event(LOG_DEBUG, "request refused", LOG_STR("id", id), LOG_STR("result", f->code),
              LOG_STR("detail", f->detail ? f->detail : ""));
    http_answer_problem(cl, &e, f->allow, span_str(id));
}

void http_refuse(struct client *cl, const char *code, const char *title, const char *detail)
{
    const struct api_fault f = { .code = code, .title = title, .detail = detail };

    if (cl->call)
        cl->call->keep_alive = false;
    answer_fault(cl, &f);
}

/* --- requests --- */

/* Between requests: nothing but the wish to hear from it again. */
static void be_idle(struct client *cl)
{
    cl->scanned = 0;
    conn_set_in_max(cl->conn, HEAD_MAX);
    client_count(cl, 0);
    client_set_deadline(cl, clock_mono_ns() + cl->s->set->idle_ms * NS_PER_MS);
}

/* Looked at once when it begins, for what is wrong from the start, and once when its end is here.
 */
static bool is_worth_parsing(struct client *cl, struct span in)
{
    size_t from = cl->scanned > 3 ? cl->scanned - 3 : 0;
    bool is_first = cl->scanned == 0;

    cl->scanned = in.len;
    return is_first || in.len >= HEAD_MAX ||
           memmem(in.ptr + from, in.len - from, "\r\n\r\n", 4) != NULL;
}

/* Copies of what is asked for after the head is gone. */
static enum err keep_beside(struct http_call *call, const struct http1_head *head)
{
    bool is_sealed = call->route.endpoint == API_DECRYPT && call->route.is_binary;
    struct span signature = is_sealed ? http1_header_get(head, "nitroseal-signature") : SPAN_EMPTY;
    struct span blob = is_sealed ? http1_header_get(head, "nitroseal-ciphertext-blob") : SPAN_EMPTY;
    struct span query = call->route.query;
    size_t at = 0;

    call->beside = BUF_INIT(HEAD_MAX);
    enum err r = buf_append(&call->beside, signature);
    if (r == ERR_OK)
        r = buf_append(&call->beside, blob);
    if (r == ERR_OK)
        r = buf_append(&call->beside, query);
    if (r != ERR_OK)
        return r;
    call->signature_b64 = span_sub(buf_view(&call->beside), at, signature.len);
    call->blob_b64 = span_sub(buf_view(&call->beside), at += signature.len, blob.len);
    call->query = query.ptr ? span_from(buf_view(&call->beside), at + blob.len) : SPAN_EMPTY;
    call->route.query = SPAN_EMPTY;
    return ERR_OK;
}

/* What the head says about the body. */
static void plan_body(struct client *cl, const struct http1_head *head, size_t used)
{
    struct http_call *call = cl->call;
    size_t max = (size_t)cl->s->set->request_max;

    call->head_bytes = used;
    call->body_bytes = head->framing == HTTP1_LENGTH && head->content_length <= max
                           ? (size_t)head->content_length
                           : 0;
    call->is_chunked = head->framing == HTTP1_CHUNKED;
    call->reader = http1_body_init(head, max);
    call->chunks = BUF_INIT(max);
    if (head->framing == HTTP1_LENGTH && head->content_length > max)
        call->fault = (struct api_fault){ .code = "too_large", .title = "Request is too large" };
}

static void say_continue(struct client *cl)
{
    struct buf go_on = BUF_INIT(64);

    if (http1_response_write(&go_on, 100, NULL, 0, SPAN_EMPTY) != ERR_OK ||
        conn_send(cl->conn, &go_on) != ERR_OK)
        drop(cl);
    buf_clear(&go_on);
}

static void begin_stream(struct client *cl, const struct http1_head *head, size_t used)
{
    if (head->minor == 0) {
        http_refuse(cl, "invalid_request", "Messages need HTTP/1.1", "its answers are chunked");
        return;
    }
    if (cl->s->is_stopping) {
        http_refuse(cl, "stopping", "Service is stopping", NULL);
        return;
    }
    if (head->expect_continue)
        say_continue(cl);
    if (cl->phase == CLIENT_READING)
        stream_begin(cl, head, used);
}

/* Too large a body to be taken for a refusal: told now, at the price of the connection. */
static bool is_worth_sending(const struct client *cl, const struct http1_head *head)
{
    return !service_is_full(cl->s) ||
           (head->framing == HTTP1_LENGTH && head->content_length <= KEEP_OPEN_MAX);
}

static void begin_call(struct client *cl, const struct http1_head *head, size_t used)
{
    struct api_route route = { .endpoint = API_ENDPOINTS };
    struct api_fault fault = { 0 };
    bool is_routed = api_route(head, &route, &fault) == ERR_OK;
    bool needs_place = is_routed && endpoint_needs_place(route.endpoint);

    if (needs_place && service_is_full(cl->s) && !cl->s->is_stopping &&
        endpoint_refuse_at_once(cl, head, route.endpoint, used)) {
        cl->scanned = 0;
        return;
    }
    struct http_call *call = calloc(1, sizeof *call);
    if (!call) {
        drop(cl);
        return;
    }
    cl->call = call;
    call->route = route;
    call->fault = fault;
    call->keep_alive = head->keep_alive;
    call->is_head = span_is(head->method, "HEAD");
    call->born_ns = clock_mono_ns();
    if (needs_place && head->framing != HTTP1_NO_BODY && !is_worth_sending(cl, head))
        call->fault = refusal_busy;
    else if (is_routed && keep_beside(call, head) != ERR_OK)
        call->fault = (struct api_fault){ .code = "busy", .title = "Service is out of memory" };
    if (!call->fault.code && api_is_stream(call->route.endpoint)) {
        begin_stream(cl, head, used);
        return;
    }
    plan_body(cl, head, used);
    bool is_here = !call->is_chunked && conn_in(cl->conn)->len >= used + call->body_bytes;
    if (call->fault.code && !is_here) { /* the rest of it is not worth waiting for */
        call->keep_alive = false;
        answer_fault(cl, &call->fault);
        return;
    }
    if (call->fault.code && strcmp(call->fault.code, "too_large") == 0)
        call->keep_alive = false;
    if (head->expect_continue && !is_here)
        say_continue(cl);
}

/* True: there is a call now, or the connection is at its end. */
static bool read_head(struct client *cl)
{
    struct span in = buf_view(conn_in(cl->conn));
    struct http1_head head;
    struct why why = { .what = "head too long" };
    size_t used = 0;

    if (in.len == 0) {
        be_idle(cl);
        return false;
    }
    if (cl->scanned == 0)
        client_set_deadline(cl, clock_mono_ns() + cl->s->set->read_ms * NS_PER_MS);
    if (!is_worth_parsing(cl, in))
        return false;
    enum err r = http1_request_parse(in, &head, &used, &why);
    if (r == ERR_MORE && in.len < HEAD_MAX)
        return false;
    if (r == ERR_MORE || r == ERR_LIMIT || (r == ERR_OK && used > HEAD_MAX)) {
        http_refuse(cl, "head_too_large", "Head of the request is too large",
                    "at most 16384 bytes");
    } else if (r != ERR_OK) {
        bool is_coding = strstr(why.what, "Transfer-Encoding other") != NULL;
        http_refuse(cl, is_coding ? "not_implemented" : "invalid_request",
                    "Not an HTTP request that is understood", why.what);
    } else {
        begin_call(cl, &head, used);
    }
    return true;
}

/* Chunked: what is here moves to `chunks`. ERR_MORE: not whole yet. */
static enum err read_chunks(struct client *cl, struct why *why)
{
    struct http_call *call = cl->call;
    struct buf *in = conn_in(cl->conn);
    size_t at = call->head_bytes;
    bool done = false;
    enum err r = ERR_OK;

    while (r == ERR_OK && !done) {
        struct span content;
        size_t taken;
        r = http1_body_next(&call->reader, span_from(buf_view(in), at), &content, &taken, &done,
                            why);
        if (r != ERR_OK && r != ERR_MORE)
            return r;
        enum err kept = buf_append(&call->chunks, content);
        if (kept != ERR_OK)
            return kept;
        at += taken;
    }
    buf_consume(in, at); /* once: each moves the rest, and chunks may be small */
    call->head_bytes = 0;
    client_count(cl, call->chunks.len + in->len);
    return r;
}

/* Content-Length: it stays where it is. Once a part is here there is room for all of it, so that
 * nothing is moved again; a mere claim costs us nothing, and one that is not kept addresses only.
 */
static enum err read_length(struct client *cl)
{
    const struct http_call *call = cl->call;
    struct buf *in = conn_in(cl->conn);
    size_t whole = call->head_bytes + call->body_bytes;

    client_count(cl, in->len);
    if (in->len >= whole)
        return ERR_OK;
    conn_set_in_max(cl->conn, whole);
    if (in->len >= whole / ROOM_PART && in->len >= ROOM_FROM && in->cap < whole &&
        buf_make_room(in, whole - in->len) != ERR_OK)
        return ERR_NOMEM;
    return ERR_MORE;
}

static struct buf take_body(struct client *cl, size_t *from)
{
    struct http_call *call = cl->call;
    struct buf *in = conn_in(cl->conn);
    size_t whole = call->head_bytes + call->body_bytes;

    *from = 0;
    if (call->is_chunked)
        return buf_take(&call->chunks);
    if (in->len == whole) {
        *from = call->head_bytes;
        return buf_take(in);
    }
    struct buf body = BUF_INIT(call->body_bytes);
    if (buf_append(&body, span_sub(buf_view(in), call->head_bytes, call->body_bytes)) != ERR_OK)
        call->fault = (struct api_fault){ .code = "busy", .title = "Service is out of memory" };
    buf_consume(in, whole);
    return body;
}

static void serve(struct client *cl)
{
    size_t from;
    struct buf body = take_body(cl, &from);

    client_set_deadline(cl, 0);
    conn_set_in_max(cl->conn, PIPELINED_MAX);
    cl->phase = CLIENT_RUNNING;
    if (cl->call->fault.code)
        answer_fault(cl, &cl->call->fault);
    else if (cl->s->is_stopping)
        http_refuse(cl, "stopping", "Service is stopping", NULL);
    else
        endpoint_serve(cl, &body, from);
    buf_clear(&body);
}

/* True: the request was served, or the connection is at its end. */
static bool read_body(struct client *cl)
{
    struct why why = { .what = "" };
    enum err r = cl->call->is_chunked ? read_chunks(cl, &why) : read_length(cl);

    if (r == ERR_MORE && cl->s->buffered > cl->s->set->buffered_max)
        r = ERR_NOMEM;
    if (r == ERR_MORE)
        return false;
    if (r == ERR_OK)
        serve(cl);
    else if (r == ERR_LIMIT)
        http_refuse(cl, "too_large", "Request is too large", NULL);
    else if (r == ERR_NOMEM)
        http_refuse(cl, "busy", "Service is busy", "too many bytes of requests at one time");
    else
        http_refuse(cl, "invalid_request", "Not an HTTP request that is understood", why.what);
    return true;
}

/* A client that asks and does not read is not served until it does; where memory is short, not
 * even one that has not read its last answer. */
static bool is_blocked(struct client *cl)
{
    size_t unsent = conn_unsent(cl->conn);

    if (unsent < UNSENT_MAX && (unsent == 0 || cl->s->buffered <= cl->s->set->buffered_max))
        return false;
    if (!cl->is_blocked)
        conn_set_deadline(cl->conn, clock_mono_ns() + cl->s->set->write_ms * NS_PER_MS);
    cl->is_blocked = true;
    return true;
}

void http_data(struct client *cl)
{
    bool is_waiting = false;

    cl->is_pumping = true;
    while (cl->phase == CLIENT_READING && !is_blocked(cl) && !is_waiting) {
        if (!cl->call)
            is_waiting = !read_head(cl);
        if (cl->phase == CLIENT_READING && cl->call)
            is_waiting = !read_body(cl);
    }
    cl->is_pumping = false;
    /* Nothing more will come: what is not whole never will be. */
    if (is_waiting && cl->has_eof)
        client_leave(cl);
}

void http_drained(struct client *cl)
{
    if (!cl->is_blocked)
        return;
    cl->is_blocked = false;
    conn_set_deadline(cl->conn, 0);
    http_data(cl);
}

void http_eof(struct client *cl)
{
    if (cl->phase == CLIENT_READING)
        http_data(cl);
}

void http_timeout(struct client *cl)
{
    bool has_begun = cl->call || conn_in(cl->conn)->len > 0;

    if (!has_begun)
        drop(cl);
    else if (cl->s->is_stopping)
        http_refuse(cl, "stopping", "Service is stopping", NULL);
    else
        http_refuse(cl, "read_timeout", "Request did not arrive in time", NULL);
}
