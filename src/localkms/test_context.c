/* test_context.c - encryption contexts and their canonical form. */
#include "localkms/context.h"

#include <stdio.h>

#include "testing/t.h"

static const struct row {
    const char *name, *object;
    const char *pairs; /* sorted, as name=value; */
    enum fault_kind fault;
    const char *text; /* of the fault; NULL: none */
} rows[] = {
    { "none", "", "", FAULT_NONE, NULL },
    { "empty", "{}", "", FAULT_NONE, NULL },
    { "one pair", "{\"app\":\"demo\"}", "app=demo;", FAULT_NONE, NULL },
    { "sorted", "{\"b\":\"2\",\"c\":\"3\",\"a\":\"1\"}", "a=1;b=2;c=3;", FAULT_NONE, NULL },
    { "capitals first", "{\"a\":\"1\",\"B\":\"2\"}", "B=2;a=1;", FAULT_NONE, NULL },
    { "case makes two names", "{\"App\":\"1\",\"app\":\"2\"}", "App=1;app=2;", FAULT_NONE, NULL },
    { "beginning first", "{\"ab\":\"2\",\"a\":\"1\",\"abc\":\"3\"}", "a=1;ab=2;abc=3;", FAULT_NONE,
      NULL },
    { "bytes, not signed characters", "{\"\xc3\xa9\":\"2\",\"z\":\"1\"}", "z=1;\xc3\xa9=2;",
      FAULT_NONE, NULL },
    { "escapes are decoded before sorting", "{\"\\u0062\":\"\\n\",\"\\u0061\":\"\\\"\"}",
      "a=\";b=\n;", FAULT_NONE, NULL },
    { "empty name and value", "{\"\":\"\"}", "=;", FAULT_NONE, NULL },
    { "number", "{\"n\":1.50}", "n=1.50;", FAULT_NONE, NULL },
    { "true and false", "{\"t\":true,\"f\":false}", "f=false;t=true;", FAULT_NONE, NULL },
    { "null", "{\"n\":null}", NULL, FAULT_SERIALIZATION,
      "EncryptionContext is not a map of Strings" },
    { "object", "{\"n\":{}}", NULL, FAULT_SERIALIZATION,
      "EncryptionContext is not a map of Strings" },
    { "list after a string", "{\"a\":\"b\",\"n\":[]}", NULL, FAULT_SERIALIZATION,
      "EncryptionContext is not a map of Strings" },
    { "name twice", "{\"a\":\"1\",\"a\":\"2\"}", NULL, FAULT_SERIALIZATION, NULL },
    { "name twice, once escaped", "{\"a\":\"1\",\"\\u0061\":\"2\"}", NULL, FAULT_SERIALIZATION,
      NULL },
    { "bad number", "{\"n\":01}", NULL, FAULT_SERIALIZATION, NULL },
    { "cut", "{\"a\":\"1\"", NULL, FAULT_SERIALIZATION, NULL },
    { "trailing byte", "{\"a\":\"1\"}x", NULL, FAULT_SERIALIZATION, NULL },
};
enum { N = sizeof rows / sizeof rows[0] };

static void parse_row(void **state)
{
    const struct row *row = *state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    AUTO(buf_clear) struct buf pairs = BUF_INIT(1024);
    struct span object = t_copy(span_str(row->object));
    static struct context c;

    enum err r = context_parse(object, &c, &f);
    if (row->pairs) {
        assert_int_equal(r, ERR_OK);
        for (size_t i = 0; i < c.n; i++) {
            assert_int_equal(buf_append(&pairs, c.pairs[i].name), ERR_OK);
            assert_int_equal(buf_append_byte(&pairs, '='), ERR_OK);
            assert_int_equal(buf_append(&pairs, c.pairs[i].value), ERR_OK);
            assert_int_equal(buf_append_byte(&pairs, ';'), ERR_OK);
        }
        t_assert_span(buf_view(&pairs), span_str(row->pairs));
    } else {
        assert_int_equal(r, ERR_DENIED);
        assert_int_equal(f.kind, row->fault);
        t_assert_span(buf_view(&f.text), span_str(row->text));
    }
    context_clear(&c);
    t_free(object);
}

static void canonical_of(const char *object, struct buf *out)
{
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    static struct context c;

    assert_int_equal(context_parse(span_str(object), &c, &f), ERR_OK);
    assert_int_equal(context_canonical(&c, out), ERR_OK);
    context_clear(&c);
}

static void canonical(void **state)
{
    (void)state;
    static const struct {
        const char *object, *hex;
    } forms[] = {
        { "", "00000000" },
        { "{}", "00000000" },
        { "{\"app\":\"demo\"}", "00000001 00000003 617070 00000004 64656d6f" },
        { "{\"b\":\"\",\"a\":\"1\"}", "00000002 00000001 61 00000001 31 00000001 62 00000000" },
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        AUTO(buf_clear) struct buf got = BUF_INIT(256);
        struct span want = t_unhex(forms[i].hex);
        canonical_of(forms[i].object, &got);
        t_assert_span(buf_view(&got), want);
        t_free(want);
    }
}

/* Two contexts have one form exactly if they say the same. */
static void forms_differ(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "{\"a\":\"b\"}",
        "{\"ab\":\"\"}",
        "{\"\":\"ab\"}",
        "{\"a\":\"B\"}",
        "{\"A\":\"b\"}",
        "{\"a\":\"b\",\"c\":\"d\"}",
        "{\"a\":\"bc\",\"d\":\"\"}",
        "{\"a\":\"b\",\"c\":\"d\",\"e\":\"f\"}",
        "{\"a\":\"\",\"b\":\"\"}",
        "{\"a\":\"b\\u0000\"}",
    };
    enum { OTHERS = sizeof others / sizeof others[0] };
    struct buf forms[OTHERS];

    for (size_t i = 0; i < OTHERS; i++) {
        forms[i] = BUF_INIT(256);
        canonical_of(others[i], &forms[i]);
        for (size_t k = 0; k < i; k++)
            assert_false(span_eq(buf_view(&forms[i]), buf_view(&forms[k])));
    }
    for (size_t i = 0; i < OTHERS; i++)
        buf_clear(&forms[i]);

    AUTO(buf_clear) struct buf one = BUF_INIT(256), same = BUF_INIT(256);
    canonical_of("{\"a\":\"b\",\"c\":\"d\"}", &one);
    canonical_of(" { \"\\u0063\" : \"\\u0064\" , \"a\":\"b\" } ", &same);
    t_assert_span(buf_view(&same), buf_view(&one));
}

static void pair_limit(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf object = BUF_INIT(8192);
    static struct context c;

    for (unsigned n = CONTEXT_PAIRS_MAX; n <= CONTEXT_PAIRS_MAX + 1; n++) {
        AUTO(fault_clear) struct fault f = FAULT_INIT;
        buf_reset(&object);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(buf_printf(&object, "%c\"\\n%03u\":\"%u\"", i ? ',' : '{', n - i, i),
                             ERR_OK);
        assert_int_equal(buf_append_byte(&object, '}'), ERR_OK);
        enum err r = context_parse(buf_view(&object), &c, &f);
        assert_int_equal(r, n > CONTEXT_PAIRS_MAX ? ERR_DENIED : ERR_OK);
        assert_int_equal(f.kind, r == ERR_OK ? FAULT_NONE : FAULT_VALIDATION);
        for (size_t i = 1; i < c.n; i++)
            assert_true(memcmp(c.pairs[i - 1].name.ptr, c.pairs[i].name.ptr, c.pairs[i].name.len) <
                        0);
        context_clear(&c);
    }
}

static void untouched_on_failure(void **state)
{
    (void)state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    static struct context c;

    assert_int_equal(context_parse(SPAN_LIT("{\"app\":\"demo\"}"), &c, &f), ERR_OK);
    for (size_t room = 0; room < 4 + 4 + 3 + 4 + 4; room++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(room + 6);
        assert_int_equal(buf_append_str(&out, "before"), ERR_OK);
        assert_int_equal(context_canonical(&c, &out), ERR_LIMIT);
        t_assert_buf(&out, "before");
    }
    context_clear(&c);
}

int main(void)
{
    enum { OTHERS = 4 };
    static struct CMUnitTest tests[N + OTHERS] = {
        cmocka_unit_test(canonical),
        cmocka_unit_test(forms_differ),
        cmocka_unit_test(pair_limit),
        cmocka_unit_test(untouched_on_failure),
    };

    T_ROWS(tests + OTHERS, rows, parse_row);
    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
