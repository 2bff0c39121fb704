#include "cms/ber.h"
#include "cms/cms.h"
#include "cms/oids.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

enum {
    CHUNK_BYTES = 1000, /* what Bouncy Castle's BEROctetString uses, as KMS may */
    HEAD_MAX_BYTES = 4, /* tag, 82, two bytes of length: 65,535 is more than any message here */
};

#define OID(name)   "\x06\x09" name
#define VERSION_2   "\x02\x01\x02"
#define SHA256_NULL "\x30\x0d" OID(OID_SHA256) "\x05\x00"
/* kms-recipient section 3, offsets 65 to 126. */
#define KEY_ALGORITHM                                                                              \
    "\x30\x3c" OID(OID_RSAES_OAEP) "\x30\x2f"                                                      \
                                   "\xa0\x0f" SHA256_NULL "\xa1\x1c\x30\x1a" OID(OID_MGF1)         \
                                       SHA256_NULL
#define END_OF_CONTENTS "\0\0"

/* Appends until something fails; the failure stays. */
struct sink {
    struct buf *out;
    enum err err;
};

static void put(struct sink *w, struct span s)
{
    if (w->err == ERR_OK)
        w->err = buf_append(w->out, s);
}

/* Bytes that tag and definite length take. */
static size_t head_bytes(size_t len)
{
    return len < 0x80 ? 2 : len < 0x100 ? 3 : HEAD_MAX_BYTES;
}

static void put_head(struct sink *w, uint8_t tag, size_t len)
{
    uint8_t head[HEAD_MAX_BYTES] = { tag, (uint8_t)len };

    if (len >= 0x100) {
        head[1] = 0x82;
        head[2] = (uint8_t)(len >> 8);
        head[3] = (uint8_t)len;
    } else if (len >= 0x80) {
        head[1] = 0x81;
        head[2] = (uint8_t)len;
    }
    put(w, span_of(head, head_bytes(len)));
}

static void put_recipient(struct sink *w, struct span ski, struct span encrypted_key)
{
    size_t len = sizeof VERSION_2 - 1 + head_bytes(ski.len) + ski.len + sizeof KEY_ALGORITHM - 1 +
                 head_bytes(encrypted_key.len) + encrypted_key.len;

    put_head(w, BER_SET, head_bytes(len) + len);
    put_head(w, BER_SEQUENCE, len);
    put(w, SPAN_LIT(VERSION_2));
    put_head(w, BER_CONTEXT_0, ski.len);
    put(w, ski);
    put(w, SPAN_LIT(KEY_ALGORITHM));
    put_head(w, BER_OCTET_STRING, encrypted_key.len);
    put(w, encrypted_key);
}

static void put_content(struct sink *w, struct span iv, struct span ct, enum cms_form form)
{
    put(w, SPAN_LIT("\x30\x80" OID(OID_DATA) "\x30\x1d" OID(OID_AES256_CBC)));
    put_head(w, BER_OCTET_STRING, iv.len);
    put(w, iv);
    if (form == CMS_FORM_B) {
        put_head(w, BER_CONTEXT_0, ct.len);
        put(w, ct);
    } else {
        put(w, SPAN_LIT("\xa0\x80"));
        for (size_t at = 0; at < ct.len; at += CHUNK_BYTES) {
            struct span chunk = span_sub(ct, at, CHUNK_BYTES);
            put_head(w, BER_OCTET_STRING, chunk.len);
            put(w, chunk);
        }
        put(w, SPAN_LIT(END_OF_CONTENTS));
    }
    put(w, SPAN_LIT(END_OF_CONTENTS));
}

static enum err put_message(struct buf *out, struct span ski, struct span encrypted_key,
                            struct span iv, struct span ct, enum cms_form form)
{
    struct sink w = { .out = out };
    size_t before = out->len;

    put(&w, SPAN_LIT("\x30\x80" OID(OID_ENVELOPED_DATA) "\xa0\x80\x30\x80" VERSION_2));
    put_recipient(&w, ski, encrypted_key);
    put_content(&w, iv, ct, form);
    put(&w, SPAN_LIT(END_OF_CONTENTS END_OF_CONTENTS END_OF_CONTENTS));
    if (w.err != ERR_OK)
        buf_truncate(out, before);
    return w.err;
}

enum err cms_seal_to(struct crypto *cx, struct span plain, const struct cms_recipient *to,
                     enum cms_form form, struct buf *out, struct why *why)
{
    AUTO(buf_clear) struct buf encrypted_key = BUF_INIT(CMS_MAX_BYTES);
    AUTO(buf_clear) struct buf ct = BUF_INIT(CMS_MAX_BYTES);
    AUTO(secret_clear) struct secret cek = { 0 };
    uint8_t iv[CBC_IV_BYTES];

    if (plain.len > CMS_PLAIN_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "plaintext length", 0);
    enum err r = secret_new(AES256_KEY_BYTES, &cek);
    if (r == ERR_OK)
        r = rng_bytes(cx, cek.ptr, cek.len);
    if (r == ERR_OK)
        r = rng_bytes(cx, iv, sizeof iv);
    if (r == ERR_OK)
        r = rsa_oaep_seal(cx, to->pub, secret_view(&cek), &encrypted_key);
    if (r == ERR_OK)
        r = aes256cbc_seal(cx, secret_view(&cek), SPAN_ARRAY(iv), plain, &ct);
    if (r == ERR_OK)
        r = put_message(out, SPAN_ARRAY(to->ski), buf_view(&encrypted_key), SPAN_ARRAY(iv),
                        buf_view(&ct), form);
    return r == ERR_OK ? ERR_OK : why_fail(why, r, "envelope", 0);
}

enum err cms_recipient_init(struct crypto *cx, struct span spki, struct cms_recipient *out,
                            struct why *why)
{
    struct cms_recipient made = { 0 };

    sha256(spki, made.ski);
    enum err r = rsa_pub_parse(cx, spki, &made.pub, why);
    if (r != ERR_OK)
        return r;
    *out = made;
    return ERR_OK;
}

void cms_recipient_clear(struct cms_recipient *to)
{
    rsa_pub_free(to->pub);
    *to = (struct cms_recipient){ 0 };
}

enum err cms_seal(struct crypto *cx, struct span plain, struct span spki, enum cms_form form,
                  struct buf *out, struct why *why)
{
    AUTO(cms_recipient_clear) struct cms_recipient to = { 0 };

    enum err r = cms_recipient_init(cx, spki, &to, why);
    return r == ERR_OK ? cms_seal_to(cx, plain, &to, form, out, why) : r;
}
