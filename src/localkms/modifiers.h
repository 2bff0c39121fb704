/* modifiers.h - inside localkms: DryRunModifiers, of Decrypt and ReEncrypt. */
#ifndef LOCALKMS_MODIFIERS_H
#define LOCALKMS_MODIFIERS_H

#include "localkms/call.h"

/* After DryRun was taken. *ignore: a dry run without a ciphertext, which then needs a key id. The
 * service model's rules; the words of the refusals are not confirmed. */
MUST_USE enum err modifiers_take(struct call *c, bool ciphertext_given, struct span key_id,
                                 bool *ignore);

#endif
