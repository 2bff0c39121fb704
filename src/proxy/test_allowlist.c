#include "testing/t.h"

#include <stdio.h>

#include "proxy/allowlist.h"

#define ENTRY  "allowlist:\n- {address: kms.test, port: 443}\n"
#define DENIED "The given address and port are not allowed"
#define NO_A   "No address field"
#define NO_P   "No port field or invalid type"

/* Is kms.test:443 allowed by this text? `what`: of the parser where `parse` is not ERR_OK, else of
 * the check. */
static const struct row {
    const char *name, *text;
    enum err parse, check;
    const char *what;
} rows[] = {
    { "flow", ENTRY, ERR_OK, ERR_OK, NULL },
    { "block", "allowlist:\n  - address: kms.test\n    port: 443\n", ERR_OK, ERR_OK, NULL },
    { "quoted address", "allowlist:\n- {address: \"kms.test\", port: 443}", ERR_OK, ERR_OK, NULL },
    { "comments and other keys",
      "# c\nv: [1, {a: b}]\nallowlist: # c\n- {n: {x: 1}, port: 443, "
      "address: kms.test}\nz: 2",
      ERR_OK, ERR_OK, NULL },
    { "JSON", "{\"allowlist\": [{\"address\": \"kms.test\", \"port\": 443}]}", ERR_OK, ERR_OK,
      NULL },
    { "the second entry", "allowlist:\n- {address: a, port: 443}\n- {address: kms.test, port: 443}",
      ERR_OK, ERR_OK, NULL },
    { "the first document counts", ENTRY "---\nallowlist: 7\n", ERR_OK, ERR_OK, NULL },
    { "the second does not", "a: b\n---\n" ENTRY, ERR_MALFORMED, ERR_OK, "No allowlist field" },
    { "port of 17 bits", "allowlist:\n- {address: kms.test, port: 65979}", ERR_OK, ERR_OK, NULL },
    { "negative port", "allowlist:\n- {address: kms.test, port: -65093}", ERR_OK, ERR_OK, NULL },
    { "other port", "allowlist:\n- {address: kms.test, port: 444}", ERR_OK, ERR_DENIED, DENIED },
    { "other case", "allowlist:\n- {address: KMS.test, port: 443}", ERR_OK, ERR_DENIED, DENIED },
    { "no wildcard", "allowlist:\n- {address: \"*.test\", port: 443}", ERR_OK, ERR_DENIED, DENIED },
    { "a prefix", "allowlist:\n- {address: kms.tes, port: 443}", ERR_OK, ERR_DENIED, DENIED },
    { "empty list", "allowlist: []", ERR_OK, ERR_DENIED, DENIED },
    { "no address", "allowlist:\n- {port: 443}", ERR_OK, ERR_MALFORMED, NO_A },
    { "no port", "allowlist:\n- {address: kms.test}", ERR_OK, ERR_MALFORMED, NO_P },
    { "quoted port", "allowlist:\n- {address: kms.test, port: \"443\"}", ERR_OK, ERR_MALFORMED,
      NO_P },
    { "port is a word", "allowlist:\n- {address: kms.test, port: https}", ERR_OK, ERR_MALFORMED,
      NO_P },
    { "port past 63 bits", "allowlist:\n- {address: kms.test, port: 9223372036854775808}", ERR_OK,
      ERR_MALFORMED, NO_P },
    { "port is a list", "allowlist:\n- {address: kms.test, port: [443]}", ERR_OK, ERR_MALFORMED,
      NO_P },
    { "address is a number", "allowlist:\n- {address: 12.5, port: 443}", ERR_OK, ERR_MALFORMED,
      NO_A },
    { "address is null", "allowlist:\n- {address: ~, port: 443}", ERR_OK, ERR_MALFORMED, NO_A },
    { "address is empty", "allowlist:\n- {address: , port: 443}", ERR_OK, ERR_MALFORMED, NO_A },
    { "address is true", "allowlist:\n- {address: true, port: 443}", ERR_OK, ERR_MALFORMED, NO_A },
    { "entry is a word", "allowlist:\n- kms.test", ERR_OK, ERR_MALFORMED, NO_A },
    { "entry is a list", "allowlist:\n- [kms.test, 443]", ERR_OK, ERR_MALFORMED, NO_A },
    { "fault after the match", ENTRY "- {port: 1}", ERR_OK, ERR_OK, NULL },
    { "fault before the match", "allowlist:\n- {port: 1}\n- {address: kms.test, port: 443}", ERR_OK,
      ERR_MALFORMED, NO_A },
    { "empty file", "", ERR_MALFORMED, ERR_OK, "No allowlist field" },
    { "a list", "- allowlist", ERR_MALFORMED, ERR_OK, "No allowlist field" },
    { "allowlist is a word", "allowlist: yes", ERR_MALFORMED, ERR_OK, "No allowlist field" },
    { "allowlist is a mapping", "allowlist: {address: kms.test, port: 443}", ERR_MALFORMED, ERR_OK,
      "No allowlist field" },
    { "allowlist further down", "a: {allowlist: [{address: kms.test, port: 443}]}", ERR_MALFORMED,
      ERR_OK, "No allowlist field" },
    { "allowlist as a value", "a: allowlist\n", ERR_MALFORMED, ERR_OK, "No allowlist field" },
    { "allowlist twice", ENTRY ENTRY, ERR_MALFORMED, ERR_OK, "Bad yaml format" },
    { "address twice", "allowlist:\n- {address: a, address: kms.test, port: 443}", ERR_MALFORMED,
      ERR_OK, "Bad yaml format" },
    { "port twice", "allowlist:\n- {address: kms.test, port: 1, port: 443}", ERR_MALFORMED, ERR_OK,
      "Bad yaml format" },
    { "an alias", "a: &x kms.test\nallowlist:\n- {address: *x, port: 443}", ERR_MALFORMED, ERR_OK,
      "Bad yaml format" },
    { "a tag", "allowlist:\n- {address: !!str kms.test, port: 443}", ERR_MALFORMED, ERR_OK,
      "Bad yaml format" },
    { "a tagged list", "allowlist: !x\n- {address: kms.test, port: 443}", ERR_MALFORMED, ERR_OK,
      "Bad yaml format" },
    { "NUL in the address", "allowlist:\n- {address: \"kms.test\\0x\", port: 443}", ERR_MALFORMED,
      ERR_OK, "Bad yaml format" },
    { "unclosed", "allowlist:\n- {address: kms.test, port: 443", ERR_MALFORMED, ERR_OK,
      "Bad yaml format" },
    { "a tab", "allowlist:\n\t- {address: kms.test}", ERR_MALFORMED, ERR_OK, "Bad yaml format" },
    { "a collection as key", "allowlist:\n- {[address]: x, address: kms.test, port: 443}", ERR_OK,
      ERR_OK, NULL },
    { "an entry as a key of the document", "{[1]: allowlist, allowlist: []}", ERR_OK, ERR_DENIED,
      DENIED },
};

static void run_row(void **state)
{
    const struct row *row = *state;
    struct span text = t_copy(span_str(row->text));
    struct allowlist a = { .n = 77 };
    struct why why = { 0 };

    assert_int_equal(allowlist_parse(text, &a, &why), row->parse);
    t_free(text);
    if (row->parse != ERR_OK) {
        assert_string_equal(why.what, row->what);
        assert_int_equal(a.n, 77);
        return;
    }
    assert_int_equal(allowlist_check(&a, "kms.test", 443, &why), row->check);
    if (row->check != ERR_OK)
        assert_string_equal(why.what, row->what);
    allowlist_clear(&a);
    assert_null(a.list);
}

static enum err parse_text(const struct buf *b, unsigned *n)
{
    struct allowlist a = { .n = 0 };
    struct why why = { 0 };
    enum err r = allowlist_parse(buf_view(b), &a, &why);

    *n = a.n;
    if (r == ERR_LIMIT)
        assert_string_equal(why.what, "too long or too deep");
    allowlist_clear(&a);
    return r;
}

static void entries_at_the_limit_and_past_it(void **state)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(ALLOWLIST_MAX_BYTES);
    unsigned n;
    (void)state;
    assert_int_equal(buf_append_str(&b, "allowlist:\n"), ERR_OK);
    for (unsigned i = 0; i < ALLOWLIST_ENTRIES_MAX; i++)
        assert_int_equal(buf_printf(&b, "- {address: h%u, port: %u}\n", i, i), ERR_OK);
    assert_int_equal(parse_text(&b, &n), ERR_OK);
    assert_int_equal(n, ALLOWLIST_ENTRIES_MAX);
    assert_int_equal(buf_append_str(&b, "- {address: x, port: 1}\n"), ERR_OK);
    assert_int_equal(parse_text(&b, &n), ERR_LIMIT);
}

static void bytes_at_the_limit_and_past_it(void **state)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(ALLOWLIST_MAX_BYTES + 1);
    unsigned n;
    (void)state;
    assert_int_equal(buf_append_str(&b, ENTRY "#"), ERR_OK);
    while (b.len < ALLOWLIST_MAX_BYTES)
        assert_int_equal(buf_append_byte(&b, b.len % 80 ? 'c' : '#'), ERR_OK);
    assert_int_equal(parse_text(&b, &n), ERR_OK);
    assert_int_equal(n, 1);
    assert_int_equal(buf_append_byte(&b, 'c'), ERR_OK);
    assert_int_equal(parse_text(&b, &n), ERR_LIMIT);
}

static void depth_and_address_at_the_limit_and_past_it(void **state)
{
    unsigned n;
    (void)state;
    for (int over = 0; over < 2; over++) {
        AUTO(buf_clear) struct buf b = BUF_INIT(4096);
        assert_int_equal(buf_append_str(&b, "allowlist: []\nd: "), ERR_OK);
        for (int i = 1; i < ALLOWLIST_DEPTH_MAX + over; i++)
            assert_int_equal(buf_append_byte(&b, '['), ERR_OK);
        for (int i = 1; i < ALLOWLIST_DEPTH_MAX + over; i++)
            assert_int_equal(buf_append_byte(&b, ']'), ERR_OK);
        assert_int_equal(parse_text(&b, &n), over ? ERR_LIMIT : ERR_OK);

        AUTO(buf_clear) struct buf c = BUF_INIT(4096);
        assert_int_equal(buf_printf(&c, "allowlist:\n- {port: 1, address: %0*d.x}",
                                    ALLOWLIST_ADDRESS_MAX_BYTES - 2 + over, 7),
                         ERR_OK);
        assert_int_equal(parse_text(&c, &n), over ? ERR_LIMIT : ERR_OK);
    }
}

/* Every truncation and every flipped bit is refused or accepted, and nothing else happens. */
static void damaged_texts(void **state)
{
    static const char text[] = ENTRY "- {address: \"b\", port: 9000}\n";
    unsigned n;
    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        AUTO(buf_clear) struct buf b = BUF_INIT(sizeof(text));
        assert_int_equal(buf_append(&b, span_of(text, len)), ERR_OK);
        (void)!parse_text(&b, &n);
    }
    for (size_t bit = 0; bit < 8 * (sizeof(text) - 1); bit++) {
        AUTO(buf_clear) struct buf b = BUF_INIT(sizeof(text));
        assert_int_equal(buf_append(&b, span_of(text, sizeof(text) - 1)), ERR_OK);
        b.ptr[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        if (parse_text(&b, &n) == ERR_OK)
            assert_true(n <= 2);
    }
}

int main(void)
{
    static struct CMUnitTest tests[64];
    size_t n = 0;

    n += T_ROWS(tests + n, rows, run_row);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(entries_at_the_limit_and_past_it);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(bytes_at_the_limit_and_past_it);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(depth_and_address_at_the_limit_and_past_it);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(damaged_texts);
    return _cmocka_run_group_tests("allowlist", tests, n, NULL, NULL);
}
