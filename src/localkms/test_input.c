/* test_input.c - members of a request's JSON object, and what is said of a wrong one. */
#include <stdio.h>

#include "localkms/input.h"
#include "testing/t.h"

#define BODY                                                                                       \
    "{\"KeyId\":\"alias\\/x\",\"Plain\":\"text\",\"Null\":null,\"Yes\":true,\"No\":false,"         \
    "\"Seven\":7,\"Minus\":-7,\"Half\":0.5,\"Exp\":1e2,\"Zero\":-0,\"Max\":2147483647,"            \
    "\"Past\":2147483648,\"Min\":-2147483648,\"Short\":-2147483649,\"Blob\":\"aGVsbG8=\","         \
    "\"Bad\":\"aGVsbG8\",\"Esc\":\"aGVs\\u0062G8\\u003d\",\"Empty\":\"\",\"Obj\":{\"a\":[1]},"     \
    "\"List\":[{}, 2]}"

enum getter { STRING, BOOL, INT, BLOB, OBJECT, LIST };

static const struct row {
    const char *name;
    enum getter getter;
    const char *member;
    const char *value; /* NULL with text NULL: not there */
    const char *text;  /* of a SerializationException */
} rows[] = {
    { "string", STRING, "Plain", "text", NULL },
    { "string with escapes", STRING, "KeyId", "alias/x", NULL },
    { "string: empty", STRING, "Empty", "", NULL },
    { "string: absent", STRING, "Nothing", NULL, NULL },
    { "string: null", STRING, "Null", NULL, NULL },
    { "string: name in other case", STRING, "plain", NULL, NULL },
    { "string: a number", STRING, "Seven", NULL, "NUMBER_VALUE can not be converted to a String" },
    { "string: true", STRING, "Yes", NULL, "TRUE_VALUE can not be converted to a String" },
    { "string: an object", STRING, "Obj", NULL, "START_OBJECT can not be converted to a String" },
    { "string: a list", STRING, "List", NULL, "START_ARRAY can not be converted to a String" },
    { "bool: true", BOOL, "Yes", "1", NULL },
    { "bool: false", BOOL, "No", "0", NULL },
    { "bool: absent", BOOL, "Nothing", NULL, NULL },
    { "bool: null", BOOL, "Null", NULL, NULL },
    { "bool: a string", BOOL, "Plain", NULL, "STRING_VALUE can not be converted to a Boolean" },
    { "bool: a number", BOOL, "Seven", NULL, "NUMBER_VALUE can not be converted to a Boolean" },
    { "int", INT, "Seven", "7", NULL },
    { "int: negative", INT, "Minus", "-7", NULL },
    { "int: minus zero", INT, "Zero", "0", NULL },
    { "int: most", INT, "Max", "2147483647", NULL },
    { "int: least", INT, "Min", "-2147483648", NULL },
    { "int: one past", INT, "Past", NULL, "NUMBER_VALUE can not be converted to an Integer" },
    { "int: one short", INT, "Short", NULL, "NUMBER_VALUE can not be converted to an Integer" },
    { "int: fraction", INT, "Half", NULL, "NUMBER_VALUE can not be converted to an Integer" },
    { "int: exponent", INT, "Exp", NULL, "NUMBER_VALUE can not be converted to an Integer" },
    { "int: a string", INT, "Plain", NULL, "STRING_VALUE can not be converted to an Integer" },
    { "int: false", INT, "No", NULL, "FALSE_VALUE can not be converted to an Integer" },
    { "int: absent", INT, "Nothing", NULL, NULL },
    { "int: null", INT, "Null", NULL, NULL },
    { "blob", BLOB, "Blob", "hello", NULL },
    { "blob: with escapes", BLOB, "Esc", "hello", NULL },
    { "blob: empty", BLOB, "Empty", "", NULL },
    { "blob: no padding", BLOB, "Bad", NULL, "Bad is not valid Base64" },
    { "blob: a number", BLOB, "Seven", NULL, "NUMBER_VALUE can not be converted to a Blob" },
    { "blob: absent", BLOB, "Nothing", NULL, NULL },
    { "blob: null", BLOB, "Null", NULL, NULL },
    { "object", OBJECT, "Obj", "{\"a\":[1]}", NULL },
    { "object: absent", OBJECT, "Nothing", NULL, NULL },
    { "object: null", OBJECT, "Null", NULL, NULL },
    { "object: a list", OBJECT, "List", NULL, "START_ARRAY can not be converted to a structure" },
    { "object: a string", OBJECT, "Plain", NULL,
      "STRING_VALUE can not be converted to a structure" },
    { "list", LIST, "List", "[{}, 2]", NULL },
    { "list: absent", LIST, "Nothing", NULL, NULL },
    { "list: an object", LIST, "Obj", NULL, "START_OBJECT can not be converted to a list" },
    { "list: true", LIST, "Yes", NULL, "TRUE_VALUE can not be converted to a list" },
};
enum { N = sizeof rows / sizeof rows[0] };

/* Every getter's value as text; *given false: untouched. */
static enum err get(struct input *in, const struct row *row, struct buf *value, bool *given,
                    struct fault *f)
{
    struct span s = SPAN_LIT("untouched");
    int64_t n = 4242;
    bool yes = false, yes_again = true;
    enum err r = ERR_INTERNAL;

    switch (row->getter) {
    case STRING:
        r = input_string(in, row->member, &s, f);
        break;
    case OBJECT:
        r = input_object(in, row->member, &s, f);
        break;
    case LIST:
        r = input_list(in, row->member, &s, f);
        break;
    case BLOB:
        return input_blob(in, row->member, value, given, f);
    case INT:
        r = input_int(in, row->member, &n, given, f);
        if (n == 4242)
            return r;
        assert_int_equal(buf_printf(value, "%lld", (long long)n), ERR_OK);
        return r;
    case BOOL:
        r = input_bool(in, row->member, &yes, f);
        if (input_bool(in, row->member, &yes_again, f) != r)
            return ERR_INTERNAL;
        *given = yes == yes_again;
        if (*given)
            assert_int_equal(buf_append_str(value, yes ? "1" : "0"), ERR_OK);
        return r;
    }
    *given = !span_is(s, "untouched");
    if (*given)
        assert_int_equal(buf_append(value, s), ERR_OK);
    return r;
}

static void member(void **state)
{
    const struct row *row = *state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    AUTO(buf_clear) struct buf value = BUF_INIT(256);
    struct span body = t_copy(SPAN_LIT(BODY));
    struct input in;
    bool given = false;

    assert_int_equal(input_parse(body, &in, &f), ERR_OK);
    enum err r = get(&in, row, &value, &given, &f);
    if (row->text) {
        assert_int_equal(r, ERR_DENIED);
        assert_int_equal(f.kind, FAULT_SERIALIZATION);
        t_assert_buf(&f.text, row->text);
        assert_int_equal(value.len, 0);
    } else {
        assert_int_equal(r, ERR_OK);
        assert_int_equal(f.kind, FAULT_NONE);
        assert_int_equal(given, row->value != NULL);
        t_assert_span(buf_view(&value), span_str(row->value));
    }
    input_clear(&in);
    t_free(body);
}

static void refused(struct span body)
{
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    struct span copy = t_copy(body);
    struct input in;

    assert_int_equal(input_parse(copy, &in, &f), ERR_DENIED);
    assert_int_equal(f.kind, FAULT_SERIALIZATION);
    input_clear(&in);
    t_free(copy);
}

static void not_an_object(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]",
        "null",
        "\"a\"",
        "1",
        "{",
        "{}x",
        "{}{}",
        "{\"a\"}",
        "{\"a\":1,}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":\"\xff\"}",
        "{a:1}",
        "\xef\xbb\xbf{}",
        "{\"a\":nul}",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"a\":\"\\ud800\"}",
        " ",
        "{\"a\":{\"b\":1,\"b\":2}}",
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(span_str(bad[i]));
    refused(SPAN_LIT("{\"a\":1\0}"));
    refused(SPAN_LIT("{\"a\":1}\0"));
}

static void truncations(void **state)
{
    (void)state;
    for (size_t n = 1; n < sizeof BODY - 1; n++)
        refused(span_sub(SPAN_LIT(BODY), 0, n));
}

static void nothing(void **state)
{
    (void)state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    static const char *const empty[] = { "", "{}", " { } " };

    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        struct input in;
        struct span s = SPAN_LIT("untouched");
        assert_int_equal(input_parse(span_str(empty[i]), &in, &f), ERR_OK);
        assert_int_equal(in.n, 0);
        assert_int_equal(input_string(&in, "KeyId", &s, &f), ERR_OK);
        t_assert_span(s, SPAN_LIT("untouched"));
        input_clear(&in);
    }
}

static void member_limit(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf body = BUF_INIT(4096);

    for (unsigned n = INPUT_MEMBERS_MAX; n <= INPUT_MEMBERS_MAX + 1; n++) {
        AUTO(fault_clear) struct fault f = FAULT_INIT;
        struct input in;
        buf_reset(&body);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(buf_printf(&body, "%c\"m%u\":%u", i ? ',' : '{', i, i), ERR_OK);
        assert_int_equal(buf_append_byte(&body, '}'), ERR_OK);
        enum err r = input_parse(buf_view(&body), &in, &f);
        assert_int_equal(r, n > INPUT_MEMBERS_MAX ? ERR_DENIED : ERR_OK);
        assert_int_equal(f.kind, r == ERR_OK ? FAULT_NONE : FAULT_SERIALIZATION);
        input_clear(&in);
    }
}

/* Escaped strings are decoded into one place that must not move while there are views of it. */
static void views_stay(void **state)
{
    (void)state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    AUTO(buf_clear) struct buf body = BUF_INIT(65536);
    struct input in;
    struct span all[16], again;
    char name[8];

    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(buf_printf(&body, "%c\"m%u\":\"\\n%0200u\"", i ? ',' : '{', i, i), ERR_OK);
    assert_int_equal(buf_append_byte(&body, '}'), ERR_OK);
    assert_int_equal(input_parse(buf_view(&body), &in, &f), ERR_OK);
    for (unsigned i = 0; i < 16; i++) {
        snprintf(name, sizeof name, "m%u", i);
        assert_int_equal(input_string(&in, name, &all[i], &f), ERR_OK);
    }
    for (unsigned i = 0; i < 16; i++) {
        AUTO(buf_clear) struct buf want = BUF_INIT(256);
        assert_int_equal(buf_printf(&want, "\n%0200u", i), ERR_OK);
        t_assert_span(all[i], buf_view(&want));
    }
    /* There is no room left in which a second decoding of all could be kept, and it says so. */
    enum err r = ERR_OK;
    for (unsigned i = 0; i < 16 && r == ERR_OK; i++)
        r = input_string(&in, "m0", &again, &f);
    t_assert_span(span_sub(all[15], 199, 2), SPAN_LIT("15"));
    input_clear(&in);
}

int main(void)
{
    enum { OTHERS = 5 };
    static struct CMUnitTest tests[N + OTHERS] = {
        cmocka_unit_test(not_an_object), cmocka_unit_test(truncations), cmocka_unit_test(nothing),
        cmocka_unit_test(member_limit),  cmocka_unit_test(views_stay),
    };

    T_ROWS(tests + OTHERS, rows, member);
    return cmocka_run_group_tests_name("input", tests, NULL, NULL);
}
