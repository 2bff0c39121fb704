/* Streams against a service played here: framing, what is handed on, and that nothing but a whole
 * answer to a whole input is good. Against the real service: e2e `library`, `messages_cli`. */
#include <stdlib.h>
#include <unistd.h>

#include "lib/t_service.h"

#define HEAD "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nnitroseal-suite: 0x0478\r\n\r\n"
#define GOOD "0\r\nnitroseal-result: ok\r\n\r\n"

static struct ends {
    const char *in;
    size_t left, step;
    struct buf out;
    long fails_with;  /* what read returns at the end of `in`, where it is not 0 */
    int write_fails;  /* after the first */
    int fd;           /* to wait for; 0: none */
    unsigned n_later; /* times that read says so */
} ends;

static long read_some(void *arg, void *into, size_t max)
{
    struct ends *e = arg;
    size_t n = e->left < e->step ? e->left : e->step;

    if (e->n_later > 0) {
        char byte;
        e->n_later--;
        assert_int_equal(read(e->fd, &byte, 1), 1);
        return NITROSEAL_READ_LATER;
    }
    n = n < max ? n : max;
    if (n == 0 && e->fails_with)
        return e->fails_with;
    memcpy(into, e->in, n);
    e->in += n;
    e->left -= n;
    return (long)n;
}

static int write_some(void *arg, const void *data, size_t len)
{
    struct ends *e = arg;

    assert_int_equal(buf_append(&e->out, span_of(data, len)), ERR_OK);
    return e->write_fails;
}

static int wait_fd(void *arg)
{
    const struct ends *e = arg;

    return e->n_later > 0 ? e->fd : -1;
}

static struct nitroseal_stream begin(const char *in)
{
    buf_clear(&ends.out);
    ends =
        (struct ends){ .in = in, .left = strlen(in), .step = SIZE_MAX, .out = BUF_INIT(1 << 20) };
    return (struct nitroseal_stream){ .size = sizeof(struct nitroseal_stream),
                                      .read = read_some,
                                      .write = write_some,
                                      .arg = &ends };
}

static int end(void **state)
{
    buf_clear(&ends.out);
    return t_service_end(state);
}

/* In chunks and with a length; the connection is used by the next call. */
static void sent(void **state)
{
    (void)state;
    const struct t_turn t[] = { { .answer = HEAD "3\r\nxyz\r\n" GOOD },
                                { .answer = HEALTHY },
                                { .answer = HEAD GOOD } };
    const struct nitroseal_pair pairs[] = { { "tenant", "a b" } };
    struct nitroseal *ns = t_service_handle();
    struct nitroseal_stream s = begin("hello world");
    struct nitroseal_streamed done;
    struct nitroseal_error *error = NULL;

    t_service_turns(3, t);
    ends.step = 6;
    s.context = pairs;
    s.n_context = 1;
    s.frame_length = 4096;
    assert_int_equal(nitroseal_encrypt_stream(ns, &s, &done, 0, &error), NITROSEAL_OK);
    t_assert_buf(&ends.out, "xyz");
    assert_int_equal(done.bytes_in, 11);
    assert_int_equal(done.bytes_out, 3);
    assert_string_equal(done.suite, "0x0478");
    assert_null(done.key_id);
    nitroseal_streamed_clear(&done);
    t_assert_span(
        t_service_request(0),
        SPAN_LIT("POST /v1/messages/encrypt HTTP/1.1\r\nhost: nitroseal\r\ncontent-type: "
                 "application/octet-stream\r\nte: trailers\r\ntransfer-encoding: chunked\r\n"
                 "nitroseal-frame-length: 4096\r\n"
                 "nitroseal-encryption-context: tenant=a%20b\r\n\r\n"
                 "00000006\r\nhello \r\n00000005\r\nworld\r\n0\r\n\r\n"));
    assert_int_equal(nitroseal_health(ns, 0, NULL), NITROSEAL_OK);
    assert_int_equal(t_service_connections(), 1);
    s = begin("hello");
    s.has_length = 1;
    s.length = 5;
    s.required = pairs;
    s.n_required = 1;
    assert_int_equal(nitroseal_decrypt_stream(ns, &s, NULL, 0, &error), NITROSEAL_OK);
    assert_non_null(memmem(t_service_request(2).ptr, t_service_request(2).len,
                           "content-length: 5\r\nnitroseal-require-context: tenant=a%20b\r\n\r\n"
                           "hello",
                           66));
    nitroseal_free(ns);
}

static struct row {
    const char *name;
    struct t_turn turn;
    enum nitroseal_status status;
    const char *code, *out;
} rows[] = {
    { "altered, found at the end",
      { .answer = HEAD "3\r\nxyz\r\n1;nitroseal-error=\"message_not_authentic\"\r\n",
        .close = true },
      NITROSEAL_UNVERIFIED,
      "message_not_authentic",
      "xyz" },
    { "another code of the service",
      { .answer = HEAD "3\r\nxyz\r\n1;nitroseal-error=\"kms_timeout\"\r\n", .close = true },
      NITROSEAL_FAILED,
      "kms_timeout",
      "xyz" },
    { "cut in a chunk",
      { .answer = HEAD "3\r\nxy", .close = true },
      NITROSEAL_UNREACHABLE,
      "not_whole",
      "xy" },
    { "cut before the last chunk",
      { .answer = HEAD "3\r\nxyz\r\n", .close = true },
      NITROSEAL_UNREACHABLE,
      "not_whole",
      "xyz" },
    { "no trailer",
      { .answer = HEAD "3\r\nxyz\r\n0\r\n\r\n" },
      NITROSEAL_UNREACHABLE,
      "not_whole",
      "xyz" },
    { "another result",
      { .answer = HEAD "3\r\nxyz\r\n0\r\nnitroseal-result: no\r\n\r\n" },
      NITROSEAL_UNREACHABLE,
      "not_whole",
      "xyz" },
    { "good before all of the input was sent",
      { .answer = HEAD "3\r\nxyz\r\n" GOOD, .unread = true },
      NITROSEAL_UNREACHABLE,
      "not_whole",
      "xyz" },
    { "closed without an answer",
      { .answer = "", .close = true },
      NITROSEAL_UNREACHABLE,
      "closed",
      "" },
    { "a problem before the first byte",
      { .answer =
            PROBLEM("403 Forbidden", "58",
                    "{\"code\":\"kms_refused\",\"title\":\"T\",\"kms_type\":\"Denied\"}    ") },
      NITROSEAL_REFUSED,
      "kms_refused",
      "" },
    { "refused while it was sent",
      { .answer = PROBLEM("503 Busy", "37", "{\"code\":\"busy\",\"title\":\"Later\"}      "),
        .unread = true },
      NITROSEAL_BUSY,
      "busy",
      "" },
    { "somebody on the way",
      { .answer = "HTTP/1.1 502 x\r\ncontent-length: 2\r\n\r\nno" },
      NITROSEAL_FAILED,
      "http_status",
      "" },
    { "no HTTP", { .answer = "hello\r\n\r\n", .close = true }, NITROSEAL_FAILED, "not_http", "" },
    { "more than the answer",
      { .answer = HEAD "3\r\nxyz\r\n" GOOD "x" },
      NITROSEAL_FAILED,
      "not_http",
      "xyz" },
    { "silence", { .silent = true }, NITROSEAL_TIMEOUT, "timeout", "" },
};

/* Whatever it is, it is said, and what was handed on before is no more than what came. */
static void fails(void **state)
{
    const struct row *w = *state;
    struct nitroseal *ns = t_service_handle();
    struct nitroseal_streamed done = { .bytes_in = 77 };
    struct nitroseal_error *error = NULL;
    char *large = malloc((4 << 20) + 1);

    memset(large, 'a', 4 << 20);
    large[4 << 20] = 0;
    struct nitroseal_stream s = begin(w->turn.unread ? large : "hello");
    t_service_turns(1, &w->turn);
    assert_int_equal(nitroseal_decrypt_stream(ns, &s, &done, 1000, &error), w->status);
    assert_string_equal(error->code, w->code);
    assert_int_equal(error->status, w->status);
    t_assert_buf(&ends.out, w->out);
    assert_int_equal(done.bytes_in, 77);
    nitroseal_error_free(error);
    nitroseal_free(ns);
    free(large);
}

/* What the caller's own side does: each ends the stream, and the handle goes on. */
static void callbacks(void **state)
{
    (void)state;
    static const struct {
        long read;
        int write;
        unsigned long length;
        enum nitroseal_status status;
        const char *text;
    } wrong[] = {
        { NITROSEAL_READ_FAILED, 0, 0, NITROSEAL_STOPPED, "the stream's read ended it" },
        { -3, 0, 0, NITROSEAL_INVALID, "read returned a number that it may not" },
        { 65537, 0, 0, NITROSEAL_INVALID, "read returned a number that it may not" },
        { NITROSEAL_READ_LATER, 0, 0, NITROSEAL_INVALID, "read returned a number that it may not" },
        { 0, 0, 6, NITROSEAL_INVALID, "read gave fewer bytes than `length`, or more" },
        { 0, 0, 4, NITROSEAL_INVALID, "read gave fewer bytes than `length`, or more" },
        { 0, 1, 0, NITROSEAL_STOPPED, "the stream's write ended it" },
    };
    struct nitroseal *ns = t_service_handle();
    const struct t_turn t[] = { { .answer = HEAD "3\r\nxyz\r\n" GOOD }, { .answer = HEALTHY } };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct nitroseal_stream s = begin("hello");
        struct nitroseal_error *error = NULL;
        t_service_turns(wrong[i].write ? 2 : 1, wrong[i].write ? t : t + 1);
        ends.fails_with = wrong[i].read;
        ends.write_fails = wrong[i].write;
        s.has_length = wrong[i].length > 0;
        s.length = wrong[i].length;
        assert_int_equal(nitroseal_decrypt_stream(ns, &s, NULL, 5000, &error), wrong[i].status);
        assert_string_equal(error->text, wrong[i].text);
        nitroseal_error_free(error);
        assert_int_equal(nitroseal_health(ns, 5000, NULL), NITROSEAL_OK);
    }
    nitroseal_free(ns);
}

/* Input that has to be waited for, which may come when patience is over; and a stop meanwhile. */
static void waits(void **state)
{
    (void)state;
    const struct t_turn t[] = { { .answer = HEAD "3\r\nxyz\r\n" GOOD } };
    struct nitroseal *ns = t_service_handle();
    struct nitroseal_stream s = begin("hello");
    struct nitroseal_error *error = NULL;
    int input[2], stop[2];

    assert_true(pipe(input) == 0 && pipe(stop) == 0);
    t_service_turns(1, t);
    s.wait_fd = wait_fd;
    ends.fd = input[0];
    ends.n_later = 3;
    assert_int_equal(write(input[1], "...", 3), 3);
    assert_int_equal(nitroseal_encrypt_stream(ns, &s, NULL, 1000, &error), NITROSEAL_OK);
    assert_int_equal(ends.n_later, 0);
    s = begin("hello");
    s.wait_fd = wait_fd;
    s.stop_fd = stop[0];
    ends.fd = input[0];
    ends.n_later = 1;
    assert_int_equal(write(stop[1], ".", 1), 1);
    assert_int_equal(nitroseal_encrypt_stream(ns, &s, NULL, 100, &error), NITROSEAL_STOPPED);
    assert_string_equal(error->text, "the stream was stopped");
    nitroseal_error_free(error);
    for (size_t i = 0; i < 2; i++) {
        close(input[i]);
        close(stop[i]);
    }
    nitroseal_free(ns);
}

static void refuse(struct nitroseal *ns, const struct nitroseal_stream *s, const char *text,
                   const char *detail)
{
    struct nitroseal_error *error = NULL;

    assert_int_equal(nitroseal_decrypt_stream(ns, s, NULL, 0, &error), NITROSEAL_INVALID);
    assert_string_equal(error->text, text);
    if (detail)
        assert_string_equal(error->detail, detail);
    nitroseal_error_free(error);
}

static void arguments(void **state)
{
    (void)state;
    struct nitroseal *ns = t_service_handle();
    struct nitroseal_pair pairs[NITROSEAL_PAIRS_MAX + 1];
    struct nitroseal_stream s = begin("");
    struct nitroseal_error *error = NULL;

    for (size_t i = 0; i < NITROSEAL_PAIRS_MAX + 1; i++)
        pairs[i] = (struct nitroseal_pair){ "a", "b" };
    refuse(ns, NULL, "the stream is NULL, or its size is not that of this library's", NULL);
    s.size--;
    refuse(ns, &s, "the stream is NULL, or its size is not that of this library's", NULL);
    s = begin("");
    s.read = NULL;
    refuse(ns, &s, "a stream needs read and write", NULL);
    s = begin("");
    s.suite = "0x0478";
    refuse(ns, &s, "context, suite, key and frames belong to a message that is made", NULL);
    s = begin("");
    s.required = pairs;
    s.n_required = 2;
    refuse(ns, &s, "a name of the context is there twice", "a");
    s.n_required = NITROSEAL_PAIRS_MAX + 1;
    refuse(ns, &s, "a stream takes at most 64 pairs of each kind", NULL);
    s.n_required = 1;
    pairs[0].name = "aws-crypto-x";
    refuse(ns, &s, "a pair of the context is not one that can be bound",
           "names that begin with aws-crypto- are reserved");
    pairs[0].name = NULL;
    refuse(ns, &s, "a pair of the context is NULL", NULL);
    assert_int_equal(nitroseal_encrypt_stream(ns, &s, NULL, 0, &error), NITROSEAL_INVALID);
    assert_string_equal(error->text, "what is required belongs to a message that is opened");
    nitroseal_error_free(error);
    s = begin("");
    s.frame_length = (1 << 20) + 1;
    assert_int_equal(nitroseal_rewrap_stream(ns, &s, NULL, 0, NULL), NITROSEAL_INVALID);
    s = begin("");
    s.key_id = "arn\r\nx: y";
    assert_int_equal(nitroseal_rewrap_stream(ns, &s, NULL, 0, NULL), NITROSEAL_INVALID);
    assert_int_equal(nitroseal_set_credentials(ns, "AKID", "secret", NULL, NULL), NITROSEAL_OK);
    s = begin("");
    refuse(
        ns, &s,
        "streams use the credentials that the service holds, and this handle has some of its own",
        NULL);
    assert_int_equal(t_service_connections(), 0);
    nitroseal_free(ns);
}

#define T(f) cmocka_unit_test_setup_teardown(f, t_service_make, end)
enum { FIXED = 4, ROWS = sizeof rows / sizeof rows[0] };

int main(void)
{
    struct CMUnitTest tests[FIXED + ROWS] = { T(sent), T(callbacks), T(waits), T(arguments) };

    T_ROWS_WITH(tests + FIXED, rows, fails, t_service_make, end);
    return cmocka_run_group_tests_name("lib_stream", tests, NULL, NULL);
}
