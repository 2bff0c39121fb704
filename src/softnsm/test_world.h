/* test_world.h - an NSM to ask, for test_softnsm.c and test_document.c. */
#ifndef SOFTNSM_TEST_WORLD_H
#define SOFTNSM_TEST_WORLD_H

#include "softnsm/softnsm.h"

#define NOW_MS INT64_C(1700000000000)

/* nsm reference, section 4. */
#define ROLE     "arn:aws:iam::111122223333:role/enclave-role"
#define INSTANCE "i-0123456789abcdef0"
#define ROLE_PCR                                                                                   \
    "a3ae8640f98a96adca19a1e467a6d30e87f7a1d81eb75d37189b0f2c0e000caba9cc80905ffac1ea12b0372fe60e" \
    "7041"
#define INSTANCE_PCR                                                                               \
    "d6432900ac1c343cb40286898792c55e962aef0cc35c4910c0c286145b51af19e782cb21cc31a042671d7dfbd398" \
    "251c"

extern struct crypto *cx;

int world_setup(void **state);
int world_teardown(void **state);

struct softnsm_settings settings(void);
struct softnsm *nsm_of(const struct softnsm_settings *s);
struct softnsm *nsm_new(void);
/* The response stays in `raw`. */
struct nsm_response ask_at(struct softnsm *n, const struct nsm_request *rq, int64_t now_ms,
                           struct buf *raw);
struct nsm_response ask(struct softnsm *n, struct nsm_request rq, struct buf *raw);
void assert_hex(struct span got, const char *hex);
/* Up to this NSM's own root; the test fails if not. */
void verify_at(const struct softnsm *n, struct span document, int64_t now_ms,
               struct attest_verified *v);

#endif
