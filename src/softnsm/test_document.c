/* The documents that the software NSM makes, verified as anybody would. */
#include "testing/t.h"

#include "softnsm/test_world.h"

static void document(void **state)
{
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    const struct nsm_request rq = { .op = NSM_ATTESTATION,
                                    .nonce = SPAN_LIT("nonce"),
                                    .public_key = span_of("", 0) };
    static struct attest_verified v;
    (void)state;

    struct nsm_response rs = ask(n, rq, &raw);
    verify_at(n, rs.data, NOW_MS, &v);
    assert_int_equal(rs.data.ptr[0], 0x84);             /* no tag */
    assert_int_equal(v.doc.sign1.payload.ptr[0], 0xbf); /* indefinite */
    assert_int_equal(v.doc.timestamp_ms, NOW_MS);
    assert_int_equal(v.doc.pcrs.present, 0xffff);
    assert_int_equal(v.doc.pcrs.value[8][0], 0xa8);
    assert_int_equal(v.doc.n_cabundle, 4);
    assert_true(span_is(v.doc.nonce, "nonce"));
    assert_null(v.doc.user_data.ptr);
    assert_non_null(v.doc.public_key.ptr);
    t_assert_span(v.doc.module_id, softnsm_module_id(n));
    assert_false(attest_is_debug(&v.doc.pcrs));
    assert_int_equal(attest_verify(cx, rs.data, attest_aws_root_g1_der(), NOW_MS / 1000, &v, NULL),
                     ERR_VERIFY);
}

static void definite_document(void **state)
{
    struct softnsm_settings s = settings();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    static struct attest_verified v;
    (void)state;

    s.definite = true;
    AUTO(softnsm_freep) struct softnsm *n = nsm_of(&s);
    verify_at(n, ask(n, (struct nsm_request){ .op = NSM_ATTESTATION }, &raw).data, NOW_MS, &v);
    assert_int_equal(v.doc.sign1.payload.ptr[0], 0xa9);
}

/* Zero where a debug enclave's are, true where they are not; the registers themselves are kept. */
static void debug_document(void **state)
{
    struct softnsm_settings s = settings();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    static struct attest_verified v;
    static const uint8_t zero[NSM_PCR_BYTES];
    (void)state;

    s.debug_mode = true;
    AUTO(softnsm_freep) struct softnsm *n = nsm_of(&s);
    verify_at(n, ask(n, (struct nsm_request){ .op = NSM_ATTESTATION }, &raw).data, NOW_MS, &v);
    assert_true(attest_is_debug(&v.doc.pcrs));
    t_assert_span(SPAN_ARRAY(v.doc.pcrs.value[8]), SPAN_ARRAY(zero));
    assert_hex(SPAN_ARRAY(v.doc.pcrs.value[3]), ROLE_PCR);
    assert_hex(SPAN_ARRAY(v.doc.pcrs.value[4]), INSTANCE_PCR);
    t_assert_span(ask(n, (struct nsm_request){ .op = NSM_DESCRIBE_PCR }, &raw).data,
                  SPAN_ARRAY(zero));
}

static void expired_document(void **state)
{
    struct softnsm_settings s = settings();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    static struct attest_verified v;
    struct why why = { 0 };
    (void)state;

    s.expired_leaf = true;
    AUTO(softnsm_freep) struct softnsm *n = nsm_of(&s);
    struct span root = softnsm_pki_der(softnsm_pki_of(n), SOFTNSM_ROOT);
    struct nsm_response rs = ask(n, (struct nsm_request){ .op = NSM_ATTESTATION }, &raw);
    assert_int_equal(attest_verify(cx, rs.data, root, NOW_MS / 1000, &v, &why), ERR_VERIFY);
    assert_string_equal(why.what, "certificate time");
}

/* PCRs from 16 on appear once they are locked. */
static void locked_pcrs_appear(void **state)
{
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    static struct attest_verified v;
    (void)state;

    (void)ask(n, (struct nsm_request){ .op = NSM_EXTEND_PCR, .index = 17 }, &raw);
    (void)ask(n, (struct nsm_request){ .op = NSM_LOCK_PCR, .index = 18 }, &raw);
    verify_at(n, ask(n, (struct nsm_request){ .op = NSM_ATTESTATION }, &raw).data, NOW_MS, &v);
    assert_int_equal(v.doc.pcrs.present, 0x4ffff);
}

/* As AWS's nsm-check does it: 1,024 bytes in all three, with all PCRs locked. */
static void field_limit(void **state)
{
    static const uint8_t data[NSM_FIELD_MAX + 1];
    struct span max = span_of(data, NSM_FIELD_MAX);
    struct nsm_request rq = { NSM_ATTESTATION, 0, SPAN_EMPTY, max, max, max };
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    static struct attest_verified v;
    (void)state;

    (void)ask(n, (struct nsm_request){ .op = NSM_LOCK_PCRS, .index = 32 }, &raw);
    verify_at(n, ask(n, rq, &raw).data, NOW_MS, &v);
    assert_int_equal(v.doc.public_key.len, NSM_FIELD_MAX);
    rq.nonce.len++;
    assert_int_equal(ask(n, rq, &raw).error, NSM_INVALID_ARGUMENT);
    rq = (struct nsm_request){ .op = NSM_ATTESTATION, .user_data = SPAN_ARRAY(data) };
    assert_int_equal(ask(n, rq, &raw).error, NSM_INVALID_ARGUMENT);
    rq = (struct nsm_request){ .op = NSM_ATTESTATION, .public_key = SPAN_ARRAY(data) };
    assert_int_equal(ask(n, rq, &raw).error, NSM_INVALID_ARGUMENT);
}

static void larger_field_limit(void **state)
{
    static const uint8_t data[4000];
    struct softnsm_settings s = settings();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    (void)state;

    s.field_max = sizeof(data);
    AUTO(softnsm_freep) struct softnsm *n = nsm_of(&s);
    struct nsm_request rq = { .op = NSM_ATTESTATION, .user_data = SPAN_ARRAY(data) };
    assert_int_equal(ask(n, rq, &raw).error, NSM_SUCCESS);
}

/* A month in steps of 47 minutes: each document verifies when it is made and ten minutes later. */
static void a_month(void **state)
{
    enum { STEP_MS = 47 * 60 * 1000, STEPS = 30 * 24 * 60 / 47 };
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    const struct nsm_request rq = { .op = NSM_ATTESTATION };
    static struct attest_verified v;
    unsigned generation = softnsm_pki_generation(softnsm_pki_of(n));
    (void)state;

    for (int64_t i = 0; i < STEPS; i += 3) {
        int64_t now_ms = NOW_MS + i * STEP_MS;
        struct nsm_response rs = ask_at(n, &rq, now_ms, &raw);
        verify_at(n, rs.data, now_ms, &v);
        verify_at(n, rs.data, now_ms + INT64_C(600000), &v);
    }
    assert_true(softnsm_pki_generation(softnsm_pki_of(n)) > generation + 30);
}

static void no_time(void **state)
{
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(NSM_RESPONSE_MAX);
    const struct nsm_request rq = { .op = NSM_ATTESTATION };
    (void)state;

    assert_int_equal(ask_at(n, &rq, 0, &raw).error, NSM_INTERNAL_ERROR);
    assert_int_equal(ask_at(n, &rq, NOW_MS - INT64_C(86400000), &raw).error, NSM_INTERNAL_ERROR);
    assert_int_equal(ask_at(n, &rq, NOW_MS, &raw).error, NSM_SUCCESS);
}

static void no_room(void **state)
{
    AUTO(softnsm_freep) struct softnsm *n = nsm_new();
    AUTO(buf_clear) struct buf raw = BUF_INIT(20);
    struct span request = t_unhex("6947657452616e646f6d");
    (void)state;

    assert_int_equal(softnsm_ask(cx, n, request, NOW_MS, &raw), ERR_LIMIT);
    assert_int_equal(raw.len, 0);
    t_free(request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(document),
        cmocka_unit_test(definite_document),
        cmocka_unit_test(debug_document),
        cmocka_unit_test(expired_document),
        cmocka_unit_test(locked_pcrs_appear),
        cmocka_unit_test(field_limit),
        cmocka_unit_test(larger_field_limit),
        cmocka_unit_test(a_month),
        cmocka_unit_test(no_time),
        cmocka_unit_test(no_room),
    };

    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
