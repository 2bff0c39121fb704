/* A client's bytes, up to the first action; the last byte picks how they came. */
#include "enclave/private.h"

#include <stdlib.h>

static struct enclave *service(void)
{
    static struct enclave *e;
    const struct enclave_settings s = {
        .key_id = SPAN_LIT("1234abcd-12ab-34cd-56ef-1234567890ab"),
        .region = SPAN_LIT("us-east-1"),
        .host = SPAN_LIT("kms.us-east-1.amazonaws.com"),
        .root_der = SPAN_LIT("root"),
        .request_max = 65536,
        .kms_deadline_ms = 8000,
        .kms_try_ms = 3000,
        .kms_tries = 1,
    };
    struct crypto *cx;

    if (!e && (crypto_new(&cx) != ERR_OK || enclave_new(cx, &s, &e, NULL) != ERR_OK))
        abort();
    return e; /* no key and no document: encrypt and decrypt stop at AWAIT_DOCUMENT */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct enclave_time now = { .mono_ns = 1, .wall_s = 1767323045 };
    struct enclave_request *rq;
    struct enclave_action a;
    struct buf in = BUF_INIT(size);
    const uint8_t how = size ? data[size - 1] : 0;
    const struct enclave_input input = {
        .form = how & 1 ? ENCLAVE_JSON : ENCLAVE_BINARY,
        .from = size > 3 ? how >> 6 : 0,
        .has_op = true,
        .op = how >> 4 & 1   ? PROTO_DECRYPT
              : how >> 5 & 1 ? PROTO_ATTEST
                             : PROTO_ENCRYPT,
        .signature_b64 = span_of(data, size / 3),
        .ciphertext_blob_b64 = span_of(data, size / 2),
    };
    bool is_seed = !(how >> 1 & 1);

    if (buf_append(&in, span_of(data, size)) != ERR_OK ||
        enclave_request_new(service(), &rq) != ERR_OK)
        abort();
    struct enclave_event ev = { .kind = ENCLAVE_RECEIVED,
                                .received = &in,
                                .input = is_seed ? NULL : &input };
    enclave_step(service(), rq, &ev, now, &a);
    if (a.kind == ENCLAVE_WORK) {
        enclave_work(NULL, rq); /* parsing needs no cryptography */
        ev = (struct enclave_event){ .kind = ENCLAVE_WORKED };
        enclave_step(service(), rq, &ev, now, &a);
    }
    if (a.kind == ENCLAVE_ANSWER && (!a.code || (a.answer->len == 0) == is_seed))
        abort(); /* nothing succeeds without KMS or the NSM, and every failure has a text */
    if (a.kind != ENCLAVE_ANSWER && a.kind != ENCLAVE_AWAIT_DOCUMENT && a.kind != ENCLAVE_ASK_NSM)
        abort();
    enclave_request_free(rq);
    return 0;
}
