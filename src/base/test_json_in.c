#include "base/json.h"
#include "testing/t.h"

/* One whole text, passed over by json_in_skip(). */
static struct row {
    const char *name, *text;
    enum err want;
    const char *what;
    size_t pos;
} rows[] = {
    { "object", " { \"a\" : [ 1 , -2.5e+3 , \"x\" ] , \"b\" : { } } ", ERR_OK, NULL, 0 },
    { "literals", "[true,false,null]", ERR_OK, NULL, 0 },
    { "a string alone", "\"\"", ERR_OK, NULL, 0 },
    { "a number alone", "-0", ERR_OK, NULL, 0 },
    { "every escape", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", ERR_OK, NULL, 0 },
    { "escaped NUL", "\"\\u0000\"", ERR_OK, NULL, 0 },
    { "surrogate pair", "\"\\ud83d\\uDD11\"", ERR_OK, NULL, 0 },
    { "raw UTF-8", "\"\xe5\xaf\x86\xf0\x9f\x94\x91\"", ERR_OK, NULL, 0 },
    { "DEL is no control character", "\"\x7f\"", ERR_OK, NULL, 0 },
    { "same name in another object", "{\"a\":{\"a\":1},\"b\":{\"a\":1}}", ERR_OK, NULL, 0 },
    { "same name after a closed object", "[{\"a\":1},{\"a\":1}]", ERR_OK, NULL, 0 },
    { "escaped name is longer", "{\"a\":1,\"\\u0061b\":2}", ERR_OK, NULL, 0 },
    { "escaped name is shorter", "{\"\\u0061b\":1,\"a\":2}", ERR_OK, NULL, 0 },
    { "both escaped, one longer", "{\"\\n\":1,\"\\nx\":2,\"\\nxy\":3}", ERR_OK, NULL, 0 },
    { "empty", "", ERR_MALFORMED, "end of input", 0 },
    { "white space only", " \t\r\n", ERR_MALFORMED, "end of input", 4 },
    { "form feed", "\f1", ERR_MALFORMED, "value", 0 },
    { "byte order mark", "\xef\xbb\xbf{}", ERR_MALFORMED, "value", 0 },
    { "duplicate", "{\"a\":1,\"a\":2}", ERR_MALFORMED, "duplicate member", 8 },
    { "duplicate under an escape", "{\"a\":1,\"\\u0061\":2}", ERR_MALFORMED, "duplicate member",
      8 },
    { "two escaped duplicates", "{\"\\n\":1,\"\\u000a\":2}", ERR_MALFORMED, "duplicate member", 9 },
    { "duplicate after a nested one", "{\"a\":{\"b\":1},\"b\":1,\"a\":2}", ERR_MALFORMED,
      "duplicate member", 20 },
    { "trailing comma in array", "[1,]", ERR_MALFORMED, "value", 3 },
    { "trailing comma in object", "{\"a\":1,}", ERR_MALFORMED, "type", 7 },
    { "comma first", "[,1]", ERR_MALFORMED, "value", 1 },
    { "two commas", "[1,,2]", ERR_MALFORMED, "value", 3 },
    { "no comma", "[1 2]", ERR_MALFORMED, "comma", 3 },
    { "no colon", "{\"a\" 1}", ERR_MALFORMED, "colon", 5 },
    { "no value", "{\"a\":}", ERR_MALFORMED, "value", 5 },
    { "name without quotes", "{a:1}", ERR_MALFORMED, "type", 1 },
    { "number as a name", "{1:1}", ERR_MALFORMED, "type", 1 },
    { "wrong bracket", "[1}", ERR_MALFORMED, "comma", 2 },
    { "not closed", "[1", ERR_MALFORMED, "end of input", 2 },
    { "closed only", "]", ERR_MALFORMED, "value", 0 },
    { "single quotes", "'a'", ERR_MALFORMED, "value", 0 },
    { "comment", "/**/1", ERR_MALFORMED, "value", 0 },
    { "two values", "1 2", ERR_MALFORMED, "trailing bytes", 2 },
    { "capital literal", "True", ERR_MALFORMED, "value", 0 },
    { "literal cut", "tru", ERR_MALFORMED, "literal", 0 },
    { "literal and more", "nullx", ERR_MALFORMED, "trailing bytes", 4 },
    { "not a number", "NaN", ERR_MALFORMED, "value", 0 },
    { "plus", "+1", ERR_MALFORMED, "value", 0 },
    { "minus alone", "-", ERR_MALFORMED, "number", 0 },
    { "leading zero", "01", ERR_MALFORMED, "number", 0 },
    { "minus and leading zero", "-01", ERR_MALFORMED, "number", 0 },
    { "point first", ".5", ERR_MALFORMED, "value", 0 },
    { "point last", "5.", ERR_MALFORMED, "number", 0 },
    { "exponent empty", "1e", ERR_MALFORMED, "number", 0 },
    { "exponent with sign only", "1e+", ERR_MALFORMED, "number", 0 },
    { "hexadecimal", "0x1", ERR_MALFORMED, "trailing bytes", 1 },
    { "string not closed", "\"abc", ERR_MALFORMED, "end of input", 4 },
    { "line feed in a string", "\"a\nb\"", ERR_MALFORMED, "control character", 2 },
    { "escape of nothing", "\"\\\"", ERR_MALFORMED, "end of input", 3 },
    { "escape cut", "\"\\", ERR_MALFORMED, "escape", 1 },
    { "unknown escape", "\"\\x41\"", ERR_MALFORMED, "escape", 1 },
    { "escaped line feed", "\"\\\n\"", ERR_MALFORMED, "escape", 1 },
    { "short unicode escape", "\"\\u12\"", ERR_MALFORMED, "escape", 1 },
    { "bad unicode digit", "\"\\u12g4\"", ERR_MALFORMED, "escape", 1 },
    { "capital U", "\"\\U0041\"", ERR_MALFORMED, "escape", 1 },
    { "lone high surrogate", "\"\\ud83d\"", ERR_MALFORMED, "escape", 1 },
    { "lone low surrogate", "\"\\udd11\"", ERR_MALFORMED, "escape", 1 },
    { "high and high", "\"\\ud83d\\ud83d\"", ERR_MALFORMED, "escape", 1 },
    { "high and other", "\"\\ud83d\\u0041\"", ERR_MALFORMED, "escape", 1 },
    { "invalid UTF-8", "\"\xff\"", ERR_MALFORMED, "UTF-8", 1 },
    { "overlong UTF-8", "\"\xc0\xaf\"", ERR_MALFORMED, "UTF-8", 1 },
    { "surrogate in UTF-8", "\"\xed\xa0\x80\"", ERR_MALFORMED, "UTF-8", 1 },
    { "UTF-8 cut by the quote", "\"\xe2\x82\"", ERR_MALFORMED, "UTF-8", 1 },
    { "UTF-8 outside a string", "\xe2\x82\xac", ERR_MALFORMED, "value", 0 },
};

static void skip_row(void **state)
{
    const struct row *row = *state;
    struct span in = t_copy(span_str(row->text));
    struct json_in j = json_in_init(in);

    struct span value = json_in_skip(&j);
    assert_int_equal(json_in_end(&j), row->want);
    if (row->want == ERR_OK) {
        t_assert_span(value, span_trim(in));
    } else {
        assert_string_equal(j.what, row->what);
        assert_int_equal(j.pos, row->pos);
    }
    t_free(in);
}

static void nul_bytes(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        const char *what;
    } texts[] = {
        { SPAN_INIT("\0"), "value" },
        { SPAN_INIT("1\0"), "trailing bytes" },
        { SPAN_INIT("true\0"), "trailing bytes" },
        { SPAN_INIT("\"a\0b\""), "control character" },
        { SPAN_INIT("[\0]"), "value" },
        { SPAN_INIT("{\0}"), "type" },
        { SPAN_INIT("[1\0]"), "comma" },
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct json_in j = json_in_init(texts[i].text);
        (void)json_in_skip(&j);
        assert_int_equal(json_in_end(&j), ERR_MALFORMED);
        assert_string_equal(j.what, texts[i].what);
    }
}

static void typed_values(void **state)
{
    (void)state;
    struct json_in j = json_in_init(SPAN_LIT(
        "{\"op\":\"enc\\u0072ypt\",\"n\":42,\"x\":[true,null,-1.5],\"skipped\":{\"deep\":[[]]}}"));
    struct json_str key, op = JSON_STR_NONE;
    uint64_t n = 0;
    int others = 0;

    for (json_in_object(&j); json_in_member(&j, &key);) {
        if (json_str_is(key, "op")) {
            assert_int_equal(json_in_peek(&j), JSON_KIND_STRING);
            op = json_in_string(&j);
        } else if (json_str_is(key, "n")) {
            n = json_in_uint(&j, 42);
        } else if (json_str_is(key, "x")) {
            json_in_array(&j);
            assert_true(json_in_element(&j));
            assert_true(json_in_bool(&j));
            assert_true(json_in_element(&j));
            json_in_null(&j);
            assert_true(json_in_element(&j));
            assert_true(span_is(json_in_number(&j), "-1.5"));
            assert_false(json_in_element(&j));
        } else {
            assert_true(span_is(json_in_skip(&j), "{\"deep\":[[]]}"));
            others++;
        }
    }
    assert_int_equal(json_in_end(&j), ERR_OK);
    assert_true(json_str_is(op, "encrypt"));
    assert_true(op.escaped);
    assert_int_equal(n, 42);
    assert_int_equal(others, 1);
    assert_int_equal(json_in_peek(&j), JSON_KIND_NONE);
}

#define FAULT(call, text, want, fault, at)                                                         \
    do {                                                                                           \
        struct json_in j = json_in_init(span_str(text));                                           \
        (void)(call);                                                                              \
        assert_int_equal(j.err, want);                                                             \
        assert_string_equal(j.what, fault);                                                        \
        assert_int_equal(j.pos, at);                                                               \
        assert_int_equal(json_in_peek(&j), JSON_KIND_NONE);                                        \
    } while (0)

static void typed_faults(void **state)
{
    (void)state;
    FAULT((json_in_object(&j), 0), "[]", ERR_MALFORMED, "type", 0);
    FAULT((json_in_array(&j), 0), " {}", ERR_MALFORMED, "type", 1);
    FAULT(json_in_string(&j).escaped, "1", ERR_MALFORMED, "type", 0);
    FAULT(json_in_string(&j).escaped, "", ERR_MALFORMED, "end of input", 0);
    FAULT(json_in_bool(&j), "null", ERR_MALFORMED, "type", 0);
    FAULT(json_in_bool(&j), "fals", ERR_MALFORMED, "literal", 0);
    FAULT((json_in_null(&j), 0), "false", ERR_MALFORMED, "literal", 0);
    FAULT((json_in_null(&j), 0), "", ERR_MALFORMED, "end of input", 0);
    FAULT(json_in_number(&j).len, "\"1\"", ERR_MALFORMED, "type", 0);
    FAULT(json_in_uint(&j, 41), "42", ERR_LIMIT, "integer", 0);
    FAULT(json_in_uint(&j, 99), "-1", ERR_MALFORMED, "integer", 0);
    FAULT(json_in_uint(&j, 99), "1.0", ERR_MALFORMED, "integer", 0);
    FAULT(json_in_uint(&j, 99), "1e1", ERR_MALFORMED, "integer", 0);
    FAULT(json_in_uint(&j, UINT64_MAX), "18446744073709551616", ERR_LIMIT, "integer", 0);
}

static void first_fault_stays(void **state)
{
    (void)state;
    struct json_in j = json_in_init(SPAN_LIT("{\"a\":1}"));
    struct json_str name = { SPAN_LIT("untouched"), false };

    json_in_fail(&j, ERR_UNSUPPORTED, "of the caller's own");
    json_in_fail(&j, ERR_LIMIT, "later");
    json_in_object(&j);
    assert_false(json_in_member(&j, &name));
    assert_true(span_is(name.raw, "untouched"));
    json_in_array(&j);
    assert_false(json_in_element(&j));
    assert_false(json_str_is_set(json_in_string(&j)));
    assert_false(json_in_bool(&j));
    json_in_null(&j);
    assert_int_equal(json_in_uint(&j, 9), 0);
    assert_null(json_in_skip(&j).ptr);
    assert_int_equal(json_in_end(&j), ERR_UNSUPPORTED);
    assert_string_equal(j.what, "of the caller's own");
    assert_int_equal(j.pos, 0);
}

/* `levels` opening brackets and their ends. */
static enum err nested(size_t levels, const char **what)
{
    char text[2 * (JSON_DEPTH_MAX + 1)];

    memset(text, '[', levels);
    memset(text + levels, ']', levels);
    struct json_in j = json_in_init(span_of(text, 2 * levels));
    (void)json_in_skip(&j);
    enum err r = json_in_end(&j);
    *what = j.what;
    return r;
}

static void depth_limit(void **state)
{
    (void)state;
    const char *what = NULL;

    assert_int_equal(nested(JSON_DEPTH_MAX, &what), ERR_OK);
    assert_int_equal(nested(JSON_DEPTH_MAX + 1, &what), ERR_LIMIT);
    assert_string_equal(what, "depth");
}

static enum err members(int n, const char **what)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(1 << 16);

    assert_int_equal(buf_append_str(&b, "{"), ERR_OK);
    for (int i = 0; i < n; i++)
        assert_int_equal(buf_printf(&b, "%s\"m%d\":0", i ? "," : "", i), ERR_OK);
    assert_int_equal(buf_append_str(&b, "}"), ERR_OK);
    struct json_in j = json_in_init(buf_view(&b));
    (void)json_in_skip(&j);
    enum err r = json_in_end(&j);
    *what = j.what;
    return r;
}

static void member_limit(void **state)
{
    (void)state;
    const char *what = NULL;

    assert_int_equal(members(JSON_MEMBERS_MAX, &what), ERR_OK);
    assert_int_equal(members(JSON_MEMBERS_MAX + 1, &what), ERR_LIMIT);
    assert_string_equal(what, "members");
}

/* The fast path takes sixteen bytes at a time: put each interesting byte at every place. */
static void stops_at_every_offset(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 40; len++) {
        for (size_t at = 0; at < len; at++) {
            for (unsigned c = 0; c < 256; c++) {
                uint8_t text[64] = { '"' };
                memset(text + 1, 'x', len);
                text[1 + at] = (uint8_t)c;
                text[1 + len] = '"';
                struct json_in j = json_in_init(span_of(text, len + 2));
                struct json_str s = json_in_string(&j);
                bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
                assert_int_equal(json_str_is_set(s), plain || c == '"');
                if (plain)
                    assert_int_equal(s.raw.len, len);
                if (c == '"')
                    assert_int_equal(s.raw.len, at);
                bool ends_in_escape = c == '\\' && at + 1 == len; /* of the closing quote */
                if (!plain && c != '"' && !ends_in_escape)
                    assert_int_equal(j.pos, 1 + at);
            }
        }
    }
}

static void truncations_and_flips(void **state)
{
    (void)state;
    static const char good[] =
        "{\"operation\":\"decrypt\",\"n\":[1,2.5e-3,true,null],\"t\":\"\\u5bc6\xe5\xaf\x86\\n\"}";

    for (size_t n = 0; n < sizeof good - 1; n++) {
        struct span cut = t_copy(span_of(good, n));
        struct json_in j = json_in_init(cut);
        (void)json_in_skip(&j);
        assert_int_equal(json_in_end(&j), ERR_MALFORMED);
        t_free(cut);
    }
    for (size_t bit = 0; bit < 8 * (sizeof good - 1); bit++) {
        char flipped[sizeof good];
        memcpy(flipped, good, sizeof good);
        flipped[bit / 8] = (char)(flipped[bit / 8] ^ (1 << bit % 8));
        struct span in = t_copy(span_of(flipped, sizeof good - 1));
        struct json_in j = json_in_init(in);
        struct span value = json_in_skip(&j); /* may be JSON again; must stay inside */
        if (json_in_end(&j) == ERR_OK)
            assert_int_equal(value.len, in.len);
        t_free(in);
    }
}

enum { FIXED = 8, ROWS = sizeof rows / sizeof rows[0] };

int main(void)
{
    struct CMUnitTest tests[FIXED + ROWS] = {
        cmocka_unit_test(nul_bytes),
        cmocka_unit_test(typed_values),
        cmocka_unit_test(typed_faults),
        cmocka_unit_test(first_fault_stays),
        cmocka_unit_test(depth_limit),
        cmocka_unit_test(member_limit),
        cmocka_unit_test(stops_at_every_offset),
        cmocka_unit_test(truncations_and_flips),
    };

    T_ROWS(tests + FIXED, rows, skip_row);
    return cmocka_run_group_tests_name("json_in", tests, NULL, NULL);
}
