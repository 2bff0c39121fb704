#include "esdk/test_make.h"

#include "base/base64.h"
#include "crypto/hkdf.h"

const unsigned all_suites[ALL_SUITES] = { 0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178,
                                          0x0214, 0x0346, 0x0378, 0x0478, 0x0578 };

void made_clear(struct made *m)
{
    buf_clear(&m->bytes);
}

void put(struct buf *b, struct span s)
{
    assert_int_equal(buf_append(b, s), ERR_OK);
}

void put_be(struct buf *b, uint64_t v, unsigned bytes)
{
    while (bytes--)
        assert_int_equal(buf_append_byte(b, (uint8_t)(v >> 8 * bytes)), ERR_OK);
}

void put_counted(struct buf *b, struct span s)
{
    put_be(b, s.len, 2);
    put(b, s);
}

struct secret test_data_key(const struct esdk_suite *suite)
{
    struct secret key;

    assert_int_equal(secret_new(suite->key_bytes, &key), ERR_OK);
    for (size_t i = 0; i < key.len; i++)
        key.ptr[i] = (uint8_t)i;
    return key;
}

struct buf test_plain(size_t n)
{
    struct buf b = BUF_INIT(n + 1);

    for (size_t i = 0; i < n; i++)
        put_be(&b, (i * 2654435761u) >> 11 & 0xff, 1);
    return b;
}

static void make_context(struct buf *b, const struct make *m, const struct esig_key *key)
{
    AUTO(buf_clear) struct buf point = BUF_INIT(128), all = BUF_INIT(65536);
    bool placed = !key;
    size_t n = m->n_pairs + (key != NULL);

    if (key)
        assert_int_equal(base64_append(&point, esig_key_point(key)), ERR_OK);
    if (n)
        put_be(&all, n, 2);
    for (size_t i = 0; i <= m->n_pairs; i++) {
        if (!placed && (i == m->n_pairs || m->pairs[i].key.ptr[0] > 'a')) {
            put_counted(&all, SPAN_LIT("aws-crypto-public-key"));
            put_counted(&all, buf_view(&point));
            placed = true;
        }
        if (i < m->n_pairs) {
            put_counted(&all, m->pairs[i].key);
            put_counted(&all, m->pairs[i].value);
        }
    }
    put_counted(b, buf_view(&all));
}

struct keys {
    uint8_t commitment[32];
    struct gcm *gcm;
};

static struct keys make_keys(struct crypto *cx, const struct esdk_suite *s, struct span id)
{
    AUTO(secret_clear) struct secret data_key = test_data_key(s);
    AUTO(secret_clear) struct secret prk = { 0 };
    AUTO(buf_clear) struct buf info = BUF_INIT(64);
    uint8_t key[32];
    struct keys k = { 0 };
    enum mac_alg hash = s->id >= 0x0478                      ? MAC_SHA512
                        : s->id == 0x0346 || s->id == 0x0378 ? MAC_SHA384
                                                             : MAC_SHA256;

    memcpy(key, data_key.ptr, data_key.len);
    put_be(&info, s->id, 2);
    if (s->id >= 0x0478) {
        put(&info, SPAN_LIT("DERIVEKEY"));
        assert_int_equal(hkdf_extract(cx, hash, id, secret_view(&data_key), &prk), ERR_OK);
        assert_int_equal(hkdf_expand(cx, hash, &prk, SPAN_LIT("COMMITKEY"), k.commitment, 32), 0);
        assert_int_equal(hkdf_expand(cx, hash, &prk, buf_view(&info), key, 32), ERR_OK);
    } else if (s->id > 0x0100) {
        put(&info, id);
        assert_int_equal(hkdf_extract(cx, hash, SPAN_EMPTY, secret_view(&data_key), &prk), ERR_OK);
        assert_int_equal(hkdf_expand(cx, hash, &prk, buf_view(&info), key, data_key.len), ERR_OK);
    }
    assert_int_equal(gcm_new(cx, span_of(key, data_key.len), GCM_SEAL, &k.gcm), ERR_OK);
    return k;
}

static void make_sealed(struct buf *b, struct gcm *g, struct span iv, struct span aad,
                        struct span plain)
{
    uint8_t *at, tag[16];

    assert_int_equal(buf_reserve(b, plain.len + 1, &at), ERR_OK);
    assert_int_equal(gcm_begin(g, iv.ptr), ERR_OK);
    assert_int_equal(gcm_aad(g, aad), ERR_OK);
    assert_int_equal(gcm_update(g, plain, at), ERR_OK);
    buf_commit(b, plain.len);
    assert_int_equal(gcm_tag(g, tag), ERR_OK);
    put(b, SPAN_ARRAY(tag));
}

static void make_frame(struct made *out, struct gcm *g, struct span id, const char *text,
                       uint32_t seq, bool framed, struct span plain, uint8_t iv_first)
{
    AUTO(buf_clear) struct buf aad = BUF_INIT(128);
    uint8_t iv[12] = { iv_first, [10] = (uint8_t)(seq >> 8), [11] = (uint8_t)seq };
    bool final = strstr(text, "Final") != NULL;

    assert_in_range(out->frames, 0, MADE_FRAMES_MAX - 1);
    out->frame_at[out->frames++] = out->bytes.len;
    if (final)
        put_be(&out->bytes, 0xffffffff, 4);
    if (framed)
        put_be(&out->bytes, seq, 4);
    put(&out->bytes, SPAN_ARRAY(iv));
    if (final || !framed)
        put_be(&out->bytes, plain.len, framed ? 4 : 8);
    put(&aad, id);
    put(&aad, span_str(text));
    put_be(&aad, seq, 4);
    put_be(&aad, plain.len, 8);
    make_sealed(&out->bytes, g, SPAN_ARRAY(iv), buf_view(&aad), plain);
}

static void make_body(struct made *out, const struct make *m, struct gcm *g, struct span id)
{
    struct span rest = m->plain;
    size_t keep = m->empty_final ? 0 : 1; /* so much, at least, for the final frame */

    if (m->frame_length == 0) {
        make_frame(out, g, id, "AWSKMSEncryptionClient Single Block", 1, false, rest, m->iv_first);
        return;
    }
    for (; rest.len >= m->frame_length + keep; rest = span_from(rest, m->frame_length))
        make_frame(out, g, id, "AWSKMSEncryptionClient Frame", out->frames + 1, true,
                   span_sub(rest, 0, m->frame_length), m->iv_first);
    make_frame(out, g, id, "AWSKMSEncryptionClient Final Frame", out->frames + 1, true, rest,
               m->iv_first);
}

static void make_header(struct made *out, const struct make *m, const struct esdk_suite *s,
                        struct span id, const struct keys *k, const struct esig_key *key)
{
    uint8_t iv[12] = { s->version == 1 ? m->iv_first : 0 };
    AUTO(buf_clear) struct buf aad = BUF_INIT(MADE_MAX_BYTES);
    struct buf *b = &out->bytes;
    bool v1 = s->version == 1;

    put_be(b, v1 ? 0x0180 : 2, v1 ? 2 : 1);
    put_be(b, s->id, 2);
    put(b, id);
    make_context(b, m, key);
    put_be(b, 2, 2);
    for (unsigned i = 0; i < 2; i++) {
        put_counted(b, SPAN_LIT("aws-kms"));
        put_counted(b, i ? SPAN_LIT("arn:two") : SPAN_LIT("arn:one"));
        put_counted(b, SPAN_LIT("\xaa\xbb"));
    }
    put_be(b, m->frame_length ? 2 : 1, 1);
    if (v1)
        put_be(b, 12, 5);
    put_be(b, m->frame_length, 4);
    if (!v1)
        put(b, SPAN_ARRAY(k->commitment));
    put(&aad, buf_view(b));
    put(&aad, m->unstored);
    if (v1)
        put(b, SPAN_ARRAY(iv));
    make_sealed(b, k->gcm, SPAN_ARRAY(iv), buf_view(&aad), SPAN_EMPTY);
    out->header_bytes = b->len;
}

struct made make_message(struct crypto *cx, struct make m)
{
    const struct esdk_suite *s = esdk_suite_find(m.suite);
    AUTO(esig_key_freep) struct esig_key *key = NULL;
    AUTO(esig_freep) struct esig *sig = NULL;
    struct made out = { .bytes = BUF_INIT(MADE_MAX_BYTES) };
    uint8_t id[32], der[ESIG_SIG_MAX_BYTES];
    size_t len = 0;

    for (size_t i = 0; i < sizeof id; i++)
        id[i] = (uint8_t)(0x40 + i);
    assert_non_null(s);
    struct span id_span = span_of(id, s->version == 1 ? 16 : 32);
    if (s->signs)
        assert_int_equal(esig_key_new(cx, s->curve, &key), ERR_OK);
    struct keys k = make_keys(cx, s, id_span);
    make_header(&out, &m, s, id_span, &k, key);
    make_body(&out, &m, k.gcm, id_span);
    gcm_free(k.gcm);
    out.frame_at[out.frames] = out.footer_at = out.bytes.len;
    if (s->signs) {
        assert_int_equal(esig_new(cx, s->curve, &sig), ERR_OK);
        assert_int_equal(esig_update(sig, buf_view(&out.bytes)), ERR_OK);
        assert_int_equal(esig_sign(sig, key, der, &len), ERR_OK);
        put_counted(&out.bytes, span_of(der, len));
    }
    return out;
}

/* ---- reading ---- */

/* One step: appends what comes out, which the object keeps (`to`: or puts there at once). */
static enum err step(struct esdk_decrypt *d, bool to, struct span *piece, struct buf *plain,
                     struct why *why)
{
    size_t before = plain->len;
    struct span got;
    enum err r =
        to ? esdk_decrypt_step_to(d, piece, plain, why) : esdk_decrypt_step(d, piece, &got, why);

    if (!to)
        put(plain, got);
    assert_int_equal(plain->len > before, r == ERR_OK);
    return r;
}

static enum err read_body(struct esdk_decrypt *d, struct span msg, size_t cut, bool to,
                          struct buf *plain, struct why *why)
{
    enum err r = ERR_MORE;

    while (msg.len) {
        struct span piece = span_sub(msg, 0, cut);
        msg = span_from(msg, piece.len);
        while ((r = step(d, to, &piece, plain, why)) == ERR_OK)
            ;
        if (r != ERR_MORE)
            break;
        assert_int_equal(piece.len, 0);
    }
    enum err end = esdk_decrypt_end(d, r == ERR_MORE ? why : NULL);
    if (r != ERR_MORE) { /* sticky */
        struct span none = SPAN_EMPTY;
        assert_int_equal(end, r);
        assert_int_equal(step(d, to, &none, plain, NULL), r);
    }
    return end;
}

static enum err read_once(struct crypto *cx, struct reading how, struct span msg, bool to,
                          struct buf *plain, struct why *why)
{
    AUTO(esdk_decrypt_freep) struct esdk_decrypt *d = NULL;
    AUTO(secret_clear) struct secret own = { 0 };
    const struct esdk_header *h = NULL;
    enum err r = ERR_MORE;
    size_t at = 0;

    assert_int_equal(esdk_decrypt_new(how.options, &d), ERR_OK);
    while (r == ERR_MORE && at < msg.len) {
        struct span piece = span_sub(msg, at, how.cut);
        at += piece.len;
        r = esdk_decrypt_header(d, cx, &piece, &h, why);
        at -= piece.len;
    }
    if (r == ERR_MORE)
        return esdk_decrypt_end(d, why);
    if (r != ERR_OK) {
        assert_int_equal(esdk_decrypt_end(d, NULL), r);
        return r;
    }
    assert_int_equal(at, h->bytes);
    own = test_data_key(h->suite);
    r = esdk_decrypt_start(d, cx, how.key ? how.key : &own, how.required, how.n_required, why);
    return r == ERR_OK ? read_body(d, span_from(msg, at), how.cut, to, plain, why) : r;
}

enum err read_message(struct crypto *cx, struct reading how, struct span msg, struct buf *plain,
                      struct why *why)
{
    AUTO(buf_clear) struct buf other = BUF_INIT(plain->max);
    struct why other_why = { 0 };
    size_t before = plain->len;
    enum err r = read_once(cx, how, msg, false, plain, why);

    assert_int_equal(read_once(cx, how, msg, true, &other, &other_why), r);
    t_assert_span(buf_view(&other), span_from(buf_view(plain), before));
    if (r != ERR_OK && why)
        assert_string_equal(why->what, other_why.what);
    if (r != ERR_OK && why)
        assert_int_equal(why->at, other_why.at);
    return r;
}
