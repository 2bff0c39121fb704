/* Requests of the HTTP API: in JSON and in bytes, with credentials of their own, of a batch, or
 * held by the service. */
#include "base/base64.h"
#include "enclave/test_world.h"

static struct span a_signature, a_blob;

static void ask(struct world *w, enum enclave_form form, enum proto_op op, struct span body)
{
    struct buf in = BUF_INIT(body.len + 16);
    const struct enclave_input input = {
        .form = form,
        .from = 4,
        .has_op = true,
        .op = op,
        .signature_b64 = a_signature,
        .ciphertext_blob_b64 = a_blob,
    };

    enclave_request_free(w->rq);
    w->works = 0;
    assert_int_equal(enclave_request_new(w->e, &w->rq), ERR_OK);
    assert_int_equal(buf_append(&in, SPAN_LIT("head")), ERR_OK);
    assert_int_equal(buf_append(&in, body), ERR_OK);
    world_event(
        w, (struct enclave_event){ .kind = ENCLAVE_RECEIVED, .received = &in, .input = &input });
    assert_null(in.ptr);
}

static void hold(struct world *w)
{
    const struct sigv4_credentials c = { SPAN_LIT("AKIDHELD"), SPAN_LIT("secret"),
                                         SPAN_LIT("tok") };

    assert_int_equal(enclave_credentials_set(w->e, &c, 0), ERR_OK);
}

/* A failure is left to the shell: no bytes of ours are in the answer. */
static void failed(const struct world *w, const char *code)
{
    const struct proto_error e = enclave_request_failure(w->rq);

    assert_int_equal(w->a.kind, ENCLAVE_ANSWER);
    assert_non_null(w->a.code);
    assert_string_equal(w->a.code, code);
    assert_string_equal(e.code, code);
    assert_non_null(e.error);
    assert_int_equal(w->a.answer->len, 0);
}

static bool request_has(const struct world *w, const char *text)
{
    assert_int_equal(w->a.kind, ENCLAVE_CALL_KMS);
    return memmem(w->a.bytes.ptr, w->a.bytes.len, text, strlen(text)) != NULL;
}

/* The text in bytes, there and back; a changed signature is a failure. */
static void bytes_there_and_back(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    AUTO(buf_clear) struct buf sealed = BUF_INIT(4096), signature = BUF_INIT(64);
    const struct span text = SPAN_LIT("\x00\xff not a text");

    hold(&w);
    a_signature = a_blob = SPAN_EMPTY;
    ask(&w, ENCLAVE_BINARY, PROTO_ENCRYPT, text);
    assert_true(request_has(&w, "AKIDHELD"));
    world_kms_good(&w);
    assert_null(w.a.code);
    assert_int_equal(w.a.answer->len, text.len + ENVELOPE_OVERHEAD_BYTES);
    struct enclave_result res = enclave_request_result(w.rq);
    t_assert_span(res.ciphertext_blob_b64, SPAN_LIT("QUJD"));
    t_assert_span(res.key_id, SPAN_LIT(T_ARN));
    assert_int_equal(base64_append(&signature, res.signature), ERR_OK);
    sealed = buf_take(w.a.answer);

    a_signature = buf_view(&signature);
    a_blob = SPAN_LIT("QUJD");
    ask(&w, ENCLAVE_BINARY, PROTO_DECRYPT, buf_view(&sealed));
    world_kms_good(&w);
    assert_null(w.a.code);
    t_assert_span(buf_view(w.a.answer), text);

    signature.ptr[0] ^= 1;
    ask(&w, ENCLAVE_BINARY, PROTO_DECRYPT, buf_view(&sealed));
    world_kms_good(&w);
    failed(&w, "signature_invalid");

    ask(&w, ENCLAVE_JSON, PROTO_DECRYPT, SPAN_LIT("{}"));
    failed(&w, "missing_member");
    a_signature = a_blob = SPAN_EMPTY;
    world_clear(&w);
}

static void json_has_no_echo(void **state)
{
    (void)state;
    struct world w = world_new(NULL);

    hold(&w);
    ask(&w, ENCLAVE_JSON, PROTO_ENCRYPT, SPAN_LIT("{\"message\":\"the text\"}"));
    world_kms_good(&w);
    struct proto_answer a = world_answer(&w, PROTO_ENCRYPT);
    assert_false(json_str_is_set(a.plaintext));
    world_clear(&w);
}

/* The seed protocol says `signature_valid` false beside the text; in JSON there is no text. */
static void json_withholds(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    struct span good = world_sealed(&w, SPAN_LIT("text"), true),
                bad = world_sealed(&w, SPAN_LIT("text"), false),
                bytes = world_sealed(&w, SPAN_LIT("\xff"), true);

    ask(&w, ENCLAVE_JSON, PROTO_DECRYPT, good);
    world_kms_good(&w);
    assert_true(json_str_is(world_answer(&w, PROTO_DECRYPT).decrypted, "text"));
    ask(&w, ENCLAVE_JSON, PROTO_DECRYPT, bad);
    world_kms_good(&w);
    failed(&w, "signature_invalid");
    ask(&w, ENCLAVE_JSON, PROTO_DECRYPT, bytes);
    world_kms_good(&w);
    failed(&w, "text_not_utf8");
    ask(&w, ENCLAVE_JSON, PROTO_ENCRYPT, good); /* its JSON names another operation */
    failed(&w, "wrong_type");
    t_free(good);
    t_free(bad);
    t_free(bytes);
    world_clear(&w);
}

static void headers(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    static const struct {
        struct span signature, blob;
        const char *code;
    } rows[] = {
        { SPAN_INIT(""), SPAN_INIT("QUJD"), "missing_member" },
        { SPAN_INIT("QUJD"), SPAN_INIT(""), "missing_member" },
        { SPAN_INIT("A"), SPAN_INIT("QUJD"), "invalid_base64" },
        { SPAN_INIT("QUJD"), SPAN_INIT("A=A="), "invalid_base64" },
    };
    static uint8_t long_text[8193];

    hold(&w);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        a_signature = rows[i].signature;
        a_blob = rows[i].blob;
        ask(&w, ENCLAVE_BINARY, PROTO_DECRYPT, SPAN_LIT("sealed"));
        failed(&w, rows[i].code);
    }
    memset(long_text, 'A', sizeof long_text);
    a_blob = SPAN_ARRAY(long_text);
    ask(&w, ENCLAVE_BINARY, PROTO_DECRYPT, SPAN_LIT("sealed"));
    failed(&w, "invalid_base64");
    a_signature = a_blob = SPAN_EMPTY;
    world_clear(&w);
}

static void credentials(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    const struct span body = SPAN_LIT("{\"message\":\"m\"}");
    const struct sigv4_credentials c = { SPAN_LIT("AKIDNEW"), SPAN_LIT("s"), SPAN_EMPTY };
    const struct sigv4_credentials empty = { SPAN_LIT("AKIDNEW"), SPAN_EMPTY, SPAN_EMPTY };
    const struct sigv4_credentials unclean = { SPAN_LIT("A\nB"), SPAN_LIT("s"), SPAN_EMPTY };

    ask(&w, ENCLAVE_JSON, PROTO_ENCRYPT, body);
    failed(&w, "no_credentials");
    hold(&w);
    assert_int_equal(enclave_credentials_set(w.e, &empty, 0), ERR_MALFORMED);
    assert_int_equal(enclave_credentials_set(w.e, &unclean, 0), ERR_MALFORMED);
    ask(&w, ENCLAVE_JSON, PROTO_ENCRYPT, body);
    assert_true(request_has(&w, "AKIDHELD"));
    assert_int_equal(enclave_credentials_set(w.e, &c, w.now.wall_s + 5), ERR_OK);
    assert_int_equal(enclave_credentials_expire_s(w.e), w.now.wall_s + 5);
    world_kms(&w, 500, "{\"__type\":\"KMSInternalException\"}"); /* the next try has the new ones */
    assert_true(request_has(&w, "AKIDNEW"));
    w.now.wall_s += 5;
    ask(&w, ENCLAVE_JSON, PROTO_ENCRYPT, body);
    failed(&w, "no_credentials");
    ask(&w, ENCLAVE_JSON, PROTO_ENCRYPT, SPAN_LIT("{\"message\":\"m\"," T_CREDENTIALS "}"));
    assert_true(request_has(&w, "AKIDEXAMPLE")); /* its own */
    world_ask(&w, SPAN_LIT("{\"operation\":\"encrypt\",\"message\":\"m\"}"));
    world_failed(&w, "missing_member"); /* the seed protocol brings its own, always */
    world_clear(&w);
}

/* The key that KMS answers for is compared for messages, too: T_ARN_2 differs in its account. */
static void key_of_a_message(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "{\"CiphertextBlob\":\"QUJD\",\"KeyId\":\"" T_ARN "\",\"CiphertextForRecipient\":\"%s\"}",
        "{\"CiphertextBlob\":\"QUJD\",\"KeyId\":\"" T_ARN_2 "\",\"CiphertextForRecipient\":\"%s\"}",
    };

    for (int is_new = 0; is_new < 2; is_new++)
        for (int other = 0; other < 2; other++) {
            struct world w = world_new(NULL);
            const struct enclave_key_ask asked = {
                .is_new = is_new,
                .arn = SPAN_LIT(T_ARN),
                .bytes = 32,
                .ciphertext = SPAN_LIT("blob"),
                .suite = esdk_suite_find(ESDK_SUITE_COMMITTING),
            };
            const struct enclave_input input = { .form = ENCLAVE_KEY, .key = &asked };
            hold(&w);
            assert_int_equal(enclave_request_new(w.e, &w.rq), ERR_OK);
            world_event(&w, (struct enclave_event){ .kind = ENCLAVE_RECEIVED, .input = &input });
            world_kms(&w, 200, answers[other]);
            struct secret key = enclave_request_take_key(w.rq);
            if (other) {
                failed(&w, "key_mismatch");
                assert_int_equal(key.len, 0);
            } else {
                assert_null(w.a.code);
                t_assert_span(secret_view(&key), SPAN_ARRAY(w.data_key));
            }
            secret_clear(&key);
            world_clear(&w);
        }
}

/* A data key was had with credentials: it is not there for longer than they are. */
static void kept_keys_end_with_credentials(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    const struct sigv4_credentials c = { SPAN_LIT("AKIDNEW"), SPAN_LIT("s"), SPAN_EMPTY };
    const struct key_cache_limits limits = {
        .age_ns = 60 * (uint64_t)T_SECOND, .messages = 10, .bytes = 1000, .entries = 2
    };
    const struct enclave_key_ask asked = {
        .is_new = true,
        .arn = SPAN_LIT(T_ARN),
        .bytes = 32,
        .suite = esdk_suite_find(ESDK_SUITE_COMMITTING),
    };
    struct enclave_key_ticket ticket;
    struct secret key, found;
    struct span blob;

    assert_int_equal(key_cache_new(&limits, &w.e->cache), ERR_OK);
    assert_int_equal(secret_copy(SPAN_ARRAY(w.data_key), &key), ERR_OK);
    assert_false(enclave_key_find(w.e, &asked, 4, w.now, &found, &blob, &ticket));
    assert_false(ticket.may_keep); /* there are no credentials */
    assert_int_equal(enclave_credentials_set(w.e, &c, w.now.wall_s + 5), ERR_OK);
    assert_false(enclave_key_find(w.e, &asked, 4, w.now, &found, &blob, &ticket));
    assert_true(ticket.may_keep);
    enclave_key_keep(w.e, &ticket, &key, SPAN_LIT("blob"), 4, w.now.mono_ns);
    w.now.wall_s += 4;
    assert_true(enclave_key_find(w.e, &asked, 4, w.now, &found, &blob, &ticket));
    t_assert_span(blob, SPAN_LIT("blob"));
    secret_clear(&found);
    w.now.wall_s += 1;
    assert_false(enclave_key_find(w.e, &asked, 4, w.now, &found, &blob, &ticket));
    assert_false(ticket.may_keep);
    assert_int_equal(enclave_keys_counts(w.e).entries, 0);
    assert_int_equal(enclave_keys_counts(w.e).cleared, 1);
    secret_clear(&key);
    world_clear(&w);
}

static void credentials_of_a_batch(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    struct buf in = BUF_INIT(64);
    const struct sigv4_credentials c = { SPAN_LIT("AKIDBATCH"), SPAN_LIT("s"), SPAN_EMPTY };
    const struct enclave_input input = { .form = ENCLAVE_JSON, .credentials = &c };

    hold(&w);
    assert_int_equal(enclave_request_new(w.e, &w.rq), ERR_OK);
    assert_int_equal(buf_append_str(&in, "{\"message\":\"m\"}"), ERR_OK);
    world_event(
        &w, (struct enclave_event){ .kind = ENCLAVE_RECEIVED, .received = &in, .input = &input });
    assert_true(request_has(&w, "AKIDBATCH"));
    world_clear(&w);
}

/* The next key takes over with its first document and not before. */
static void next_key(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    struct enclave_document_job *job, *none;
    struct rsa_key *key;

    assert_int_equal(rsa_key_new(w.cx, RSA_BITS_DEFAULT, &key), ERR_OK);
    struct rsa_key *watch = rsa_key_ref(key);
    assert_int_equal(enclave_document_begin(w.e, w.now, &job), ERR_OK); /* of the current one */
    enclave_key_next(w.e, key);
    assert_int_equal(enclave_document_begin(w.e, w.now, &none), ERR_OK);
    assert_null(none);
    job->result = ERR_OK;
    job->document = SPAN_LIT("of the current key");
    enclave_document_end(w.e, job, w.now);
    assert_true(enclave_has_next_key(w.e));
    assert_true(w.e->key == world_key());
    t_assert_span(buf_view(&w.e->document), SPAN_LIT("of the current key"));

    assert_int_equal(enclave_document_begin(w.e, w.now, &job), ERR_OK);
    assert_true(job->key == watch);
    job->result = ERR_TIMEOUT;
    enclave_document_end(w.e, job, w.now); /* nothing changes */
    assert_true(enclave_has_next_key(w.e));
    assert_int_equal(enclave_document_begin(w.e, w.now, &job), ERR_OK);
    job->result = ERR_OK;
    job->document = SPAN_LIT("of the next key");
    enclave_document_end(w.e, job, w.now);
    assert_false(enclave_has_next_key(w.e));
    assert_true(w.e->key == watch);
    t_assert_span(buf_view(&w.e->document), SPAN_LIT("of the next key"));
    rsa_key_free(watch);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_there_and_back),
        cmocka_unit_test(json_has_no_echo),
        cmocka_unit_test(json_withholds),
        cmocka_unit_test(headers),
        cmocka_unit_test(credentials),
        cmocka_unit_test(key_of_a_message),
        cmocka_unit_test(kept_keys_end_with_credentials),
        cmocka_unit_test(credentials_of_a_batch),
        cmocka_unit_test(next_key),
    };

    return cmocka_run_group_tests_name("enclave_forms", tests, world_setup, world_teardown);
}
