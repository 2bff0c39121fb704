#include "api/api.h"
#include "testing/t.h"

#include <stdio.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

enum kind { NONCE, RANDOM, CREDENTIALS, BATCH };

static const struct row {
    const char *name;
    enum kind kind;
    const char *in, *code; /* NULL: good */
    const char *want;      /* nonce: its bytes; random: the number; else "id/secret/token/expire" or
                              the number of items */
} rows[] = {
    { "nonce", NONCE, "nonce=YWJj", NULL, "abc" },
    { "nonce: padding", NONCE, "nonce=YWI=", NULL, "ab" },
    { "nonce: no padding", NONCE, "nonce=YWI", NULL, "ab" },
    { "nonce: padding escaped", NONCE, "nonce=YWI%3d", NULL, "ab" },
    { "nonce: two alphabets", NONCE, "nonce=-_%2b/", NULL, "\xfb\xff\xbf" },
    { "nonce: plus", NONCE, "nonce=--++", NULL, "\xfb\xef\xbe" },
    { "nonce: missing", NONCE, NULL, "missing_member", NULL },
    { "nonce: empty", NONCE, "nonce=", "missing_member", NULL },
    { "nonce: no value", NONCE, "nonce", "missing_member", NULL },
    { "nonce: twice", NONCE, "nonce=YWJj&nonce=YWJj", "invalid_request", NULL },
    { "nonce: another parameter", NONCE, "nonce=YWJj&x=1", "invalid_request", NULL },
    { "nonce: bad escape", NONCE, "nonce=YW%4", "invalid_base64", NULL },
    { "nonce: bad hex", NONCE, "nonce=YW%zz", "invalid_base64", NULL },
    { "nonce: no base64", NONCE, "nonce=!!!!", "invalid_base64", NULL },
    { "nonce: unused bits", NONCE, "nonce=YWJ", "invalid_base64", NULL },
    { "random: empty", RANDOM, "", NULL, "32" },
    { "random: default", RANDOM, "{}", NULL, "32" },
    { "random: one", RANDOM, "{\"bytes\":1}", NULL, "1" },
    { "random: most", RANDOM, "{\"bytes\":65536,\"x\":[]}", NULL, "65536" },
    { "random: zero", RANDOM, "{\"bytes\":0}", "invalid_request", NULL },
    { "random: too many", RANDOM, "{\"bytes\":65537}", "invalid_request", NULL },
    { "random: far too many", RANDOM, "{\"bytes\":99999999999999999999}", "invalid_request", NULL },
    { "random: text", RANDOM, "{\"bytes\":\"1\"}", "wrong_type", NULL },
    { "random: no JSON", RANDOM, "{", "invalid_json", NULL },
    { "credentials", CREDENTIALS, "{\"access_key_id\":\"A\",\"secret_access_key\":\"S\"}", NULL,
      "A/S//0" },
    { "credentials: all", CREDENTIALS,
      "{\"access_key_id\":\"A\",\"secret_access_key\":\"S\\/\",\"session_token\":\"T\","
      "\"expiration\":\"2026-01-02T03:04:05Z\"}",
      NULL, "A/S//T/1767323045" },
    { "credentials: nulls", CREDENTIALS,
      "{\"access_key_id\":\"A\",\"secret_access_key\":\"S\",\"session_token\":null,"
      "\"expiration\":null}",
      NULL, "A/S//0" },
    { "credentials: no id", CREDENTIALS, "{\"secret_access_key\":\"S\"}", "missing_member", NULL },
    { "credentials: no secret", CREDENTIALS, "{\"access_key_id\":\"S\"}", "missing_member", NULL },
    { "credentials: a number", CREDENTIALS, "{\"access_key_id\":1,\"secret_access_key\":\"S\"}",
      "wrong_type", NULL },
    { "credentials: no time", CREDENTIALS,
      "{\"access_key_id\":\"A\",\"secret_access_key\":\"S\",\"expiration\":\"soon\"}",
      "invalid_request", NULL },
    { "credentials: twice", CREDENTIALS,
      "{\"access_key_id\":\"A\",\"access_key_id\":\"A\",\"secret_access_key\":\"S\"}",
      "invalid_json", NULL },
    { "credentials: no UTF-8", CREDENTIALS, "{\"access_key_id\":\"\xff\"}", "invalid_utf8", NULL },
    { "batch", BATCH, "{\"items\":[{\"operation\":\"encrypt\"},7]}", NULL, "2" },
    { "batch: credentials", BATCH,
      "{\"items\":[{}],\"credentials\":{\"access_key_id\":\"A\",\"secret_access_key\":\"S\"}}",
      NULL, "1" },
    { "batch: half of credentials", BATCH,
      "{\"items\":[{}],\"credentials\":{\"access_key_id\":\"A\"}}", "missing_member", NULL },
    { "batch: no items", BATCH, "{}", "missing_member", NULL },
    { "batch: empty", BATCH, "{\"items\":[]}", "invalid_request", NULL },
    { "batch: no array", BATCH, "{\"items\":{}}", "wrong_type", NULL },
    { "batch: cut", BATCH, "{\"items\":[{}", "invalid_json", NULL },
};

static struct span items[API_BATCH_MAX_ITEMS];

static enum err parse(const struct row *row, struct span in, struct buf *got,
                      struct api_fault *fault)
{
    AUTO(buf_clear) struct buf room = BUF_INIT(4096);
    struct api_credentials c;
    struct api_batch b;
    size_t n = 0;
    enum err r = ERR_OK;

    switch (row->kind) {
    case NONCE:
        return api_nonce_parse(in, got, fault);
    case RANDOM:
        r = api_random_parse(in, &n, fault);
        return r == ERR_OK ? buf_printf(got, "%zu", n) : r;
    case CREDENTIALS:
        r = api_credentials_parse(in, &room, &c, fault);
        return r == ERR_OK
                   ? buf_printf(got, "%.*s/%.*s/%.*s/%lld", (int)c.access_key_id.len,
                                (const char *)c.access_key_id.ptr, (int)c.secret_access_key.len,
                                (const char *)c.secret_access_key.ptr, (int)c.session_token.len,
                                (const char *)c.session_token.ptr, (long long)c.expire_s)
                   : r;
    case BATCH:
        r = api_batch_parse(in, items, &room, &b, fault);
        return r == ERR_OK ? buf_printf(got, "%zu", b.n) : r;
    }
    return r;
}

static void body_row(void **state)
{
    const struct row *row = *state;
    AUTO(buf_clear) struct buf got = BUF_INIT(4096);
    struct api_fault fault = { 0 };
    struct span in = row->in ? t_copy(span_str(row->in)) : SPAN_EMPTY;

    assert_int_equal(parse(row, in, &got, &fault), row->code ? ERR_MALFORMED : ERR_OK);
    if (row->code) {
        assert_string_equal(fault.code, row->code);
        assert_int_equal(got.len, 0);
    } else {
        t_assert_buf(&got, row->want);
    }
    if (row->in)
        t_free(in);
}

static void nonce_at_the_limit(void **state)
{
    (void)state;
    char query[1024] = "nonce=";
    AUTO(buf_clear) struct buf out = BUF_INIT(API_NONCE_MAX_BYTES);
    struct api_fault fault = { 0 };

    memset(query + 6, 'A', 683); /* 512 bytes without padding */
    assert_int_equal(api_nonce_parse(span_str(query), &out, &fault), ERR_OK);
    assert_int_equal(out.len, 512);
    buf_reset(&out);
    memset(query + 6, 'A', 684);
    assert_int_equal(api_nonce_parse(span_str(query), &out, &fault), ERR_MALFORMED);
    assert_string_equal(fault.code, "invalid_base64");
}

static void batch_at_the_limit(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf in = BUF_INIT(65536), room = BUF_INIT(64);
    struct api_batch b;
    struct api_fault fault = { 0 };

    for (size_t n = API_BATCH_MAX_ITEMS; n <= API_BATCH_MAX_ITEMS + 1; n++) {
        buf_reset(&in);
        assert_int_equal(buf_append_str(&in, "{\"items\":["), ERR_OK);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(buf_printf(&in, "%s%zu", i ? "," : "", i), ERR_OK);
        assert_int_equal(buf_append_str(&in, "]}"), ERR_OK);
        enum err r = api_batch_parse(buf_view(&in), items, &room, &b, &fault);
        assert_int_equal(r, n > API_BATCH_MAX_ITEMS ? ERR_MALFORMED : ERR_OK);
    }
    assert_int_equal(b.n, API_BATCH_MAX_ITEMS);
    t_assert_span(items[999], SPAN_LIT("999"));
    assert_string_equal(fault.code, "invalid_request");
}

static void random_answer(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(256);

    assert_int_equal(api_random_write(&out, SPAN_LIT("abc"), SPAN_LIT("i")), ERR_OK);
    t_assert_buf(&out, "{\"random\":\"YWJj\",\"request_id\":\"i\"}");
}

int main(void)
{
    enum { N = COUNT(rows), FIXED = 3 };
    struct CMUnitTest tests[FIXED + N] = {
        cmocka_unit_test(nonce_at_the_limit),
        cmocka_unit_test(batch_at_the_limit),
        cmocka_unit_test(random_answer),
    };

    T_ROWS(tests + FIXED, rows, body_row);
    return cmocka_run_group_tests_name("api_body", tests, NULL, NULL);
}
