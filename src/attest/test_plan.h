/* test_plan.h - a chain of root, two intermediates and leaf, and a document signed with it, made
 * anew for each row of test_chain.c after the row has changed something in one place. */
#ifndef ATTEST_TEST_PLAN_H
#define ATTEST_TEST_PLAN_H

#include "attest/chain.h"

enum {
    NOW = 1700000000,
    DAY = 86400,
    ROOT = 0,
    UPPER,
    LOWER,
    LEAF,
    CERTS,
    DER_MAX = 2048,
};

struct world {
    struct crypto *cx;
    struct ec_key *key[CERTS], *other;
    struct ec_pub *pub[CERTS], *other_pub;
};

extern struct world w;

/* What a row may change. */
struct plan {
    struct x509_request rq[CERTS];
    const struct ec_key *signer;        /* of the document */
    const char *issuer_cn[CERTS];       /* issued in this name instead */
    const struct ec_key *issuer[CERTS]; /* and by this key */
    struct {
        int cert;
        const char *from, *to; /* hex, patched wherever it stands */
    } patch;
    int order[ATTEST_CABUNDLE_MAX]; /* of cabundle: ROOT, UPPER, LOWER */
    size_t n_cabundle;
    int64_t at_s; /* when to judge */
    uint64_t timestamp_ms;
    bool other_root; /* judge against a look-alike */
    bool bad_certificate;
    struct span public_key;         /* absent: none */
    const struct attest_pcrs *pcrs; /* NULL: PCR0, zero */
};

int world_new(void **state);
int world_free(void **state);
void plan_init(struct plan *p);
void cert_make(const struct plan *p, int i, struct buf *der);
void document_make(const struct plan *p, struct buf der[static CERTS], struct buf *out);

#endif
