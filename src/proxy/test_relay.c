#include "testing/t.h"

#include "proxy/relay.h"

enum { HIGH = 100, SECOND = 1000000000 };

static struct relay r;
static struct relay_action a;

static void start(bool connected)
{
    relay_init(&r, HIGH, 10 * (uint64_t)SECOND, 0);
    if (connected)
        relay_step(&r, &(struct relay_input){ .event = RELAY_CONNECTED }, &a);
}

#define STEP(...) relay_step(&r, &(struct relay_input){ __VA_ARGS__ }, &a)

static void bytes_move_both_ways(void **state)
{
    (void)state;
    start(true);
    STEP(.event = RELAY_PROGRESS, .waiting = { 30, 0 });
    assert_int_equal(a.move[RELAY_CLIENT], 30);
    assert_int_equal(a.move[RELAY_REMOTE], 0);
    STEP(.event = RELAY_PROGRESS, .waiting = { 5, 7 });
    assert_int_equal(a.move[RELAY_CLIENT], 5);
    assert_int_equal(a.move[RELAY_REMOTE], 7);
    assert_int_equal(r.bytes[RELAY_CLIENT], 35);
    assert_int_equal(r.bytes[RELAY_REMOTE], 7);
    assert_false(a.finish[0] || a.finish[1] || a.close[0] || a.close[1] || a.over);
}

static void a_slow_reader_stops_the_writer(void **state)
{
    (void)state;
    start(true);
    STEP(.event = RELAY_PROGRESS, .waiting = { 500, 0 }, .unsent = { 0, HIGH - 1 });
    assert_int_equal(a.move[RELAY_CLIENT], 1);
    STEP(.event = RELAY_PROGRESS, .waiting = { 499, 0 }, .unsent = { 0, HIGH });
    assert_int_equal(a.move[RELAY_CLIENT], 0);
    STEP(.event = RELAY_PROGRESS, .waiting = { 499, 0 }, .unsent = { 0, HIGH + 1 });
    assert_int_equal(a.move[RELAY_CLIENT], 0);
    /* The other direction goes on meanwhile. */
    STEP(.event = RELAY_PROGRESS, .waiting = { 499, 9 }, .unsent = { 0, HIGH });
    assert_int_equal(a.move[RELAY_REMOTE], 9);
}

static void nothing_moves_before_the_remote_stands(void **state)
{
    (void)state;
    start(false);
    STEP(.event = RELAY_PROGRESS, .waiting = { 10, 0 });
    assert_int_equal(a.move[RELAY_CLIENT], 0);
    STEP(.event = RELAY_EOF, .side = RELAY_CLIENT, .waiting = { 10, 0 });
    assert_false(a.finish[RELAY_REMOTE]);
    STEP(.event = RELAY_CONNECTED, .waiting = { 10, 0 });
    assert_int_equal(a.move[RELAY_CLIENT], 10);
    assert_true(a.finish[RELAY_REMOTE]);
}

static void half_close_passes_after_the_last_byte(void **state)
{
    (void)state;
    start(true);
    STEP(.event = RELAY_EOF, .side = RELAY_CLIENT, .waiting = { 10, 0 }, .unsent = { 0, 95 });
    assert_int_equal(a.move[RELAY_CLIENT], 5);
    assert_false(a.finish[RELAY_REMOTE]);
    STEP(.event = RELAY_PROGRESS, .waiting = { 5, 0 }, .unsent = { 0, 50 });
    assert_int_equal(a.move[RELAY_CLIENT], 5);
    assert_true(a.finish[RELAY_REMOTE]);
    /* The answer still comes back, and the end is passed on once. */
    STEP(.event = RELAY_PROGRESS, .waiting = { 0, 80 });
    assert_int_equal(a.move[RELAY_REMOTE], 80);
    assert_false(a.finish[RELAY_REMOTE]);
    STEP(.event = RELAY_EOF, .side = RELAY_REMOTE);
    assert_true(a.finish[RELAY_CLIENT]);
    STEP(.event = RELAY_CLOSED, .side = RELAY_REMOTE);
    assert_false(a.over || a.close[RELAY_CLIENT]);
    assert_int_equal(r.end, RELAY_RUNS);
    STEP(.event = RELAY_CLOSED, .side = RELAY_CLIENT);
    assert_true(a.over);
    assert_int_equal(r.end, RELAY_DONE);
    assert_int_equal(a.wake_ns, 0);
}

static void what_waits_on_a_closed_side_is_moved_at_last(void **state)
{
    (void)state;
    start(true);
    STEP(.event = RELAY_CLOSED, .side = RELAY_REMOTE, .waiting = { 0, 700 }, .unsent = { HIGH, 0 });
    assert_int_equal(a.move[RELAY_REMOTE], 700);
    assert_true(a.finish[RELAY_CLIENT]);
}

static void refused_remote_closes_the_client(void **state)
{
    (void)state;
    start(false);
    STEP(.event = RELAY_PROGRESS, .waiting = { 10, 0 });
    STEP(.event = RELAY_REFUSED, .waiting = { 10, 0 });
    assert_true(a.close[RELAY_CLIENT]);
    assert_false(a.over);
    STEP(.event = RELAY_CLOSED, .side = RELAY_CLIENT);
    assert_true(a.over);
    assert_false(a.close[RELAY_CLIENT]);
    assert_int_equal(r.end, RELAY_NO_REMOTE);
}

static void client_leaves_while_we_dial(void **state)
{
    (void)state;
    start(false);
    STEP(.event = RELAY_CLOSED, .side = RELAY_CLIENT);
    assert_true(a.close[RELAY_REMOTE]);
    STEP(.event = RELAY_CLOSED, .side = RELAY_REMOTE);
    assert_true(a.over);
    assert_int_equal(r.end, RELAY_BROKEN);
}

/* The answer that came before the reset still reaches the client. */
static void broken_side_lets_the_other_drain(void **state)
{
    (void)state;
    start(true);
    STEP(.event = RELAY_CLOSED, .side = RELAY_REMOTE, .broken = true, .waiting = { 0, 20 });
    assert_int_equal(a.move[RELAY_REMOTE], 20);
    assert_true(a.finish[RELAY_CLIENT]);
    assert_false(a.close[RELAY_CLIENT]);
    STEP(.event = RELAY_PROGRESS, .unsent = { 20, 0 });
    assert_false(a.close[RELAY_CLIENT]);
    STEP(.event = RELAY_PROGRESS);
    assert_true(a.close[RELAY_CLIENT]);
    STEP(.event = RELAY_PROGRESS);
    assert_false(a.close[RELAY_CLIENT]); /* once */
    STEP(.event = RELAY_CLOSED, .side = RELAY_CLIENT);
    assert_true(a.over);
    assert_int_equal(r.end, RELAY_BROKEN);
}

static void idle_limit(void **state)
{
    const uint64_t s = SECOND;
    (void)state;
    start(true);
    STEP(.event = RELAY_PROGRESS, .now_ns = 3 * s, .waiting = { 1, 0 });
    assert_int_equal(a.wake_ns, 13 * s);
    STEP(.event = RELAY_TICK, .now_ns = 13 * s - 1);
    assert_false(a.close[0] || a.close[1]);
    assert_int_equal(a.wake_ns, 13 * s);
    STEP(.event = RELAY_TICK, .now_ns = 13 * s, .unsent = { 4, 4 });
    assert_true(a.close[0] && a.close[1]);
    assert_int_equal(a.wake_ns, 0);
    assert_int_equal(r.end, RELAY_IDLE);
    STEP(.event = RELAY_CLOSED, .side = RELAY_CLIENT);
    STEP(.event = RELAY_CLOSED, .side = RELAY_REMOTE);
    assert_true(a.over);
    assert_int_equal(r.end, RELAY_IDLE);
}

/* A reader that never takes what is queued cannot hold a broken connection for ever. */
static void idle_limit_while_draining(void **state)
{
    const uint64_t s = SECOND;
    (void)state;
    start(true);
    STEP(.event = RELAY_CLOSED, .side = RELAY_REMOTE, .broken = true, .waiting = { 0, 20 });
    assert_int_equal(a.wake_ns, 10 * s);
    STEP(.event = RELAY_TICK, .now_ns = 10 * s, .unsent = { 20, 0 });
    assert_true(a.close[RELAY_CLIENT]);
    assert_int_equal(a.wake_ns, 0);
    assert_int_equal(r.end, RELAY_BROKEN);
}

static void no_idle_limit(void **state)
{
    (void)state;
    relay_init(&r, HIGH, 0, 0);
    STEP(.event = RELAY_CONNECTED);
    assert_int_equal(a.wake_ns, 0);
    STEP(.event = RELAY_TICK, .now_ns = UINT64_MAX);
    assert_false(a.close[0] || a.close[1]);
}

static void stop_waits_for_what_moves(void **state)
{
    const uint64_t ms = SECOND / 1000;
    (void)state;
    relay_init(&r, HIGH, 0, 0);
    STEP(.event = RELAY_CONNECTED);
    STEP(.event = RELAY_STOP, .now_ns = 5 * ms);
    assert_int_equal(a.wake_ns, RELAY_STOP_IDLE_MS * ms);
    STEP(.event = RELAY_PROGRESS, .now_ns = 100 * ms, .waiting = { 1, 0 });
    STEP(.event = RELAY_TICK, .now_ns = RELAY_STOP_IDLE_MS * ms);
    assert_false(a.close[0] || a.close[1]);
    STEP(.event = RELAY_TICK, .now_ns = (100 + RELAY_STOP_IDLE_MS) * ms);
    assert_true(a.close[0] && a.close[1]);
}

static void names_of_ends(void **state)
{
    (void)state;
    assert_string_equal(relay_end_name(RELAY_RUNS), "runs");
    assert_string_equal(relay_end_name(RELAY_DONE), "done");
    assert_string_equal(relay_end_name(RELAY_NO_REMOTE), "no remote");
    assert_string_equal(relay_end_name(RELAY_BROKEN), "broken");
    assert_string_equal(relay_end_name(RELAY_IDLE), "idle");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_move_both_ways),
        cmocka_unit_test(a_slow_reader_stops_the_writer),
        cmocka_unit_test(nothing_moves_before_the_remote_stands),
        cmocka_unit_test(half_close_passes_after_the_last_byte),
        cmocka_unit_test(what_waits_on_a_closed_side_is_moved_at_last),
        cmocka_unit_test(refused_remote_closes_the_client),
        cmocka_unit_test(client_leaves_while_we_dial),
        cmocka_unit_test(broken_side_lets_the_other_drain),
        cmocka_unit_test(idle_limit),
        cmocka_unit_test(idle_limit_while_draining),
        cmocka_unit_test(no_idle_limit),
        cmocka_unit_test(stop_waits_for_what_moves),
        cmocka_unit_test(names_of_ends),
    };
    return cmocka_run_group_tests_name("proxy/relay", tests, NULL, NULL);
}
