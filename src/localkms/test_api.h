/* test_api.h - for tests of the whole local KMS in memory: signed requests in, answers out. */
#ifndef LOCALKMS_TEST_API_H
#define LOCALKMS_TEST_API_H

#include "http1/http1.h"
#include "localkms/localkms.h"
#include "localkms/test_keystore.h"
#include "testing/t.h"

#define API_ACCOUNT "111122223333"
#define API_ADMIN   "arn:aws:iam::" API_ACCOUNT ":user/admin"
#define API_APP     "arn:aws:sts::" API_ACCOUNT ":assumed-role/parent/i-0123"
#define API_NOW_MS  INT64_C(1700000000000)

enum api_who { ADMIN, APP, TEMPORARY, OLD, FOREIGN, ROOT_USER, NOBODY };

/* What is done to a request before it is sent; zero: nothing. */
struct api_tweak {
    const char *region, *service, *token, *authorization; /* instead of the right one */
    int64_t skew_s;
    bool no_authorization, no_date, unsigned_target, wrong_secret, changed_body, get, close;
};

struct api {
    struct crypto *cx;
    struct test_keystore *store;
    struct localkms *k;
    enum cms_form form;
    struct span root;
    const char *qemu_module; /* NULL: none is trusted */
    uint32_t quota;          /* 0: none */
    int64_t now_ms;
    struct localkms_note note;
    struct buf request, response;
    struct http1_head head; /* of the response */
    unsigned status;
    struct span body; /* into response */
    char key_id[KEY_ID_BYTES + 1], key_arn[128];
    char kept[4096]; /* $KEPT in a body: something of an earlier answer */
};

/* With `root` (DER) as the one trusted attestation root; fails the test if it cannot. */
void api_up(struct api *a, struct span root, enum cms_form form);
void api_down(struct api *a);
/* A new process on the same store: nothing is kept in memory. */
void api_restart(struct api *a);
/* Ask and take the answer apart. $KEY and $ARN in `body` become the key's id and ARN, $KEPT what
 * api_keep() kept. */
void api_ask_tweaked(struct api *a, enum api_who who, const char *operation, const char *body,
                     const struct api_tweak *tweak);
void api_ask(struct api *a, enum api_who who, const char *operation, const char *body);
/* Make a key with this policy (NULL: the default one) as ADMIN; a->key_id and a->key_arn. */
void api_make_key(struct api *a, const char *policy);

/* The answer is 200 and its body has this text. */
void api_assert_ok(struct api *a, const char *part);
/* The body is exactly this; status 400. `message` NULL: no such member. */
void api_assert_fault(struct api *a, const char *type, const char *message);
/* A string member of the answer, decoded; the test fails if it is not there. */
struct span api_text(struct api *a, const char *member, struct buf *scratch);
/* The same, out of base64. */
void api_blob(struct api *a, const char *member, struct buf *out);
bool api_has(struct api *a, const char *member);
/* Keep the text of a string member for $KEPT. */
void api_keep(struct api *a, const char *member);
/* As ADMIN: the body of CreateKey. */
void api_create(struct api *a, const char *body);
/* ADMIN asks and it is done; ADMIN asks and it is refused with this. */
void api_does(struct api *a, const char *operation, const char *body, const char *part);
void api_refuses(struct api *a, const char *operation, const char *body, const char *type,
                 const char *message);

#endif
