/* KMS's bytes, head and body, into a request that awaits them: first byte picks the operation. */
#include "enclave/private.h"

#include <stdlib.h>

static struct crypto *cx;

static struct enclave *service(void)
{
    static struct enclave *e;
    const struct enclave_settings s = {
        .key_id = SPAN_LIT("arn:aws:kms:us-east-1:111122223333:key/k"),
        .region = SPAN_LIT("us-east-1"),
        .host = SPAN_LIT("kms.us-east-1.amazonaws.com"),
        .root_der = SPAN_LIT("root"),
        .request_max = 65536,
        .document_max_age_ms = 60000,
        .kms_deadline_ms = 8000,
        .kms_try_ms = 3000,
        .kms_tries = 2,
    };
    struct rsa_key *key;

    if (e)
        return e;
    if (crypto_new(&cx) != ERR_OK || enclave_new(cx, &s, &e, NULL) != ERR_OK ||
        rsa_key_new(cx, RSA_BITS_DEFAULT, &key) != ERR_OK)
        abort();
    enclave_key_set(e, key);
    return e;
}

static void refresh(struct enclave *e)
{
    buf_reset(&e->document);
    if (buf_append_str(&e->document, "document") != ERR_OK)
        abort();
    e->document_born_ns = 1;
}

static struct enclave_request *ask(struct enclave *e, bool decrypt, struct enclave_action *a)
{
    struct enclave_request *rq;
    const char *text = decrypt
                           ? "{\"operation\":\"decrypt\",\"credentials\":{\"access_key_id\":\"A\","
                             "\"secret_access_key\":\"S\",\"session_token\":\"\"},"
                             "\"encrypted\":\"QUJD\",\"signature\":\"QUJD\","
                             "\"ciphertext_blob\":\"QUJD\"}"
                           : "{\"credentials\":{\"access_key_id\":\"A\","
                             "\"secret_access_key\":\"S\",\"session_token\":\"\"},"
                             "\"message\":\"m\"}";
    struct buf in = BUF_INIT(1024);
    const struct enclave_event ev = { .kind = ENCLAVE_RECEIVED, .received = &in };

    if (buf_append_str(&in, text) != ERR_OK || enclave_request_new(e, &rq) != ERR_OK)
        abort();
    enclave_step(e, rq, &ev, (struct enclave_time){ 1, 1767323045 }, a);
    if (a->kind != ENCLAVE_CALL_KMS)
        abort();
    return rq;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct enclave *e = service();
    const struct enclave_time now = { 2, 1767323045 };
    struct http1_head head;
    struct enclave_action a;
    size_t used;

    if (size < 1)
        return 0;
    struct span in = span_of(data + 1, size - 1);
    if (http1_response_parse(in, false, &head, &used, NULL) != ERR_OK)
        return 0;
    refresh(e);
    struct enclave_request *rq = ask(e, data[0] & 1, &a);
    struct enclave_event ev = { .kind = ENCLAVE_KMS_ANSWERED,
                                .head = &head,
                                .body = span_from(in, used) };
    enclave_step(e, rq, &ev, now, &a);
    if (a.kind == ENCLAVE_WORK) {
        enclave_work(cx, rq);
        ev = (struct enclave_event){ .kind = ENCLAVE_WORKED };
        enclave_step(e, rq, &ev, now, &a);
    }
    if (a.kind == ENCLAVE_ANSWER && !a.code)
        abort(); /* nobody but the holder of our public key can seal a data key for it */
    enclave_request_free(rq);
    return 0;
}
