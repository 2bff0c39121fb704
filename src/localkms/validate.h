/* validate.h - the constraints of the service model, and the words for what breaks them.
 *
 * Source: kms-recipient reference section 5 (real answers). Faults are gathered, so that one answer
 * names them all:
 *     1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint:
 *     Member must have value less than or equal to 1024
 * Members are named with a lower-case first letter.
 */
#ifndef LOCALKMS_VALIDATE_H
#define LOCALKMS_VALIDATE_H

#include "localkms/fault.h"

struct checks {
    struct buf text;
    unsigned n;
};

/* What comes before the text in a fault is shorter than this. */
enum { CHECKS_HEAD_MAX_BYTES = 64 };

#define CHECKS_INIT                                                                                \
    ((struct checks){ .text = BUF_INIT(FAULT_TEXT_MAX_BYTES - CHECKS_HEAD_MAX_BYTES) })
void checks_clear(struct checks *c);

void check_required(struct checks *c, const char *member, bool given);
void check_range(struct checks *c, const char *member, int64_t value, int64_t min, int64_t max);
/* A string's length; an absent span passes. */
void check_length(struct checks *c, const char *member, struct span value, size_t min, size_t max);
/* The same where the value must not be shown (blobs, secrets). */
void check_hidden_length(struct checks *c, const char *member, size_t len, size_t min, size_t max);
/* The number of a list's elements; the list itself is not shown. */
void check_list_length(struct checks *c, const char *member, size_t n, size_t min, size_t max);
/* One of the NULL-terminated set; an absent span passes. */
void check_enum(struct checks *c, const char *member, struct span value, const char *const *set);
/* The model's pattern for policies: tab, line feed, carriage return, U+0020 to U+00FF. */
void check_policy_characters(struct checks *c, const char *member, struct span value);
/* Characters beside letters and digits that a value may have; `pattern` is what the model says. */
void check_characters(struct checks *c, const char *member, struct span value, const char *others,
                      const char *pattern);
/* ERR_OK, or ERR_DENIED with a ValidationException of all that was found. */
MUST_USE enum err checks_end(const struct checks *c, struct fault *f);

#endif
