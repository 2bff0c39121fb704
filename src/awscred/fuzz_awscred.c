#include <stdlib.h>

#include "awscred/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct span part, const struct buf *text)
{
    if (part.len && (part.ptr < text->ptr || part.ptr + part.len > text->ptr + text->len))
        abort();
    for (size_t i = 0; i < part.len; i++)
        if (part.ptr[i] <= 0x20 || part.ptr[i] >= 0x7f)
            abort(); /* would break out of a header */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    AUTO(buf_clear) struct buf text = BUF_INIT(4096), words = BUF_INIT(4096);
    const char *argv[AWSCRED_WORDS_MAX + 1];
    struct awscred_place place;
    struct awscred c;

    for (enum awscred_form form = AWSCRED_PROCESS; form <= AWSCRED_IMDS; form++) {
        buf_reset(&text);
        if (awscred_answer_parse(in, form, &text, &c, NULL) != ERR_OK)
            continue;
        if (c.access_key_id.len == 0 || c.secret_access_key.len == 0)
            abort();
        check(c.access_key_id, &text);
        check(c.secret_access_key, &text);
        check(c.session_token, &text);
    }
    struct awscred_refusal no;
    buf_reset(&text);
    if (awscred_sts_answer(in, &text, &c, &no, NULL) == ERR_OK) {
        check(c.access_key_id, &text);
        check(c.secret_access_key, &text);
        check(c.session_token, &text);
    }
    if (awscred_words(in, &words, argv, NULL) == ERR_OK && !argv[0])
        abort();
    if (awscred_url_parse(in, &place, NULL) == ERR_OK) {
        struct awscred_request rq;
        AUTO(awscred_talk_clear) struct awscred_talk t;
        awscred_talk_imds(&t, &place);
        if (awscred_talk_request(&t, &rq) == ERR_OK) {
            /* One request: the URL adds no line to it. */
            if (!memmem(rq.bytes.ptr, rq.bytes.len, "\r\n\r\n", 4) ||
                (uint8_t *)memmem(rq.bytes.ptr, rq.bytes.len, "\r\n\r\n", 4) !=
                    rq.bytes.ptr + rq.bytes.len - 4)
                abort();
            buf_clear(&rq.bytes);
        }
    }
    return 0;
}
