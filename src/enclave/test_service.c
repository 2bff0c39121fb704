#include "enclave/test_world.h"

#include <stdlib.h>

static void settings_row(const char *key_id, const char *region, const char *what)
{
    struct enclave_settings s = {
        .key_id = span_str(key_id),
        .region = span_str(region),
        .host = SPAN_LIT("h"),
        .root_der = SPAN_LIT("root"),
        .request_max = 1024,
        .kms_deadline_ms = 1,
        .kms_try_ms = 1,
        .kms_tries = 1,
    };
    struct crypto *cx = NULL;
    struct enclave *e = NULL;
    struct why why = { 0 };

    assert_int_equal(crypto_new(&cx), ERR_OK);
    assert_int_equal(enclave_new(cx, &s, &e, &why), what ? ERR_MALFORMED : ERR_OK);
    if (what) {
        assert_string_equal(why.what, what);
        assert_null(e);
    }
    enclave_free(e);
    crypto_free(cx);
}

static void settings(void **state)
{
    (void)state;
    settings_row(T_ARN, "us-east-1", NULL);
    settings_row(T_KEY_ID, "us-east-1", NULL);
    settings_row("mrk-1234abcd12ab34cd56ef1234567890ab", "us-east-1", NULL);
    settings_row("alias/mine", "us-east-1", "key id is an alias; give the key's ARN");
    settings_row("arn:aws:kms:us-east-1:111122223333:alias/mine", "us-east-1",
                 "key id is neither a key ARN nor an id");
    settings_row("", "us-east-1", "key id is neither a key ARN nor an id");
    settings_row("a b", "us-east-1", "key id is neither a key ARN nor an id");
    settings_row(T_ARN, "eu-west-1", "key ARN names another region");
}

static void clock_follows_forward(void **state)
{
    (void)state;
    struct enclave_clock c = { 0 };
    const uint64_t s = T_SECOND;

    assert_int_equal(enclave_clock_drift(&c, 1000, 5), 0);
    assert_int_equal(enclave_clock_read(&c, 1000, 5 * s), 1000);
    assert_int_equal(enclave_clock_read(&c, 1010, 15 * s), 1010);
    assert_int_equal(enclave_clock_drift(&c, 1010, 15 * s), 0);
    assert_int_equal(enclave_clock_drift(&c, 1010, 17 * s), -2);
    assert_int_equal(enclave_clock_read(&c, 5000, 16 * s), 5000);
    assert_int_equal(enclave_clock_drift(&c, 5000, 16 * s), 3989);
}

static void clock_goes_back_little(void **state)
{
    (void)state;
    const uint64_t s = 1000000000;
    struct enclave_clock c = { 0 };

    assert_int_equal(enclave_clock_read(&c, 10000, 1), 10000);
    assert_int_equal(enclave_clock_read(&c, 9700, 2), 9700);
    assert_int_equal(enclave_clock_read(&c, 9699, 3), 10000); /* a step: the line goes on */
    assert_int_equal(enclave_clock_read(&c, 1, 4), 10000);
    assert_int_equal(enclave_clock_read(&c, 10001, 5), 10001);
    assert_int_equal(enclave_clock_read(&c, 2, 8192 * s), 10001 + 8191 - 1);
    assert_int_equal(enclave_clock_read(&c, 18192, 8192 * s), 18192); /* and is caught up with */
    assert_int_equal(enclave_clock_read(&c, 2, 8192 * s), 18192);
}

static void clock_steps_ahead(void **state)
{
    (void)state;
    const uint64_t s = 1000000000;
    struct enclave_clock c = { 0 };

    assert_int_equal(enclave_clock_read(&c, 10000, 0), 10000);
    assert_int_equal(enclave_clock_read(&c, 10300, 1), 10300); /* believed at once */
    assert_int_equal(enclave_clock_read(&c, 9999, 2), 10300);
    assert_int_equal(enclave_clock_read(&c, 10601, 3), 10601); /* not so */
    assert_int_equal(enclave_clock_read(&c, 99999, 100 * s), 99999);
    assert_int_equal(enclave_clock_read(&c, 10400, 100 * s), 10400); /* taken back */
    assert_int_equal(enclave_clock_read(&c, 99999, 200 * s), 99999); /* anew */
    assert_int_equal(enclave_clock_read(&c, 103598, 3799 * s), 103598);
    assert_int_equal(enclave_clock_read(&c, 13900, 3799 * s), 13900);
    assert_int_equal(enclave_clock_read(&c, 99999, 4000 * s), 99999);
    assert_int_equal(enclave_clock_read(&c, 103599, 7601 * s), 103599); /* it has lasted */
    assert_int_equal(enclave_clock_read(&c, 17400, 7602 * s), 103599);
}

static void document_ages(void **state)
{
    (void)state;
    struct world w = world_new(NULL);

    w.now.mono_ns += 59 * (uint64_t)T_SECOND;
    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    assert_int_equal(w.a.kind, ENCLAVE_CALL_KMS);
    w.now.mono_ns += T_SECOND;
    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    assert_int_equal(w.a.kind, ENCLAVE_AWAIT_DOCUMENT);
    assert_int_equal(w.a.deadline_ns, w.now.mono_ns + 8 * (uint64_t)T_SECOND);
    world_document(&w);
    world_event(&w, (struct enclave_event){ .kind = ENCLAVE_DOCUMENT_DONE });
    world_kms_good(&w);
    assert_null(w.a.code);
    world_clear(&w);
}

static void document_fails(void **state)
{
    (void)state;
    static const struct {
        enum err r;
        const char *code;
    } rows[] = { { ERR_IO, "nsm_failed" },
                 { ERR_DENIED, "nsm_failed" },
                 { ERR_VERIFY, "document_not_trusted" } };
    struct world w = world_new(NULL);

    w.now.mono_ns += 60 * (uint64_t)T_SECOND;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
        world_event(&w, (struct enclave_event){
                            .kind = ENCLAVE_DOCUMENT_DONE, .result = rows[i].r, .what = "reason" });
        world_failed(&w, rows[i].code);
        world_answer_has(&w, "\"detail\":\"reason\"");
        world_answer_has(&w, "Failed to get data key from KMS");
    }
    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    w.now.mono_ns += 8 * (uint64_t)T_SECOND; /* came, but too late for this one */
    world_document(&w);
    world_event(&w, (struct enclave_event){ .kind = ENCLAVE_DOCUMENT_DONE });
    world_failed(&w, "nsm_timeout");
    world_clear(&w);
}

#define BAD_DOCUMENT                                                                               \
    "{\"__type\":\"ValidationException\",\"message\":\"1 validation error detected: Value at "     \
    "'recipient.attestationDocument' failed: attestation document has expired\"}"

static void fresh_document_once(void **state)
{
    (void)state;
    struct world w = world_new(NULL);

    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    world_kms(&w, 400, BAD_DOCUMENT);
    assert_int_equal(w.a.kind, ENCLAVE_AWAIT_DOCUMENT);
    world_document(&w);
    world_event(&w, (struct enclave_event){ .kind = ENCLAVE_DOCUMENT_DONE });
    assert_int_equal(w.a.not_before_ns, 0);
    world_kms(&w, 400, BAD_DOCUMENT);
    world_failed(&w, "kms_refused");
    world_answer_has(&w, "\"kms_type\":\"ValidationException\"");
    world_clear(&w);
}

static void fresh_document_of_others_is_kept(void **state)
{
    (void)state;
    struct world w = world_new(NULL);

    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    world_document(&w); /* replaced while KMS judged the one before */
    world_kms(&w, 400, BAD_DOCUMENT);
    assert_int_equal(w.a.kind, ENCLAVE_CALL_KMS);
    assert_int_equal(w.a.not_before_ns, 0);
    world_kms_good(&w);
    assert_null(w.a.code);
    world_clear(&w);
}

static void one_document_job(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    struct enclave_document_job *job = NULL, *second = NULL;
    struct nsm_request asked;

    assert_int_equal(enclave_document_begin(w.e, w.now, &job), ERR_OK);
    assert_non_null(job);
    assert_int_equal(nsm_request_parse(buf_view(&job->request), &asked, NULL), ERR_OK);
    assert_int_equal(asked.op, NSM_ATTESTATION);
    t_assert_span(asked.public_key, rsa_key_spki(world_key()));
    assert_null(asked.nonce.ptr);
    assert_null(asked.user_data.ptr);
    assert_int_equal(enclave_document_begin(w.e, w.now, &second), ERR_OK);
    assert_null(second);

    const struct nsm_response refusal = { .op = NSM_ATTESTATION, .error = NSM_INTERNAL_ERROR };
    assert_int_equal(nsm_response_write(&refusal, &job->response), ERR_OK);
    enclave_document_check(w.cx, job);
    assert_int_equal(job->result, ERR_DENIED);
    assert_string_equal(job->why.what, "InternalError");
    enclave_document_end(w.e, job, w.now);

    assert_int_equal(enclave_document_begin(w.e, w.now, &job), ERR_OK);
    const struct nsm_response garbage = { .op = NSM_ATTESTATION, .data = SPAN_LIT("garbage") };
    assert_int_equal(nsm_response_write(&garbage, &job->response), ERR_OK);
    enclave_document_check(w.cx, job);
    assert_int_equal(job->result, ERR_MALFORMED);
    enclave_document_end(w.e, job, w.now);
    world_clear(&w);
}

static void key_is_replaced(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    struct rsa_key *next = NULL;

    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    assert_int_equal(rsa_key_new(w.cx, RSA_BITS_DEFAULT, &next), ERR_OK);

    struct enclave_document_job *job = NULL;
    assert_int_equal(enclave_document_begin(w.e, w.now, &job), ERR_OK);
    enclave_key_set(w.e, next);
    assert_int_equal(w.e->document.len, 0);
    job->result = ERR_OK; /* a document over the key before: not to be kept */
    job->document = SPAN_LIT("stale");
    enclave_document_end(w.e, job, w.now);
    assert_int_equal(w.e->document.len, 0);

    world_kms_good(&w); /* the request in flight still has its own key */
    assert_null(w.a.code);
    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    assert_int_equal(w.a.kind, ENCLAVE_AWAIT_DOCUMENT);
    world_event(&w, (struct enclave_event){ .kind = ENCLAVE_DOCUMENT_DONE });
    assert_int_equal(w.a.kind, ENCLAVE_AWAIT_DOCUMENT); /* it was over the other key */
    world_document(&w);
    world_event(&w, (struct enclave_event){ .kind = ENCLAVE_DOCUMENT_DONE });
    world_kms_good(&w); /* sealed to the old key: does not open with the new one */
    world_failed(&w, "data_key_not_opened");
    world_clear(&w);
}

static void bare_id_is_pinned(void **state)
{
    (void)state;
    struct world w = world_new(T_KEY_ID);

    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    assert_null(memmem(w.a.bytes.ptr, w.a.bytes.len, T_ARN, strlen(T_ARN)));
    world_kms_good(&w);
    assert_null(w.a.code);
    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    assert_non_null(memmem(w.a.bytes.ptr, w.a.bytes.len, T_ARN, strlen(T_ARN)));
    world_kms(&w, 200,
              "{\"CiphertextBlob\":\"QUJD\",\"KeyId\":\"" T_ARN_2
              "\",\"CiphertextForRecipient\":\"%s\"}");
    world_failed(&w, "key_mismatch");
    world_clear(&w);
}

static void first_use_in_another_region(void **state)
{
    (void)state;
    struct world w = world_new(T_KEY_ID);

    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    world_kms(
        &w, 200,
        "{\"CiphertextBlob\":\"QUJD\",\"KeyId\":\"arn:aws:kms:eu-west-1:111122223333:key/" T_KEY_ID
        "\",\"CiphertextForRecipient\":\"%s\"}");
    world_failed(&w, "key_mismatch");
    assert_int_equal(w.e->key_arn.len, 0);
    world_clear(&w);
}

static void unsigned_documents_only_where_told(void **state)
{
    (void)state;
    /* In QEMU's form as little is right as here: the NSM's answer, and our key in what it holds. */
    for (int told = 0; told < 2; told++)
        for (int ours = 0; ours < 2; ours++) {
            AUTO(buf_clear) struct buf document = BUF_INIT(4096);
            struct crypto *cx = NULL;
            struct enclave_document_job job = { .root_der = SPAN_LIT("root"),
                                                .nsm_unsigned = told != 0,
                                                .response = BUF_INIT(NSM_RESPONSE_MAX) };
            assert_int_equal(crypto_new(&cx), ERR_OK);
            assert_int_equal(rsa_key_new(cx, RSA_BITS_DEFAULT, &job.key), ERR_OK);
            assert_int_equal(buf_append_str(&document, "unsigned "), ERR_OK);
            if (ours)
                assert_int_equal(buf_append(&document, rsa_key_spki(job.key)), ERR_OK);
            const struct nsm_response rs = { .op = NSM_ATTESTATION, .data = buf_view(&document) };
            assert_int_equal(nsm_response_write(&rs, &job.response), ERR_OK);
            enclave_document_check(cx, &job);
            if (told && ours) {
                assert_int_equal(job.result, ERR_OK);
                t_assert_span(job.document, buf_view(&document));
            } else {
                assert_int_not_equal(job.result, ERR_OK);
                assert_null(job.document.ptr);
            }
            if (told && !ours)
                assert_string_equal(job.why.what, "public key");
            buf_clear(&job.response);
            rsa_key_free(job.key);
            crypto_free(cx);
        }
}

static void attests(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    AUTO(buf_clear) struct buf packet = BUF_INIT(NSM_RESPONSE_MAX);
    struct nsm_request asked;

    world_ask(&w, SPAN_LIT("{\"operation\":\"attest\",\"nonce\":\"QUJD\"}"));
    assert_int_equal(w.a.kind, ENCLAVE_ASK_NSM);
    assert_int_equal(nsm_request_parse(w.a.bytes, &asked, NULL), ERR_OK);
    t_assert_span(asked.nonce, SPAN_LIT("ABC"));
    t_assert_span(asked.user_data, SPAN_LIT(ENCLAVE_ATTEST_LABEL));
    assert_null(asked.public_key.ptr);
    const struct nsm_response rs = { .op = NSM_ATTESTATION, .data = SPAN_LIT("document") };
    assert_int_equal(nsm_response_write(&rs, &packet), ERR_OK);
    world_event(&w,
                (struct enclave_event){ .kind = ENCLAVE_NSM_ANSWERED, .body = buf_view(&packet) });
    struct proto_answer a = world_answer(&w, PROTO_ATTEST);
    t_assert_span(a.document.raw, SPAN_LIT("ZG9jdW1lbnQ="));
    world_clear(&w);
}

static void attest_failures(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    AUTO(buf_clear) struct buf packet = BUF_INIT(NSM_RESPONSE_MAX);
    const struct nsm_response rs = { .op = NSM_ATTESTATION, .error = NSM_INPUT_TOO_LARGE };
    const struct span ask = SPAN_LIT("{\"operation\":\"attest\",\"nonce\":\"QUJD\"}");

    world_ask(&w, ask);
    world_event(&w, (struct enclave_event){
                        .kind = ENCLAVE_NSM_ANSWERED, .result = ERR_TIMEOUT, .what = "timed out" });
    world_failed(&w, "nsm_failed");
    world_answer_has(&w, "Failed to get an attestation document");
    world_ask(&w, ask);
    assert_int_equal(nsm_response_write(&rs, &packet), ERR_OK);
    world_event(&w,
                (struct enclave_event){ .kind = ENCLAVE_NSM_ANSWERED, .body = buf_view(&packet) });
    world_failed(&w, "nsm_failed");
    world_answer_has(&w, "InputTooLarge");
    world_ask(&w, ask);
    world_event(&w, (struct enclave_event){ .kind = ENCLAVE_OVERLOADED });
    world_failed(&w, "busy");
    world_clear(&w);
}

static void nonce_limit(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    AUTO(buf_clear) struct buf rq = BUF_INIT(2048);

    for (int over = 0; over < 2; over++) {
        buf_reset(&rq);
        assert_int_equal(buf_append_str(&rq, "{\"operation\":\"attest\",\"nonce\":\""), ERR_OK);
        for (int i = 0; i < 170; i++)
            assert_int_equal(buf_append_str(&rq, "AAAA"), ERR_OK); /* 510 bytes */
        assert_int_equal(buf_append_str(&rq, over ? "AAAA\"}" : "AAA=\"}"), ERR_OK);
        world_ask(&w, buf_view(&rq));
        if (over)
            world_failed(&w, "invalid_base64");
        else
            assert_int_equal(w.a.kind, ENCLAVE_ASK_NSM);
    }
    world_clear(&w);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        enum enclave_refusal why;
        const char *code;
    } rows[] = { { ENCLAVE_TOO_LARGE, "too_large" },
                 { ENCLAVE_READ_TIMEOUT, "read_timeout" },
                 { ENCLAVE_BUSY, "busy" },
                 { ENCLAVE_STOPPING, "stopping" } };
    struct world w = world_new(NULL);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enclave_request_free(w.rq);
        assert_int_equal(enclave_request_new(w.e, &w.rq), ERR_OK);
        world_event(&w,
                    (struct enclave_event){ .kind = ENCLAVE_NOT_RECEIVED, .refusal = rows[i].why });
        world_failed(&w, rows[i].code);
        assert_string_equal(enclave_request_summary(w.rq).op, "?");
    }
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings),
        cmocka_unit_test(clock_follows_forward),
        cmocka_unit_test(clock_goes_back_little),
        cmocka_unit_test(clock_steps_ahead),
        cmocka_unit_test(document_ages),
        cmocka_unit_test(document_fails),
        cmocka_unit_test(fresh_document_once),
        cmocka_unit_test(fresh_document_of_others_is_kept),
        cmocka_unit_test(one_document_job),
        cmocka_unit_test(key_is_replaced),
        cmocka_unit_test(bare_id_is_pinned),
        cmocka_unit_test(first_use_in_another_region),
        cmocka_unit_test(unsigned_documents_only_where_told),
        cmocka_unit_test(attests),
        cmocka_unit_test(attest_failures),
        cmocka_unit_test(nonce_limit),
        cmocka_unit_test(refusals),
    };

    return cmocka_run_group_tests_name("enclave_service", tests, world_setup, world_teardown);
}
