#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bin/nitroseald/kms_pool.h"
#include "testing/failing_malloc.h"
#include "testing/t.h"

enum { CALLS_MAX = 16, T_MS = 1000000 };

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* What the server does with the n-th request of all. */
enum deed {
    ANSWER,
    CHUNKED,
    ANSWER_AND_CLOSE,
    SAY_CLOSE,
    CLOSE,
    SILENT,
    GARBAGE,
    TWO_ANSWERS,
    HALF
};

struct world {
    struct loop *loop;
    struct listener *server;
    struct kms_pool *pool;
    struct loop_timer *timer;
    char dir[64];
    enum deed deeds[CALLS_MAX];
    unsigned requests, conns; /* that the server saw */
    struct exchange calls[CALLS_MAX];
    unsigned order[CALLS_MAX]; /* calls in the order of their ends */
    enum err result[CALLS_MAX];
    unsigned ended, wanted;
};

static void server_say(struct conn *c, const char *text, bool close)
{
    struct buf out = BUF_INIT(4096);

    assert_int_equal(buf_append_str(&out, text), ERR_OK);
    assert_int_equal(conn_send(c, &out), ERR_OK);
    if (close)
        conn_finish(c);
}

static void server_data(struct conn *c, void *arg)
{
    struct world *w = arg;

    buf_clear(conn_in(c));
    switch (w->deeds[w->requests++]) {
    case ANSWER:
        server_say(c, OK_ANSWER, false);
        return;
    case CHUNKED:
        server_say(
            c,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            false);
        return;
    case ANSWER_AND_CLOSE:
        server_say(c, OK_ANSWER, true);
        return;
    case SAY_CLOSE:
        server_say(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
                   false);
        return;
    case CLOSE:
        conn_close(c);
        return;
    case SILENT:
        return;
    case GARBAGE:
        server_say(c, "SSH-2.0-OpenSSH\r\n\r\n", false);
        return;
    case TWO_ANSWERS:
        server_say(c, OK_ANSWER OK_ANSWER, false);
        return;
    case HALF:
        server_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", true);
        return;
    }
}

static void server_eof(struct conn *c, void *arg)
{
    (void)arg;
    conn_close(c);
}

static const struct conn_events server_events = { .data = server_data, .eof = server_eof };

static void server_accepted(struct conn *c, void *arg)
{
    struct world *w = arg;

    w->conns++;
    conn_set_arg(c, &server_events, w);
}

static void end_call(struct world *w, struct exchange *x, enum err r)
{
    unsigned i = (unsigned)(x - w->calls);

    w->result[i] = r;
    w->order[w->ended++] = i;
    if (w->ended == w->wanted)
        loop_stop(w->loop);
}

/* The world is the first thing that every exchange's arg can find: arg is the exchange itself. */
static struct world *current;

static void answered(void *arg, const struct http1_head *head, struct span body)
{
    assert_int_equal(head->status, 200);
    t_assert_span(body, SPAN_LIT("hello"));
    end_call(current, arg, ERR_OK);
}

static void broken(void *arg, enum err r, const char *what)
{
    assert_non_null(what);
    end_call(current, arg, r);
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void world_open(struct world *w, unsigned conns_max, unsigned waiting_max, uint32_t idle_ms)
{
    char path[128];
    struct addr at;
    const struct listener_options lo = {
        .conn = { .in_max = 65536 },
        .max = 100,
        .accepted = server_accepted,
        .arg = w,
    };

    current = w;
    strcpy(w->dir, "/tmp/kms_pool.XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(path, sizeof path, "%s/s", w->dir);
    assert_int_equal(loop_new(&w->loop), ERR_OK);
    assert_int_equal(loop_timer_new(w->loop, stop, w->loop, &w->timer), ERR_OK);
    assert_int_equal(addr_unix(path, &at, NULL), ERR_OK);
    assert_int_equal(listener_new(w->loop, &at, &lo, &w->server, NULL), ERR_OK);
    const struct kms_pool_options po = { .to = at,
                                         .conns_max = conns_max,
                                         .waiting_max = waiting_max,
                                         .connect_ms = 2000,
                                         .idle_ms = idle_ms };
    assert_int_equal(kms_pool_new(w->loop, &po, &w->pool), ERR_OK);
}

static void world_close(struct world *w)
{
    kms_pool_free(w->pool);
    listener_free(w->server);
    loop_timer_free(w->timer);
    loop_free(w->loop);
    rmdir(w->dir);
}

static enum err call(struct world *w, unsigned i, unsigned ms)
{
    w->calls[i] = (struct exchange){
        .request = SPAN_LIT("POST / HTTP/1.1\r\nHost: h\r\n\r\n"),
        .deadline_ns = clock_mono_ns() + (uint64_t)ms * T_MS,
        .answered = answered,
        .broken = broken,
        .arg = &w->calls[i],
        .flow = w->calls[i].flow,
    };
    return kms_pool_call(w->pool, &w->calls[i]);
}

/* One call from start to end. */
static enum err one(struct world *w, unsigned i)
{
    assert_int_equal(call(w, i, 2000), ERR_OK);
    w->wanted = w->ended + 1;
    loop_run(w->loop);
    return w->result[i];
}

static void pause_for(struct world *w, unsigned ms)
{
    loop_timer_arm(w->timer, clock_mono_ns() + (uint64_t)ms * T_MS);
    loop_run(w->loop);
}

static void reuses_a_connection(void **state)
{
    (void)state;
    struct world w = { .deeds = { ANSWER, CHUNKED, ANSWER } };

    world_open(&w, 4, 4, 1000);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(one(&w, i), ERR_OK);
    assert_int_equal(w.conns, 1);
    assert_int_equal(kms_pool_conns(w.pool), 1);
    world_close(&w);
}

static void closed_while_idle_is_no_failure(void **state)
{
    (void)state;
    struct world w = { .deeds = { ANSWER_AND_CLOSE, ANSWER } };

    world_open(&w, 4, 4, 1000);
    assert_int_equal(one(&w, 0), ERR_OK);
    for (unsigned i = 0; i < 1000 && kms_pool_conns(w.pool) != 0; i++)
        pause_for(&w, 5);
    assert_int_equal(kms_pool_conns(w.pool), 0);
    assert_int_equal(one(&w, 1), ERR_OK);
    assert_int_equal(w.conns, 2);
    world_close(&w);
}

static void closed_under_the_request_is_no_failure(void **state)
{
    (void)state;
    struct world w = { .deeds = { ANSWER, CLOSE, ANSWER } };

    world_open(&w, 4, 4, 1000);
    assert_int_equal(one(&w, 0), ERR_OK);
    assert_int_equal(one(&w, 1), ERR_OK); /* met the end of a kept connection, went out again */
    assert_int_equal(w.requests, 3);
    assert_int_equal(w.conns, 2);
    world_close(&w);
}

static void closed_on_a_fresh_connection_is_a_failure(void **state)
{
    (void)state;
    struct world w = { .deeds = { CLOSE, HALF, ANSWER } };

    world_open(&w, 4, 4, 1000);
    assert_int_equal(one(&w, 0), ERR_IO);
    assert_int_equal(one(&w, 1), ERR_IO);
    assert_int_equal(one(&w, 2), ERR_OK);
    assert_int_equal(w.requests, 3);
    world_close(&w);
}

static void half_an_answer_is_not_asked_again(void **state)
{
    (void)state;
    struct world w = { .deeds = { ANSWER, HALF, ANSWER } };

    world_open(&w, 4, 4, 1000);
    assert_int_equal(one(&w, 0), ERR_OK);
    assert_int_equal(one(&w, 1), ERR_IO); /* KMS has seen it: the step function decides */
    assert_int_equal(w.requests, 2);
    world_close(&w);
}

static void connection_close_is_obeyed(void **state)
{
    (void)state;
    struct world w = { .deeds = { SAY_CLOSE, TWO_ANSWERS, ANSWER } };

    world_open(&w, 4, 4, 1000);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(one(&w, i), ERR_OK);
    assert_int_equal(w.conns, 3);
    world_close(&w);
}

static void not_http(void **state)
{
    (void)state;
    struct world w = { .deeds = { GARBAGE, ANSWER } };

    world_open(&w, 4, 4, 1000);
    assert_int_equal(one(&w, 0), ERR_MALFORMED);
    assert_int_equal(one(&w, 1), ERR_OK);
    world_close(&w);
}

static void waits_in_order(void **state)
{
    (void)state;
    struct world w = { 0 };

    world_open(&w, 1, 8, 1000);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(call(&w, i, 2000), ERR_OK);
    assert_int_equal(call(&w, 8, 2000), ERR_LIMIT);
    w.wanted = 8;
    loop_run(w.loop);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(w.order[i], i);
        assert_int_equal(w.result[i], ERR_OK);
    }
    assert_int_equal(w.conns, 1);
    world_close(&w);
}

/* Six calls of one client are there before the two of another: these wait for one each. */
static void clients_take_turns(void **state)
{
    (void)state;
    struct world w = { 0 };
    struct kms_flow greedy = { 0 }, modest = { 0 };
    const unsigned want[8] = { 0, 6, 1, 7, 2, 3, 4, 5 };

    world_open(&w, 1, 8, 1000);
    for (unsigned i = 0; i < 8; i++) {
        w.calls[i].flow = i < 6 ? &greedy : &modest;
        assert_int_equal(call(&w, i, 2000), ERR_OK);
    }
    assert_int_equal(kms_pool_waiting(w.pool), 8);
    w.wanted = 8;
    loop_run(w.loop);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(w.order[i], want[i]);
    assert_int_equal(kms_pool_waiting(w.pool), 0);
    world_close(&w);
}

static void opens_at_most_its_limit(void **state)
{
    (void)state;
    struct world w = { 0 };

    world_open(&w, 3, 16, 1000);
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(call(&w, i, 2000), ERR_OK);
    w.wanted = 12;
    loop_run(w.loop);
    assert_in_range(w.conns, 1, 3);
    world_close(&w);
}

static void deadlines(void **state)
{
    (void)state;
    struct world w = { .deeds = { SILENT, ANSWER } };

    world_open(&w, 1, 4, 1000);
    assert_int_equal(call(&w, 0, 60), ERR_OK);
    assert_int_equal(call(&w, 1, 30), ERR_OK); /* waits behind it, and not for ever */
    assert_int_equal(call(&w, 2, 2000), ERR_OK);
    w.wanted = 3;
    loop_run(w.loop);
    assert_int_equal(w.result[0], ERR_TIMEOUT);
    assert_int_equal(w.result[1], ERR_TIMEOUT);
    assert_int_equal(w.result[2], ERR_OK);
    assert_int_equal(w.order[0], 1);
    world_close(&w);
}

/* A greedy client's third call ends in the middle of those that wait: at its own time, and the
 * order of the others stays. */
static void ends_late_ones_in_their_place(void **state)
{
    (void)state;
    struct world w = { .deeds = { SILENT, ANSWER } };
    struct kms_flow greedy = { 0 }, modest = { 0 };
    const unsigned want[8] = { 3, 0, 6, 1, 7, 2, 4, 5 };

    world_open(&w, 1, 8, 1000);
    for (unsigned i = 0; i < 8; i++) {
        w.calls[i].flow = i < 6 ? &greedy : &modest;
        assert_int_equal(call(&w, i, i == 0 ? 400 : i == 3 ? 40 : 9000), ERR_OK);
    }
    w.wanted = 1;
    loop_run(w.loop);
    assert_int_equal(kms_pool_waiting(w.pool), 6);
    w.wanted = 8;
    loop_run(w.loop);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(w.order[i], want[i]);
        assert_int_equal(w.result[i], i == 0 || i == 3 ? ERR_TIMEOUT : ERR_OK);
    }
    assert_int_equal(kms_pool_waiting(w.pool), 0);
    world_close(&w);
}

static void nobody_listens(void **state)
{
    (void)state;
    struct world w = { 0 };

    world_open(&w, 2, 4, 1000);
    listener_free(w.server);
    w.server = NULL;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(call(&w, i, 2000), ERR_OK);
    w.wanted = 4;
    loop_run(w.loop);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(w.result[i], ERR_IO);
    assert_int_equal(kms_pool_conns(w.pool), 0);
    world_close(&w);
}

/* There is no memory for the only connection, twice: tried again after 10 and 20 ms, not at the
 * deadline and not without pause. */
static void begins_again_without_any(void **state)
{
    (void)state;
    struct world w = { 0 };

    world_open(&w, 1, 4, 1000);
    uint64_t start = clock_mono_ns();
    countdown = 1;
    assert_int_equal(call(&w, 0, 60000), ERR_OK);
    assert_true(hit);
    assert_int_equal(kms_pool_conns(w.pool), 0);
    hit = false;
    countdown = 1;
    assert_int_equal(call(&w, 1, 60000), ERR_OK); /* not a reason to try at once */
    assert_false(hit);
    w.wanted = 2;
    loop_run(w.loop);
    assert_true(hit);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(w.result[i], ERR_OK);
        assert_int_equal(w.order[i], i);
    }
    assert_int_equal(w.conns, 1);
    uint64_t took_ms = (clock_mono_ns() - start) / T_MS;
    assert_in_range(took_ms, 30, 20000);
    world_close(&w);
}

/* With none to be had in its time it ends at its deadline. */
static void cannot_begin_in_time(void **state)
{
    (void)state;
    struct world w = { 0 };

    world_open(&w, 1, 4, 1000);
    countdown = 1;
    assert_int_equal(call(&w, 0, 3), ERR_OK);
    w.wanted = 1;
    loop_run(w.loop);
    assert_int_equal(w.result[0], ERR_TIMEOUT);
    pause_for(&w, 30); /* nobody waits any more: nothing is opened */
    assert_int_equal(kms_pool_conns(w.pool), 0);
    assert_int_equal(one(&w, 1), ERR_OK);
    world_close(&w);
}

static void idle_connections_are_closed(void **state)
{
    (void)state;
    struct world w = { 0 };

    world_open(&w, 4, 4, 20);
    assert_int_equal(one(&w, 0), ERR_OK);
    assert_int_equal(kms_pool_conns(w.pool), 1);
    pause_for(&w, 80);
    assert_int_equal(kms_pool_conns(w.pool), 0);
    assert_int_equal(one(&w, 1), ERR_OK);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reuses_a_connection),
        cmocka_unit_test(closed_while_idle_is_no_failure),
        cmocka_unit_test(closed_under_the_request_is_no_failure),
        cmocka_unit_test(closed_on_a_fresh_connection_is_a_failure),
        cmocka_unit_test(half_an_answer_is_not_asked_again),
        cmocka_unit_test(connection_close_is_obeyed),
        cmocka_unit_test(not_http),
        cmocka_unit_test(waits_in_order),
        cmocka_unit_test(clients_take_turns),
        cmocka_unit_test(opens_at_most_its_limit),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(ends_late_ones_in_their_place),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(begins_again_without_any),
        cmocka_unit_test(cannot_begin_in_time),
        cmocka_unit_test(idle_connections_are_closed),
    };

    return cmocka_run_group_tests_name("kms_pool", tests, NULL, NULL);
}
