#include "base/json.h"

#include "testing/t.h"

static const struct row {
    const char *name, *in, *want;
} rows[] = {
    { "empty object", "{}", "{}" },
    { "empty array", " [ ] ", "[]" },
    { "number", "12", "12" },
    { "members", "{\"a\":1,\"b\":null}", "{\n  \"a\": 1,\n  \"b\": null\n}" },
    { "nested", "{\"a\":{\"b\":[1,2]}}",
      "{\n  \"a\": {\n    \"b\": [\n      1,\n      2\n    ]\n  }\n}" },
    { "empty inside", "[{},[],\"\"]", "[\n  {},\n  [],\n  \"\"\n]" },
    { "marks inside a text", "{\"a{,:}[]\":\"\\\"{\\\\\"}", "{\n  \"a{,:}[]\": \"\\\"{\\\\\"\n}" },
    { "spaces that were there", "{ \"a\" :\n1 }", "{\n  \"a\": 1\n}" },
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void pretty(void **state)
{
    const struct row *row = *state;
    struct span in = t_copy(span_str(row->in));
    AUTO(buf_clear) struct buf out = BUF_INIT(256);
    AUTO(buf_clear) struct buf again = BUF_INIT(256);

    assert_int_equal(json_pretty(in, &out), ERR_OK);
    t_assert_buf(&out, row->want);
    assert_int_equal(json_pretty(buf_view(&out), &again), ERR_OK);
    t_assert_buf(&again, row->want);
    t_free(in);
}

static void no_room(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(5);

    assert_int_equal(json_pretty(SPAN_LIT("[1]"), &out), ERR_LIMIT);
    out.max = 7;
    buf_reset(&out);
    assert_int_equal(json_pretty(SPAN_LIT("[1]"), &out), ERR_OK);
    t_assert_buf(&out, "[\n  1\n]");
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 1] = { cmocka_unit_test(no_room) };

    T_ROWS(tests + 1, rows, pretty);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
