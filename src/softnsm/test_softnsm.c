#include "testing/t.h"

#include "softnsm/test_world.h"

/* ---- index requests: each on a fresh NSM whose PCR20 has been locked ---- */

static const struct index_row {
    const char *name;
    enum nsm_op op;
    unsigned index;
    enum nsm_error want;
} index_rows[] = {
    { "describe 0", NSM_DESCRIBE_PCR, 0, NSM_SUCCESS },
    { "describe 31", NSM_DESCRIBE_PCR, 31, NSM_SUCCESS },
    { "describe 32", NSM_DESCRIBE_PCR, 32, NSM_INVALID_INDEX },
    { "describe 255", NSM_DESCRIBE_PCR, 255, NSM_INVALID_INDEX },
    { "describe 256", NSM_DESCRIBE_PCR, 256, NSM_INVALID_OPERATION },
    { "describe 65535", NSM_DESCRIBE_PCR, 65535, NSM_INVALID_OPERATION },
    { "extend 0", NSM_EXTEND_PCR, 0, NSM_READ_ONLY_INDEX },
    { "extend 15", NSM_EXTEND_PCR, 15, NSM_READ_ONLY_INDEX },
    { "extend 16", NSM_EXTEND_PCR, 16, NSM_SUCCESS },
    { "extend 20", NSM_EXTEND_PCR, 20, NSM_READ_ONLY_INDEX },
    { "extend 31", NSM_EXTEND_PCR, 31, NSM_SUCCESS },
    { "extend 32", NSM_EXTEND_PCR, 32, NSM_INVALID_INDEX },
    { "extend 256", NSM_EXTEND_PCR, 256, NSM_INVALID_OPERATION },
    { "lock 0", NSM_LOCK_PCR, 0, NSM_READ_ONLY_INDEX },
    { "lock 16", NSM_LOCK_PCR, 16, NSM_SUCCESS },
    { "lock 20", NSM_LOCK_PCR, 20, NSM_READ_ONLY_INDEX },
    { "lock 32", NSM_LOCK_PCR, 32, NSM_INVALID_INDEX },
    { "lock 256", NSM_LOCK_PCR, 256, NSM_INVALID_OPERATION },
    { "range 0", NSM_LOCK_PCRS, 0, NSM_SUCCESS },
    { "range 16", NSM_LOCK_PCRS, 16, NSM_SUCCESS },
    { "range 32", NSM_LOCK_PCRS, 32, NSM_SUCCESS },
    { "range 33", NSM_LOCK_PCRS, 33, NSM_INVALID_INDEX },
    { "range 256", NSM_LOCK_PCRS, 256, NSM_INVALID_OPERATION },
};

static void index_row(void **state)
{
    const struct index_row *row = *state;
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);

    assert_int_equal(ask(n, (struct nsm_request){ .op = NSM_LOCK_PCR, .index = 20 }, &raw).error,
                     NSM_SUCCESS);
    struct nsm_response rs =
        ask(n, (struct nsm_request){ .op = row->op, .index = (uint16_t)row->index }, &raw);
    assert_int_equal(rs.error, row->want);
}

/* ---- what the parser refuses ---- */

static const struct bad_row {
    const char *name, *hex, *error;
} bad_rows[] = {
    { "empty request", "", "InvalidOperation" },
    { "unknown request", "6442616c6c", "InvalidOperation" },
    { "DescribeNSM in a map", "a16b44657363726962654e534da0", "InvalidOperation" },
    { "index as text", "a16b4465736372696265504352a165696e6465786130", "InvalidOperation" },
    { "index past 16 bits", "a16b4465736372696265504352a165696e6465781a00010000",
      "InvalidOperation" },
    { "trailing byte", "6947657452616e646f6d00", "InvalidOperation" },
    { "nonce as text", "a16b4174746573746174696f6ea1656e6f6e63656161", "InvalidOperation" },
};

static void bad_row(void **state)
{
    const struct bad_row *row = *state;
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    struct span in = t_unhex(row->hex);
    struct nsm_response rs;

    assert_int_equal(softnsm_ask(cx, n, in, NOW_MS, &raw), ERR_OK);
    assert_int_equal(nsm_response_parse(buf_view(&raw), NSM_GET_RANDOM, &rs, NULL), ERR_OK);
    assert_string_equal(nsm_error_name(rs.error), row->error);
    t_free(in);
}

static void request_limit(void **state)
{
    static const uint8_t zeros[NSM_REQUEST_MAX + 1];
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    (void)state;

    assert_int_equal(softnsm_ask(cx, n, SPAN_ARRAY(zeros), NOW_MS, &raw), ERR_OK);
    assert_hex(buf_view(&raw), "a1654572726f726d496e707574546f6f4c61726765"); /* InputTooLarge */
    buf_reset(&raw);
    assert_int_equal(softnsm_ask(cx, n, span_of(zeros, NSM_REQUEST_MAX), NOW_MS, &raw), ERR_OK);
    assert_hex(buf_view(&raw), "a1654572726f7270496e76616c69644f7065726174696f6e");
}

/* ---- PCRs ---- */

static void pcrs_at_the_start(void **state)
{
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    static const uint8_t zero[NSM_PCR_BYTES];
    (void)state;

    for (unsigned i = 0; i < NSM_PCRS; i++) {
        struct nsm_request rq = { .op = NSM_DESCRIBE_PCR, .index = (uint16_t)i };
        struct nsm_response rs = ask(n, rq, &raw);
        assert_int_equal(rs.lock, i < 16);
        if (i == 3)
            assert_hex(rs.data, ROLE_PCR);
        else if (i == 4)
            assert_hex(rs.data, INSTANCE_PCR);
        else if (i <= 2 || i == 8)
            assert_int_equal(rs.data.ptr[47], 0xa0 + i);
        else
            t_assert_span(rs.data, SPAN_ARRAY(zero));
    }
}

static void no_role_no_pcr3(void **state)
{
    struct softnsm_settings s = settings();
    static const uint8_t zero[NSM_PCR_BYTES];
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    (void)state;

    s.role_arn = SPAN_EMPTY;
    AUTO(softnsm_freep) struct softnsm *n = nsm_of(&s);
    t_assert_span(ask(n, (struct nsm_request){ .op = NSM_DESCRIBE_PCR, .index = 3 }, &raw).data,
                  SPAN_ARRAY(zero));
}

static void extend_lock_extend(void **state)
{
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    const struct nsm_request extend = { .op = NSM_EXTEND_PCR,
                                        .index = 16,
                                        .data = SPAN_LIT("\xde\xad\xbe\xef") };
    const char *want =
        "87861e50430aa6b7867b36e0a8cc6fe471f5c2f4e4aaea69857d221db37db7c9ea6b4a1aa2ac"
        "73dafafd611194ad46e4";
    (void)state;

    assert_hex(ask(n, extend, &raw).data, want);
    assert_int_equal(ask(n, (struct nsm_request){ .op = NSM_LOCK_PCR, .index = 16 }, &raw).error,
                     NSM_SUCCESS);
    assert_int_equal(ask(n, extend, &raw).error, NSM_READ_ONLY_INDEX);
    struct nsm_response rs =
        ask(n, (struct nsm_request){ .op = NSM_DESCRIBE_PCR, .index = 16 }, &raw);
    assert_true(rs.lock);
    assert_hex(rs.data, want);
}

/* nsm-check of AWS: a range over locked PCRs is fine, also a second time. */
static void lock_ranges(void **state)
{
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    const struct nsm_request describe = { .op = NSM_DESCRIBE_NSM };
    (void)state;

    for (unsigned range = 15; range <= NSM_PCRS; range++) {
        const struct nsm_request rq = { .op = NSM_LOCK_PCRS, .index = (uint16_t)range };
        assert_int_equal(ask(n, rq, &raw).error, NSM_SUCCESS);
        uint32_t want = range <= 16 ? 0xffff : (uint32_t)((UINT64_C(1) << range) - 1);
        assert_int_equal(ask(n, describe, &raw).locked_pcrs, want);
    }
}

static void describe_nsm(void **state)
{
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    struct nsm_response rs = ask(n, (struct nsm_request){ .op = NSM_DESCRIBE_NSM }, &raw);
    (void)state;

    assert_int_equal(rs.version_major, 1);
    assert_int_equal(rs.version_minor, 0);
    assert_int_equal(rs.version_patch, 0);
    assert_int_equal(rs.max_pcrs, 32);
    assert_int_equal(rs.locked_pcrs, 0xffff);
    assert_true(span_is(rs.digest, "SHA384"));
    t_assert_span(rs.module_id, softnsm_module_id(n));
    assert_int_equal(rs.module_id.len, 39);
    /* 1700000000000 ms = 0x18bcfe56800 */
    assert_true(span_starts(rs.module_id, INSTANCE "-enc018bcfe56800"));
}

static void random_bytes(void **state)
{
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf one = BUF_INIT(NSM_RESPONSE_MAX);
    AUTO(buf_clear) struct buf two = BUF_INIT(NSM_RESPONSE_MAX);
    struct nsm_response a = ask(n, (struct nsm_request){ .op = NSM_GET_RANDOM }, &one);
    struct nsm_response b = ask(n, (struct nsm_request){ .op = NSM_GET_RANDOM }, &two);
    (void)state;

    assert_int_equal(a.data.len, NSM_RANDOM_BYTES);
    assert_int_equal(b.data.len, NSM_RANDOM_BYTES);
    assert_memory_not_equal(a.data.ptr, b.data.ptr, NSM_RANDOM_BYTES);
    /* The kernel's driver reads past the end unless the length has this form. */
    assert_true(a.data.ptr[-3] == 0x59 && a.data.ptr[-2] == 1 && a.data.ptr[-1] == 0);
}

static void one_of_three_fails(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    struct softnsm_settings s = settings();

    s.fail_every = 3;
    AUTO(softnsm_freep) struct softnsm *n = nsm_of(&s);
    for (unsigned i = 1; i <= 9; i++) {
        struct nsm_response rs = ask(n, (struct nsm_request){ .op = NSM_GET_RANDOM }, &raw);
        assert_int_equal(rs.error, i % 3 == 0 ? NSM_INTERNAL_ERROR : NSM_SUCCESS);
    }
}

/* ---- settings ---- */

static const struct settings_row {
    const char *name, *region, *instance_id, *module_id;
    enum err want;
    const char *what;
} settings_rows[] = {
    { "settings", "eu-central-1", "i-1", "", ERR_OK, NULL },
    { "own module id", "eu-central-1", "i-1", "my-module", ERR_OK, NULL },
    { "no region", "", "i-1", "", ERR_MALFORMED, "region is not letters, digits and hyphens" },
    { "region with a dot", "us.east", "i-1", "", ERR_MALFORMED,
      "region is not letters, digits and hyphens" },
    { "no instance id", "us-east-1", "", "", ERR_MALFORMED,
      "instance id is not letters, digits and hyphens" },
    { "instance id with a slash", "us-east-1", "a/b", "", ERR_MALFORMED,
      "instance id is not letters, digits and hyphens" },
    { "module id with a line feed", "us-east-1", "i-1", "a\nb", ERR_MALFORMED,
      "module id is not letters, digits and hyphens" },
    { "longest module id", "us-east-1", "i-1", "012345678901234567890123456789012345678901234567",
      ERR_OK, NULL },
    { "module id too long", "us-east-1", "i-1", "0123456789012345678901234567890123456789012345678",
      ERR_MALFORMED, "module id and region are too long together" },
    { "longest instance id", "us-east-1", "012345678901234567890123456789012", "m", ERR_OK, NULL },
    { "instance id too long", "us-east-1", "0123456789012345678901234567890123", "m", ERR_MALFORMED,
      "instance id and region are too long together" },
};

static void settings_row(void **state)
{
    const struct settings_row *row = *state;
    AUTO(softnsm_pki_freep) struct softnsm_pki *pki = NULL;
    AUTO(softnsm_freep) struct softnsm *n = NULL;
    struct softnsm_settings s = settings();
    struct why why = { 0 };

    s.region = span_str(row->region);
    s.instance_id = span_str(row->instance_id);
    s.module_id = span_str(row->module_id);
    assert_int_equal(softnsm_pki_new(cx, NOW_MS / 1000, &pki), ERR_OK);
    assert_int_equal(softnsm_new(cx, &s, pki, NOW_MS, &n, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->what);
        assert_null(n);
        return;
    }
    pki = NULL; /* the NSM's */
    if (s.module_id.len)
        t_assert_span(softnsm_module_id(n), s.module_id);
}

enum {
    INDEX_ROWS = sizeof(index_rows) / sizeof(index_rows[0]),
    BAD_ROWS = sizeof(bad_rows) / sizeof(bad_rows[0]),
    SETTINGS_ROWS = sizeof(settings_rows) / sizeof(settings_rows[0]),
};

int main(void)
{
    static const struct CMUnitTest own[] = {
        cmocka_unit_test(request_limit),      cmocka_unit_test(pcrs_at_the_start),
        cmocka_unit_test(one_of_three_fails), cmocka_unit_test(no_role_no_pcr3),
        cmocka_unit_test(extend_lock_extend), cmocka_unit_test(lock_ranges),
        cmocka_unit_test(describe_nsm),       cmocka_unit_test(random_bytes),
    };
    static struct CMUnitTest
        tests[INDEX_ROWS + BAD_ROWS + SETTINGS_ROWS + sizeof(own) / sizeof(own[0])];
    size_t n = 0;

    n += T_ROWS(tests + n, index_rows, index_row);
    n += T_ROWS(tests + n, bad_rows, bad_row);
    n += T_ROWS(tests + n, settings_rows, settings_row);
    memcpy(&tests[n], own, sizeof(own));
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
