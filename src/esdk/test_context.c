/* Encryption contexts as they are written, and put together with required pairs. */
#include <stdio.h>
#include <stdlib.h>

#include "esdk/esdk_in.h"
#include "esdk/test_make.h"

#define PAIR(k, v)                                                                                 \
    {                                                                                              \
        SPAN_INIT(k), SPAN_INIT(v)                                                                 \
    }
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void sorted_by_bytes(void **state)
{
    static const struct esdk_pair given[] = {
        PAIR("\xf0\x9f\x94\x91", "emoji"),
        PAIR("ab", ""),
        PAIR("\xef\xbc\xa1", "wide"),
        PAIR("a", "1"),
        PAIR("B", "2"),
        PAIR("", "no name"),
    };
    static const char *const want[] = { "", "B", "a", "ab", "\xef\xbc\xa1", "\xf0\x9f\x94\x91" };
    AUTO(buf_clear) struct buf out = BUF_INIT(1000);
    struct esdk_pair p;
    unsigned n = 0;

    (void)state;
    assert_int_equal(buf_append_str(&out, "before"), ERR_OK);
    assert_int_equal(esdk_context_write(given, COUNT(given), &out, NULL), ERR_OK);
    struct span made = span_from(buf_view(&out), 6), rest = span_from(made, 2);
    assert_int_equal(context_check(made, &n, NULL), ERR_OK);
    assert_int_equal(n, COUNT(given));
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_true(esdk_pair_next(&rest, &p));
        assert_true(span_is(p.key, want[i]));
    }
    assert_int_equal(rest.len, 0);
}

static void known_answer(void **state)
{
    static const struct esdk_pair given[] = { PAIR("a", "1"), PAIR("ab", ""), PAIR("B", "2") };
    AUTO(buf_clear) struct buf out = BUF_INIT(1000);
    struct span want = t_unhex("0003 0001 42 0001 32 0001 61 0001 31 0002 6162 0000");

    (void)state;
    assert_int_equal(esdk_context_write(given, 3, &out, NULL), ERR_OK);
    t_assert_span(buf_view(&out), want);
    buf_reset(&out);
    assert_int_equal(esdk_context_write(NULL, 0, &out, NULL), ERR_OK);
    assert_int_equal(out.len, 0);
    t_free(want);
}

static void refused(void **state)
{
    static const struct {
        struct esdk_pair pairs[3];
        const char *what;
    } rows[] = {
        { { PAIR("a", "1"), PAIR("b", "1"), PAIR("a", "2") }, "encryption context: a key twice" },
        { { PAIR("a", "1"), PAIR("b", "\xff"), PAIR("c", "2") }, "encryption context: not UTF-8" },
        { { PAIR("a", "1"), PAIR("\xed\xa0\x80", ""), PAIR("c", "2") },
          "encryption context: not UTF-8" },
    };
    AUTO(buf_clear) struct buf out = BUF_INIT(1000);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct why why = { 0 };
        assert_int_equal(esdk_context_write(rows[i].pairs, 3, &out, &why), ERR_MALFORMED);
        assert_string_equal(why.what, rows[i].what);
        assert_int_equal(out.len, 0);
    }
}

/* 65,535 bytes in all, and one more; a value of 65,536. */
static void sizes(void **state)
{
    uint8_t *big = calloc(1, 65536);
    struct esdk_pair p = { SPAN_LIT("k"), span_of(big, 65535 - 2 - 4 - 1) };
    AUTO(buf_clear) struct buf out = BUF_INIT(70000);

    (void)state;
    assert_non_null(big);
    memset(big, 'x', 65536);
    assert_int_equal(esdk_context_write(&p, 1, &out, NULL), ERR_OK);
    assert_int_equal(out.len, 65535);
    buf_reset(&out);
    p.value.len++;
    assert_int_equal(esdk_context_write(&p, 1, &out, NULL), ERR_LIMIT);
    p.value.len = 65536;
    assert_int_equal(esdk_context_write(&p, 1, &out, NULL), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    struct buf small = BUF_INIT(10); /* no room: nothing appended */
    p.value.len = 5;
    assert_int_equal(esdk_context_write(&p, 1, &small, NULL), ERR_LIMIT);
    assert_int_equal(small.len, 0);
    buf_clear(&small);
    free(big);
}

static void too_many(void **state)
{
    struct esdk_pair *many = calloc(65536, sizeof *many);
    AUTO(buf_clear) struct buf out = BUF_INIT(1 << 20);
    struct why why = { 0 };

    (void)state;
    assert_non_null(many);
    assert_int_equal(esdk_context_write(many, 65536, &out, &why), ERR_LIMIT);
    assert_string_equal(why.what, "encryption context: more than 65,535 pairs");
    free(many);
}

/* ---- with required pairs ---- */

static void full(void **state)
{
    static const struct esdk_pair stored[] = { PAIR("a", "1"), PAIR("c", "3") };
    static const struct esdk_pair more[] = { PAIR("d", "4"), PAIR("c", "3"), PAIR("b", "2") };
    static const struct esdk_pair other[] = { PAIR("c", "33") };
    static const struct esdk_pair twice[] = { PAIR("x", "1"), PAIR("x", "1") };
    AUTO(buf_clear) struct buf of_header = BUF_INIT(1000), out = BUF_INIT(1000);
    struct span want =
        t_unhex("0004 0001 61 0001 31 0001 62 0001 32 0001 63 0001 33 0001 64 0001 34");
    struct why why = { 0 };

    (void)state;
    assert_int_equal(esdk_context_write(stored, 2, &of_header, NULL), ERR_OK);
    struct esdk_header h = { .context = span_from(buf_view(&of_header), 2), .n_pairs = 2 };
    assert_int_equal(esdk_context_full(&h, NULL, 0, &out, NULL), ERR_OK);
    t_assert_span(buf_view(&out), buf_view(&of_header));
    buf_reset(&out);
    assert_int_equal(esdk_context_full(&h, more, 3, &out, NULL), ERR_OK);
    t_assert_span(buf_view(&out), want);
    buf_reset(&out);
    assert_int_equal(esdk_context_full(&h, other, 1, &out, &why), ERR_VERIFY);
    assert_string_equal(why.what,
                        "encryption context: the message has another value under a required key");
    assert_int_equal(esdk_context_full(&h, twice, 2, &out, &why), ERR_MALFORMED);
    assert_int_equal(out.len, 0);
    t_free(want);
}

/* What is unsorted in a header comes out sorted: raw keyrings and caches want it so. */
static void full_sorts(void **state)
{
    struct span received = t_unhex("0001 62 0001 32 0001 61 0001 31");
    struct span want = t_unhex("0002 0001 61 0001 31 0001 62 0001 32");
    struct esdk_header h = { .context = received, .n_pairs = 2 };
    AUTO(buf_clear) struct buf out = BUF_INIT(1000);

    (void)state;
    assert_int_equal(esdk_context_full(&h, NULL, 0, &out, NULL), ERR_OK);
    t_assert_span(buf_view(&out), want);
    t_free(received);
    t_free(want);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorted_by_bytes), cmocka_unit_test(known_answer),
        cmocka_unit_test(refused),         cmocka_unit_test(sizes),
        cmocka_unit_test(too_many),        cmocka_unit_test(full),
        cmocka_unit_test(full_sorts),
    };

    return cmocka_run_group_tests_name("esdk_context", tests, NULL, NULL);
}
