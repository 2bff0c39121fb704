/* micro_esdk.h - the message format alone, beside the bare loop of AES-256-GCM that it is made of.
 */
#ifndef BENCH_MICRO_ESDK_H
#define BENCH_MICRO_ESDK_H

#include "crypto/crypto.h"

/* Prints a line `name value unit` for the loop and each direction, at each frame length, unsigned
 * and signed. `median` gives the seconds of one call. */
void micro_esdk(struct crypto *cx, double (*median)(void (*call)(void *), void *arg));

#endif
