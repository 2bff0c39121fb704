/* recipient.h - the Recipient member: a document, fully verified, as facts for policies and as the
 * key to encrypt an answer to.
 *
 * Source: kms-recipient reference section 2, kms-policy section 3. A document counts as long as its
 * certificates are valid; no other freshness is asked for, as with KMS, unless the operator sets a
 * maximum age. What was verified is kept by the document's SHA-256 within that validity, since a
 * client sends one document with many requests. A NitroTPM's registers have names of their own.
 * Every failure is a ValidationException (the real wording is not known; ours says which check).
 */
#ifndef LOCALKMS_RECIPIENT_H
#define LOCALKMS_RECIPIENT_H

#include "attest/chain.h"
#include "cms/cms.h"
#include "crypto/hash.h"
#include "localkms/fault.h"
#include "localkms/input.h"
#include "localkms/qemu_nsm.h"
#include "policy/policy.h"

enum {
    RECIPIENT_KEPT_MAX = 64,
    RECIPIENT_FACTS_MAX = ATTEST_PCRS + 1, /* and ImageSha384 */
    RECIPIENT_DOCUMENT_MAX_BYTES = 262144, /* of the service model; real ones are far smaller */
};

struct recipient {
    uint8_t digest[SHA256_BYTES];
    int64_t valid_from_s, valid_to_s;
    uint64_t used;
    bool is_debug, is_tpm, is_unsigned; /* unsigned: QEMU's, of a module that the operator named */
    char module_id[ATTEST_MODULE_ID_MAX + 1];
    struct cms_recipient to;
    struct policy_fact facts[RECIPIENT_FACTS_MAX];
    size_t n_facts;
    struct span values[ATTEST_PCRS]; /* lower-case hexadecimal, in `hex` */
    char hex[ATTEST_PCRS][2 * ATTEST_PCR_BYTES + 1];
};

struct recipients; /* the trusted roots and what is kept */

/* `roots`: DER, copied; at least one. ERR_NOMEM, ERR_INTERNAL. */
MUST_USE enum err recipients_new(const struct span *roots, size_t n, struct recipients **out);
/* Take QEMU's unsigned documents (qemu_nsm.h) of these module ids, copied; none by default.
 * ERR_MALFORMED: an empty or too long one. ERR_LIMIT: more than QEMU_NSM_MODULES_MAX. */
MUST_USE enum err recipients_trust_qemu(struct recipients *rs, const struct span *module_ids,
                                        size_t n);
void recipients_free(struct recipients *rs); /* NULL is fine */

/* Stricter than KMS, for tests of what a client does then. */
struct recipient_rules {
    int64_t max_age_s; /* of a document by its own timestamp; 0: as long as its certificates */
    bool refuse_debug; /* documents of debug enclaves */
};
void recipients_set_rules(struct recipients *rs, const struct recipient_rules *rules);

/* For a log: how many documents were verified, and how many found among those kept. */
struct recipient_counts {
    uint64_t verified, kept;
};
struct recipient_counts recipients_counts(const struct recipients *rs);

/* `object`: the bytes of the member, or absent: then *out is NULL. *out lives until the next call
 * here. ERR_DENIED: *f. */
MUST_USE enum err recipient_take(struct crypto *cx, struct recipients *rs, struct span object,
                                 int64_t now_s, const struct recipient **out, struct fault *f);

#endif
