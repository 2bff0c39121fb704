#include "api/api.h"
#include "testing/t.h"

static enum err parse(const char *headers, struct api_message *m, struct api_fault *fault)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(65536);
    static struct http1_head head;
    size_t used;

    assert_int_equal(buf_printf(&text, "POST /v1/messages/encrypt HTTP/1.1\r\n%s\r\n", headers),
                     ERR_OK);
    assert_int_equal(http1_request_parse(buf_view(&text), &head, &used, NULL), ERR_OK);
    return api_message_parse(&head, m, fault);
}

static void all_of_them(void **state)
{
    (void)state;
    static struct api_message m;
    struct api_fault fault = { 0 };

    assert_int_equal(parse("Nitroseal-Encryption-Context: a%20b=%E4%B8%96+\r\n"
                           "Nitroseal-Encryption-Context: c=\r\n"
                           "Nitroseal-Require-Context: d==e\r\n"
                           "Nitroseal-Suite: 0x0578\r\nNitroseal-Frame-Length: 1048576\r\n",
                           &m, &fault),
                     ERR_OK);
    assert_int_equal(m.n_context, 2);
    t_assert_span(m.context[0].key, SPAN_LIT("a b"));
    t_assert_span(m.context[0].value, SPAN_LIT("\xe4\xb8\x96+"));
    assert_int_equal(m.context[1].value.len, 0);
    assert_int_equal(m.n_required, 1);
    t_assert_span(m.required[0].value, SPAN_LIT("=e"));
    assert_int_equal(m.suite, ESDK_SUITE_SIGNED);
    assert_int_equal(m.frame_length, 1048576);
    buf_clear(&m.text);
}

static void refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "Nitroseal-Encryption-Context: novalue\r\n",
        "Nitroseal-Encryption-Context: =v\r\n",
        "Nitroseal-Encryption-Context: a=%4\r\n",
        "Nitroseal-Encryption-Context: a=%FF\r\n",
        "Nitroseal-Encryption-Context: %C0%80=1\r\n",
        "Nitroseal-Suite: 0x0014\r\n",
        "Nitroseal-Suite: 1144\r\n",
        "Nitroseal-Frame-Length: 0\r\n",
        "Nitroseal-Frame-Length: 1048577\r\n",
        "Nitroseal-Frame-Length: x\r\n",
    };
    static struct api_message m;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct api_fault fault = { 0 };
        assert_int_equal(parse(rows[i], &m, &fault), ERR_MALFORMED);
        assert_string_equal(fault.code, "invalid_request");
        buf_clear(&m.text);
    }
}

static void pairs_at_the_limit(void **state)
{
    (void)state;
    for (int n = API_PAIRS_MAX; n <= API_PAIRS_MAX + 1; n++) {
        AUTO(buf_clear) struct buf text = BUF_INIT(65536);
        static struct api_message m;
        struct api_fault fault = { 0 };
        for (int i = 0; i < n; i++)
            assert_int_equal(buf_printf(&text, "Nitroseal-Encryption-Context: k%d=v\r\n", i),
                             ERR_OK);
        assert_int_equal(parse(buf_cstr(&text), &m, &fault),
                         n > API_PAIRS_MAX ? ERR_MALFORMED : ERR_OK);
        buf_clear(&m.text);
    }
}

static void written(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(64), small = BUF_INIT(5);
    const struct esdk_pair p = { SPAN_LIT("a =%"), SPAN_LIT("-._~\r\n\xc3\xa9") };

    assert_int_equal(api_pair_write(&out, &p), ERR_OK);
    t_assert_buf(&out, "a%20%3D%25=-._~%0D%0A%C3%A9");
    assert_int_equal(api_pair_write(&small, &p), ERR_LIMIT);
    assert_int_equal(small.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_them),
        cmocka_unit_test(refused),
        cmocka_unit_test(pairs_at_the_limit),
        cmocka_unit_test(written),
    };

    return cmocka_run_group_tests_name("api_message", tests, NULL, NULL);
}
