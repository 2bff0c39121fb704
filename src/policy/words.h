/* words.h - the vocabulary of KMS's policies: its actions and the condition keys that have a
 * meaning here, with their types.
 *
 * Source: kms-policy reference sections 1 and 3, the service model's operations. The engine works
 * without this table (an unknown key is absent, an unknown action is called by nobody); critics and
 * the explaining commands use it.
 */
#ifndef POLICY_WORDS_H
#define POLICY_WORDS_H

#include "base/span.h"

enum policy_trait {
    POLICY_ACTION_ATTESTED = 1, /* takes an attestation document */
    POLICY_ACTION_CONTEXT = 2,  /* takes an encryption context */
    POLICY_ACTION_KEYLESS = 4,  /* has no key: identity policies only */
    POLICY_ACTION_USE = 8,      /* uses the key's material */
};
struct policy_action {
    const char *name; /* "kms:Decrypt" */
    unsigned traits;
};
/* Ends with name == NULL. */
extern const struct policy_action policy_actions[];
/* NULL: no action of KMS. Case does not count. */
const struct policy_action *policy_action_find(struct span name);

enum policy_key_type {
    POLICY_KEY_STRING,
    POLICY_KEY_BOOL,
    POLICY_KEY_NUMBER,
    POLICY_KEY_DATE,
    POLICY_KEY_ARN,
    POLICY_KEY_ADDRESS,
};
struct policy_key {
    const char *name; /* ends with ':' or '/': a prefix, and something follows */
    enum policy_key_type type;
    bool multi; /* several values */
};
/* NULL: not known here. Case does not count. */
const struct policy_key *policy_key_find(struct span name);
const char *policy_key_type_name(enum policy_key_type type);

enum policy_register_kind {
    POLICY_REGISTER_NONE,     /* another key */
    POLICY_REGISTER_ENCLAVE,  /* PCRn; ImageSha384 is PCR0 */
    POLICY_REGISTER_NITROTPM, /* NitroTPMPCRn */
    POLICY_REGISTER_UNKNOWN,  /* of attestation, but there is no such key */
};
/* What `key` says about attestation; the register's number in *pcr. */
enum policy_register_kind policy_register_of(struct span key, unsigned *pcr);

#endif
