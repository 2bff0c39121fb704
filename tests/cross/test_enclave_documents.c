/* The service and a software NSM, in memory: which documents the service takes from its own NSM. */
#include <stdlib.h>

#include "base/base64.h"
#include "enclave/enclave.h"
#include "nsm/nsm.h"
#include "softnsm/softnsm.h"
#include "testing/t.h"

enum { NOW_S = 1767323045, MS = 1000 };

#define ARN "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

struct world {
    struct crypto *cx;
    struct softnsm *nsm;
    struct enclave *e;
    struct enclave_time now;
};

static struct rsa_key *the_key;

static struct softnsm *nsm_new(struct crypto *cx, bool expired_leaf)
{
    const struct softnsm_settings s = { .instance_id = SPAN_LIT("i-0123456789abcdef0"),
                                        .region = SPAN_LIT("us-east-1"),
                                        .expired_leaf = expired_leaf };
    struct softnsm_pki *pki = NULL;
    struct softnsm *nsm = NULL;

    assert_int_equal(softnsm_pki_new(cx, NOW_S, &pki), ERR_OK);
    assert_int_equal(softnsm_new(cx, &s, pki, NOW_S * (int64_t)MS, &nsm, NULL), ERR_OK);
    return nsm;
}

/* `root` absent: the NSM's own. */
static struct world world_new(struct span root, bool expired_leaf)
{
    struct world w = { .now = { .mono_ns = 1, .wall_s = NOW_S } };

    assert_int_equal(crypto_new(&w.cx), ERR_OK);
    if (!the_key)
        assert_int_equal(rsa_key_new(w.cx, RSA_BITS_DEFAULT, &the_key), ERR_OK);
    w.nsm = nsm_new(w.cx, expired_leaf);
    const struct enclave_settings s = {
        .key_id = SPAN_LIT(ARN),
        .region = SPAN_LIT("us-east-1"),
        .host = SPAN_LIT("kms.us-east-1.amazonaws.com"),
        .root_der = root.ptr ? root : softnsm_pki_der(softnsm_pki_of(w.nsm), SOFTNSM_ROOT),
        .request_max = 65536,
        .document_max_age_ms = 60000,
        .kms_deadline_ms = 8000,
        .kms_try_ms = 3000,
        .kms_tries = 1,
    };
    assert_int_equal(enclave_new(w.cx, &s, &w.e, NULL), ERR_OK);
    enclave_key_set(w.e, rsa_key_ref(the_key));
    return w;
}

static void world_clear(struct world *w)
{
    enclave_free(w->e);
    softnsm_free(w->nsm);
    crypto_free(w->cx);
}

static struct enclave_document_job *asked(struct world *w)
{
    struct enclave_document_job *job = NULL;

    assert_int_equal(enclave_document_begin(w->e, w->now, &job), ERR_OK);
    assert_non_null(job);
    assert_int_equal(
        softnsm_ask(w->cx, w->nsm, buf_view(&job->request), NOW_S * (int64_t)MS, &job->response),
        ERR_OK);
    return job;
}

static void judged(struct world *w, struct enclave_document_job *job, enum err r, const char *what)
{
    enclave_document_check(w->cx, job);
    assert_int_equal(job->result, r);
    if (what)
        assert_string_equal(job->why.what, what);
    enclave_document_end(w->e, job, w->now);
}

/* Starts a request; returns its first action. */
static struct enclave_action start(struct world *w, const char *text, struct enclave_request **rq)
{
    struct buf in = BUF_INIT(4096);
    struct enclave_event ev = { .kind = ENCLAVE_RECEIVED, .received = &in };
    struct enclave_action a;

    assert_int_equal(buf_append_str(&in, text), ERR_OK);
    assert_int_equal(enclave_request_new(w->e, rq), ERR_OK);
    enclave_step(w->e, *rq, &ev, w->now, &a);
    return a;
}

#define ENCRYPT                                                                                    \
    "{\"credentials\":{\"access_key_id\":\"A\",\"secret_access_key\":\"S\"},\"message\":\"m\"}"

static void a_good_one_is_kept_and_sent(void **state)
{
    (void)state;
    struct world w = world_new(SPAN_EMPTY, false);
    AUTO(buf_clear) struct buf document = BUF_INIT(ATTEST_DOC_MAX), text = BUF_INIT(32768);
    struct enclave_request *rq = NULL;

    struct enclave_document_job *job = asked(&w);
    enclave_document_check(w.cx, job);
    assert_int_equal(job->result, ERR_OK);
    assert_int_equal(buf_append(&document, job->document), ERR_OK);
    enclave_document_end(w.e, job, w.now);
    struct enclave_action a = start(&w, ENCRYPT, &rq);
    assert_int_equal(a.kind, ENCLAVE_CALL_KMS);
    assert_int_equal(base64_append(&text, buf_view(&document)), ERR_OK);
    assert_non_null(memmem(a.bytes.ptr, a.bytes.len, text.ptr, text.len));

    struct attest_doc doc;
    assert_int_equal(attest_doc_parse(buf_view(&document), &doc, NULL), ERR_OK);
    t_assert_span(doc.public_key, rsa_key_spki(the_key));
    assert_null(doc.nonce.ptr);
    assert_null(doc.user_data.ptr);
    enclave_request_free(rq);
    world_clear(&w);
}

static void local_root_is_not_aws(void **state)
{
    (void)state;
    struct world w = world_new(attest_aws_root_g1_der(), false);
    struct enclave_request *rq = NULL;

    judged(&w, asked(&w), ERR_VERIFY, "root");
    struct enclave_action a = start(&w, ENCRYPT, &rq);
    assert_int_equal(a.kind, ENCLAVE_AWAIT_DOCUMENT); /* nothing was kept */
    enclave_request_free(rq);
    world_clear(&w);
}

static void another_local_root(void **state)
{
    (void)state;
    struct crypto *cx = NULL;
    assert_int_equal(crypto_new(&cx), ERR_OK);
    struct softnsm *other = nsm_new(cx, false);
    struct world w = world_new(softnsm_pki_der(softnsm_pki_of(other), SOFTNSM_ROOT), false);

    judged(&w, asked(&w), ERR_VERIFY, "root");
    world_clear(&w);
    softnsm_free(other);
    crypto_free(cx);
}

static void expired_leaf(void **state)
{
    (void)state;
    struct world w = world_new(SPAN_EMPTY, true);

    judged(&w, asked(&w), ERR_VERIFY, "certificate time");
    world_clear(&w);
}

static void clock_far_ahead(void **state)
{
    (void)state;
    struct world w = world_new(SPAN_EMPTY, false);

    w.now.wall_s += 4 * 3600; /* past the leaf's three hours */
    judged(&w, asked(&w), ERR_VERIFY, "certificate time");
    world_clear(&w);
}

static void document_for_another_key(void **state)
{
    (void)state;
    struct world w = world_new(SPAN_EMPTY, false);
    struct enclave_document_job *job = NULL;
    AUTO(buf_clear) struct buf request = BUF_INIT(NSM_REQUEST_MAX);
    const struct nsm_request ask = { .op = NSM_ATTESTATION, .public_key = SPAN_LIT("theirs") };

    assert_int_equal(nsm_request_write(&ask, &request), ERR_OK);
    assert_int_equal(enclave_document_begin(w.e, w.now, &job), ERR_OK);
    assert_int_equal(
        softnsm_ask(w.cx, w.nsm, buf_view(&request), NOW_S * (int64_t)MS, &job->response), ERR_OK);
    judged(&w, job, ERR_VERIFY, "public key");
    world_clear(&w);
}

/* A good document with one byte of its signature, which ends it, changed. */
static void altered_signature(void **state)
{
    (void)state;
    struct world w = world_new(SPAN_EMPTY, false);
    struct enclave_document_job *job = asked(&w);

    job->response.ptr[job->response.len - 10] ^= 1;
    judged(&w, job, ERR_VERIFY, "document signature");
    world_clear(&w);
}

static void attest_for_a_caller(void **state)
{
    (void)state;
    struct world w = world_new(SPAN_EMPTY, false);
    AUTO(buf_clear) struct buf packet = BUF_INIT(NSM_RESPONSE_MAX), der = BUF_INIT(16384);
    struct enclave_request *rq = NULL;
    struct attest_verified v;
    struct proto_answer answer;

    struct enclave_action a = start(&w, "{\"operation\":\"attest\",\"nonce\":\"bm9uY2U=\"}", &rq);
    assert_int_equal(a.kind, ENCLAVE_ASK_NSM);
    assert_int_equal(softnsm_ask(w.cx, w.nsm, a.bytes, NOW_S * (int64_t)MS, &packet), ERR_OK);
    const struct enclave_event ev = { .kind = ENCLAVE_NSM_ANSWERED, .body = buf_view(&packet) };
    enclave_step(w.e, rq, &ev, w.now, &a);
    assert_int_equal(a.kind, ENCLAVE_ANSWER);
    assert_int_equal(proto_answer_parse(buf_view(a.answer), PROTO_ATTEST, &answer, NULL), ERR_OK);
    assert_int_equal(base64_parse(answer.document.raw, &der, NULL), ERR_OK);
    assert_int_equal(attest_verify(w.cx, buf_view(&der),
                                   softnsm_pki_der(softnsm_pki_of(w.nsm), SOFTNSM_ROOT), NOW_S, &v,
                                   NULL),
                     ERR_OK);
    t_assert_span(v.doc.nonce, SPAN_LIT("nonce"));
    t_assert_span(v.doc.user_data, SPAN_LIT(ENCLAVE_ATTEST_LABEL));
    assert_null(v.doc.public_key.ptr);
    enclave_request_free(rq);
    world_clear(&w);
}

static int teardown(void **state)
{
    (void)state;
    rsa_key_free(the_key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_one_is_kept_and_sent),
        cmocka_unit_test(local_root_is_not_aws),
        cmocka_unit_test(another_local_root),
        cmocka_unit_test(expired_leaf),
        cmocka_unit_test(clock_far_ahead),
        cmocka_unit_test(document_for_another_key),
        cmocka_unit_test(altered_signature),
        cmocka_unit_test(attest_for_a_caller),
    };

    return cmocka_run_group_tests_name("enclave_documents", tests, NULL, teardown);
}
