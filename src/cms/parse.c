#include "cms/ber.h"
#include "cms/cms.h"
#include "cms/oids.h"
#include "crypto/aead.h"

enum {
    VERSION = 2,         /* of both, for a recipient named by key identifier: RFC 5652 6.1, 6.2.1 */
    CHUNK_DEPTH_MAX = 4, /* constructed strings within constructed strings: KMS has none */
    CHUNK_STEPS_MAX = 256 /* strings, empty and constructed ones included */
};

static void take_version(struct ber *b)
{
    struct span v = ber_take(b, BER_INTEGER);

    if (v.len != 1 || v.ptr[0] != VERSION)
        ber_fail(b, ERR_UNSUPPORTED, "version");
}

static void take_oid(struct ber *b, const char *oid, const char *what)
{
    if (!span_is(ber_take(b, BER_OID), oid))
        ber_fail(b, ERR_UNSUPPORTED, what);
}

/* SHA-256 with parameters NULL or absent: RFC 8017 appendix B.1 has a reader take both. */
static void take_sha256(struct ber *b)
{
    struct ber_frame f = ber_enter(b, BER_SEQUENCE);

    take_oid(b, OID_SHA256, "OAEP hash");
    if (ber_peek(b, BER_NULL) && ber_take(b, BER_NULL).len != 0)
        ber_fail(b, ERR_MALFORMED, "length");
    ber_leave(b, f);
}

/* RSAES-OAEP with SHA-256 twice and the empty label, all of it said: the defaults are SHA-1. */
static void take_oaep(struct ber *b)
{
    struct ber_frame alg = ber_enter(b, BER_SEQUENCE);

    take_oid(b, OID_RSAES_OAEP, "key encryption algorithm");
    struct ber_frame params = ber_enter(b, BER_SEQUENCE);
    if (!ber_peek(b, BER_CONTEXT_0_PARTS))
        ber_fail(b, ERR_UNSUPPORTED, "OAEP hash");
    struct ber_frame hash = ber_enter(b, BER_CONTEXT_0_PARTS);
    take_sha256(b);
    ber_leave(b, hash);
    if (!ber_peek(b, BER_CONTEXT_1_PARTS))
        ber_fail(b, ERR_UNSUPPORTED, "OAEP mask generation");
    struct ber_frame mask = ber_enter(b, BER_CONTEXT_1_PARTS);
    struct ber_frame mgf = ber_enter(b, BER_SEQUENCE);
    take_oid(b, OID_MGF1, "OAEP mask generation");
    take_sha256(b);
    ber_leave(b, mgf);
    ber_leave(b, mask);
    if (!ber_at_end(b, params))
        ber_fail(b, ERR_UNSUPPORTED, "OAEP label");
    ber_leave(b, params);
    ber_leave(b, alg);
}

static void take_recipient(struct ber *b, struct cms_envelope *env)
{
    struct ber_frame set = ber_enter(b, BER_SET);

    if (b->err == ERR_OK && ber_at_end(b, set))
        ber_fail(b, ERR_UNSUPPORTED, "number of recipients");
    struct ber_frame info = ber_enter(b, BER_SEQUENCE);
    take_version(b);
    env->ski = ber_take(b, BER_CONTEXT_0);
    if (env->ski.len != CMS_SKI_BYTES)
        ber_fail(b, ERR_UNSUPPORTED, "recipient identifier");
    take_oaep(b);
    env->encrypted_key = ber_take(b, BER_OCTET_STRING);
    ber_leave(b, info);
    if (!ber_at_end(b, set))
        ber_fail(b, ERR_UNSUPPORTED, "number of recipients");
    ber_leave(b, set);
}

static void add_chunk(struct ber *b, struct cms_envelope *env, struct span chunk)
{
    if (chunk.len == 0)
        return;
    if (env->n_chunks == CMS_CHUNKS_MAX) {
        ber_fail(b, ERR_LIMIT, "chunks");
        return;
    }
    env->chunks[env->n_chunks++] = chunk;
}

/* The strings inside [0], in order; a stack of frames where a text-book would recurse. */
static void take_chunks(struct ber *b, struct cms_envelope *env)
{
    struct ber_frame stack[CHUNK_DEPTH_MAX];
    size_t depth = 0, steps = 0;

    stack[depth++] = ber_enter(b, BER_CONTEXT_0_PARTS);
    while (b->err == ERR_OK && depth > 0) {
        if (ber_at_end(b, stack[depth - 1])) {
            ber_leave(b, stack[--depth]);
            continue;
        }
        if (steps++ == CHUNK_STEPS_MAX) {
            ber_fail(b, ERR_LIMIT, "chunks");
        } else if (!ber_peek(b, BER_OCTET_STRING_PARTS)) {
            add_chunk(b, env, ber_take(b, BER_OCTET_STRING));
        } else if (depth == CHUNK_DEPTH_MAX) {
            ber_fail(b, ERR_LIMIT, "depth");
        } else {
            stack[depth++] = ber_enter(b, BER_OCTET_STRING_PARTS);
        }
    }
}

static void check_content_length(struct ber *b, const struct cms_envelope *env)
{
    size_t total = 0;

    for (size_t i = 0; i < env->n_chunks; i++)
        total += env->chunks[i].len;
    if (total == 0 || total % AES_BLOCK_BYTES != 0)
        ber_fail(b, ERR_MALFORMED, "encrypted content length");
}

static void take_content(struct ber *b, struct cms_envelope *env)
{
    struct ber_frame info = ber_enter(b, BER_SEQUENCE);

    take_oid(b, OID_DATA, "content type");
    struct ber_frame alg = ber_enter(b, BER_SEQUENCE);
    take_oid(b, OID_AES256_CBC, "content encryption algorithm");
    env->iv = ber_take(b, BER_OCTET_STRING);
    if (env->iv.len != CBC_IV_BYTES)
        ber_fail(b, ERR_MALFORMED, "IV length");
    ber_leave(b, alg);
    if (ber_peek(b, BER_CONTEXT_0))
        add_chunk(b, env, ber_take(b, BER_CONTEXT_0)); /* form B */
    else
        take_chunks(b, env);
    check_content_length(b, env);
    ber_leave(b, info);
}

enum err cms_parse(struct span in, struct cms_envelope *out, struct why *why)
{
    struct cms_envelope env = { .n_chunks = 0 };
    struct ber b = ber_init(in);

    if (in.len > CMS_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "message length", 0);
    struct ber_frame info = ber_enter(&b, BER_SEQUENCE);
    take_oid(&b, OID_ENVELOPED_DATA, "content type");
    struct ber_frame explicit0 = ber_enter(&b, BER_CONTEXT_0_PARTS);
    struct ber_frame data = ber_enter(&b, BER_SEQUENCE);
    take_version(&b);
    take_recipient(&b, &env);
    take_content(&b, &env);
    ber_leave(&b, data);
    ber_leave(&b, explicit0);
    ber_leave(&b, info);
    enum err r = ber_end(&b);
    if (r != ERR_OK)
        return why_fail(why, r, b.what, b.pos);
    *out = env;
    return ERR_OK;
}
