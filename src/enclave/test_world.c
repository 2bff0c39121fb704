#include "enclave/test_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"

static struct rsa_key *the_key;
static struct crypto *the_cx;

int world_setup(void **state)
{
    (void)state;
    return crypto_new(&the_cx) == ERR_OK &&
                   rsa_key_new(the_cx, RSA_BITS_DEFAULT, &the_key) == ERR_OK
               ? 0
               : -1;
}

int world_teardown(void **state)
{
    (void)state;
    rsa_key_free(the_key);
    crypto_free(the_cx);
    return 0;
}

struct rsa_key *world_key(void)
{
    return the_key;
}

void world_document(struct world *w)
{
    buf_reset(&w->e->document);
    assert_int_equal(buf_append_str(&w->e->document, "a document"), ERR_OK);
    w->e->document_born_ns = w->now.mono_ns;
    w->e->document_number++;
}

struct world world_new(const char *key_id)
{
    const struct enclave_settings s = {
        .key_id = span_str(key_id ? key_id : T_ARN),
        .region = SPAN_LIT("us-east-1"),
        .host = SPAN_LIT("kms.us-east-1.amazonaws.com"),
        .root_der = SPAN_LIT("root"),
        .request_max = T_REQUEST_MAX,
        .document_max_age_ms = 60000,
        .kms_deadline_ms = 8000,
        .kms_try_ms = 3000,
        .kms_tries = 3,
    };
    struct world w = {
        .cx = the_cx,
        .now = { .mono_ns = 5 * (uint64_t)T_SECOND, .wall_s = 1767323045 },
    };

    assert_int_equal(enclave_new(the_cx, &s, &w.e, NULL), ERR_OK);
    enclave_key_set(w.e, rsa_key_ref(the_key));
    memset(w.data_key, 0x5a, sizeof w.data_key);
    world_document(&w);
    return w;
}

void world_clear(struct world *w)
{
    enclave_request_free(w->rq);
    enclave_free(w->e);
}

void (*world_on_work)(bool begins);

void world_event(struct world *w, struct enclave_event ev)
{
    enclave_step(w->e, w->rq, &ev, w->now, &w->a);
    while (w->a.kind == ENCLAVE_WORK) {
        const struct enclave_event worked = { .kind = ENCLAVE_WORKED };
        w->works++;
        if (world_on_work)
            world_on_work(true);
        enclave_work(w->cx, w->rq);
        if (world_on_work)
            world_on_work(false);
        enclave_step(w->e, w->rq, &worked, w->now, &w->a);
    }
}

void world_ask(struct world *w, struct span request)
{
    struct buf in = BUF_INIT(request.len + 1);

    enclave_request_free(w->rq);
    w->works = 0;
    assert_int_equal(enclave_request_new(w->e, &w->rq), ERR_OK);
    assert_int_equal(buf_append(&in, request), ERR_OK);
    world_event(w, (struct enclave_event){ .kind = ENCLAVE_RECEIVED, .received = &in });
    assert_null(in.ptr);
}

void world_kms(struct world *w, unsigned status, const char *json)
{
    AUTO(buf_clear) struct buf cms = BUF_INIT(CMS_MAX_BYTES);
    AUTO(buf_clear) struct buf text = BUF_INIT(65536);
    AUTO(buf_clear) struct buf body = BUF_INIT(65536);
    const struct http1_head head = {
        .status = status,
        .minor = 1,
        .headers = { { SPAN_LIT("x-amzn-RequestId"), SPAN_LIT("kms-request-7") } },
        .n_headers = 1,
        .framing = HTTP1_LENGTH,
        .keep_alive = true,
    };
    const char *hole = strstr(json, "%s");

    assert_int_equal(w->a.kind, ENCLAVE_CALL_KMS);
    assert_int_equal(
        cms_seal(w->cx, SPAN_ARRAY(w->data_key), rsa_key_spki(the_key), CMS_FORM_A, &cms, NULL),
        ERR_OK);
    assert_int_equal(base64_append(&text, buf_view(&cms)), ERR_OK);
    size_t before = hole ? (size_t)(hole - json) : strlen(json);
    assert_int_equal(buf_append(&body, span_of(json, before)), ERR_OK);
    if (hole) {
        assert_int_equal(buf_append(&body, buf_view(&text)), ERR_OK);
        assert_int_equal(buf_append_str(&body, hole + 2), ERR_OK);
    }
    world_event(w, (struct enclave_event){
                       .kind = ENCLAVE_KMS_ANSWERED, .head = &head, .body = buf_view(&body) });
}

void world_kms_good(struct world *w)
{
    world_kms(w, 200,
              "{\"CiphertextBlob\":\"QUJD\",\"KeyId\":\"" T_ARN
              "\",\"CiphertextForRecipient\":\"%s\"}");
}

void world_kms_broken(struct world *w, enum err r)
{
    assert_int_equal(w->a.kind, ENCLAVE_CALL_KMS);
    world_event(w, (struct enclave_event){
                       .kind = ENCLAVE_KMS_BROKEN, .result = r, .what = "connection reset" });
}

void world_answer_has(const struct world *w, const char *text)
{
    assert_int_equal(w->a.kind, ENCLAVE_ANSWER);
    if (memmem(w->a.answer->ptr, w->a.answer->len, text, strlen(text)) == NULL)
        fail_msg("answer lacks %s: %.*s", text, (int)w->a.answer->len, (char *)w->a.answer->ptr);
}

void world_failed(const struct world *w, const char *code)
{
    char member[128];

    assert_int_equal(w->a.kind, ENCLAVE_ANSWER);
    assert_non_null(w->a.code);
    assert_string_equal(w->a.code, code);
    snprintf(member, sizeof member, "\"error_code\":\"%s\"", code);
    world_answer_has(w, member);
    world_answer_has(w, "\"error\":");
    world_answer_has(w, "\"request_id\":");
}

struct proto_answer world_answer(const struct world *w, enum proto_op op)
{
    struct proto_answer a;

    assert_int_equal(w->a.kind, ENCLAVE_ANSWER);
    assert_null(w->a.code);
    assert_int_equal(proto_answer_parse(buf_view(w->a.answer), op, &a, NULL), ERR_OK);
    return a;
}

struct span world_sealed(struct world *w, struct span text, bool good_signature)
{
    AUTO(secret_clear) struct secret key = { 0 };
    AUTO(buf_clear) struct buf sealed = BUF_INIT(T_REQUEST_MAX), out = BUF_INIT(T_REQUEST_MAX);
    uint8_t sig[HMAC_SHA256_BYTES];

    assert_int_equal(secret_copy(SPAN_ARRAY(w->data_key), &key), ERR_OK);
    assert_int_equal(envelope_seal(w->cx, &key, text, &sealed, sig), ERR_OK);
    sig[0] ^= good_signature ? 0 : 1;
    assert_int_equal(
        buf_append_str(&out, "{\"operation\":\"decrypt\"," T_CREDENTIALS ",\"encrypted\":\""),
        ERR_OK);
    assert_int_equal(base64_append(&out, buf_view(&sealed)), ERR_OK);
    assert_int_equal(buf_append_str(&out, "\",\"signature\":\""), ERR_OK);
    assert_int_equal(base64_append(&out, SPAN_ARRAY(sig)), ERR_OK);
    assert_int_equal(buf_append_str(&out, "\",\"ciphertext_blob\":\"QUJD\"}"), ERR_OK);
    return t_copy(buf_view(&out));
}
