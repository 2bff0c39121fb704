/* refusal.h - what KMS said no with, for a person: status, type, message, request id, and what to
 * check. Nothing of KMS's text reaches a terminal unfiltered. */
#ifndef BIN_KMSTOOL_REFUSAL_H
#define BIN_KMSTOOL_REFUSAL_H

#include "base/buf.h"
#include "kms/kms.h"

void refusal_write(enum kms_op op, const struct kms_answer *a, struct buf *err);

#endif
