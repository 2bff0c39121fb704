#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bin/nitroseal-kms/server.h"
#include "io/sys.h"
#include "io/work.h"
#include "testing/t.h"

/* The server on a loop of its own thread, plain TCP; answers with the target and the body's length,
 * fails for the target /fail, and takes its time for /wait. */
struct world {
    pthread_t thread;
    sem_t ready;
    int stop[2]; /* a byte in it stops the server */
    unsigned port;
    struct loop *loop;
    struct server *server;
    struct work_pool *pool; /* what /wait and /never wait for */
    uint64_t client;
    bool made, answers;
};

static void dawdle(struct crypto *cx, void *arg)
{
    (void)cx;
    (void)arg;
    usleep(100 * 1000);
}

static void dawdled(void *arg)
{
    struct world *w = arg;

    w->made = w->answers;
    server_again(w->server, w->client, w->answers);
}

/* The first time not yet, the second time it is there. */
static enum err wait_for(struct world *w, uint64_t client, bool answers)
{
    const struct work work = { .run = dawdle, .done = dawdled, .arg = w };

    if (w->made) {
        w->made = false;
        return ERR_OK;
    }
    w->client = client;
    w->answers = answers;
    return work_submit(w->pool, work) == ERR_OK ? ERR_MORE : ERR_LIMIT;
}

static enum err echo(void *arg, const struct server_request *rq, struct buf *response)
{
    const struct http1_head *head = rq->head;
    struct span body = rq->body;
    char text[256];
    const struct http1_header h = { SPAN_LIT("x-test"), SPAN_LIT("yes") };
    int n = snprintf(text, sizeof text, "%.*s %zu", (int)head->target.len,
                     (const char *)head->target.ptr, body.len);

    if (span_starts(head->target, "/wait") || span_starts(head->target, "/never")) {
        enum err r = wait_for(arg, rq->client, span_starts(head->target, "/wait"));
        if (r != ERR_OK)
            return r;
    }
    if (span_is(head->target, "/fail"))
        return ERR_CRYPTO;
    return http1_response_write(response, 200, &h, 1, span_of(text, (size_t)n));
}

static void on_stop(void *arg)
{
    struct world *w = arg;
    char byte;

    (void)!read(w->stop[0], &byte, 1);
    server_stop(w->server);
}

static void *serve(void *arg)
{
    struct world *w = arg;
    struct server_options o = { .max = 8, .handle = echo, .arg = w };
    struct loop_watch *watch = NULL;

    if (loop_new(&w->loop) != ERR_OK || work_pool_new(w->loop, 1, 4, &w->pool) != ERR_OK ||
        addr_tcp("127.0.0.1:0", &o.at, NULL) != ERR_OK ||
        server_new(w->loop, &o, &w->server, NULL) != ERR_OK ||
        loop_watch_new(w->loop, w->stop[0], on_stop, w, &watch) != ERR_OK)
        abort();
    w->port = server_port(w->server);
    sem_post(&w->ready);
    loop_run(w->loop);
    loop_watch_free(watch);
    work_pool_free(w->pool);
    server_free(w->server);
    loop_free(w->loop);
    return NULL;
}

static int world_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    if (!w || pipe(w->stop) != 0 || sem_init(&w->ready, 0, 0) != 0 ||
        pthread_create(&w->thread, NULL, serve, w) != 0)
        return -1;
    sem_wait(&w->ready);
    *state = w;
    return 0;
}

static int world_down(void **state)
{
    struct world *w = *state;

    (void)!write(w->stop[1], "x", 1);
    pthread_join(w->thread, NULL);
    sem_destroy(&w->ready);
    close(w->stop[0]);
    close(w->stop[1]);
    free(w);
    return 0;
}

static uint64_t soon(void)
{
    return clock_mono_ns() + 10 * NS_PER_S;
}

static int dial(const struct world *w)
{
    char at[32];
    struct addr a;
    int fd = -1;

    snprintf(at, sizeof at, "127.0.0.1:%u", w->port);
    assert_int_equal(addr_tcp(at, &a, NULL), ERR_OK);
    assert_int_equal(addr_connect(&a, soon(), &fd, NULL), ERR_OK);
    return fd;
}

static void say(int fd, struct span s)
{
    assert_int_equal(fd_write_all(fd, s, soon(), NULL), ERR_OK);
}

/* One response: its status and, if wanted, its body. */
static unsigned hear(int fd, struct buf *in, struct buf *content)
{
    static struct http1_head head;
    size_t used = 0;
    bool eof = false;
    enum err r;

    while ((r = http1_response_parse(buf_view(in), false, &head, &used, NULL)) == ERR_MORE && !eof)
        assert_int_equal(fd_read_some(fd, 65536, in, &eof, soon(), NULL), ERR_OK);
    assert_int_equal(r, ERR_OK);
    while (in->len < used + head.content_length && !eof)
        assert_int_equal(fd_read_some(fd, 65536, in, &eof, soon(), NULL), ERR_OK);
    assert_true(in->len >= used + head.content_length);
    unsigned status = head.status;
    if (content)
        assert_int_equal(
            buf_append(content, span_sub(buf_view(in), used, (size_t)head.content_length)), ERR_OK);
    buf_consume(in, used + (size_t)head.content_length);
    return status;
}

static void assert_closed(int fd, struct buf *in)
{
    assert_int_equal(in->len, 0);
    assert_int_equal(fd_read_all(fd, in, soon(), NULL), ERR_OK);
    assert_int_equal(in->len, 0);
}

#define POST(target, n) "POST " target " HTTP/1.1\r\nhost: h\r\ncontent-length: " n "\r\n\r\n"

static void one_after_another(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536), body = BUF_INIT(65536);
    AUTO(fd_close) int fd = dial(*state);

    say(fd, SPAN_LIT(POST("/a", "3") "abc"));
    assert_int_equal(hear(fd, &in, &body), 200);
    t_assert_buf(&body, "/a 3");
    say(fd, SPAN_LIT(POST("/b", "0")));
    buf_reset(&body);
    assert_int_equal(hear(fd, &in, &body), 200);
    t_assert_buf(&body, "/b 0");
}

static void three_at_once(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536), body = BUF_INIT(65536);
    AUTO(fd_close) int fd = dial(*state);

    say(fd, SPAN_LIT(POST("/a", "1") "x" POST("/b", "2") "xy"
                                                         "GET /c HTTP/1.1\r\nhost: h\r\n\r\n"));
    for (int i = 0; i < 3; i++)
        assert_int_equal(hear(fd, &in, &body), 200);
    t_assert_buf(&body, "/a 1/b 2/c 0");
}

static void byte_by_byte(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536), body = BUF_INIT(65536);
    AUTO(fd_close) int fd = dial(*state);
    struct span rq = SPAN_LIT(POST("/slow", "4") "abcd");

    for (size_t i = 0; i < rq.len; i++)
        say(fd, span_sub(rq, i, 1));
    assert_int_equal(hear(fd, &in, &body), 200);
    t_assert_buf(&body, "/slow 4");
}

static void chunked(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536), body = BUF_INIT(65536);
    AUTO(fd_close) int fd = dial(*state);

    say(fd, SPAN_LIT("POST /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc"));
    say(fd, SPAN_LIT("\r\n2\r\nde\r\n0\r\n\r\n" POST("/next", "0")));
    assert_int_equal(hear(fd, &in, &body), 200);
    assert_int_equal(hear(fd, &in, &body), 200);
    t_assert_buf(&body, "/c 5/next 0");
}

static void expects_100(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536), body = BUF_INIT(65536);
    AUTO(fd_close) int fd = dial(*state);

    say(fd, SPAN_LIT("POST /e HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\n"
                     "content-length: 2\r\n\r\n"));
    assert_int_equal(hear(fd, &in, NULL), 100);
    say(fd, SPAN_LIT("ab"));
    assert_int_equal(hear(fd, &in, &body), 200);
    t_assert_buf(&body, "/e 2");
}

static void asked_to_close(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536);
    AUTO(fd_close) int fd = dial(*state);

    say(fd, SPAN_LIT("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"));
    assert_int_equal(hear(fd, &in, NULL), 200);
    assert_closed(fd, &in);
}

static void peer_has_no_more(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536), body = BUF_INIT(65536);
    AUTO(fd_close) int fd = dial(*state);

    say(fd, SPAN_LIT(POST("/a", "1") "x"));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(hear(fd, &in, &body), 200);
    t_assert_buf(&body, "/a 1");
    assert_closed(fd, &in);
}

static void not_http(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536);
    AUTO(fd_close) int fd = dial(*state);

    say(fd, SPAN_LIT("\x16\x03\x01 hello\r\n\r\n"));
    assert_int_equal(hear(fd, &in, NULL), 400);
    assert_closed(fd, &in);
}

/* The largest body is served, one byte more is not. */
static void body_limit(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536), body = BUF_INIT(65536);
    AUTO(buf_clear) struct buf big = BUF_INIT(SERVER_BODY_MAX_BYTES);
    AUTO(fd_close) int fd = dial(*state);
    uint8_t *p;

    assert_int_equal(buf_reserve(&big, SERVER_BODY_MAX_BYTES, &p), ERR_OK);
    memset(p, 'b', SERVER_BODY_MAX_BYTES);
    say(fd, SPAN_LIT(POST("/big", "524288")));
    say(fd, span_of(p, SERVER_BODY_MAX_BYTES));
    assert_int_equal(hear(fd, &in, &body), 200);
    t_assert_buf(&body, "/big 524288");
    say(fd, SPAN_LIT(POST("/big", "524289")));
    assert_int_equal(hear(fd, &in, NULL), 413);
    assert_closed(fd, &in);
}

static void chunked_limit(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536);
    AUTO(fd_close) int fd = dial(*state);

    say(fd, SPAN_LIT("POST /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n80001\r\n"));
    assert_int_equal(hear(fd, &in, NULL), 413);
    assert_closed(fd, &in);
}

static void handler_fails(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536);
    AUTO(fd_close) int fd = dial(*state);

    say(fd, SPAN_LIT("GET /fail HTTP/1.1\r\nhost: h\r\n\r\n"));
    enum err r = fd_read_all(fd, &in, soon(), NULL);
    assert_true(r == ERR_OK || r == ERR_IO);
    assert_int_equal(in.len, 0);
}

/* Others are answered while one waits; what came behind it is answered after it. */
static void one_waits(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536), body = BUF_INIT(65536);
    AUTO(buf_clear) struct buf other = BUF_INIT(65536);
    AUTO(fd_close) int slow = dial(*state);
    AUTO(fd_close) int fast = dial(*state);

    say(slow, SPAN_LIT(POST("/wait", "2") "ab" POST("/after", "1") "c"));
    say(fast, SPAN_LIT(POST("/fast", "1") "x"));
    assert_int_equal(hear(fast, &other, &body), 200);
    t_assert_buf(&body, "/fast 1");
    buf_reset(&body);
    assert_int_equal(hear(slow, &in, &body), 200);
    t_assert_buf(&body, "/wait 2");
    buf_reset(&body);
    assert_int_equal(hear(slow, &in, &body), 200);
    t_assert_buf(&body, "/after 1");
}

/* It sends no more, and gets its answer. */
static void waits_half_closed(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536), body = BUF_INIT(65536);
    AUTO(fd_close) int fd = dial(*state);

    say(fd, SPAN_LIT(POST("/wait", "0")));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(hear(fd, &in, &body), 200);
    t_assert_buf(&body, "/wait 0");
    assert_closed(fd, &in);
}

static void waits_in_vain(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536);
    AUTO(fd_close) int fd = dial(*state);

    say(fd, SPAN_LIT(POST("/never", "0")));
    enum err r = fd_read_all(fd, &in, soon(), NULL);
    assert_true(r == ERR_OK || r == ERR_IO);
    assert_int_equal(in.len, 0);
}

/* Gone before its answer is there. */
static void leaves(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536);
    int gone = dial(*state);

    say(gone, SPAN_LIT(POST("/wait", "0")));
    usleep(20 * 1000);
    fd_close(&gone);
    usleep(200 * 1000);
    AUTO(fd_close) int fd = dial(*state);
    say(fd, SPAN_LIT(POST("/next", "0")));
    assert_int_equal(hear(fd, &in, NULL), 200);
}

/* One that says nothing and one that stops in the middle do not keep the rest waiting, nor the end
 * (see world_down). */
static void idle_ones(void **state)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(65536);
    AUTO(fd_close) int silent = dial(*state);
    AUTO(fd_close) int half = dial(*state);
    AUTO(fd_close) int fd = dial(*state);

    say(half, SPAN_LIT("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nab"));
    say(fd, SPAN_LIT("GET / HTTP/1.1\r\nhost: h\r\n\r\n"));
    assert_int_equal(hear(fd, &in, NULL), 200);
    assert_int_equal(world_down(state), 0);
    assert_int_equal(world_up(state), 0);
    assert_closed(silent, &in);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)
    const struct CMUnitTest tests[] = {
        CASE(one_after_another), CASE(three_at_once),     CASE(byte_by_byte),     CASE(chunked),
        CASE(expects_100),       CASE(asked_to_close),    CASE(peer_has_no_more), CASE(not_http),
        CASE(body_limit),        CASE(chunked_limit),     CASE(handler_fails),    CASE(idle_ones),
        CASE(one_waits),         CASE(waits_half_closed), CASE(waits_in_vain),    CASE(leaves),
    };

    return cmocka_run_group_tests_name("kms_server", tests, NULL, NULL);
}
