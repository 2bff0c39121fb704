/* test_ops.h - for tests of operations that share one local KMS without attestation: ADMIN asks. */
#ifndef LOCALKMS_TEST_OPS_H
#define LOCALKMS_TEST_OPS_H

#include "localkms/test_api.h"

#define MUST    " failed to satisfy constraint: Member must "
#define ONE(m)  "1 validation error detected: " m
#define THE_KEY "{\"KeyId\":\"$KEY\"}"

extern struct api api;

int ops_up(void **state);
int ops_down(void **state);
void does(const char *operation, const char *body, const char *part);
void refuses(const char *operation, const char *body, const char *type, const char *message);
/* How often does this stand in the answer? */
unsigned count(const char *text);

#endif
