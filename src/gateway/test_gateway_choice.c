#include "gateway/gateway.h"
#include "testing/t.h"

static struct row {
    const char *name;
    struct gateway_candidate c[4];
    size_t n, from;
    enum gateway_verdict want;
    size_t chosen;
} rows[] = {
    { "none at all", { { 0 } }, 0, 0, GATEWAY_NONE, 99 },
    { "only one", { { true, false, 0, 1 } }, 1, 0, GATEWAY_CHOSEN, 0 },
    { "least in flight",
      { { true, false, 2, 9 }, { true, false, 1, 9 }, { true, false, 3, 9 } },
      3,
      0,
      GATEWAY_CHOSEN,
      1 },
    { "a tie goes to whose turn it is",
      { { true, false, 1, 9 }, { true, false, 1, 9 }, { true, false, 1, 9 } },
      3,
      2,
      GATEWAY_CHOSEN,
      2 },
    { "a turn is not more than load",
      { { true, false, 0, 9 }, { true, false, 1, 9 } },
      2,
      1,
      GATEWAY_CHOSEN,
      0 },
    { "unusable is left out",
      { { false, false, 0, 9 }, { true, false, 5, 9 } },
      2,
      0,
      GATEWAY_CHOSEN,
      1 },
    { "tried is left out",
      { { true, true, 0, 9 }, { true, false, 5, 9 } },
      2,
      0,
      GATEWAY_CHOSEN,
      1 },
    { "at the limit: waits",
      { { true, false, 9, 9 }, { false, false, 0, 9 } },
      2,
      0,
      GATEWAY_WAIT,
      99 },
    { "one below it: chosen", { { true, false, 8, 9 } }, 1, 0, GATEWAY_CHOSEN, 0 },
    { "a full one does not hide a free one",
      { { true, false, 9, 9 }, { true, false, 8, 9 } },
      2,
      0,
      GATEWAY_CHOSEN,
      1 },
    { "all tried", { { true, true, 0, 9 }, { true, true, 0, 9 } }, 2, 0, GATEWAY_NONE, 99 },
    { "tried and full", { { true, true, 9, 9 } }, 1, 0, GATEWAY_NONE, 99 },
};

static void choice(void **state)
{
    const struct row *row = *state;
    size_t chosen = 99;

    assert_int_equal(gateway_choose(row->c, row->n, row->from, &chosen), row->want);
    assert_int_equal(chosen, row->chosen);
}

static void ties_go_round(void **state)
{
    struct gateway_candidate c[3] = { { true, false, 0, 9 },
                                      { true, false, 0, 9 },
                                      { true, false, 0, 9 } };
    unsigned got[3] = { 0 };
    size_t from = 0;
    (void)state;

    for (int i = 0; i < 30; i++) {
        size_t k = 0;
        assert_int_equal(gateway_choose(c, 3, from, &k), GATEWAY_CHOSEN);
        got[k]++;
        from = (k + 1) % 3;
    }
    assert_int_equal(got[0], 10);
    assert_int_equal(got[1], 10);
    assert_int_equal(got[2], 10);
}

static void health(void **state)
{
    struct gateway_health h = { .state = GATEWAY_UNKNOWN };
    (void)state;

    assert_true(gateway_health_note(&h, GATEWAY_PROBE_GOOD)); /* the first says enough */
    assert_int_equal(h.state, GATEWAY_UP);
    assert_false(gateway_health_note(&h, GATEWAY_PROBE_BAD)); /* bad luck */
    assert_false(gateway_health_note(&h, GATEWAY_PROBE_GOOD));
    assert_false(gateway_health_note(&h, GATEWAY_PROBE_BAD));
    assert_int_equal(h.state, GATEWAY_UP);
    assert_true(gateway_health_note(&h, GATEWAY_PROBE_BAD)); /* two in a row */
    assert_int_equal(h.state, GATEWAY_DOWN);
    assert_false(gateway_health_note(&h, GATEWAY_PROBE_GOOD));
    assert_false(gateway_health_note(&h, GATEWAY_PROBE_BAD));
    assert_false(gateway_health_note(&h, GATEWAY_PROBE_GOOD)); /* counts anew */
    assert_true(gateway_health_note(&h, GATEWAY_PROBE_GOOD));
    assert_int_equal(h.state, GATEWAY_UP);
}

static void health_at_once(void **state)
{
    static const enum gateway_sign signs[] = { GATEWAY_UNREACHABLE, GATEWAY_LEAVING };
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct gateway_health h = { .state = GATEWAY_UP };
        assert_true(gateway_health_note(&h, signs[i]));
        assert_int_equal(h.state, GATEWAY_DOWN);
        assert_false(gateway_health_note(&h, signs[i]));
    }
    struct gateway_health h = { .state = GATEWAY_UNKNOWN };
    assert_true(gateway_health_note(&h, GATEWAY_PROBE_BAD));
    assert_int_equal(h.state, GATEWAY_DOWN);
}

static void refresh(void **state)
{
    (void)state;
    assert_int_equal(gateway_refresh_at(1000, 0), 1000 + 3600);
    assert_int_equal(gateway_refresh_at(1000, 1000 + 21600), 1000 + 21600 - 300);
    assert_int_equal(gateway_refresh_at(1000, 1000 + 900), 1000 + 600); /* both rules agree */
    assert_int_equal(gateway_refresh_at(1000, 1000 + 30), 1000 + 20);
    assert_int_equal(gateway_refresh_at(1000, 1001), 1001);
    assert_int_equal(gateway_refresh_at(1000, 1000), 1001);
    assert_int_equal(gateway_refresh_at(1000, 5), 1001); /* ended long ago: not in a tight loop */
}

static void backoff(void **state)
{
    (void)state;
    assert_int_equal(gateway_backoff_ms(0), 500);
    assert_int_equal(gateway_backoff_ms(1), 500);
    assert_int_equal(gateway_backoff_ms(2), 1000);
    assert_int_equal(gateway_backoff_ms(8), 64000);
    assert_int_equal(gateway_backoff_ms(9), 64000);
    assert_int_equal(gateway_backoff_ms(UINT32_MAX), 64000);
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N + 5];

    T_ROWS(tests, rows, choice);
    tests[N] = (struct CMUnitTest)cmocka_unit_test(ties_go_round);
    tests[N + 1] = (struct CMUnitTest)cmocka_unit_test(health);
    tests[N + 2] = (struct CMUnitTest)cmocka_unit_test(health_at_once);
    tests[N + 3] = (struct CMUnitTest)cmocka_unit_test(refresh);
    tests[N + 4] = (struct CMUnitTest)cmocka_unit_test(backoff);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
