#include "bin/nitroseald/kms_pool.h"

#include <stdlib.h>

#include "kms/kms.h"

enum {
    ANSWER_IN_MAX = HTTP1_HEAD_MAX + KMS_ANSWER_MAX,
    OPENING_MAX = 4,     /* handshakes at one time: each costs as much CPU as three requests */
    STALE_MAX = 3,       /* times that an exchange meets a connection closed while idle */
    RETRY_FIRST_MS = 10, /* after a connection could not even be begun; doubled each time */
    RETRY_MAX_MS = 640,
};

enum kept_state { KEPT_OPENING, KEPT_IDLE, KEPT_BUSY, KEPT_DYING };

/* One connection. */
struct kept {
    struct kms_pool *pool;
    struct kept *next, **link; /* among all */
    struct conn *conn;
    struct exchange *x; /* BUSY */
    enum kept_state state;
    unsigned served;
};

struct kms_pool {
    struct loop *loop;
    struct kms_pool_options o;
    struct kept *all; /* the last used first: it is the least likely to be closed by the peer */
    unsigned conns, opening, waiting;
    struct kms_flow own;             /* of exchanges without one */
    struct kms_flow *round, *behind; /* flows that wait: the next one, and the last */
    struct loop_timer *timer;        /* the earliest deadline among those that wait, and `retry` */
    uint64_t retry_ns, retry_ms;     /* not to begin a connection before; 0: none has failed */
};

static void pump(struct kms_pool *p);

static void unlink_kept(struct kept *k)
{
    *k->link = k->next;
    if (k->next)
        k->next->link = k->link;
}

static void push_kept(struct kept *k)
{
    struct kms_pool *p = k->pool;

    k->next = p->all;
    k->link = &p->all;
    if (p->all)
        p->all->link = &k->next;
    p->all = k;
}

static void join_round(struct kms_pool *p, struct kms_flow *f)
{
    f->next = NULL;
    if (p->round)
        p->behind->next = f;
    else
        p->round = f;
    p->behind = f;
}

/* `first`: it has waited before, ahead of the others of its flow. */
static void enqueue(struct kms_pool *p, struct exchange *x, bool first)
{
    struct kms_flow *f = x->flow;
    bool was_empty = !f->first;

    p->waiting++;
    x->next = first ? f->first : NULL;
    if (was_empty)
        f->first = f->last = x;
    else if (first)
        f->first = x;
    else
        f->last = f->last->next = x;
    if (was_empty)
        join_round(p, f);
}

/* The first of the flow whose turn it is, which goes to the end of the round. */
static struct exchange *dequeue(struct kms_pool *p)
{
    struct kms_flow *f = p->round;

    if (!f)
        return NULL;
    struct exchange *x = f->first;
    p->waiting--;
    p->round = f->next;
    f->first = x->next;
    if (f->first)
        join_round(p, f);
    return x;
}

static void arm_timer(struct kms_pool *p)
{
    uint64_t earliest = p->retry_ns;

    for (const struct kms_flow *f = p->round; f; f = f->next)
        for (const struct exchange *x = f->first; x; x = x->next)
            if (earliest == 0 || x->deadline_ns < earliest)
                earliest = x->deadline_ns;
    if (p->round)
        loop_timer_arm(p->timer, earliest);
    else
        loop_timer_disarm(p->timer);
}

/* Of one flow: those whose time is over go in front of `over`, the others stay in their order. */
static struct exchange *take_late(struct kms_pool *p, struct kms_flow *f, uint64_t now,
                                  struct exchange *over)
{
    struct exchange *x = f->first;

    f->first = f->last = NULL;
    while (x) {
        struct exchange *next = x->next;
        if (x->deadline_ns <= now) {
            p->waiting--;
            x->next = over;
            over = x;
        } else {
            x->next = NULL;
            if (f->first)
                f->last->next = x;
            else
                f->first = x;
            f->last = x;
        }
        x = next;
    }
    return over;
}

/* All that are late are taken out first: a callback may add new ones. */
static void end_late(struct kms_pool *p, uint64_t now)
{
    struct exchange *over = NULL;
    struct kms_flow *f = p->round;

    p->round = NULL;
    while (f) {
        struct kms_flow *next = f->next;
        over = take_late(p, f, now, over);
        if (f->first)
            join_round(p, f);
        f = next;
    }
    while (over) {
        struct exchange *x = over;
        over = x->next;
        x->broken(x->arg, ERR_TIMEOUT, "no connection to KMS became free in time");
    }
}

static void on_timer(void *arg)
{
    struct kms_pool *p = arg;
    uint64_t now = loop_now_ns(p->loop);

    end_late(p, now);
    if (p->retry_ns != 0 && now >= p->retry_ns) {
        p->retry_ns = 0;
        pump(p);
    }
    arm_timer(p);
}

static void send_on(struct kept *k, struct exchange *x)
{
    k->state = KEPT_BUSY;
    k->x = x;
    conn_set_deadline(k->conn, x->deadline_ns);
    /* The exchange may have to be sent again. A failure shows as the end of the conn. */
    if (conn_send_view(k->conn, x->request) != ERR_OK)
        conn_close(k->conn);
}

static void rest(struct kept *k)
{
    struct kms_pool *p = k->pool;

    k->state = KEPT_IDLE;
    k->x = NULL;
    unlink_kept(k);
    push_kept(k);
    conn_set_deadline(k->conn, loop_now_ns(p->loop) + p->o.idle_ms * NS_PER_MS);
}

static void drop(struct kept *k)
{
    k->state = KEPT_DYING;
    k->x = NULL;
    conn_close(k->conn);
}

static void on_open(struct conn *c, void *arg)
{
    struct kept *k = arg;
    (void)c;

    k->pool->opening--;
    rest(k);
    pump(k->pool);
}

/* ERR_MORE: not whole yet. The body is contiguous in `in`, or put together in `joined`. */
static enum err whole_answer(struct span in, struct http1_head *head, struct buf *joined,
                             struct span *body, size_t *used)
{
    size_t at;
    bool done = false;
    enum err r = http1_response_parse(in, false, head, &at, NULL);

    if (r != ERR_OK)
        return r;
    struct http1_body b = http1_body_init(head, KMS_ANSWER_MAX);
    if (head->framing == HTTP1_UNTIL_CLOSE)
        return ERR_MALFORMED; /* KMS always says where its answer ends */
    if (head->framing == HTTP1_LENGTH) {
        if (head->content_length > KMS_ANSWER_MAX)
            return ERR_LIMIT;
        *body = span_sub(in, at, (size_t)head->content_length);
        *used = at + body->len;
        return body->len == head->content_length ? ERR_OK : ERR_MORE;
    }
    while (!done) {
        struct span content;
        size_t taken;
        r = http1_body_next(&b, span_from(in, at), &content, &taken, &done, NULL);
        at += taken;
        if (r == ERR_OK || r == ERR_MORE) {
            enum err kept = buf_append(joined, content);
            r = kept == ERR_OK ? r : kept;
        }
        if (r != ERR_OK)
            return r;
    }
    *body = buf_view(joined);
    *used = at;
    return ERR_OK;
}

static void break_off(struct kept *k, enum err r, const char *what)
{
    struct exchange *x = k->x;
    struct kms_pool *p = k->pool;

    drop(k);
    x->broken(x->arg, r, what);
    pump(p);
}

static void on_data(struct conn *c, void *arg)
{
    struct kept *k = arg;
    struct kms_pool *p = k->pool;
    struct exchange *x = k->x;
    AUTO(buf_clear) struct buf joined = BUF_INIT(KMS_ANSWER_MAX);
    struct http1_head head;
    struct span body = SPAN_EMPTY;
    size_t used = 0;

    if (k->state == KEPT_DYING)
        return;
    if (k->state != KEPT_BUSY) { /* nobody asked for anything */
        drop(k);
        pump(p);
        return;
    }
    enum err r = whole_answer(buf_view(conn_in(c)), &head, &joined, &body, &used);
    if (r == ERR_MORE && conn_in(c)->len < ANSWER_IN_MAX)
        return;
    if (r != ERR_OK) {
        break_off(k, ERR_MALFORMED, "KMS's answer is not HTTP that we take");
        return;
    }
    k->served++;
    k->x = NULL;
    x->answered(x->arg, &head, body);
    buf_consume(conn_in(c), used);
    if (head.keep_alive && head.status >= 200 && conn_in(c)->len == 0)
        rest(k);
    else
        drop(k);
    pump(p);
}

static void on_eof(struct conn *c, void *arg)
{
    (void)arg;
    conn_close(c); /* `closed` decides what it means */
}

/* One that was closed unseen is seldom alone: KMS or the relay went away. */
static void drop_idle(struct kms_pool *p)
{
    for (struct kept *k = p->all; k; k = k->next)
        if (k->state == KEPT_IDLE)
            drop(k);
}

static void on_lost(struct kms_pool *p, struct exchange *x, bool is_stale, enum err r,
                    const char *what)
{
    if (is_stale && x->stale < STALE_MAX) {
        x->stale++;
        drop_idle(p);
        enqueue(p, x, true);
        arm_timer(p);
        return;
    }
    x->broken(x->arg, r == ERR_OK ? ERR_IO : r, what ? what : "KMS closed the connection");
}

static void on_closed(struct conn *c, void *arg, enum err r, const struct why *why)
{
    struct kept *k = arg;
    struct kms_pool *p = k->pool;
    struct exchange *x = k->x;
    bool is_stale = k->served > 0 && r != ERR_TIMEOUT && conn_in(c)->len == 0;

    p->conns--;
    if (k->state == KEPT_OPENING) {
        /* Nobody in particular waits for this one: the first in the queue hears of it. */
        p->opening--;
        x = dequeue(p);
        is_stale = false;
    }
    unlink_kept(k);
    free(k);
    if (x)
        on_lost(p, x, is_stale, r, why ? why->what : NULL);
    pump(p);
}

static const struct conn_events kept_events = {
    .open = on_open, .data = on_data, .eof = on_eof, .closed = on_closed
};

static bool open_one(struct kms_pool *p)
{
    struct kept *k = calloc(1, sizeof *k);
    const struct conn_options o = {
        .tls = p->o.tls,
        .server_name = p->o.server_name,
        .in_max = ANSWER_IN_MAX,
        .deadline_ns = loop_now_ns(p->loop) + p->o.connect_ms * NS_PER_MS,
        .events = &kept_events,
        .arg = k,
    };

    if (!k)
        return false;
    k->pool = p;
    if (conn_connect(p->loop, &p->o.to, &o, &k->conn, NULL) != ERR_OK) {
        free(k);
        return false;
    }
    push_kept(k);
    p->conns++;
    p->opening++;
    return true;
}

static struct kept *find_idle(struct kms_pool *p)
{
    for (struct kept *k = p->all; k; k = k->next)
        if (k->state == KEPT_IDLE)
            return k;
    return NULL;
}

/* There was no memory, say. Where no connection is left, nothing else would ever come back to those
 * that wait. */
static void retry_later(struct kms_pool *p)
{
    p->retry_ms = p->retry_ms == 0 ? RETRY_FIRST_MS : p->retry_ms * 2;
    if (p->retry_ms > RETRY_MAX_MS)
        p->retry_ms = RETRY_MAX_MS;
    p->retry_ns = loop_now_ns(p->loop) + p->retry_ms * NS_PER_MS;
    arm_timer(p);
}

static void open_more(struct kms_pool *p)
{
    while (p->waiting > p->opening && p->opening < OPENING_MAX && p->conns < p->o.conns_max) {
        if (!open_one(p)) {
            retry_later(p);
            return;
        }
        p->retry_ms = 0;
    }
}

/* Give waiting exchanges to free connections, and open more while that can help. What cannot be
 * served now waits for a connection to come free, for a better time to open one, or for its
 * deadline. */
static void pump(struct kms_pool *p)
{
    struct kept *k;

    while (p->round && (k = find_idle(p)))
        send_on(k, dequeue(p));
    if (p->retry_ns == 0)
        open_more(p);
}

enum err kms_pool_call(struct kms_pool *p, struct exchange *x)
{
    if (p->waiting >= p->o.waiting_max)
        return ERR_LIMIT;
    x->stale = 0;
    if (!x->flow)
        x->flow = &p->own;
    enqueue(p, x, false);
    pump(p);
    if (p->round) /* it waits, or another does */
        arm_timer(p);
    return ERR_OK;
}

unsigned kms_pool_conns(const struct kms_pool *p)
{
    return p->conns;
}

unsigned kms_pool_waiting(const struct kms_pool *p)
{
    return p->waiting;
}

enum err kms_pool_new(struct loop *l, const struct kms_pool_options *o, struct kms_pool **out)
{
    struct kms_pool *p = calloc(1, sizeof *p);

    if (!p)
        return ERR_NOMEM;
    p->loop = l;
    p->o = *o;
    enum err r = loop_timer_new(l, on_timer, p, &p->timer);
    if (r != ERR_OK) {
        free(p);
        return r;
    }
    *out = p;
    return ERR_OK;
}

void kms_pool_free(struct kms_pool *p)
{
    static const struct conn_events none = { 0 };

    if (!p)
        return;
    while (p->all) {
        struct kept *k = p->all;
        p->all = k->next;
        conn_set_arg(k->conn, &none, NULL);
        conn_close(k->conn);
        free(k);
    }
    loop_timer_free(p->timer);
    free(p);
}
