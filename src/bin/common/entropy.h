/* entropy.h - R-13: what the NSM calls random goes into the kernel's pool before any key is made.
 */
#ifndef BIN_COMMON_ENTROPY_H
#define BIN_COMMON_ENTROPY_H

#include "io/nsm_dev.h"

/* Mix NSM_RANDOM_BYTES into the pool and credit them. A process that may not credit (not root)
 * mixes them in, and needs a pool that is ready: nitroseal-init has seen to that before it starts
 * one. Fails closed, in every kind of build: any error means that no key may be made.
 * ERR_DENIED: the NSM refuses. ERR_MALFORMED: its answer is no GetRandom answer, or its bytes are
 * too few or all the same. ERR_IO: the kernel does not take them, or its pool is not ready. */
MUST_USE enum err entropy_seed(struct nsm_dev *nsm, struct why *why);

#endif
