/* call.h - inside localkms: one request on its way through an operation, and what operations share.
 * Every function that fails returns ERR_DENIED with the fault set, so that a handler hands it on.
 */
#ifndef LOCALKMS_CALL_H
#define LOCALKMS_CALL_H

#include "localkms/context.h"
#include "localkms/input.h"
#include "localkms/localkms.h"
#include "localkms/principals.h"
#include "localkms/recipient.h"
#include "localkms/validate.h"
#include "localkms/vault.h"
#include "policy/access.h"

enum {
    KEY_ARN_BYTES = 192,      /* with the NUL */
    KEY_REF_MAX_BYTES = 2048, /* of a KeyId member */
    FACTS_MAX = CONTEXT_PAIRS_MAX + RECIPIENT_FACTS_MAX + 16,
    FACT_TEXT_MAX_BYTES = INPUT_BODY_MAX_BYTES + CONTEXT_PAIRS_MAX * 32,
};

struct call;

struct localkms {
    struct crypto *cx;
    char region[LOCALKMS_REGION_MAX_BYTES + 1], account[LOCALKMS_ACCOUNT_DIGITS + 1], partition[16];
    enum cms_form form;
    struct vault *vault;
    struct recipients *recipients;
    struct principals principals;
    struct localkms_origin origin;
    bool audit, audit_hex;
    struct principal anybody; /* development mode; no arn: off */
    struct call *call;        /* one at a time, kept to spare the allocation */
};

struct call {
    struct localkms *k;
    struct crypto *cx;
    int64_t now_ms;
    const struct principal *who;
    struct localkms_note *note;
    struct fault fault;
    struct input in;
    struct json_out out; /* within the answer's object */

    struct context context;
    struct buf context_bytes;          /* canonical */
    const struct recipient *recipient; /* NULL: not attested */
    struct key *key;                   /* NULL: none in this operation */
    char key_arn[KEY_ARN_BYTES];
    bool dry_run;

    /* The request context for policies. */
    struct policy_fact facts[FACTS_MAX];
    size_t n_facts;
    struct span fact_values[FACTS_MAX], context_names[CONTEXT_PAIRS_MAX];
    struct buf fact_text;
};

typedef enum err call_fn(struct call *c);

MUST_USE enum err call_fail(struct call *c, enum err r); /* our own fault: KMSInternalException */

/* The same; ERR_IO is the store's: the client learns which it was, the log the store's own reason.
 */
enum store_use { STORE_READ, STORE_WRITE };
MUST_USE enum err call_fail_store(struct call *c, enum err r, enum store_use use);

/* Members that several operations have. */
MUST_USE enum err call_take_context(struct call *c);   /* EncryptionContext */
MUST_USE enum err call_take_recipient(struct call *c); /* Recipient: document verified */
MUST_USE enum err call_take_grants(struct call *c);    /* GrantTokens: none is valid here */
MUST_USE enum err call_take_dry_run(struct call *c);

/* Find the key that a KeyId member means; sets c->key and c->key_arn. NotFoundException. */
MUST_USE enum err call_find_key(struct call *c, struct span key_id);
/* By the id in a blob. *found false: no such key. */
MUST_USE enum err call_find_key_by_id(struct call *c, const char *id, bool *found);

/* One more key of the request context; views must live as long as the call. */
void call_fact(struct call *c, struct span key, struct span value);
/* "kms:KeySpec" and so on; added by itself where the operation has a key. */
void call_key_facts(struct call *c, enum key_spec spec);
/* "kms:EncryptionContext:..." and the algorithm: for the operations that encrypt. */
MUST_USE enum err call_crypto_facts(struct call *c);
/* Ask the policies; AccessDeniedException. Uses c->key if there is one. Then DryRun, if wanted. */
MUST_USE enum err call_authorize(struct call *c, const char *action);
/* Would this policy let this caller put another one later? MalformedPolicyDocumentException. */
MUST_USE enum err call_check_lockout(struct call *c, const struct policy *key_policy,
                                     struct span resource);
/* The key has to be of this usage for the operation; InvalidKeyUsageException. */
MUST_USE enum err call_check_usage(struct call *c, const char *usage, const char *operation);
/* The key has to be enabled, after it was authorised. */
MUST_USE enum err call_check_state(struct call *c);

/* Answer members. */
void call_put_key_material_id(struct call *c, const char *member);
/* CiphertextForRecipient to an attested caller, else `member` in the clear. */
MUST_USE enum err call_put_secret(struct call *c, const char *member, const struct secret *plain);

/* operations */
call_fn op_create_key, op_describe_key, op_list_keys; /* op_keys.c */
call_fn op_get_key_policy, op_put_key_policy;         /* op_policy.c */
call_fn op_encrypt, op_decrypt;                       /* op_crypt.c */
call_fn op_generate_data_key, op_generate_random;     /* op_generate.c */
call_fn op_generate_data_key_pair;                    /* op_pair.c */
call_fn op_derive_shared_secret, op_get_public_key;   /* op_agree.c */

/* The key that KeyId, the only member besides grant tokens, names: found, and `action` allowed on
 * it. */
MUST_USE enum err call_named_key(struct call *c, const char *action);

#endif
