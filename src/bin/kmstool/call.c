#include "bin/kmstool/call.h"

#include <stdlib.h>
#include <time.h>

#include "base/base64.h"
#include "bin/kmstool/refusal.h"
#include "bin/kmstool/result.h"
#include "bin/kmstool/route.h"
#include "cms/cms.h"
#include "io/sys.h"
#include "nsm/nsm.h"

enum {
    CALL_S = 10,    /* in all; AWS's tool has no limit and can hang */
    TRIES = 4,      /* of throttled and failed calls */
    PAUSE_MS = 100, /* before the second; doubled each time */
    REQUEST_MAX_BYTES = 2 << 20,
    CIPHERTEXT_TEXT_MAX = BASE64_TEXT_BYTES(6144),
    MS_PER_S = 1000,
};

void outcome_clear(struct outcome *o)
{
    buf_clear(&o->out);
    buf_clear(&o->err);
}

void session_init(struct session *s, struct crypto *cx, struct identity *id)
{
    *s = (struct session){
        .cx = cx,
        .id = id,
        .conn = HTTPS_CLOSED,
        .conn_to = BUF_INIT(ROUTE_NAME_MAX_BYTES + ADDR_TEXT_BYTES),
        .tls_file = BUF_INIT(4096),
    };
}

void session_clear(struct session *s)
{
    https_close(&s->conn);
    tls_ctx_freep(&s->tls);
    buf_clear(&s->conn_to);
    buf_clear(&s->tls_file);
}

static enum kms_op op_of(enum kmstool_command c)
{
    switch (c) {
    case KMSTOOL_DECRYPT:
        return KMS_DECRYPT;
    case KMSTOOL_GENKEY:
        return KMS_GENERATE_DATA_KEY;
    case KMSTOOL_GENKEYPAIR:
        return KMS_GENERATE_DATA_KEY_PAIR;
    case KMSTOOL_DERIVE:
        return KMS_DERIVE_SHARED_SECRET;
    case KMSTOOL_GENRANDOM:
    case KMSTOOL_SERVE:
    case KMSTOOL_COMMANDS:
        break;
    }
    return KMS_GENERATE_RANDOM;
}

static bool is_base64(const char *text, size_t max)
{
    AUTO(buf_clear) struct buf bytes = BUF_INIT(max);
    struct span s = span_str(text);

    return s.len > 0 && s.len <= max && base64_parse(s, &bytes, NULL) == ERR_OK;
}

/* What AWS's tool finds out only after it has connected; the status is the same. */
static bool words_are_good(const struct args *a, struct buf *err)
{
    static const char *const algorithms[] = { "SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1",
                                              "RSAES_OAEP_SHA_256" };
    bool known = false;

    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
        known |= a->encryption_algorithm && strcmp(a->encryption_algorithm, algorithms[i]) == 0;
    if (a->command == KMSTOOL_DECRYPT && a->key_id && !known) {
        err_line(err, "Invalid encryption algorithm");
        err_line(err, "check: --key-id goes together with --encryption-algorithm: "
                      "SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1 or RSAES_OAEP_SHA_256");
        return false;
    }
    if (a->command == KMSTOOL_DECRYPT && !is_base64(a->ciphertext, CIPHERTEXT_TEXT_MAX)) {
        err_line(err, "Ciphertext not a base64 string (of 1 to 6144 bytes)");
        return false;
    }
    if (a->command == KMSTOOL_DERIVE && !is_base64(a->public_key, BASE64_TEXT_BYTES(8192))) {
        err_line(err, "--public-key is not a base64 string (of 1 to 8192 bytes)");
        return false;
    }
    return true;
}

static struct kms_call call_of(const struct args *a)
{
    return (struct kms_call){
        .op = op_of(a->command),
        .key_id = span_str(a->key_id),
        .ciphertext_blob_b64 = span_str(a->ciphertext),
        /* AWS's tool sends the algorithm only together with a key. */
        .encryption_algorithm = a->key_id ? span_str(a->encryption_algorithm) : SPAN_EMPTY,
        .key_spec = span_str(a->key_spec),
        .number_of_bytes =
            a->command == KMSTOOL_GENRANDOM ? (unsigned)a->length : a->number_of_bytes,
        .public_key_b64 = span_str(a->public_key),
        .context = a->context,
        .n_context = a->n_context,
        .grant_tokens = a->grant_tokens,
        .n_grant_tokens = a->n_grant_tokens,
    };
}

/* One operation on its way: what the steps share. */
struct run {
    struct session *s;
    const struct args *a;
    const struct credentials *cred;
    struct outcome *o;
    struct route route;
    struct kms_call call;
    uint64_t deadline_ns;
    struct rsa_key *key;
    struct buf document;
    struct https_answer response;
    struct kms_answer answer;
};

static void run_clear(struct run *r)
{
    route_clear(&r->route);
    rsa_key_freep(&r->key);
    buf_clear(&r->document);
    https_answer_clear(&r->response);
    kms_answer_clear(&r->answer);
}

static bool take_identity(struct run *r, bool fresh)
{
    struct why why = { 0 };

    rsa_key_freep(&r->key);
    buf_reset(&r->document);
    enum err e = identity_take(r->s->id, r->s->cx, fresh, &r->key, &r->document, &why);
    if (e != ERR_OK)
        err_line(&r->o->err, "no attestation document: %s", why.what ? why.what : err_name(e));
    r->call.document = buf_view(&r->document);
    return e == ERR_OK;
}

/* Send and receive; a kept connection that turns out to be dead is replaced once. */
static bool exchange(struct run *r, struct span request)
{
    struct why why = { 0 };
    bool reused = false, began = false;
    enum err e;

    do {
        if (!route_open(r->s, r->a, &r->route, r->deadline_ns, &reused, &r->o->err))
            return false;
        e = https_call(&r->s->conn, request, r->deadline_ns, &r->response, &began, &why);
    } while (e == ERR_IO && reused && !began);
    if (e != ERR_OK)
        err_line(&r->o->err, "no answer from KMS: %s", why.what ? why.what : err_name(e));
    return e == ERR_OK;
}

/* One request and its answer, whatever it says. */
static bool ask(struct run *r)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(REQUEST_MAX_BYTES);
    const struct kms_endpoint ep = { buf_view(&r->route.host), span_str(r->a->region) };
    const struct sigv4_credentials cred = credentials_view(r->cred);
    struct why why = { 0 };

    kms_answer_clear(&r->answer);
    enum err e = kms_request_write(&r->call, &ep, &cred, clock_wall_ms() / MS_PER_S, &request);
    if (e != ERR_OK) {
        err_line(&r->o->err, "failed to create request: %s",
                 e == ERR_MALFORMED  ? "credentials, key id or encryption context hold characters "
                                       "that cannot be sent"
                 : e == ERR_INTERNAL ? "a value is too long"
                                     : err_name(e));
        return false;
    }
    if (!exchange(r, buf_view(&request)))
        return false;
    e = kms_answer_parse(r->call.op, &r->response.head, buf_view(&r->response.body), &r->answer,
                         &why);
    if (e != ERR_OK)
        err_line(&r->o->err, "Could not read response from KMS: %s",
                 why.what ? why.what : err_name(e));
    return e == ERR_OK;
}

/* False: no time for it. */
static bool pause_before(unsigned again, uint64_t deadline_ns)
{
    uint64_t pause_ns = ((uint64_t)PAUSE_MS << again) * NS_PER_MS;
    const struct timespec ts = { .tv_sec = (time_t)(pause_ns / NS_PER_S),
                                 .tv_nsec = (long)(pause_ns % NS_PER_S) };

    if (clock_mono_ns() + pause_ns >= deadline_ns)
        return false;
    (void)nanosleep(&ts, NULL);
    return true;
}

/* Until there is an answer that stands. */
static bool ask_until(struct run *r)
{
    bool had_fresh = false;

    for (unsigned again = 0;; again++) {
        if (!ask(r))
            return false;
        switch (kms_verdict_of(&r->answer)) {
        case KMS_VERDICT_OK:
            return true;
        case KMS_VERDICT_RETRY:
            if (again + 1 < TRIES && pause_before(again, r->deadline_ns))
                continue;
            break;
        case KMS_VERDICT_FRESH_DOCUMENT:
            if (had_fresh)
                break;
            had_fresh = true;
            if (!take_identity(r, true))
                return false;
            continue;
        case KMS_VERDICT_FINAL:
            break;
        }
        refusal_write(r->call.op, &r->answer, &r->o->err);
        return false;
    }
}

/* The key that answered has to be the one that was asked for, where its name can tell. */
static bool is_right_key(const struct run *r)
{
    struct span asked = r->call.key_id;

    if (r->call.op == KMS_GENERATE_RANDOM || asked.len == 0 || span_starts(asked, "alias/"))
        return true;
    if (span_starts(asked, "arn:") && !kms_is_key_arn(asked))
        return true; /* an alias */
    return kms_key_matches(asked, r->answer.key_id);
}

static void finish(struct run *r)
{
    AUTO(secret_clear) struct secret plain = { 0 };
    struct why why = { 0 };

    if (!is_right_key(r)) {
        err_line(&r->o->err, "the answer is of another key than --key-id");
        return;
    }
    enum err e = cms_open(r->s->cx, r->answer.ciphertext_for_recipient, r->key, &plain, &why);
    if (e != ERR_OK) {
        err_line(&r->o->err, "Cannot decrypt CMS encrypted content: %s",
                 why.what ? why.what : err_name(e));
        return;
    }
    if (!result_is_plausible(&r->call, secret_view(&plain))) {
        err_line(&r->o->err, "the answer is of another length than was asked for");
        return;
    }
    e = result_write(r->a, &r->answer, secret_view(&plain), &r->o->out);
    if (e == ERR_OK)
        r->o->status = KMSTOOL_OK;
    else
        err_line(&r->o->err, "result not written: %s", err_name(e));
}

static void go(struct run *r)
{
    bool reused;

    if (!words_are_good(r->a, &r->o->err) || !route_find(r->a, &r->route, &r->o->err))
        return;
    /* First, because a new process makes its key meanwhile. */
    if (!route_open(r->s, r->a, &r->route, r->deadline_ns, &reused, &r->o->err))
        return;
    if (take_identity(r, false) && ask_until(r))
        finish(r);
}

void session_warm(struct session *s, const struct args *a)
{
    AUTO(buf_clear) struct buf err = BUF_INIT(KMSTOOL_ERR_MAX_BYTES);
    AUTO(route_clear) struct route to = ROUTE_INIT;
    bool reused = false;

    if (route_find(a, &to, &err))
        reused = route_open(s, a, &to, clock_mono_ns() + CALL_S * NS_PER_S, &reused, &err);
}

void session_run(struct session *s, const struct args *a, const struct credentials *cred,
                 struct outcome *o)
{
    struct run *r = calloc(1, sizeof *r); /* too large for a stack frame */

    o->status = KMSTOOL_FAILED;
    if (!r) {
        err_line(&o->err, "out of memory");
        return;
    }
    r->s = s;
    r->a = a;
    r->cred = cred;
    r->o = o;
    r->route = ROUTE_INIT;
    r->call = call_of(a);
    r->deadline_ns = clock_mono_ns() + CALL_S * NS_PER_S;
    r->document = BUF_INIT(NSM_RESPONSE_MAX);
    r->response.bytes = BUF_INIT(HTTP1_HEAD_MAX + HTTPS_BODY_MAX_BYTES);
    r->response.body = BUF_INIT(HTTPS_BODY_MAX_BYTES);
    go(r);
    run_clear(r);
    free(r);
}
