#include "bin/nitroseal/inspect.h"

#include "bin/nitroseal/i18n.h"
#include "esdk/test_make.h"

static struct crypto *cx;

static int start(void **state)
{
    (void)state;
    return crypto_new(&cx) == ERR_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    crypto_free(cx);
    return 0;
}

static enum err walk(struct inspect *i, struct span msg, size_t step, struct why *why)
{
    enum err r = ERR_OK;

    inspect_init(i);
    for (size_t at = 0; at < msg.len && r == ERR_OK; at += step) {
        struct span piece = t_copy(span_sub(msg, at, step));
        r = inspect_take(i, piece, why);
        t_free(piece);
    }
    return r == ERR_OK ? inspect_end(i, why) : r;
}

static const struct esdk_pair pairs[] = { { SPAN_INIT("purpose"), SPAN_INIT("test") },
                                          { SPAN_INIT("z"), SPAN_INIT("\x1b[31m\"") } };

static void all_forms(void **state)
{
    (void)state;
    static const uint32_t lengths[] = { 0, 1, 7, 100 };

    for (size_t s = 0; s < ALL_SUITES; s++) {
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            AUTO(buf_clear) struct buf plain = test_plain(14);
            AUTO(made_clear)
            struct made m = make_message(cx, (struct make){ .suite = all_suites[s],
                                                            .frame_length = lengths[l],
                                                            .plain = buf_view(&plain),
                                                            .pairs = pairs,
                                                            .n_pairs = 2 });
            for (size_t step = 1; step <= m.bytes.len; step = step * 3 + 1) {
                AUTO(inspect_clear) struct inspect i;
                struct why why = { 0 };
                assert_int_equal(walk(&i, buf_view(&m.bytes), step, &why), ERR_OK);
                assert_true(i.whole && i.header_read);
                assert_int_equal(i.header.suite->id, all_suites[s]);
                assert_int_equal(i.header.bytes, m.header_bytes);
                assert_int_equal(i.frames, m.frames);
                assert_int_equal(i.plaintext_bytes, plain.len);
                assert_int_equal(i.bytes, m.bytes.len);
                assert_int_equal(i.signature_bytes > 0, i.header.suite->signs);
            }
        }
    }
}

static struct made one(unsigned suite)
{
    AUTO(buf_clear) struct buf plain = test_plain(20);

    return make_message(cx, (struct make){ .suite = suite,
                                           .frame_length = 8,
                                           .plain = buf_view(&plain),
                                           .pairs = pairs,
                                           .n_pairs = 2 });
}

static void every_cut_is_seen(void **state)
{
    (void)state;
    AUTO(made_clear) struct made m = one(0x0578);

    for (size_t n = 0; n < m.bytes.len; n++) {
        AUTO(inspect_clear) struct inspect i;
        struct why why = { 0 };
        assert_int_equal(walk(&i, span_sub(buf_view(&m.bytes), 0, n), 50, &why), ERR_MALFORMED);
        assert_string_equal(why.what, "the message is cut off");
        assert_int_equal(why.at, n);
        assert_false(i.whole);
        assert_int_equal(i.header_read, n >= m.header_bytes);
    }
}

static void faults(void **state)
{
    (void)state;
    AUTO(made_clear) struct made m = one(0x0478);
    AUTO(inspect_clear) struct inspect i;
    struct why why = { 0 };

    assert_int_equal(buf_append_byte(&m.bytes, 0), ERR_OK);
    assert_int_equal(walk(&i, buf_view(&m.bytes), 50, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "bytes follow the message's end");
    assert_int_equal(why.at, m.bytes.len - 1);
    assert_false(i.whole);
    inspect_clear(&i);

    m.bytes.ptr[m.frame_at[1] + 3] ^= 1;
    assert_int_equal(walk(&i, buf_view(&m.bytes), 1, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "frame out of order: it has another number");
    assert_int_equal(why.at, m.frame_at[1]);
    assert_int_equal(i.frames, 1);
    inspect_clear(&i);

    assert_int_equal(walk(&i, SPAN_LIT("\x03 no message"), 50, &why), ERR_UNSUPPORTED);
    assert_false(i.header_read);
}

static void report(void **state)
{
    (void)state;
    AUTO(made_clear) struct made m = one(0x0478);
    AUTO(inspect_clear) struct inspect i;
    AUTO(buf_clear) struct buf out = BUF_INIT(1 << 16);
    struct inspect_report how = { .armored = true };

    assert_int_equal(walk(&i, buf_view(&m.bytes), 4096, NULL), ERR_OK);
    assert_int_equal(inspect_write_text(&i, &how, &out), ERR_OK);
    assert_non_null(buf_cstr(&out));
    const char *text = (const char *)out.ptr;
    assert_non_null(strstr(text, "message, version 2, as text"));
    assert_non_null(strstr(text, "context       z = ?[31m\"\n")); /* no escape reaches a terminal */
    assert_non_null(strstr(text, "frames        3 of 8 bytes, the last 4\n"));
    assert_null(strstr(text, "not whole"));
    buf_reset(&out);

    how = (struct inspect_report){ .fault = "why not", .fault_at = 7 };
    i.whole = false;
    assert_int_equal(inspect_write_json(&i, &how, &out), ERR_OK);
    assert_non_null(buf_cstr(&out));
    text = (const char *)out.ptr;
    assert_non_null(
        strstr(text, "\"encryption_context\":{\"purpose\":\"test\",\"z\":\"\\u001b[31m\\\"\"}"));
    assert_non_null(
        strstr(text, "\"whole\":false,\"verified\":false,\"fault\":\"why not\",\"fault_at\":7}\n"));
    out.max = out.len;
    assert_int_equal(inspect_write_json(&i, &how, &out), ERR_LIMIT);
    assert_int_equal(inspect_write_text(&i, &how, &out), ERR_LIMIT);
}

static void seed(void **state)
{
    (void)state;
    static const char SHORT[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";     /* 27 bytes */
    static const char EMPTY[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="; /* 28 */
    struct inspect_seed s = { .plaintext_bytes = 77 };
    struct why why = { 0 };

    assert_int_equal(inspect_seed(span_str(SHORT), SPAN_LIT("QQ=="), SPAN_LIT("Qg=="), &s, &why),
                     ERR_MALFORMED);
    assert_string_equal(why.what, "ENCRYPTED is shorter than an IV and a tag");
    assert_int_equal(inspect_seed(span_str(EMPTY), SPAN_LIT("QQ="), SPAN_LIT("Qg=="), &s, &why),
                     ERR_MALFORMED);
    assert_string_equal(why.what, "SIGNATURE is not base64");
    assert_int_equal(inspect_seed(span_str(EMPTY), SPAN_LIT("QQ=="), SPAN_LIT("!"), &s, &why),
                     ERR_MALFORMED);
    assert_string_equal(why.what, "CIPHERTEXT_BLOB is not base64");
    assert_int_equal(s.plaintext_bytes, 77);
    assert_int_equal(inspect_seed(span_str(EMPTY), SPAN_LIT("QQ=="), SPAN_LIT("QUI="), &s, &why),
                     ERR_OK);
    assert_int_equal(s.plaintext_bytes, 0);
    AUTO(buf_clear) struct buf out = BUF_INIT(1 << 10);
    assert_int_equal(inspect_seed_write(&s, true, &out), ERR_OK);
    t_assert_buf(&out,
                 "{\"format\":\"seed\",\"encrypted_bytes\":28,\"plaintext_bytes\":0,\"signature_"
                 "bytes\":1,\"ciphertext_blob_bytes\":2,\"verified\":false}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms), cmocka_unit_test(every_cut_is_seen),
        cmocka_unit_test(faults),    cmocka_unit_test(report),
        cmocka_unit_test(seed),
    };

    return cmocka_run_group_tests_name("inspect", tests, start, stop);
}
