/* test_recipient.c - what is kept of a verified document: time limits bite all the same, the
 * operator's rules too, and what it saves. */
#include "localkms/recipient.h"

#include <stdio.h>
#include <time.h>

#include "attest/test_plan.h"
#include "base/base64.h"
#include "testing/t.h"

enum { TIMES = 20, FASTER_AT_LEAST = 5 };

static struct rsa_key *rsa;

struct shown {
    struct buf der[CERTS], object;
    struct recipients *rs;
    struct fault fault;
    const struct recipient *got;
};

static void shown_clear(struct shown *s)
{
    for (int i = 0; i < CERTS; i++)
        buf_clear(&s->der[i]);
    buf_clear(&s->object);
    recipients_free(s->rs);
    fault_clear(&s->fault);
}

#define SHOWN AUTO(shown_clear) struct shown s = { .object = BUF_INIT(65536), .fault = FAULT_INIT }

/* The member as it comes in a request. */
static void object_make(const struct plan *p, struct shown *s)
{
    AUTO(buf_clear) struct buf document = BUF_INIT(ATTEST_DOC_MAX);

    document_make(p, s->der, &document);
    buf_reset(&s->object);
    assert_int_equal(buf_append_str(&s->object,
                                    "{\"KeyEncryptionAlgorithm\":\"RSAES_OAEP_SHA_256\","
                                    "\"AttestationDocument\":\""),
                     ERR_OK);
    assert_int_equal(base64_append(&s->object, buf_view(&document)), ERR_OK);
    assert_int_equal(buf_append_str(&s->object, "\"}"), ERR_OK);
}

static void show_make(struct plan *p, const struct recipient_rules *rules, struct shown *s)
{
    p->public_key = rsa_key_spki(rsa);
    for (int i = 0; i < CERTS; i++) {
        s->der[i] = BUF_INIT(DER_MAX);
        cert_make(p, i, &s->der[i]);
    }
    object_make(p, s);
    const struct span root = buf_view(&s->der[ROOT]);
    assert_int_equal(recipients_new(&root, 1, &s->rs), ERR_OK);
    if (rules)
        recipients_set_rules(s->rs, rules);
}

static bool taken(struct shown *s, int64_t now_s)
{
    enum err r = recipient_take(w.cx, s->rs, buf_view(&s->object), now_s, &s->got, &s->fault);

    assert_true(r == ERR_OK || (r == ERR_DENIED && s->fault.kind == FAULT_VALIDATION));
    return r == ERR_OK;
}

static void refused(struct shown *s, int64_t now_s, const char *why)
{
    char text[128];

    snprintf(text, sizeof text, "The attestation document is not valid: %s", why);
    assert_false(taken(s, now_s));
    t_assert_buf(&s->fault.text, text);
}

static void kept_until_a_certificate_ends(void **state)
{
    SHOWN;
    struct plan p;

    (void)state;
    plan_init(&p);
    p.rq[UPPER].not_after = NOW + 100; /* long before its leaf */
    p.rq[LOWER].not_before = NOW - 10;
    show_make(&p, NULL, &s);
    refused(&s, NOW - 11, "certificate time");
    assert_true(taken(&s, NOW - 10));
    assert_true(taken(&s, NOW));
    assert_true(taken(&s, NOW + 100));
    assert_int_equal(recipients_counts(s.rs).verified, 1);
    assert_int_equal(recipients_counts(s.rs).kept, 2);
    refused(&s, NOW + 101, "certificate time");
    /* The clock went back: it is verified anew, and so refused where it has to be. */
    refused(&s, NOW - 11, "certificate time");
    assert_true(taken(&s, NOW));
    assert_int_equal(recipients_counts(s.rs).verified, 2);
    refused(&s, NOW - 11, "certificate time");
}

static void maximum_age(void **state)
{
    SHOWN;
    static const struct recipient_rules rules = { .max_age_s = 60 };
    struct plan p;

    (void)state;
    plan_init(&p);
    p.timestamp_ms = (uint64_t)NOW * 1000 + 999;
    show_make(&p, &rules, &s);
    assert_true(taken(&s, NOW));
    assert_true(taken(&s, NOW + 60));
    assert_int_equal(recipients_counts(s.rs).kept, 1);
    refused(&s, NOW + 61, "older than --max-document-age");
    refused(&s, NOW + 61, "older than --max-document-age");
    assert_true(taken(&s, NOW + 59));
}

static void debug_documents(void **state)
{
    SHOWN;
    static const struct recipient_rules strict = { .refuse_debug = true }, as_kms = { 0 };
    static const struct attest_pcrs debug = { .present = 7 };
    struct plan p;

    (void)state;
    plan_init(&p);
    p.pcrs = &debug;
    show_make(&p, &strict, &s);
    refused(&s, NOW, "debug enclave, refused by --debug-documents");
    recipients_set_rules(s.rs, &as_kms);
    assert_true(taken(&s, NOW));
    assert_true(s.got->is_debug);
}

static bool has_fact(const struct recipient *r, const char *key)
{
    for (size_t i = 0; i < r->n_facts; i++)
        if (span_is(r->facts[i].key, key))
            return true;
    return false;
}

/* A NitroTPM's registers have their own names; a policy on an enclave's never matches them. */
static void nitrotpm(void **state)
{
    SHOWN;
    static struct attest_pcrs pcrs = { .present = 1U << 0 | 1U << 4 | 1U << 31, .is_tpm = true };
    struct plan p;

    (void)state;
    memset(pcrs.value[4], 0xab, ATTEST_PCR_BYTES);
    plan_init(&p);
    p.pcrs = &pcrs;
    show_make(&p, NULL, &s);
    assert_true(taken(&s, NOW));
    assert_true(s.got->is_tpm);
    assert_false(s.got->is_debug);
    assert_int_equal(s.got->n_facts, 3);
    assert_true(has_fact(s.got, "kms:RecipientAttestation:NitroTPMPCR0"));
    assert_true(has_fact(s.got, "kms:RecipientAttestation:NitroTPMPCR4"));
    assert_true(has_fact(s.got, "kms:RecipientAttestation:NitroTPMPCR31"));
    assert_int_equal(s.got->facts[1].values[0].ptr[0], 'a');
    pcrs.is_tpm = false;
    object_make(&p, &s);
    assert_true(taken(&s, NOW));
    assert_true(has_fact(s.got, "kms:RecipientAttestation:PCR4"));
    assert_true(has_fact(s.got, "kms:RecipientAttestation:ImageSha384"));
}

/* The one not used for longest makes room. */
static void bounded(void **state)
{
    SHOWN;
    AUTO(buf_clear) struct buf first = BUF_INIT(65536);
    struct plan p;

    (void)state;
    plan_init(&p);
    show_make(&p, NULL, &s);
    assert_true(taken(&s, NOW));
    assert_int_equal(buf_append(&first, buf_view(&s.object)), ERR_OK);
    for (unsigned i = 1; i <= RECIPIENT_KEPT_MAX; i++) {
        p.timestamp_ms++;
        object_make(&p, &s);
        assert_true(taken(&s, NOW));
    }
    assert_int_equal(recipients_counts(s.rs).kept, 0);
    assert_true(taken(&s, NOW)); /* the last of them is there */
    assert_int_equal(recipients_counts(s.rs).kept, 1);
    buf_reset(&s.object);
    assert_int_equal(buf_append(&s.object, buf_view(&first)), ERR_OK);
    assert_true(taken(&s, NOW));
    assert_int_equal(recipients_counts(s.rs).kept, 1);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A new document of known certificates costs one signature, a repeated one a digest. */
static void gain(void **state)
{
    double all = 0, fresh = 0, kept = 0;

    (void)state;
    for (unsigned i = 0; i < TIMES; i++) {
        SHOWN;
        struct plan p;
        plan_init(&p);
        show_make(&p, NULL, &s);
        double t0 = seconds();
        assert_true(taken(&s, NOW)); /* nothing is known */
        double t1 = seconds();
        assert_true(taken(&s, NOW)); /* the same again */
        double t2 = seconds();
        p.timestamp_ms++;
        object_make(&p, &s);
        double t3 = seconds();
        assert_true(taken(&s, NOW)); /* another under the same certificates */
        fresh += seconds() - t3;
        all += t1 - t0;
        kept += t2 - t1;
    }
    print_message(
        "# a document: %.0f us, with its certificates known: %.0f us, known itself: %.0f us\n",
        all / TIMES * 1e6, fresh / TIMES * 1e6, kept / TIMES * 1e6);
    assert_true(kept * FASTER_AT_LEAST < fresh);
    assert_true(fresh < all);
}

static int setup(void **state)
{
    return crypto_process_init() == ERR_OK && world_new(state) == 0 &&
                   rsa_key_new(w.cx, 2048, &rsa) == ERR_OK
               ? 0
               : -1;
}

static int teardown(void **state)
{
    rsa_key_free(rsa);
    return world_free(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_until_a_certificate_ends),
        cmocka_unit_test(maximum_age),
        cmocka_unit_test(debug_documents),
        cmocka_unit_test(nitrotpm),
        cmocka_unit_test(bounded),
        cmocka_unit_test(gain),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
