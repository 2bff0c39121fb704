#include "testing/t.h"
#include "base/json.h"

#include <stdio.h>

/* A string's raw form and what it stands for. */
static struct row {
    const char *name, *raw, *value;
} rows[] = {
    { "plain", "abc", "abc" },
    { "every short escape", "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t" },
    { "one byte of UTF-8", "\\u0041x", "Ax" },
    { "two bytes of UTF-8", "\\u00e9", "\xc3\xa9" },
    { "three bytes of UTF-8", "\\u5BC6", "\xe5\xaf\x86" },
    { "surrogate pair", "a\\ud83d\\udd11b",
      "a\xf0\x9f\x94\x91"
      "b" },
    { "highest code point", "\\udbff\\udfff", "\xf4\x8f\xbf\xbf" },
    { "raw UTF-8 between escapes", "\\n\xe5\xaf\x86\\n", "\n\xe5\xaf\x86\n" },
    { "empty", "", "" },
};

static struct json_str read_string(struct buf *text, const char *raw)
{
    assert_int_equal(buf_printf(text, "\"%s\"", raw), ERR_OK);
    struct json_in j = json_in_init(buf_view(text));
    struct json_str s = json_in_string(&j);
    assert_int_equal(json_in_end(&j), ERR_OK);
    return s;
}

static void string_row(void **state)
{
    const struct row *row = *state;
    AUTO(buf_clear)
    struct buf text = BUF_INIT(256), value = BUF_INIT(256), tight = BUF_INIT(1),
               again = BUF_INIT(256);
    struct json_str s = read_string(&text, row->raw);
    struct span view = SPAN_LIT("untouched");

    assert_true(json_str_is(s, row->value));
    assert_false(json_str_is(s, "another"));
    assert_int_equal(json_str_decode(s, &value), ERR_OK);
    t_assert_buf(&value, row->value);
    assert_int_equal(json_str_view(s, &again, &view), ERR_OK);
    assert_true(span_is(view, row->value));
    assert_int_equal(again.len, s.escaped ? view.len : 0);
    if (strlen(row->value) > 1) {
        assert_int_equal(json_str_decode(s, &tight), ERR_LIMIT);
        assert_int_equal(tight.len, 0);
    }

    buf_clear(&text);
    struct json_out w = json_out_init(&text);
    json_out_string(&w, buf_view(&value));
    assert_int_equal(json_out_end(&w), ERR_OK);
    struct json_in j = json_in_init(buf_view(&text));
    assert_true(json_str_is(json_in_string(&j), row->value));
    assert_int_equal(json_in_end(&j), ERR_OK);
}

static void absent_string(void **state)
{
    (void)state;
    assert_false(json_str_is_set(JSON_STR_NONE));
    assert_false(json_str_is(JSON_STR_NONE, ""));
}

static void embedded_nul(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf text = BUF_INIT(64), value = BUF_INIT(64);
    struct json_str s = read_string(&text, "a\\u0000b");

    assert_false(json_str_is(s, "a"));
    assert_int_equal(json_str_decode(s, &value), ERR_OK);
    t_assert_span(buf_view(&value), SPAN_LIT("a\0b"));
}

static void next_code_point(void **state)
{
    (void)state;
    struct span raw = SPAN_LIT("a\\u00e9\xc3\xa9\xe5\xaf\x86\xf0\x9f\x94\x91\\ud83d\\udd11\\n");
    static const uint32_t want[] = { 'a', 0xe9, 0xe9, 0x5bc6, 0x1f511, 0x1f511, '\n' };

    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_int_equal(json_str_next(&raw), want[i]);
    assert_int_equal(raw.len, 0);
}

static void goes_on_inside(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(64);
    struct json_out w = json_out_resume(&out);

    json_out_key(&w, "a");
    json_out_uint(&w, 1);
    json_out_object_end(&w);
    assert_int_equal(json_out_end(&w), ERR_OK);
    t_assert_buf(&out, ",\"a\":1}");
}

/* Every code point as an escape, or two, against UTF-8 written down once more. */
static void every_code_point(void **state)
{
    (void)state;
    for (uint32_t v = 0; v <= 0x10ffff; v++) {
        char raw[16];
        uint8_t want[4] = { 0 }, *w = want, got[16];
        struct buf out = { .ptr = got, .cap = sizeof got, .max = sizeof got };
        if (v >= 0xd800 && v <= 0xdfff)
            continue;
        int n = v < 0x10000 ? snprintf(raw, sizeof raw, "\\u%04x", v)
                            : snprintf(raw, sizeof raw, "\\u%04x\\u%04x", 0xd7c0 + (v >> 10),
                                       0xdc00 + (v & 0x3ff));
        if (v < 0x80)
            *w++ = (uint8_t)v;
        for (int shift = v < 0x80      ? -1
                         : v < 0x800   ? 6
                         : v < 0x10000 ? 12
                                       : 18,
                 first = shift;
             shift >= 0; shift -= 6)
            *w++ = (uint8_t)(shift == first ? (0xf00u >> (first / 6 + 1) & 0xff) | v >> shift
                                            : 0x80u | (v >> shift & 0x3f));
        struct json_str s = { span_of(raw, (size_t)n), true };
        assert_int_equal(json_str_decode(s, &out), ERR_OK);
        t_assert_span(buf_view(&out), span_of(want, (size_t)(w - want)));
    }
}

static void all_kinds(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(512);
    struct json_out w = json_out_init(&b);

    json_out_object(&w);
    json_out_key(&w, "a\"b");
    json_out_array(&w);
    json_out_uint(&w, UINT64_MAX);
    json_out_int(&w, INT64_MIN);
    json_out_bool(&w, true);
    json_out_bool(&w, false);
    json_out_null(&w);
    json_out_object(&w);
    json_out_object_end(&w);
    json_out_array(&w);
    json_out_array_end(&w);
    json_out_array_end(&w);
    json_out_key(&w, "s");
    json_out_string(&w, SPAN_LIT("\x01/\x7f\"\\\b\f\n\r\t\xe5\xaf\x86"));
    json_out_key(&w, "raw");
    json_out_raw_string(&w, (struct json_str){ SPAN_LIT("\\u0041"), true });
    json_out_key(&w, "b64");
    json_out_base64(&w, SPAN_LIT("a"));
    json_out_key(&w, "json");
    json_out_raw(&w, SPAN_LIT("[1]"));
    json_out_object_end(&w);
    assert_int_equal(json_out_end(&w), ERR_OK);
    t_assert_buf(&b,
                 "{\"a\\\"b\":[18446744073709551615,-9223372036854775808,true,false,null,{},[]],"
                 "\"s\":\"\\u0001/\x7f\\\"\\\\\\b\\f\\n\\r\\t\xe5\xaf\x86\",\"raw\":\"\\u0041\","
                 "\"b64\":\"YQ==\",\"json\":[1]}");
}

static void refuses_what_is_not_utf8(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(64);
    struct json_out w = json_out_init(&b);

    json_out_array(&w);
    json_out_string(&w, SPAN_LIT("\xff"));
    json_out_array_end(&w);
    assert_int_equal(json_out_end(&w), ERR_MALFORMED);
    t_assert_buf(&b, "[");
}

/* Every maximum below the whole length: the writer says so and never goes past. */
static void full_buffer_is_sticky(void **state)
{
    (void)state;
    static const char whole[] = "{\"k\":\"t\\n\",\"n\":true,\"b\":\"YWJj\"}";

    for (size_t max = 0; max < 40; max++) {
        AUTO(buf_clear) struct buf b = BUF_INIT(max);
        struct json_out w = json_out_init(&b);
        json_out_object(&w);
        json_out_key(&w, "k");
        json_out_string(&w, SPAN_LIT("t\n"));
        json_out_key(&w, "n");
        json_out_bool(&w, true);
        json_out_key(&w, "b");
        json_out_base64(&w, SPAN_LIT("abc"));
        json_out_object_end(&w);
        assert_int_equal(json_out_end(&w), max < sizeof whole - 1 ? ERR_LIMIT : ERR_OK);
        if (max < sizeof whole - 1)
            assert_true(b.len <= max);
        else
            t_assert_buf(&b, whole);
    }
}

enum { FIXED = 8, ROWS = sizeof rows / sizeof rows[0] };

int main(void)
{
    struct CMUnitTest tests[FIXED + ROWS] = {
        cmocka_unit_test(absent_string),         cmocka_unit_test(embedded_nul),
        cmocka_unit_test(next_code_point),       cmocka_unit_test(all_kinds),
        cmocka_unit_test(every_code_point),      cmocka_unit_test(refuses_what_is_not_utf8),
        cmocka_unit_test(full_buffer_is_sticky), cmocka_unit_test(goes_on_inside),
    };

    T_ROWS(tests + FIXED, rows, string_row);
    return cmocka_run_group_tests_name("json_out", tests, NULL, NULL);
}
