/* batch.h - many seed messages in one request (/v1/batch). Pure. */
#ifndef CLIENT_BATCH_H
#define CLIENT_BATCH_H

#include "client/client.h"

enum { CLIENT_BATCH_MAX_ITEMS = 1000 };

struct client_item {
    enum proto_op op;                                  /* PROTO_ENCRYPT, PROTO_DECRYPT */
    struct span text;                                  /* encrypt */
    struct span encrypted, signature, ciphertext_blob; /* decrypt; base64 */
};
/* Append one whole request of 1 to CLIENT_BATCH_MAX_ITEMS. Fails as client_encrypt_text_write(). */
MUST_USE enum err client_batch_write(struct buf *out, const struct proto_credentials *cred,
                                     const struct client_item *items, size_t n);

/* Where each of exactly `n` results stands in the answer. ERR_MALFORMED: another number, or not
 * such an answer; then what `results` holds is worth nothing. */
MUST_USE enum err client_batch_parse(const struct client_reader *r, struct span *results, size_t n,
                                     struct why *why);
/* One of them: an answer to `op`, or a problem document with the status that it says. */
struct client_result {
    bool is_problem;
    struct proto_answer answer;
    struct client_problem problem;
};
MUST_USE enum err client_result_parse(struct span result, enum proto_op op,
                                      struct client_result *out, struct why *why);

#endif
