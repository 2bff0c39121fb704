/* step.c - one request's way through the service: the table in enclave.h. */
#include "base/hex.h"
#include "enclave/private.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEP_NS_PER_MS = 1000000, ID_PART_DIGITS = 8 };

void enclave_id_next(struct enclave *e, char out[static ENCLAVE_ID_BYTES])
{
    uint32_t parts[2] = { htobe32(e->id_prefix), htobe32(++e->id_next) };

    hex_write(span_of(&parts[0], sizeof parts[0]), out);
    out[ID_PART_DIGITS] = '-';
    hex_write(span_of(&parts[1], sizeof parts[1]), out + ID_PART_DIGITS + 1);
}

enum err enclave_request_new(struct enclave *e, struct enclave_request **out)
{
    struct enclave_request *rq = calloc(1, sizeof *rq);

    if (!rq)
        return ERR_NOMEM;
    enclave_id_next(e, rq->id);
    rq->request_max = e->set.request_max;
    rq->answer_max = e->set.request_max * ESCAPE_GROWTH + ANSWER_OVERHEAD_MAX;
    *out = rq;
    return ERR_OK;
}

void enclave_request_free(struct enclave_request *rq)
{
    if (!rq)
        return;
    buf_clear(&rq->in);
    buf_clear(&rq->scratch);
    buf_clear(&rq->sealed);
    buf_clear(&rq->signature);
    buf_clear(&rq->out);
    buf_clear(&rq->kept);
    buf_clear(&rq->answer);
    rsa_key_free(rq->key);
    secret_clear(&rq->data_key);
    wipe(rq, sizeof *rq);
    free(rq);
}

struct secret enclave_request_take_key(struct enclave_request *rq)
{
    return secret_take(&rq->data_key);
}

static const char *op_name(const struct enclave_request *rq)
{
    static const char *const names[] = {
        [PROTO_ENCRYPT] = "encrypt", [PROTO_DECRYPT] = "decrypt", [PROTO_ATTEST] = "attest"
    };

    if (rq->input.form == ENCLAVE_KEY)
        return rq->input.key->is_new ? "generate-key" : "open-key";
    if (rq->is_parsed)
        return names[rq->asked.op];
    return rq->input.has_op ? names[rq->input.op] : "?";
}

struct enclave_summary enclave_request_summary(const struct enclave_request *rq)
{
    return (struct enclave_summary){
        .op = op_name(rq),
        .code = rq->failure.code,
        .detail = rq->failure.detail,
        .id = span_str(rq->id),
        .kms_type = rq->kms_type,
        .kms_request_id = rq->kms_request_id,
        .kms_tries = rq->tries,
        .request_bytes = rq->request_bytes,
    };
}

struct enclave_result enclave_request_result(const struct enclave_request *rq)
{
    return (struct enclave_result){
        .signature = SPAN_ARRAY(rq->made_signature),
        .ciphertext_blob_b64 = rq->new_blob_b64,
        .key_id = rq->key_id,
    };
}

struct proto_error enclave_request_failure(const struct enclave_request *rq)
{
    return (struct proto_error){
        .error = rq->failure.error,
        .code = rq->failure.code,
        .detail = span_str(rq->failure.detail),
        .kms_type = rq->kms_type,
        .kms_message = rq->kms_message,
        .kms_request_id = rq->kms_request_id,
        .hint = rq->failure.hint,
    };
}

const char *key_error(const struct enclave_request *rq)
{
    if (rq->asked.op == PROTO_ATTEST)
        return "Failed to get an attestation document";
    return rq->asked.op == PROTO_DECRYPT ? "Failed to decrypt data key from KMS"
                                         : "Failed to get data key from KMS";
}

void step_answer(const struct step *s)
{
    s->rq->state = STATE_ANSWERED;
    *s->out = (struct enclave_action){
        .kind = ENCLAVE_ANSWER,
        .answer = &s->rq->answer,
        .code = s->rq->failure.code,
    };
}

void step_fail(const struct step *s, struct failure f)
{
    struct enclave_request *rq = s->rq;

    rq->failure = f;
    buf_clear(&rq->answer);
    if (rq->input.form == ENCLAVE_SEED) {
        const struct proto_error e = enclave_request_failure(rq);
        rq->answer.max = rq->answer_max;
        if (proto_error_write(&rq->answer, &e, span_str(rq->id)) != ERR_OK)
            buf_clear(&rq->answer); /* no memory even for this: the shell just closes */
    }
    step_answer(s);
}

void step_await_document(const struct step *s)
{
    s->rq->state = STATE_AWAITING_DOCUMENT;
    *s->out = (struct enclave_action){
        .kind = ENCLAVE_AWAIT_DOCUMENT,
        .deadline_ns = s->rq->deadline_ns,
    };
}

void step_work(const struct step *s, enum request_state state)
{
    s->rq->state = state;
    *s->out = (struct enclave_action){ .kind = ENCLAVE_WORK };
}

static void need_document(const struct step *s)
{
    if (document_is_good(s->e, s->now.mono_ns))
        step_call_kms(s, 0);
    else
        step_await_document(s);
}

static void ask_nsm(const struct step *s)
{
    struct enclave_request *rq = s->rq;
    const struct nsm_request ask = {
        .op = NSM_ATTESTATION,
        .user_data = SPAN_LIT(ENCLAVE_ATTEST_LABEL),
        .nonce = buf_view(&rq->sealed),
    };

    rq->out = BUF_INIT(NSM_REQUEST_MAX);
    if (nsm_request_write(&ask, &rq->out) != ERR_OK) {
        step_fail(s, (struct failure){ .error = key_error(rq), .code = "busy" });
        return;
    }
    rq->state = STATE_ASKING_NSM;
    *s->out = (struct enclave_action){
        .kind = ENCLAVE_ASK_NSM,
        .bytes = buf_view(&rq->out),
        .deadline_ns = rq->deadline_ns,
    };
}

static void on_parsed(const struct step *s)
{
    struct enclave_request *rq = s->rq;

    rq->deadline_ns = s->now.mono_ns + (uint64_t)s->e->set.kms_deadline_ms * STEP_NS_PER_MS;
    if (rq->failure.code)
        step_fail(s, rq->failure);
    else if (rq->asked.op == PROTO_ATTEST)
        ask_nsm(s);
    else
        need_document(s);
}

static void too_large(const struct step *s)
{
    snprintf(s->rq->note, sizeof s->rq->note, "at most %zu bytes", s->e->set.request_max);
    step_fail(s, (struct failure){
                     .error = "Request is too large", .code = "too_large", .detail = s->rq->note });
}

static void on_received(const struct step *s, const struct enclave_event *ev)
{
    struct enclave_request *rq = s->rq;

    if (ev->received)
        rq->in = buf_take(ev->received);
    enum err r = ev->input ? request_input(rq, ev->input) : ERR_OK;
    if (r != ERR_OK) {
        step_fail(s,
                  r == ERR_LIMIT
                      ? (struct failure){ .error = "a header is longer than what it holds can be",
                                          .code = "invalid_base64" }
                      : (struct failure){ .error = "Service is out of memory", .code = "busy" });
        return;
    }
    rq->request_bytes = rq->in.len - rq->input.from;
    if (rq->request_bytes > s->e->set.request_max) {
        too_large(s);
        return;
    }
    if (rq->in.len > ENCLAVE_PARSE_INLINE_MAX) {
        step_work(s, STATE_PARSING);
        return;
    }
    request_parse(rq);
    on_parsed(s);
}

static void on_not_received(const struct step *s, const struct enclave_event *ev)
{
    if (ev->input)
        s->rq->input.form = ev->input->form;
    switch (ev->refusal) {
    case ENCLAVE_TOO_LARGE:
        too_large(s);
        return;
    case ENCLAVE_READ_TIMEOUT:
        step_fail(s, (struct failure){
                         .error = "Request did not arrive in time",
                         .code = "read_timeout",
                         .hint = "send the request at once and shut down the write side",
                     });
        return;
    case ENCLAVE_BUSY:
        step_fail(s, (struct failure){ .error = "Service is busy",
                                       .code = "busy",
                                       .detail = "too many requests at one time" });
        return;
    case ENCLAVE_STOPPING:
        step_fail(s, (struct failure){ .error = "Service is stopping", .code = "stopping" });
        return;
    }
    abort();
}

static void on_document(const struct step *s, const struct enclave_event *ev)
{
    struct failure f = {
        .error = key_error(s->rq),
        .code = ev->result == ERR_VERIFY ? "document_not_trusted" : "nsm_failed",
        .detail = ev->what,
        .hint = "the enclave's own NSM gave no document that can be used; see its log",
    };

    if (ev->result != ERR_OK) {
        step_fail(s, f);
        return;
    }
    if (s->now.mono_ns >= s->rq->deadline_ns) {
        f.code = "nsm_timeout";
        step_fail(s, f);
        return;
    }
    need_document(s); /* another one if the key was replaced meanwhile */
}

static void on_nsm(const struct step *s, const struct enclave_event *ev)
{
    struct enclave_request *rq = s->rq;
    struct nsm_response rs = { 0 };
    struct why why = { .what = ev->what };
    enum err r = ev->result;

    if (r == ERR_OK)
        r = nsm_response_parse(ev->body, NSM_ATTESTATION, &rs, &why);
    if (r == ERR_OK && rs.error != NSM_SUCCESS)
        r = why_fail(&why, ERR_DENIED, nsm_error_name(rs.error), 0);
    if (r != ERR_OK) {
        step_fail(s, (struct failure){
                         .error = key_error(rq), .code = "nsm_failed", .detail = why.what });
        return;
    }
    rq->answer.max = rq->answer_max;
    r = rq->input.form == ENCLAVE_BINARY
            ? buf_append(&rq->answer, rs.data)
            : proto_attest_answer_write(&rq->answer, rs.data, span_str(rq->id));
    if (r != ERR_OK) {
        step_fail(s, (struct failure){ .error = key_error(rq), .code = "busy" });
        return;
    }
    step_answer(s);
}

static void on_worked(const struct step *s)
{
    if (s->rq->state == STATE_PARSING)
        on_parsed(s);
    else if (s->rq->failure.code)
        step_fail(s, s->rq->failure);
    else
        step_answer(s);
}

static void expect(bool asked_for)
{
    if (!asked_for)
        abort();
}

void enclave_step(struct enclave *e, struct enclave_request *rq, const struct enclave_event *ev,
                  struct enclave_time now, struct enclave_action *out)
{
    const struct step s = { e, rq, now, out };
    bool is_working = rq->state == STATE_PARSING || rq->state == STATE_OPENING;

    switch (ev->kind) {
    case ENCLAVE_RECEIVED:
        expect(rq->state == STATE_NEW);
        on_received(&s, ev);
        return;
    case ENCLAVE_NOT_RECEIVED:
        expect(rq->state == STATE_NEW);
        on_not_received(&s, ev);
        return;
    case ENCLAVE_OVERLOADED:
        expect(is_working || rq->state == STATE_ASKING_NSM);
        step_fail(&s, (struct failure){ .error = "Service is busy",
                                        .code = "busy",
                                        .detail = "too much work waits" });
        return;
    case ENCLAVE_DOCUMENT_DONE:
        expect(rq->state == STATE_AWAITING_DOCUMENT);
        on_document(&s, ev);
        return;
    case ENCLAVE_NSM_ANSWERED:
        expect(rq->state == STATE_ASKING_NSM);
        on_nsm(&s, ev);
        return;
    case ENCLAVE_KMS_ANSWERED:
        expect(rq->state == STATE_CALLING_KMS);
        step_on_kms(&s, ev);
        return;
    case ENCLAVE_KMS_BROKEN:
        expect(rq->state == STATE_CALLING_KMS);
        step_on_kms_broken(&s, ev);
        return;
    case ENCLAVE_WORKED:
        expect(is_working);
        on_worked(&s);
        return;
    }
    abort();
}
