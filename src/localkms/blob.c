#include "localkms/blob.h"

#include "crypto/aead.h"

enum {
    VERSION_BYTES = 5,
    HEAD_BYTES = VERSION_BYTES + BLOB_KEY_ID_BYTES + 4,
    AAD_MAX_BYTES = 1 << 20,
};

static const uint8_t version[VERSION_BYTES] = { 0x01, 0x02, 0x02, 0x00, 0x78 };

enum err blob_parse(struct span in, struct blob *out)
{
    struct blob b = { .head = span_sub(in, 0, HEAD_BYTES) };

    if (in.len <= BLOB_OVERHEAD_BYTES || in.len > BLOB_OVERHEAD_BYTES + BLOB_PLAIN_MAX_BYTES ||
        !span_eq(span_sub(in, 0, VERSION_BYTES), SPAN_ARRAY(version)))
        return ERR_MALFORMED;
    b.key_id = span_sub(in, VERSION_BYTES, BLOB_KEY_ID_BYTES);
    for (size_t i = HEAD_BYTES - 4; i < HEAD_BYTES; i++)
        b.material = b.material << 8 | in.ptr[i];
    b.iv = span_sub(in, HEAD_BYTES, GCM_IV_BYTES);
    b.ct = span_sub(in, HEAD_BYTES + GCM_IV_BYTES, in.len - BLOB_OVERHEAD_BYTES);
    b.tag = span_from(in, in.len - GCM_TAG_BYTES);
    *out = b;
    return ERR_OK;
}

static enum err make_aad(struct span head, struct span context, struct buf *out)
{
    enum err r = buf_append(out, head);

    return r == ERR_OK ? buf_append(out, context) : r;
}

static enum err seal_into(struct crypto *cx, const uint8_t head[static HEAD_BYTES], struct span key,
                          struct span context, struct span plain, uint8_t *out)
{
    AUTO(buf_clear) struct buf aad = BUF_INIT(AAD_MAX_BYTES);
    uint8_t *iv = out + HEAD_BYTES, *ct = iv + GCM_IV_BYTES;

    enum err r = make_aad(span_of(head, HEAD_BYTES), context, &aad);
    if (r == ERR_OK)
        r = rng_bytes(cx, iv, GCM_IV_BYTES);
    if (r != ERR_OK)
        return r;
    memcpy(out, head, HEAD_BYTES);
    return aes256gcm_seal(cx, key, span_of(iv, GCM_IV_BYTES), buf_view(&aad), plain, ct,
                          ct + plain.len);
}

enum err blob_seal(struct crypto *cx, struct span key_id, uint32_t material, struct span key,
                   struct span context, struct span plain, struct buf *out)
{
    uint8_t head[HEAD_BYTES];
    uint8_t *room;

    if (key_id.len != BLOB_KEY_ID_BYTES || plain.len == 0 || plain.len > BLOB_PLAIN_MAX_BYTES)
        return ERR_INTERNAL;
    memcpy(head, version, VERSION_BYTES);
    memcpy(head + VERSION_BYTES, key_id.ptr, BLOB_KEY_ID_BYTES);
    for (unsigned i = 0; i < 4; i++)
        head[HEAD_BYTES - 4 + i] = (uint8_t)(material >> (24 - 8 * i));
    enum err r = buf_reserve(out, BLOB_OVERHEAD_BYTES + plain.len, &room);
    if (r == ERR_OK)
        r = seal_into(cx, head, key, context, plain, room);
    if (r == ERR_OK)
        buf_commit(out, BLOB_OVERHEAD_BYTES + plain.len);
    return r;
}

enum err blob_open(struct crypto *cx, const struct blob *b, struct span key, struct span context,
                   struct secret *out)
{
    AUTO(buf_clear) struct buf aad = BUF_INIT(AAD_MAX_BYTES);
    AUTO(secret_clear) struct secret plain = { 0 };

    enum err r = make_aad(b->head, context, &aad);
    if (r == ERR_OK)
        r = secret_new(b->ct.len, &plain);
    if (r == ERR_OK)
        r = aes256gcm_open(cx, key, b->iv, buf_view(&aad), b->ct, b->tag, plain.ptr);
    if (r == ERR_OK)
        *out = secret_take(&plain);
    return r;
}
