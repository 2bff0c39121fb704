/* test_world.h - a service with an NSM and a KMS that are a few lines of the test. */
#ifndef ENCLAVE_TEST_WORLD_H
#define ENCLAVE_TEST_WORLD_H

#include "enclave/private.h"
#include "testing/t.h"

#define T_ARN    "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define T_ARN_2  "arn:aws:kms:us-east-1:999922223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define T_KEY_ID "1234abcd-12ab-34cd-56ef-1234567890ab"
#define T_CREDENTIALS                                                                              \
    "\"credentials\":{\"access_key_id\":\"AKIDEXAMPLE\",\"secret_access_key\":\"wJalr/"            \
    "XUtn+FEMI\","                                                                                 \
    "\"session_token\":\"\"}"
#define T_ENCRYPT(message_json)                                                                    \
    "{\"operation\":\"encrypt\"," T_CREDENTIALS ",\"message\":" message_json "}"

enum { T_REQUEST_MAX = 1 << 20, T_SECOND = 1000000000 };

struct world {
    struct crypto *cx;
    struct enclave *e;
    struct enclave_request *rq;
    struct enclave_time now;
    struct enclave_action a; /* the last action that is not WORK */
    unsigned works;          /* WORK actions done on the way */
    uint8_t data_key[32];
};

/* One RSA key for all tests: it takes long to make. */
int world_setup(void **state);
int world_teardown(void **state);
struct rsa_key *world_key(void);

/* A service that has its key and a document; `key_id` NULL: T_ARN. */
struct world world_new(const char *key_id);
void world_document(struct world *w);
void world_clear(struct world *w);

/* A request's bytes in; works are done at once. */
void world_ask(struct world *w, struct span request);
void world_event(struct world *w, struct enclave_event ev);
/* Called before (true) and after each work, if set. */
extern void (*world_on_work)(bool begins);
/* KMS answers with this body; "%s" in `json` is CiphertextForRecipient of the data key. */
void world_kms(struct world *w, unsigned status, const char *json);
/* The usual good answer, for GenerateDataKey and for Decrypt. */
void world_kms_good(struct world *w);
void world_kms_broken(struct world *w, enum err r);

/* The last action is an error answer with this code. */
void world_failed(const struct world *w, const char *code);
/* The answer text holds this. */
void world_answer_has(const struct world *w, const char *text);
struct proto_answer world_answer(const struct world *w, enum proto_op op);
/* A decrypt request for `text` sealed under the data key. */
struct span world_sealed(struct world *w, struct span text, bool good_signature);

#endif
