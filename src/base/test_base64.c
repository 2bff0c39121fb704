#include "base/base64.h"
#include "testing/t.h"

/* Offset of a fault that is not there. */
#define NONE SIZE_MAX

static struct row {
    const char *name, *text, *data;
    size_t fault;
} rows[] = {
    { "RFC 4648: nothing", "", "", NONE },
    { "RFC 4648: f", "Zg==", "f", NONE },
    { "RFC 4648: fo", "Zm8=", "fo", NONE },
    { "RFC 4648: foo", "Zm9v", "foo", NONE },
    { "RFC 4648: foob", "Zm9vYg==", "foob", NONE },
    { "RFC 4648: fooba", "Zm9vYmE=", "fooba", NONE },
    { "RFC 4648: foobar", "Zm9vYmFy", "foobar", NONE },
    { "both signs", "+/+/", "\xfb\xff\xbf", NONE },
    { "no padding", "Zg", NULL, 2 },
    { "one pad of two", "Zg=", NULL, 3 },
    { "five characters", "Zm9vY", NULL, 5 },
    { "three pads", "Z===", NULL, 1 },
    { "four pads", "====", NULL, 0 },
    { "pad inside", "Zg==Zg==", NULL, 2 },
    { "pad, then a character", "Zm=v", NULL, 2 },
    { "AA=A", "AA=A", NULL, 2 },
    { "stray bits, one byte", "Zh==", NULL, 1 },
    { "stray bits, two bytes", "Zm9=", NULL, 2 },
    { "URL alphabet", "-_-_", NULL, 0 },
    { "line feed", "Zm9v\nYg==", NULL, 9 },
    { "space in a group", "Zm 9", NULL, 2 },
    { "after a good group", "Zm9v*m9v", NULL, 4 },
};

static void parse_row(void **state)
{
    const struct row *row = *state;
    struct span text = t_copy(span_str(row->text));
    AUTO(buf_clear) struct buf out = BUF_INIT(64);
    struct why why = { 0 };

    assert_int_equal(buf_append_str(&out, ">"), ERR_OK);
    if (row->data) {
        AUTO(buf_clear) struct buf back = BUF_INIT(64);
        assert_int_equal(base64_parse(text, &out, &why), ERR_OK);
        t_assert_span(span_from(buf_view(&out), 1), span_str(row->data));
        assert_int_equal(base64_append(&back, span_str(row->data)), ERR_OK);
        t_assert_buf(&back, row->text);
    } else {
        assert_int_equal(base64_parse(text, &out, &why), ERR_MALFORMED);
        assert_string_equal(why.what, "base64");
        assert_int_equal(why.at, row->fault);
        t_assert_buf(&out, ">");
    }
    t_free(text);
}

/* RFC 4648 section 4 read once more, six bits at a time. */
static size_t plain_encode(struct span in, uint8_t *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;

    for (size_t bit = 0; bit < 8 * in.len; bit += 6) {
        unsigned v = 0;
        for (size_t b = bit; b < bit + 6; b++)
            v = v << 1 | (b < 8 * in.len ? in.ptr[b / 8] >> (7 - b % 8) & 1u : 0);
        out[n++] = (uint8_t)alphabet[v];
    }
    while (n % 4)
        out[n++] = '=';
    return n;
}

/* Lengths around every block size of the fast paths, with bytes of every value. */
static void every_length(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 300; len++) {
        uint8_t data[300], text[404];
        AUTO(buf_clear)
        struct buf out = BUF_INIT(BASE64_TEXT_BYTES(len)),
                   back = BUF_INIT(BASE64_DATA_BYTES(BASE64_TEXT_BYTES(len)));
        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)(i * 167 + len * 13);
        struct span in = t_copy(span_of(data, len));
        size_t n = plain_encode(in, text);
        assert_int_equal(n, BASE64_TEXT_BYTES(len));
        assert_int_equal(base64_append(&out, in), ERR_OK);
        t_assert_span(buf_view(&out), span_of(text, n));
        struct span exact = t_copy(buf_view(&out));
        assert_int_equal(base64_parse(exact, &back, NULL), ERR_OK);
        t_assert_span(buf_view(&back), in);
        t_free(exact);
        t_free(in);
    }
}

/* Every byte value at every place of a long text: the fast path and the tail refuse the same, and
 * name the place. */
static void every_byte_everywhere(void **state)
{
    (void)state;
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum { LEN = 148 };

    for (size_t at = 0; at < LEN; at++) {
        for (unsigned c = 0; c < 256; c++) {
            uint8_t text[LEN];
            AUTO(buf_clear) struct buf out = BUF_INIT(LEN), again = BUF_INIT(LEN);
            struct why why = { 0 };
            memset(text, 'A', sizeof text);
            text[at] = (uint8_t)c;
            bool good = (c && strchr(alphabet, (int)c)) || (c == '=' && at == LEN - 1);
            enum err r = base64_parse(SPAN_ARRAY(text), &out, &why);
            assert_int_equal(r, good ? ERR_OK : ERR_MALFORMED);
            if (!good) {
                assert_int_equal(why.at, at);
                assert_int_equal(out.len, 0);
                continue;
            }
            assert_int_equal(base64_append(&again, buf_view(&out)), ERR_OK);
            t_assert_span(buf_view(&again), SPAN_ARRAY(text));
        }
    }
}

static void limits(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf three = BUF_INIT(3), two = BUF_INIT(2);
    struct why why = { 0 };

    assert_int_equal(base64_append(&three, SPAN_LIT("a")), ERR_LIMIT);
    assert_int_equal(three.len, 0);
    assert_int_equal(base64_append(&three, (struct span){ NULL, SIZE_MAX }), ERR_LIMIT);
    assert_int_equal(base64_parse(SPAN_LIT("YWJj"), &three, NULL), ERR_OK);
    t_assert_buf(&three, "abc");
    assert_int_equal(base64_parse(SPAN_LIT("YWJj"), &two, &why), ERR_LIMIT);
    assert_int_equal(two.len, 0);
    assert_int_equal(base64_parse(SPAN_LIT("YWI="), &two, NULL), ERR_OK); /* fits exactly */
    t_assert_buf(&two, "ab");
}

enum { FIXED = 3, ROWS = sizeof rows / sizeof rows[0] };

int main(void)
{
    struct CMUnitTest tests[FIXED + ROWS] = {
        cmocka_unit_test(every_length),
        cmocka_unit_test(every_byte_everywhere),
        cmocka_unit_test(limits),
    };

    T_ROWS(tests + FIXED, rows, parse_row);
    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
