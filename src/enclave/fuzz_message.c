/* A message from somebody else, with any data key but ours: nothing comes out of it, decrypted or
 * sealed anew. The first byte is the size of the pieces. */
#include "enclave/message.h"

#include <stdlib.h>

static struct crypto *cx;

static void run(enum message_op op, struct span in, size_t piece)
{
    static const struct span arns[] = { SPAN_INIT(
        "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab") };
    const struct message_options o = {
        .op = op,
        .policy = ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT,
        .seal_arn = arns[0],
        .arns = arns,
        .n_arns = 1,
        .keeps_context = true,
    };
    struct message_fault fault;
    struct message *m;
    struct span part = SPAN_EMPTY;
    size_t at = 0;
    enum err r = message_new(&o, &m, &fault);

    if (r != ERR_OK)
        abort();
    while (r == ERR_OK && !message_is_done(m)) {
        AUTO(buf_clear) struct buf out = BUF_INIT(MESSAGE_OUT_MAX);
        if (part.len == 0) {
            part = span_sub(in, at, piece);
            at += part.len;
        }
        r = message_step(m, cx, &part, at == in.len, &out);
        if (out.len > 0)
            abort();
        if (message_wants_key(m)) {
            struct secret key;
            if (secret_new(message_key_ask(m)->bytes, &key) != ERR_OK ||
                message_key_give(m, &key, SPAN_LIT("blob")) != ERR_OK)
                abort();
        }
    }
    if (message_is_done(m) || !message_fault(m)->code || !message_fault(m)->title)
        abort();
    message_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!cx && crypto_new(&cx) != ERR_OK)
        abort();
    if (size < 1)
        return 0;
    run(MESSAGE_DECRYPT, span_of(data + 1, size - 1), (size_t)data[0] + 1);
    run(MESSAGE_REWRAP, span_of(data + 1, size - 1), (size_t)data[0] * 16 + 1);
    return 0;
}
