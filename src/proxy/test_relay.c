#include "testing/t.h"

#include "proxy/relay.h"

enum { LIMIT_NS = 1000 };

static struct relay r;

static int make(void **state)
{
    (void)state;
    relay_init(&r, LIMIT_NS, 10);
    return 0;
}

static void expect(enum relay_what what, enum relay_side from)
{
    struct relay_next n = relay_next(&r);

    assert_int_equal(n.what, what);
    if (what != RELAY_WAIT && what != RELAY_END)
        assert_int_equal(n.from, from);
}

/* What comes next must be this, and goes so. */
static void did(enum relay_what what, enum relay_side from, enum relay_got got, size_t n)
{
    expect(what, from);
    relay_told(&r, relay_next(&r), got, n, 20);
}

/* for each side: 'r' reads, 'w' writes, 'b' both, '-' neither */
static void wants(const char *both)
{
    for (unsigned i = 0; i < 2; i++) {
        bool rd = relay_wants_read(&r, (enum relay_side)i);
        bool wr = relay_wants_write(&r, (enum relay_side)i);
        assert_int_equal(both[i], rd && wr ? 'b' : rd ? 'r' : wr ? 'w' : '-');
    }
}

static void one_piece(void **state)
{
    (void)state;
    expect(RELAY_WAIT, 0);
    wants("rr");
    relay_ready(&r, RELAY_CLIENT, true, false);
    did(RELAY_FILL, RELAY_CLIENT, RELAY_MOVED, 100);
    did(RELAY_DRAIN, RELAY_CLIENT, RELAY_MOVED, 100);
    did(RELAY_FILL, RELAY_CLIENT, RELAY_AGAIN, 0);
    expect(RELAY_WAIT, 0);
    wants("rr");
    assert_int_equal(r.way[RELAY_CLIENT].bytes, 100);
    assert_int_equal(r.way[RELAY_REMOTE].bytes, 0);
}

static void a_reader_that_does_not_read_stops_the_writer(void **state)
{
    (void)state;
    relay_ready(&r, RELAY_CLIENT, true, false);
    did(RELAY_FILL, RELAY_CLIENT, RELAY_MOVED, 100);
    did(RELAY_DRAIN, RELAY_CLIENT, RELAY_MOVED, 40);
    did(RELAY_DRAIN, RELAY_CLIENT, RELAY_AGAIN, 0);
    expect(RELAY_WAIT, 0);
    wants("-b"); /* the client is not read until the rest is out, the other way is not held up */
    relay_ready(&r, RELAY_REMOTE, true, true);
    did(RELAY_FILL, RELAY_REMOTE, RELAY_MOVED, 5);
    did(RELAY_DRAIN, RELAY_REMOTE, RELAY_AGAIN, 0);
    did(RELAY_DRAIN, RELAY_CLIENT, RELAY_MOVED, 60);
    did(RELAY_FILL, RELAY_CLIENT, RELAY_AGAIN, 0);
    wants("b-");
}

/* Neither way may starve the other, however much comes. */
static void the_two_ways_take_turns(void **state)
{
    (void)state;
    relay_ready(&r, RELAY_CLIENT, true, true);
    relay_ready(&r, RELAY_REMOTE, true, true);
    for (unsigned i = 0; i < RELAY_TURN_MOVES / 4; i++) {
        did(RELAY_FILL, RELAY_CLIENT, RELAY_MOVED, 10);
        did(RELAY_DRAIN, RELAY_CLIENT, RELAY_MOVED, 10);
        did(RELAY_FILL, RELAY_REMOTE, RELAY_MOVED, 10);
        did(RELAY_DRAIN, RELAY_REMOTE, RELAY_MOVED, 10);
    }
}

/* The last move of a turn finds the end of the stream: it is passed on all the same. */
static void an_end_at_the_end_of_a_turn(void **state)
{
    (void)state;
    relay_ready(&r, RELAY_CLIENT, true, false);
    for (unsigned i = 0; i < RELAY_TURN_MOVES / 2; i++) {
        did(RELAY_FILL, RELAY_CLIENT, RELAY_MOVED, 10);
        did(RELAY_DRAIN, RELAY_CLIENT, RELAY_MOVED, i ? 10 : 9);
        if (i == 0)
            did(RELAY_DRAIN, RELAY_CLIENT, RELAY_MOVED, 1);
        if (i == RELAY_TURN_MOVES / 2 - 2)
            break;
    }
    did(RELAY_FILL, RELAY_CLIENT, RELAY_EOF, 0); /* the sixteenth */
    did(RELAY_FINISH, RELAY_CLIENT, RELAY_MOVED, 0);
    expect(RELAY_WAIT, 0);
    wants("-r");
}

static void a_turn_is_bounded(void **state)
{
    (void)state;
    relay_ready(&r, RELAY_REMOTE, true, false);
    for (unsigned i = 0; i < RELAY_TURN_MOVES / 2; i++) {
        did(RELAY_FILL, RELAY_REMOTE, RELAY_MOVED, 10);
        did(RELAY_DRAIN, RELAY_REMOTE, RELAY_MOVED, 10);
    }
    expect(RELAY_WAIT, 0);
    wants("rr"); /* and so is called again */
    relay_ready(&r, RELAY_REMOTE, true, false);
    expect(RELAY_FILL, RELAY_REMOTE);
}

static void half_close_passes_and_the_other_way_goes_on(void **state)
{
    (void)state;
    relay_ready(&r, RELAY_CLIENT, true, false);
    did(RELAY_FILL, RELAY_CLIENT, RELAY_MOVED, 8);
    did(RELAY_DRAIN, RELAY_CLIENT, RELAY_MOVED, 8);
    did(RELAY_FILL, RELAY_CLIENT, RELAY_EOF, 0);
    did(RELAY_FINISH, RELAY_CLIENT, RELAY_MOVED, 0);
    expect(RELAY_WAIT, 0);
    wants("-r");
    relay_ready(&r, RELAY_REMOTE, true, false);
    did(RELAY_FILL, RELAY_REMOTE, RELAY_MOVED, 6);
    did(RELAY_DRAIN, RELAY_REMOTE, RELAY_MOVED, 6);
    did(RELAY_FILL, RELAY_REMOTE, RELAY_EOF, 0);
    did(RELAY_FINISH, RELAY_REMOTE, RELAY_MOVED, 0);
    expect(RELAY_END, 0);
    assert_string_equal(relay_end_name(r.end), "done");
    wants("--");
}

static void the_end_waits_for_what_is_held(void **state)
{
    (void)state;
    relay_ready(&r, RELAY_REMOTE, true, false);
    did(RELAY_FILL, RELAY_REMOTE, RELAY_MOVED, 9);
    did(RELAY_DRAIN, RELAY_REMOTE, RELAY_AGAIN, 0);
    expect(RELAY_WAIT, 0);
    wants("b-"); /* its end, if it came already, is not asked for yet */
    relay_ready(&r, RELAY_CLIENT, false, true);
    did(RELAY_DRAIN, RELAY_REMOTE, RELAY_MOVED, 9);
    did(RELAY_FILL, RELAY_REMOTE, RELAY_EOF, 0);
    did(RELAY_FINISH, RELAY_REMOTE, RELAY_MOVED, 0);
    expect(RELAY_WAIT, 0);
    wants("r-");
}

/* A reset of the remote: what it sent still goes to the client, then both are cut. */
static void what_a_broken_side_sent_before_arrives(void **state)
{
    (void)state;
    relay_ready(&r, RELAY_CLIENT, true, false);
    did(RELAY_FILL, RELAY_CLIENT, RELAY_MOVED, 50);
    did(RELAY_DRAIN, RELAY_CLIENT, RELAY_AGAIN, 0);
    relay_ready(&r, RELAY_REMOTE, true, false);
    did(RELAY_FILL, RELAY_REMOTE, RELAY_MOVED, 9);
    did(RELAY_DRAIN, RELAY_REMOTE, RELAY_MOVED, 9);
    did(RELAY_FILL, RELAY_REMOTE, RELAY_BROKE, 0);
    did(RELAY_DROP, RELAY_CLIENT, RELAY_MOVED, 0);
    expect(RELAY_END, 0);
    assert_string_equal(relay_end_name(r.end), "broken");
    assert_int_equal(r.way[RELAY_REMOTE].bytes, 9);
}

/* The remote closed without reading all of a request: its answer is still relayed. */
static void an_answer_outlives_a_failed_write(void **state)
{
    (void)state;
    relay_ready(&r, RELAY_CLIENT, true, false);
    did(RELAY_FILL, RELAY_CLIENT, RELAY_MOVED, 50);
    did(RELAY_DRAIN, RELAY_CLIENT, RELAY_BROKE, 0);
    did(RELAY_DROP, RELAY_CLIENT, RELAY_MOVED, 0);
    expect(RELAY_WAIT, 0);
    wants("-r"); /* the client is not read any more */
    relay_ready(&r, RELAY_REMOTE, true, false);
    did(RELAY_FILL, RELAY_REMOTE, RELAY_MOVED, 7);
    did(RELAY_DRAIN, RELAY_REMOTE, RELAY_MOVED, 7);
    did(RELAY_FILL, RELAY_REMOTE, RELAY_EOF, 0);
    expect(RELAY_END, 0); /* and not an end that looks like one in order */
    assert_string_equal(relay_end_name(r.end), "broken");
}

static void idle_at_the_limit_and_not_before(void **state)
{
    (void)state;
    assert_int_equal(relay_wake_ns(&r), 10 + LIMIT_NS);
    assert_false(relay_tick(&r, 10 + LIMIT_NS - 1));
    relay_ready(&r, RELAY_CLIENT, true, false);
    relay_told(&r, relay_next(&r), RELAY_MOVED, 1, 500);
    assert_int_equal(relay_wake_ns(&r), 500 + LIMIT_NS);
    relay_told(&r, relay_next(&r), RELAY_AGAIN, 0, 900); /* nothing moved */
    assert_false(relay_tick(&r, 500 + LIMIT_NS - 1));
    assert_true(relay_tick(&r, 500 + LIMIT_NS));
    expect(RELAY_END, 0);
    assert_string_equal(relay_end_name(r.end), "idle");
    assert_int_equal(relay_wake_ns(&r), 0);
}

static void no_limit(void **state)
{
    (void)state;
    relay_init(&r, 0, 10);
    assert_int_equal(relay_wake_ns(&r), 0);
    assert_false(relay_tick(&r, UINT64_MAX));
    relay_hurry(&r, 30);
    assert_int_equal(relay_wake_ns(&r), 40);
    relay_hurry(&r, 50); /* never longer */
    assert_int_equal(relay_wake_ns(&r), 40);
    assert_string_equal(relay_end_name(r.end), "runs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_piece, make),
        cmocka_unit_test_setup(a_reader_that_does_not_read_stops_the_writer, make),
        cmocka_unit_test_setup(the_two_ways_take_turns, make),
        cmocka_unit_test_setup(an_end_at_the_end_of_a_turn, make),
        cmocka_unit_test_setup(a_turn_is_bounded, make),
        cmocka_unit_test_setup(half_close_passes_and_the_other_way_goes_on, make),
        cmocka_unit_test_setup(the_end_waits_for_what_is_held, make),
        cmocka_unit_test_setup(what_a_broken_side_sent_before_arrives, make),
        cmocka_unit_test_setup(an_answer_outlives_a_failed_write, make),
        cmocka_unit_test_setup(idle_at_the_limit_and_not_before, make),
        cmocka_unit_test_setup(no_limit, make),
    };
    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
