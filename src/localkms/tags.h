/* tags.h - inside localkms: a list of tags in a request. */
#ifndef LOCALKMS_TAGS_H
#define LOCALKMS_TAGS_H

#include "localkms/call.h"

struct tags {
    struct tag_row all[TAGS_MAX];
    size_t n;
    struct buf scratch;
};

#define TAGS_INIT ((struct tags){ .scratch = BUF_INIT(INPUT_BODY_MAX_BYTES) })
void tags_clear(struct tags *t);

/* The member Tags, with the constraints of the model and KMS's own rules: TagException for names
 * that come twice, too many of them, and names that begin with aws:. "aws:RequestTag/..." and
 * "aws:TagKeys" become facts. Views live as long as `t`. */
MUST_USE enum err tags_take(struct call *c, bool required, struct tags *t);

#endif
