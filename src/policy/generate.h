/* generate.h - the policies that let an attested image, and nothing else, use a key.
 *
 * Source: kms-policy reference sections 3 and 5, security reference. A key policy
 * has: administrators, who may do everything but use the key or pass it on; one Allow for each
 * image, under all of its PCRs at once, so that registers of two images never mix; and, as a belt,
 * a Deny of all use outside these images, which holds against other Allows, identity policies and
 * grants too. Sealers get GenerateDataKey without attestation, and nothing else: they make messages
 * that only the images open; the belt spares them for this one operation. Whoever may call
 * PutKeyPolicy can still open the key.
 */
#ifndef POLICY_GENERATE_H
#define POLICY_GENERATE_H

#include "base/buf.h"

enum {
    POLICY_PCRS = 32,
    POLICY_PCR_HEX = 96, /* digits of a SHA-384 value */
    POLICY_PLAN_IMAGES_MAX = 4,
    POLICY_PLAN_ROLES_MAX = 16,
};

/* The operations that take an attestation document; bits of policy_plan.operations. */
enum policy_attested {
    POLICY_DECRYPT,
    POLICY_GENERATE_DATA_KEY,
    POLICY_GENERATE_DATA_KEY_PAIR,
    POLICY_DERIVE_SHARED_SECRET,
    POLICY_GENERATE_RANDOM, /* has no key: identity policies only */
    POLICY_ATTESTED,
};
/* "kms:Decrypt", ... */
extern const char *const policy_attested_actions[POLICY_ATTESTED];

/* Values in lower-case hexadecimal, POLICY_PCR_HEX digits; NULL: not asked for. */
struct policy_image {
    const char *pcr[POLICY_PCRS];
};

struct policy_plan {
    struct span users[POLICY_PLAN_ROLES_MAX]; /* ARNs that the enclave's parent calls KMS with */
    size_t n_users;
    struct span admins[POLICY_PLAN_ROLES_MAX];
    size_t n_admins;
    struct span sealers[POLICY_PLAN_ROLES_MAX]; /* ARNs of roles and users; may be none */
    size_t n_sealers;
    struct policy_image images[POLICY_PLAN_IMAGES_MAX];
    size_t n_images;
    unsigned operations; /* 1 << enum policy_attested */
    bool no_belt;
    struct span key; /* ARN, the Resource of identity policies */
};

enum policy_kind { POLICY_FOR_KEY, POLICY_FOR_USER, POLICY_FOR_ADMIN, POLICY_FOR_SEALER };

/* Append the document, compact JSON. ERR_MALFORMED, and why->what says which part of the plan: no
 * user, administrator, image or operation; a sealer that is no role or user; an image without PCR0
 * and PCR8 (R-9: PCR3 and PCR4 are true in a debug enclave too); a value that is not a PCR.
 * ERR_LIMIT, ERR_NOMEM. Zero values are taken: whether a debug enclave may be meant is for the
 * caller to ask. */
MUST_USE enum err policy_generate(const struct policy_plan *plan, enum policy_kind kind,
                                  struct buf *out, struct why *why);

#endif
