/* result.c - what calls give to the caller: made, and wiped. */
#include <stdlib.h>

#include "lib/handle.h"

static void free_text(char **s)
{
    if (*s)
        wipe(*s, strlen(*s));
    free(*s);
    *s = NULL;
}

void nitroseal_bytes_clear(struct nitroseal_bytes *b)
{
    if (b->data)
        wipe(b->data, b->len);
    free(b->data);
    free_text(&b->key_id);
    free_text(&b->request_id);
    *b = (struct nitroseal_bytes){ 0 };
}

void nitroseal_sealed_clear(struct nitroseal_sealed *s)
{
    free(s->encrypted);
    free(s->ciphertext_blob);
    free_text(&s->key_id);
    free_text(&s->request_id);
    wipe(s, sizeof *s);
}

void nitroseal_message_clear(struct nitroseal_message *m)
{
    free_text(&m->encrypted);
    free_text(&m->signature);
    free_text(&m->ciphertext_blob);
    free_text(&m->key_id);
    free_text(&m->request_id);
}

enum err lib_hand_over(struct buf *b, unsigned char **data, size_t *len)
{
    size_t max = b->max;
    uint8_t *room;

    b->max = max + 1;
    enum err r = buf_reserve(b, 1, &room);
    b->max = max;
    if (r != ERR_OK)
        return r;
    room[0] = 0;
    *len = b->len;
    *data = b->ptr;
    *b = BUF_INIT(max);
    return ERR_OK;
}

enum err lib_text(struct span s, char **out)
{
    if (!s.ptr || s.len == 0)
        return ERR_OK;
    char *p = malloc(s.len + 1);
    if (!p)
        return ERR_NOMEM;
    memcpy(p, s.ptr, s.len);
    p[s.len] = 0;
    *out = p;
    return ERR_OK;
}

enum err lib_decoded(struct json_str s, char **out)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(s.raw.len);
    enum err r = json_str_is_set(s) ? json_str_decode(s, &b) : ERR_OK;

    return r == ERR_OK ? lib_text(buf_view(&b), out) : r;
}

enum nitroseal_status lib_message(struct nitroseal_error **error, const struct proto_answer *a,
                                  struct nitroseal_message *out)
{
    AUTO(nitroseal_message_clear) struct nitroseal_message m = { 0 };
    enum err r = lib_decoded(a->encrypted, &m.encrypted);

    if (r == ERR_OK)
        r = lib_decoded(a->signature, &m.signature);
    if (r == ERR_OK)
        r = lib_decoded(a->ciphertext_blob, &m.ciphertext_blob);
    if (r == ERR_OK)
        r = lib_decoded(a->key_id, &m.key_id);
    if (r == ERR_OK)
        r = lib_decoded(a->request_id, &m.request_id);
    if (r != ERR_OK)
        return lib_no_memory(error);
    if (!m.encrypted || !m.signature || !m.ciphertext_blob)
        return lib_malformed(error, "an empty member");
    *out = m;
    m = (struct nitroseal_message){ 0 };
    return NITROSEAL_OK;
}

enum nitroseal_status lib_opened(struct nitroseal_error **error, const struct proto_answer *a,
                                 struct nitroseal_bytes *out)
{
    static const struct lib_fault altered = {
        .status = NITROSEAL_UNVERIFIED,
        .code = "signature_invalid",
        .text = "the signature does not match the text",
    };
    AUTO(nitroseal_bytes_clear) struct nitroseal_bytes b = { 0 };
    AUTO(buf_clear) struct buf text = BUF_INIT(a->decrypted.raw.len);

    if (!a->signature_valid)
        return lib_fail(error, &altered);
    enum err r = json_str_decode(a->decrypted, &text);
    if (r == ERR_OK)
        r = lib_hand_over(&text, &b.data, &b.len);
    if (r == ERR_OK)
        r = lib_decoded(a->key_id, &b.key_id);
    if (r == ERR_OK)
        r = lib_decoded(a->request_id, &b.request_id);
    if (r != ERR_OK)
        return lib_no_memory(error);
    *out = b;
    b = (struct nitroseal_bytes){ 0 };
    return NITROSEAL_OK;
}
