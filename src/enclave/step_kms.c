/* step_kms.c - calls to KMS: sign, judge the answer, pause and try again. */
#include "enclave/private.h"

#include <stdio.h>
#include <stdlib.h>

enum { KMS_NS_PER_MS = 1000000 };

static enum kms_op kms_op_of(const struct enclave_request *rq)
{
    return rq->asked.op == PROTO_DECRYPT ? KMS_DECRYPT : KMS_GENERATE_DATA_KEY;
}

static bool is_key(const struct enclave_request *rq)
{
    return rq->input.form == ENCLAVE_KEY;
}

/* No more than there is room for: message.c has refused longer ones. */
static size_t context_of(const struct enclave_key_ask *ask, struct kms_context_pair *out)
{
    struct span rest = ask->pairs;
    struct esdk_pair p;
    size_t n = 0;

    while (n < KMS_CONTEXT_PAIRS_MAX && esdk_pair_next(&rest, &p))
        out[n++] = (struct kms_context_pair){ p.key, p.value };
    return n;
}

/* Its own, its batch's, or those that the service holds now. */
static const struct sigv4_credentials *credentials_of(const struct step *s)
{
    if (s->rq->asked.has_credentials)
        return &s->rq->cred;
    return s->rq->input.credentials ? s->rq->input.credentials
                                    : enclave_credentials(s->e, s->now.wall_s);
}

/* Once for each document. */
static enum err prepare_recipient(struct enclave *e)
{
    if (e->recipient.text.len > 0 && e->recipient_number == e->document_number)
        return ERR_OK;
    e->recipient_number = e->document_number;
    return kms_recipient_set(&e->recipient, buf_view(&e->document));
}

/* `not_before_ns` 0 means now. The signature's time is now's: a pause is far below the skew that
 * KMS allows. */
void step_call_kms(const struct step *s, uint64_t not_before_ns)
{
    struct enclave *e = s->e;
    struct enclave_request *rq = s->rq;
    struct kms_context_pair context[KMS_CONTEXT_PAIRS_MAX];
    const struct kms_call call = {
        .op = kms_op_of(rq),
        .key_id = is_key(rq) ? rq->input.key->arn : key_to_ask(e),
        .ciphertext_blob_b64 = rq->blob_b64,
        .number_of_bytes = is_key(rq) && rq->input.key->is_new ? rq->input.key->bytes : 0,
        .context = context,
        .n_context = is_key(rq) ? context_of(rq->input.key, context) : 0,
        .recipient = &e->recipient,
    };
    const struct kms_endpoint ep = { .host = e->set.host, .region = e->set.region };
    const struct sigv4_credentials *cred = credentials_of(s);

    if (!cred) {
        step_fail(s, (struct failure){
                         .error = key_error(rq),
                         .code = "no_credentials",
                         .detail = "the service holds no AWS credentials, or they have expired",
                         .hint = "PUT /v1/credentials (nitroseal gateway does), or send some along",
                     });
        return;
    }
    rsa_key_free(rq->key);
    rq->key = rsa_key_ref(e->key);
    rq->document_number = e->document_number;
    buf_reset(&rq->out);
    rq->out.max = KMS_REQUEST_MAX;
    enum err r = prepare_recipient(e);
    if (r == ERR_OK)
        r = kms_request_write(&call, &ep, cred, s->now.wall_s, &rq->out);
    stack_wipe(STACK_OF_SIGNING); /* a signing key has just been derived */
    if (r != ERR_OK) {
        step_fail(s, (struct failure){ .error = key_error(rq),
                                       .code = r == ERR_NOMEM ? "busy" : "internal" });
        return;
    }
    rq->tries++;
    rq->state = STATE_CALLING_KMS;
    uint64_t start = not_before_ns ? not_before_ns : s->now.mono_ns;
    uint64_t try_end = start + (uint64_t)e->set.kms_try_ms * KMS_NS_PER_MS;
    *s->out = (struct enclave_action){
        .kind = ENCLAVE_CALL_KMS,
        .bytes = buf_view(&rq->out),
        .not_before_ns = not_before_ns,
        .deadline_ns = try_end < rq->deadline_ns ? try_end : rq->deadline_ns,
    };
}

/* xorshift64: only spreads retries in time. */
static uint64_t jitter_next(struct enclave *e)
{
    e->jitter ^= e->jitter << 13;
    e->jitter ^= e->jitter >> 7;
    e->jitter ^= e->jitter << 17;
    return e->jitter;
}

/* Exponential backoff with full jitter, if a try and the deadline are left; else `last` ends it. */
static void try_again(const struct step *s, struct failure last)
{
    struct enclave_request *rq = s->rq;
    uint64_t ms = ENCLAVE_BACKOFF_BASE_MS;

    for (unsigned i = 1; i < rq->tries && ms < ENCLAVE_BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > ENCLAVE_BACKOFF_MAX_MS)
        ms = ENCLAVE_BACKOFF_MAX_MS;
    uint64_t not_before = s->now.mono_ns + 1 + jitter_next(s->e) % (ms * KMS_NS_PER_MS);
    if (rq->tries >= s->e->set.kms_tries || not_before >= rq->deadline_ns)
        step_fail(s, last);
    else if (document_is_good(s->e, s->now.mono_ns))
        step_call_kms(s, not_before);
    else
        step_await_document(s);
}

/* What answers without a type is hardly KMS: a gateway on the way, say. */
static struct failure kms_said(struct enclave_request *rq, const char *code, unsigned status)
{
    snprintf(rq->note, sizeof rq->note, "HTTP status %u", status);
    return (struct failure){
        .error = key_error(rq),
        .code = code,
        .detail = rq->kms_type.len == 0 ? rq->note : NULL,
        .hint = kms_hint(rq->kms_type, rq->kms_message),
    };
}

static void accept_key(const struct step *s)
{
    enum err r = ERR_VERIFY;

    if (!is_key(s->rq))
        r = key_check(s->e, s->rq->key_id);
    else if (kms_key_matches(s->rq->input.key->arn, s->rq->key_id))
        r = ERR_OK;

    if (r == ERR_OK) {
        buf_clear(&s->rq->out); /* it will not be sent again, and is still in the cache */
        step_work(s, STATE_OPENING);
        return;
    }
    step_fail(s, (struct failure){
                     .error = key_error(s->rq),
                     .code = r == ERR_VERIFY ? "key_mismatch" : "busy",
                     .detail = r == ERR_VERIFY ? "KMS answered for another key" : NULL,
                     .hint = r == ERR_VERIFY ? "compare KMS_KEY_ID of the image with the key in use"
                                             : NULL,
                 });
}

static void fresh_document(const struct step *s, unsigned status)
{
    struct enclave *e = s->e;
    struct enclave_request *rq = s->rq;

    if (rq->has_refreshed || s->now.mono_ns >= rq->deadline_ns) {
        step_fail(s, kms_said(rq, "kms_refused", status));
        return;
    }
    rq->has_refreshed = true;
    if (rq->document_number == e->document_number) /* else somebody has replaced it already */
        buf_reset(&e->document);
    if (document_is_good(e, s->now.mono_ns))
        step_call_kms(s, 0);
    else
        step_await_document(s);
}

static void bad_answer(const struct step *s, enum err r, const char *what)
{
    struct failure f = {
        .error = key_error(s->rq),
        .code = "kms_malformed_answer",
        .detail = what,
    };

    if (r == ERR_NOMEM)
        f.code = "busy";
    if (r == ERR_VERIFY)
        f.code = "kms_not_attested"; /* Plaintext came, or nothing for the recipient */
    step_fail(s, f);
}

void step_on_kms(const struct step *s, const struct enclave_event *ev)
{
    AUTO(kms_answer_clear) struct kms_answer a = { 0 };
    struct why why = { 0 };
    enum err r = kms_answer_parse(kms_op_of(s->rq), ev->head, ev->body, &a, &why);

    if (r == ERR_OK)
        r = request_keep(s->rq, &a);
    if (r != ERR_OK) {
        bad_answer(s, r, why.what);
        return;
    }
    switch (kms_verdict_of(&a)) {
    case KMS_VERDICT_OK:
        accept_key(s);
        return;
    case KMS_VERDICT_RETRY:
        try_again(s, kms_said(s->rq, "kms_unavailable", a.status));
        return;
    case KMS_VERDICT_FRESH_DOCUMENT:
        fresh_document(s, a.status);
        return;
    case KMS_VERDICT_FINAL:
        step_fail(s, kms_said(s->rq, "kms_refused", a.status));
        return;
    }
    abort();
}

void step_on_kms_broken(const struct step *s, const struct enclave_event *ev)
{
    struct failure f = {
        .error = key_error(s->rq),
        .code = "kms_unreachable",
        .detail = ev->what,
        .hint = "is vsock-proxy running on the parent, and does it reach KMS?",
    };

    switch (ev->result) {
    case ERR_VERIFY:
        f.code = "kms_tls_refused";
        f.hint = "the server behind the proxy is not KMS of this region, or the CA file is wrong";
        step_fail(s, f);
        return;
    case ERR_LIMIT:
    case ERR_NOMEM:
        f.code = "busy";
        f.hint = NULL;
        step_fail(s, f);
        return;
    case ERR_TIMEOUT:
        f.code = "kms_timeout";
        try_again(s, f);
        return;
    case ERR_OK:
    case ERR_MORE:
    case ERR_MALFORMED:
    case ERR_UNSUPPORTED:
    case ERR_DENIED:
    case ERR_CRYPTO:
    case ERR_IO:
    case ERR_INTERNAL:
        try_again(s, f);
        return;
    }
    abort();
}
