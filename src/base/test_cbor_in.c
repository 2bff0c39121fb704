#include "base/cbor.h"
#include "testing/t.h"

/* What the cursor says to one whole item. */
static struct row {
    const char *name, *hex;
    enum err want;
    const char *what;
    size_t pos; /* where the cursor stands after the fault */
} rows[] = {
    { "unsigned", "00", ERR_OK, NULL, 0 },
    { "unsigned, one byte", "1818", ERR_OK, NULL, 0 },
    { "unsigned, largest", "1bffffffffffffffff", ERR_OK, NULL, 0 },
    { "negative, largest", "3bffffffffffffffff", ERR_OK, NULL, 0 },
    { "byte string", "43010203", ERR_OK, NULL, 0 },
    { "text string", "63e282ac", ERR_OK, NULL, 0 },
    { "nested", "a20182f5f602a1614140", ERR_OK, NULL, 0 },
    { "empty array and map", "8280a0", ERR_OK, NULL, 0 },
    { "eight deep", "818181818181818100", ERR_OK, NULL, 0 },
    { "nine deep", "81818181818181818100", ERR_LIMIT, "depth", 8 },
    { "empty input", "", ERR_MALFORMED, "end of input", 0 },
    { "not minimal, one byte", "1817", ERR_MALFORMED, "head", 0 },
    { "not minimal, two bytes", "1900ff", ERR_MALFORMED, "head", 0 },
    { "not minimal, four bytes", "1a0000ffff", ERR_MALFORMED, "head", 0 },
    { "not minimal, eight bytes", "1b00000000ffffffff", ERR_MALFORMED, "head", 0 },
    { "not minimal length", "5803010203", ERR_MALFORMED, "head", 0 },
    { "head cut", "19ff", ERR_MALFORMED, "end of input", 0 },
    { "reserved 28", "1c", ERR_MALFORMED, "head", 0 },
    { "reserved 30", "1e", ERR_MALFORMED, "head", 0 },
    { "indefinite integer", "1f", ERR_MALFORMED, "head", 0 },
    { "chunked byte string", "5f4101ff", ERR_MALFORMED, "head", 0 },
    { "chunked text string", "7f6161ff", ERR_MALFORMED, "head", 0 },
    { "indefinite array", "9f01ff", ERR_MALFORMED, "head", 0 },
    { "indefinite map", "bf0102ff", ERR_MALFORMED, "head", 0 },
    { "string cut", "43ffff", ERR_MALFORMED, "end of input", 0 },
    { "length past memory", "5bffffffffffffffff00", ERR_MALFORMED, "end of input", 0 },
    { "array longer than the input", "9bffffffffffffffff", ERR_MALFORMED, "end of input", 0 },
    { "map longer than the input", "ba7fffffff", ERR_MALFORMED, "end of input", 0 },
    { "array cut", "8201", ERR_MALFORMED, "end of input", 0 },
    { "map without its last value", "a201024103", ERR_MALFORMED, "end of input", 5 },
    { "text is not UTF-8", "62c328", ERR_MALFORMED, "UTF-8", 0 },
    { "surrogate in text", "63eda080", ERR_MALFORMED, "UTF-8", 0 },
    { "tag", "c100", ERR_MALFORMED, "type", 0 },
    { "half float", "f93c00", ERR_MALFORMED, "type", 0 },
    { "undefined", "f7", ERR_MALFORMED, "type", 0 },
    { "simple value in two bytes", "f8ff", ERR_MALFORMED, "type", 0 },
    { "break alone", "ff", ERR_MALFORMED, "type", 0 },
    { "trailing byte", "0000", ERR_MALFORMED, "trailing bytes", 1 },
};

static void skip_row(void **state)
{
    const struct row *row = *state;
    struct span in = t_unhex(row->hex);
    struct cbor_in c = cbor_in_init(in);

    struct span item = cbor_in_skip(&c);
    assert_int_equal(cbor_in_end(&c), row->want);
    if (row->want == ERR_OK) {
        t_assert_span(item, in);
    } else {
        assert_string_equal(c.what, row->what);
        assert_int_equal(c.pos, row->pos);
    }
    t_free(in);
}

static void typed_values(void **state)
{
    (void)state;
    /* {1: -500, "a": h'0102', 3: [true, false, null, 24], 4: 2(h'')} */
    struct span in = t_unhex("a4 01 3901f3 6161 420102 03 84f5f4f61818 04 c240");
    struct cbor_in c = cbor_in_init(in);

    assert_int_equal(cbor_in_peek(&c), CBOR_MAP);
    cbor_in_map(&c, 4);
    assert_int_equal(cbor_in_uint(&c, 9), 1);
    assert_int_equal(cbor_in_peek(&c), CBOR_NINT);
    assert_int_equal(cbor_in_int(&c), -500);
    assert_true(span_is(cbor_in_tstr(&c, 1), "a"));
    assert_true(span_is(cbor_in_bstr(&c, 2), "\x01\x02"));
    assert_int_equal(cbor_in_int(&c), 3);
    assert_int_equal(cbor_in_array_upto(&c, 4), 4);
    assert_true(cbor_in_bool(&c));
    assert_false(cbor_in_bool(&c));
    assert_true(cbor_in_null_opt(&c));
    assert_false(cbor_in_null_opt(&c));
    assert_int_equal(cbor_in_uint(&c, 24), 24);
    assert_int_equal(cbor_in_uint(&c, 4), 4);
    assert_int_equal(cbor_in_peek(&c), CBOR_TAG);
    cbor_in_tag_opt(&c, 2);
    assert_int_equal(cbor_in_bstr(&c, 0).len, 0);
    assert_int_equal(cbor_in_peek(&c), CBOR_NONE);
    assert_int_equal(cbor_in_end(&c), ERR_OK);
    t_free(in);
}

static void integers_at_the_edge(void **state)
{
    (void)state;
    struct span min = t_unhex("3b7fffffffffffffff"), below = t_unhex("3b8000000000000000"),
                above = t_unhex("1b8000000000000000");
    struct cbor_in c = cbor_in_init(min);

    assert_true(cbor_in_int(&c) == INT64_MIN);
    assert_int_equal(cbor_in_end(&c), ERR_OK);
    c = cbor_in_init(below);
    assert_int_equal(cbor_in_int(&c), 0);
    assert_int_equal(cbor_in_end(&c), ERR_LIMIT);
    assert_string_equal(c.what, "integer");
    assert_int_equal(c.pos, 0);
    c = cbor_in_init(above);
    assert_int_equal(cbor_in_int(&c), 0);
    assert_int_equal(cbor_in_end(&c), ERR_LIMIT);
    t_free(min);
    t_free(below);
    t_free(above);
}

/* Each call on something else, or on one past its limit. */
#define FAULT(call, hex_text, want, text)                                                          \
    do {                                                                                           \
        struct span in = t_unhex(hex_text);                                                        \
        struct cbor_in c = cbor_in_init(in);                                                       \
        (void)(call);                                                                              \
        assert_int_equal(c.err, want);                                                             \
        assert_string_equal(c.what, text);                                                         \
        assert_int_equal(c.pos, 0);                                                                \
        assert_int_equal(cbor_in_peek(&c), CBOR_NONE);                                             \
        t_free(in);                                                                                \
    } while (0)

static void typed_faults(void **state)
{
    (void)state;
    FAULT(cbor_in_uint(&c, 22), "17", ERR_LIMIT, "integer");
    FAULT(cbor_in_uint(&c, 99), "20", ERR_MALFORMED, "type");
    FAULT(cbor_in_uint(&c, 99), "", ERR_MALFORMED, "end of input");
    FAULT(cbor_in_int(&c), "40", ERR_MALFORMED, "type");
    FAULT(cbor_in_bool(&c), "f6", ERR_MALFORMED, "type");
    FAULT(cbor_in_bool(&c), "", ERR_MALFORMED, "end of input");
    FAULT(cbor_in_bstr(&c, 2), "43010203", ERR_LIMIT, "byte string");
    FAULT(cbor_in_bstr(&c, 9), "63616263", ERR_MALFORMED, "type");
    FAULT(cbor_in_tstr(&c, 2), "63616263", ERR_LIMIT, "text string");
    FAULT(cbor_in_tstr(&c, 9), "43616263", ERR_MALFORMED, "type");
    FAULT((cbor_in_array(&c, 3), 0), "820102", ERR_MALFORMED, "array length");
    FAULT((cbor_in_array(&c, 1), 0), "a10102", ERR_MALFORMED, "type");
    FAULT((cbor_in_map(&c, 0), 0), "a10102", ERR_MALFORMED, "map length");
    FAULT(cbor_in_array_upto(&c, 1), "820102", ERR_LIMIT, "array length");
    FAULT(cbor_in_map_upto(&c, 0), "a10102", ERR_LIMIT, "map length");
    FAULT((cbor_in_tag_opt(&c, 18), 0), "d140", ERR_MALFORMED, "tag");
    FAULT((cbor_in_tag_opt(&c, 2), 0), "d80240", ERR_MALFORMED, "head");
}

static void first_fault_stays(void **state)
{
    (void)state;
    struct cbor_in c = cbor_in_init(SPAN_LIT("\x01\x02"));

    cbor_in_fail(&c, ERR_UNSUPPORTED, "of the caller's own");
    cbor_in_fail(&c, ERR_LIMIT, "later");
    assert_int_equal(cbor_in_uint(&c, 9), 0);
    assert_int_equal(cbor_in_skip(&c).len, 0);
    struct cbor_map m = cbor_in_map_any(&c, 3);
    assert_false(cbor_in_map_next(&c, &m));
    assert_false(cbor_in_null_opt(&c));
    assert_int_equal(cbor_in_end(&c), ERR_UNSUPPORTED);
    assert_string_equal(c.what, "of the caller's own");
    assert_int_equal(c.pos, 0);
}

static struct map_row {
    const char *name, *hex;
    enum err want;
    const char *what;
    unsigned pairs;
} map_rows[] = {
    { "map: definite, none", "a0", ERR_OK, NULL, 0 },
    { "map: definite, at the limit", "a2 0101 0202", ERR_OK, NULL, 2 },
    { "map: definite, past the limit", "a3 0101 0202 0303", ERR_LIMIT, "map length", 0 },
    { "map: indefinite, none", "bfff", ERR_OK, NULL, 0 },
    { "map: indefinite, at the limit", "bf 0101 0202 ff", ERR_OK, NULL, 2 },
    { "map: indefinite, past the limit", "bf 0101 0202 0303 ff", ERR_LIMIT, "map length", 2 },
    { "map: indefinite, no end", "bf 0101", ERR_MALFORMED, "end of input", 2 },
    { "map: indefinite, end after a key", "bf 01ff", ERR_MALFORMED, "type", 1 },
    { "map: break in a definite one", "a1 ff", ERR_MALFORMED, "type", 1 },
    { "map: trailing break", "a1 0101 ff", ERR_MALFORMED, "trailing bytes", 1 },
    { "map: an array", "820101", ERR_MALFORMED, "type", 0 },
};

static void map_row(void **state)
{
    const struct map_row *row = *state;
    struct span in = t_unhex(row->hex);
    struct cbor_in c = cbor_in_init(in);
    unsigned pairs = 0;

    struct cbor_map m = cbor_in_map_any(&c, 2);
    while (cbor_in_map_next(&c, &m)) {
        pairs++;
        (void)cbor_in_uint(&c, 9);
        (void)cbor_in_uint(&c, 9);
    }
    assert_int_equal(pairs, row->pairs);
    assert_int_equal(cbor_in_end(&c), row->want);
    if (row->want != ERR_OK)
        assert_string_equal(c.what, row->what);
    t_free(in);
}

static void truncations(void **state)
{
    (void)state;
    struct span good = t_unhex("a40118ff 6161 420102 03 84f5f4f61818 04 19ffff");

    for (size_t n = 0; n < good.len; n++) {
        struct span cut = t_copy(span_sub(good, 0, n));
        struct cbor_in c = cbor_in_init(cut);
        (void)cbor_in_skip(&c);
        assert_int_equal(cbor_in_end(&c), ERR_MALFORMED);
        assert_string_equal(c.what, "end of input");
        t_free(cut);
    }
    t_free(good);
}

enum {
    FIXED = 5,
    ROWS = sizeof rows / sizeof rows[0],
    MAP_ROWS = sizeof map_rows / sizeof map_rows[0]
};

int main(void)
{
    struct CMUnitTest tests[FIXED + ROWS + MAP_ROWS] = {
        cmocka_unit_test(typed_values), cmocka_unit_test(integers_at_the_edge),
        cmocka_unit_test(typed_faults), cmocka_unit_test(first_fault_stays),
        cmocka_unit_test(truncations),
    };

    T_ROWS(tests + FIXED, rows, skip_row);
    T_ROWS(tests + FIXED + ROWS, map_rows, map_row);
    return cmocka_run_group_tests_name("cbor_in", tests, NULL, NULL);
}
