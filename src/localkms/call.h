/* call.h - inside localkms: one request on its way through an operation, and what operations share.
 * Every function that fails returns ERR_DENIED with the fault set, so that a handler hands it on.
 */
#ifndef LOCALKMS_CALL_H
#define LOCALKMS_CALL_H

#include "localkms/context.h"
#include "localkms/input.h"
#include "localkms/localkms.h"
#include "localkms/principals.h"
#include "localkms/quota.h"
#include "localkms/recipient.h"
#include "localkms/validate.h"
#include "localkms/vault.h"
#include "policy/access.h"
#include "policy/common.h"

enum {
    KEY_ARN_BYTES = 192, /* with the NUL */
    ALIAS_MAX_BYTES = 256,
    KEY_REF_MAX_BYTES = 2048, /* of a KeyId member */
    FACTS_MAX = CONTEXT_PAIRS_MAX + RECIPIENT_FACTS_MAX + 2 * TAGS_MAX + 32,
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
    struct quota quota;
    struct principal anybody; /* development mode; no arn: off */
    struct call *call;        /* one at a time, kept to spare the allocation */
    /* A pair that a request waits for, and the one that was made for it. */
    enum keypair_spec wanted;
    struct secret made_pkcs8;
    struct buf made_spki;
    bool declined; /* none can be made now */
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
    struct span alias; /* that the request named the key by; absent: none */
    bool dry_run;
    uint32_t grant_bits; /* of CreateGrant: what a grant that allows it has to have itself */
    struct span grant_constraints;

    /* The request context for policies. */
    struct policy_fact facts[FACTS_MAX];
    size_t n_facts;
    bool facts_lost; /* there was no room for one */
    struct policy_common common;
    struct span fact_values[FACTS_MAX], context_names[CONTEXT_PAIRS_MAX], tag_names[TAGS_MAX];
    char *owned[FACTS_MAX]; /* names of facts that are put together here */
    size_t n_owned;
};

typedef enum err call_fn(struct call *c);

/* Our own fault: KMSInternalException. ERR_MORE (localkms.h says what for) goes through. */
MUST_USE enum err call_fail(struct call *c, enum err r);

/* One call too many for now. */
MUST_USE enum err call_throttled(struct call *c);

/* The same; ERR_IO is the store's: the client learns which it was, the log the store's own reason.
 */
enum store_use { STORE_READ, STORE_WRITE };
MUST_USE enum err call_fail_store(struct call *c, enum err r, enum store_use use);

/* Members that several operations have. */
MUST_USE enum err call_take_context(struct call *c); /* EncryptionContext */
MUST_USE enum err call_take_context_of(struct call *c, const char *member);
MUST_USE enum err call_take_recipient(struct call *c); /* Recipient: document verified */
MUST_USE enum err call_take_grants(struct call *c);    /* GrantTokens: of grants that there are */
MUST_USE enum err call_take_dry_run(struct call *c);
/* Room for all the decoded strings of `raw` at once: views must not move. */
MUST_USE enum err call_reserve(struct call *c, struct span raw, struct buf *scratch);
/* A required KeyId: its constraints are checked with the operation's own. */
void call_check_key_id(struct checks *check, struct span key_id);

bool key_id_is_valid(struct span s);
/* "alias/" and more, in the characters that there may be, and none of AWS's own. */
bool alias_name_is_valid(struct span name);
/* Find the key that a KeyId member means; sets c->key, c->key_arn and c->alias.
 * NotFoundException. */
MUST_USE enum err call_find_key(struct call *c, struct span key_id);
/* The same for operations that take a key id or a key ARN, but no alias. */
MUST_USE enum err call_find_key_only(struct call *c, struct span key_id);
/* By the id in a blob. *found false: no such key. */
MUST_USE enum err call_find_key_by_id(struct call *c, const char *id, bool *found);
/* "arn:PARTITION:kms:REGION:ACCOUNT:key/ID" or ":alias/NAME". */
void call_write_arn(const struct call *c, const char *id, char out[static KEY_ARN_BYTES]);
MUST_USE enum err call_alias_arn(struct call *c, struct span alias, struct buf *out);

/* One more key of the request context; views must live as long as the call. */
void call_fact(struct call *c, struct span key, struct span value);
void call_fact_list(struct call *c, struct span key, const struct span *values, size_t n);
/* The same with a key of two parts. ERR_NOMEM. */
MUST_USE enum err call_fact_named(struct call *c, const char *prefix, struct span name,
                                  struct span value);
/* "kms:KeySpec" and so on; added by itself where the operation has a key. */
void call_key_facts(struct call *c, const struct key_row *row);
/* "kms:EncryptionContext:..." and the algorithm: for the operations that encrypt. */
MUST_USE enum err call_crypto_facts(struct call *c, struct span algorithm);
/* Forget the facts and the context: another key and another action follow (ReEncrypt). */
void call_forget_facts(struct call *c);
/* Ask the policies and the grants; AccessDeniedException. Uses c->key if there is one. */
MUST_USE enum err call_authorize(struct call *c, const char *action);
/* The same about something that is not the key: an alias. */
MUST_USE enum err call_authorize_on(struct call *c, const char *action, struct span resource);
/* DryRun, if wanted, of what would have been done now. */
MUST_USE enum err call_check_dry_run(struct call *c);
/* Would this policy let this caller put another one later? MalformedPolicyDocumentException. */
MUST_USE enum err call_check_lockout(struct call *c, const struct policy *key_policy,
                                     struct span resource);
/* The key has to be of this usage for the operation; InvalidKeyUsageException. */
MUST_USE enum err call_check_usage(struct call *c, enum key_usage usage, const char *operation);
/* The key has to be enabled, after it was authorised. */
MUST_USE enum err call_check_state(struct call *c);
/* What is refused only then: pending deletion; pending deletion or import. */
MUST_USE enum err call_check_not_deleted(struct call *c);
/* Authorised for "kms:OPERATION", of this usage, enabled, and no dry run: to be done now. */
MUST_USE enum err call_ready(struct call *c, const char *action, enum key_usage usage);
/* "Algorithm X is incompatible with key spec Y." */
MUST_USE enum err call_bad_algorithm(struct call *c, struct span algorithm);

/* A new pair: at once, or ERR_MORE after having said so to localkms.h's caller.
 * ThrottlingException: too many wait for one. */
MUST_USE enum err call_new_pair(struct call *c, enum keypair_spec spec, struct secret *pkcs8,
                                struct buf *spki);

/* Answer members. */
void call_put_text(struct call *c, const char *name, struct span value);
void call_put_bool(struct call *c, const char *name, bool value);
void call_put_blob(struct call *c, const char *name, struct span bytes);
/* Seconds and thousandths, as the real service sends them. */
void call_put_time(struct call *c, const char *name, int64_t ms);
void call_put_list(struct call *c, const char *name, const char *const *items);
void call_put_material_id(struct call *c, const char *member, uint32_t number);
/* CiphertextForRecipient to an attested caller, else `member` in the clear. */
MUST_USE enum err call_put_secret(struct call *c, const char *member, const struct secret *plain);
void call_put_metadata(struct call *c); /* KeyMetadata of c->key (metadata.c) */
/* 64 hexadecimal digits for a material of c->key. */
void call_material_id(struct call *c, uint32_t number, char out[static 65]);

/* operations */
call_fn op_create_key;                                            /* op_create.c */
call_fn op_describe_key, op_list_keys, op_update_key_description; /* op_keys.c */
call_fn op_enable_key, op_disable_key, op_schedule_key_deletion, op_cancel_key_deletion;
call_fn op_enable_key_rotation, op_disable_key_rotation, op_get_key_rotation_status;
call_fn op_rotate_key_on_demand, op_list_key_rotations;                     /* op_rotate.c */
call_fn op_get_key_policy, op_put_key_policy, op_list_key_policies;         /* op_policy.c */
call_fn op_create_alias, op_update_alias, op_delete_alias, op_list_aliases; /* op_alias.c */
call_fn op_tag_resource, op_untag_resource, op_list_resource_tags;          /* op_tag.c */
call_fn op_create_grant, op_list_grants, op_list_retirable_grants;          /* op_grant.c */
call_fn op_retire_grant, op_revoke_grant;                                   /* op_grant_end.c */
call_fn op_get_parameters_for_import, op_import_key_material;               /* op_import.c */
call_fn op_delete_imported_key_material;
call_fn op_encrypt, op_decrypt;                                       /* op_crypt.c */
call_fn op_re_encrypt;                                                /* op_reencrypt.c */
call_fn op_generate_data_key, op_generate_data_key_without_plaintext; /* op_generate.c */
call_fn op_generate_random;
call_fn op_generate_data_key_pair, op_generate_data_key_pair_without_plaintext; /* op_pair.c */
call_fn op_derive_shared_secret, op_get_public_key;                             /* op_agree.c */
call_fn op_sign, op_verify;                                                     /* op_sign.c */
call_fn op_generate_mac, op_verify_mac;                                         /* op_mac.c */

/* The key that KeyId names, found, and `action` allowed on it. `takes_alias`: KeyId may be one. */
enum key_ref { KEY_REF_ANY, KEY_REF_KEY };
MUST_USE enum err call_named_key(struct call *c, const char *action, enum key_ref ref);

#endif
