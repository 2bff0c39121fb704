#include "kms/kms.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct span s, struct span body, const struct buf *text)
{
    bool in_body = s.ptr >= body.ptr && s.ptr + s.len <= body.ptr + body.len;
    bool in_text = text->ptr && s.ptr >= text->ptr && s.ptr + s.len <= text->ptr + text->len;

    if (s.len && !in_body && !in_text)
        abort();
}

/* First byte: operation and status; the rest is the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned statuses[] = { 200, 400, 500, 429 };
    static struct http1_head head;
    AUTO(kms_answer_clear) struct kms_answer a = { 0 };
    struct why why = { 0 };

    if (size == 0)
        return 0;
    head.status = statuses[data[0] >> 2 & 3];
    enum kms_op op =
        data[0] & 16 ? (enum kms_op)(3 + (data[0] & 1)) : (enum kms_op)((data[0] & 3) % 3);
    struct span body = span_of(data + 1, size - 1);
    if (kms_answer_parse(op, &head, body, &a, &why) != ERR_OK) {
        if (!why.what || a.text.ptr)
            abort();
        return 0;
    }
    inside(a.error_message, body, &a.text);
    inside(a.error_type, body, &a.text);
    inside(a.key_id, body, &a.text);
    inside(a.ciphertext_blob_b64, body, &a.text);
    inside(a.public_key_b64, body, &a.text);
    inside(a.ciphertext_for_recipient, body, &a.text);
    if (head.status == 200 && a.ciphertext_for_recipient.len == 0)
        abort();
    if ((kms_verdict_of(&a) == KMS_VERDICT_OK) != (head.status == 200))
        abort();
    (void)kms_hint(a.error_type, a.error_message);
    (void)kms_key_matches(a.error_type, a.key_id);
    return 0;
}
