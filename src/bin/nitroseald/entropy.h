/* entropy.h - R-13: what the NSM calls random goes into the kernel's pool before any key is made.
 */
#ifndef BIN_NITROSEALD_ENTROPY_H
#define BIN_NITROSEALD_ENTROPY_H

#include "io/nsm_dev.h"

/* Mix and credit NSM_RANDOM_BYTES. Fails closed: any error means that no key may be made. */
MUST_USE enum err entropy_seed(struct nsm_dev *nsm, struct why *why);

#endif
