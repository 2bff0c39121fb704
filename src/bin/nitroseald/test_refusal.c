#include "bin/nitroseald/refusal.h"
#include "http1/http1.h"
#include "testing/t.h"

static const struct span id = SPAN_INIT("01234567-89abcdef"),
                         other = SPAN_INIT("fedcba98-76543210");

/* What would have been written for it alone. */
static void is_the_answer(void **state)
{
    (void)state;
    AUTO(refusal_clear) struct refusal r = { 0 };
    AUTO(buf_clear) struct buf out = BUF_INIT(8192), body = BUF_INIT(4096), want = BUF_INIT(4096);
    const struct proto_error e = { .error = refusal_busy.title,
                                   .code = refusal_busy.code,
                                   .detail = span_str(refusal_busy.detail) };
    const struct http1_header h[] = {
        { SPAN_LIT("content-type"), SPAN_LIT("application/problem+json") },
        { SPAN_LIT("retry-after"), SPAN_LIT("1") },
        { SPAN_LIT("nitroseal-request-id"), other },
    };

    assert_int_equal(refusal_new(id, &r), ERR_OK);
    assert_int_equal(buf_append_str(&out, "before"), ERR_OK);
    assert_int_equal(refusal_put(&r, other, &out), ERR_OK);
    assert_int_equal(api_problem_write(&body, &e, other), ERR_OK);
    assert_int_equal(http1_response_write(&want, 503, h, 3, buf_view(&body)), ERR_OK);
    assert_true(span_starts(buf_view(&out), "before"));
    t_assert_span(span_from(buf_view(&out), 6), buf_view(&want));
}

static void again_and_again(void **state)
{
    (void)state;
    AUTO(refusal_clear) struct refusal r = { 0 };
    AUTO(buf_clear) struct buf one = BUF_INIT(4096), two = BUF_INIT(4096);

    assert_int_equal(refusal_new(id, &r), ERR_OK);
    assert_int_equal(refusal_put(&r, other, &one), ERR_OK);
    assert_int_equal(refusal_put(&r, id, &two), ERR_OK);
    assert_null(memmem(two.ptr, two.len, other.ptr, other.len));
    t_assert_span(buf_view(&two), buf_view(&r.text));
}

static void refuses(void **state)
{
    (void)state;
    AUTO(refusal_clear) struct refusal r = { 0 };

    assert_int_equal(refusal_new(id, &r), ERR_OK);
    AUTO(buf_clear) struct buf exact = BUF_INIT(r.text.len), small = BUF_INIT(r.text.len - 1);
    assert_int_equal(refusal_put(&r, span_from(other, 1), &exact), ERR_INTERNAL);
    assert_int_equal(refusal_put(&r, other, &small), ERR_LIMIT);
    assert_int_equal(exact.len + small.len, 0);
    assert_int_equal(refusal_put(&r, other, &exact), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_answer),
        cmocka_unit_test(again_and_again),
        cmocka_unit_test(refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
