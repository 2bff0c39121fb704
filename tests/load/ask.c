/* ask.c - which request comes next, and its bytes. */
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "http1/http1.h"
#include "load.h"

enum {
    MIX_ITEMS_MAX = 20, /* of a batch in a mix */
    SMALL = 200,
    MIDDLE = 4096,
    LARGE = 65536,
    TARGET_MAX = 256,
    PERMILLE = 1000,
};

/* Of 1000 requests of a mix; on the seed protocol the last four are ASK_ENCRYPT instead. */
static const struct {
    enum ask_kind kind;
    unsigned weight;
} mix[] = {
    { ASK_ENCRYPT, 400 },
    { ASK_DECRYPT, 440 },
    { ASK_ATTEST, 20 },
    { ASK_ALTERED_TEXT, 20 },
    { ASK_ALTERED_SIGNATURE, 20 },
    { ASK_GARBAGE, 20 },
    { ASK_RANDOM, 30 },
    { ASK_HEALTH, 30 },
    { ASK_BATCH, 20 },
};

static const struct {
    const char *name;
    enum ask_kind kind;
} ops[] = {
    { "encrypt", ASK_ENCRYPT }, { "decrypt", ASK_DECRYPT }, { "attest", ASK_ATTEST },
    { "random", ASK_RANDOM },   { "health", ASK_HEALTH },   { "batch", ASK_BATCH },
};

static bool opens(enum ask_kind k)
{
    return k == ASK_DECRYPT || k == ASK_ALTERED_TEXT || k == ASK_ALTERED_SIGNATURE;
}

static enum ask_kind kind_of_mix(struct client *c, bool is_item)
{
    unsigned at = random_below(&c->random, PERMILLE), i = 0;

    for (; i + 1 < sizeof mix / sizeof mix[0] && at >= mix[i].weight; i++)
        at -= mix[i].weight;
    enum ask_kind k = mix[i].kind;
    bool only_http = k == ASK_RANDOM || k == ASK_HEALTH || k == ASK_BATCH;
    if ((only_http && (is_item || c->form == FORM_SEED)) || (is_item && k == ASK_GARBAGE))
        return ASK_ENCRYPT;
    return k;
}

static enum ask_kind kind_next(struct client *c, bool is_item)
{
    const char *op = c->l->o.op;
    enum ask_kind k = ASK_ENCRYPT;

    if (strcmp(op, "mixed") == 0 || (is_item && strcmp(op, "batch") == 0))
        k = kind_of_mix(c, is_item);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0] && !is_item; i++)
        if (strcmp(op, ops[i].name) == 0)
            k = ops[i].kind;
    return opens(k) && c->l->n_sealed == 0 ? ASK_ENCRYPT : k;
}

/* Mostly small, some empty, few large. */
static size_t bytes_next(struct client *c)
{
    const struct load_options *o = &c->l->o;
    unsigned at = random_below(&c->random, PERMILLE);
    size_t top = at < 600 ? SMALL : at < 900 ? MIDDLE : at < 990 ? LARGE : o->bytes_max;

    if (o->bytes != SIZE_MAX)
        return o->bytes;
    if (at < 10)
        return 0;
    return random_below(&c->random, (unsigned)(top < o->bytes_max ? top : o->bytes_max) + 1);
}

static struct ask one(struct client *c, bool is_item)
{
    struct load *l = c->l;
    struct ask a = { .kind = kind_next(c, is_item), .number = ++l->number, .form = c->form };

    if (opens(a.kind)) {
        unsigned there = l->n_sealed < KEPT ? l->n_sealed : KEPT;
        a.text = l->kept[random_below(&c->random, there)].text;
    } else {
        a.text = (struct text_id){ c->index, a.number, bytes_next(c) };
    }
    return a;
}

void ask_next(struct client *c, struct ask *out)
{
    struct load *l = c->l;
    unsigned fixed = l->o.batch;

    *out = one(c, false);
    if (c->form != FORM_SEED && l->o.protocol == PROTOCOL_MIXED)
        out->form = random_below(&c->random, 2) ? FORM_JSON : FORM_BINARY;
    if (out->kind == ASK_GARBAGE && out->form == FORM_BINARY)
        out->form = FORM_JSON;
    if (out->kind == ASK_BATCH) {
        out->n_items = fixed ? fixed : 1 + random_below(&c->random, MIX_ITEMS_MAX);
        out->items = calloc(out->n_items, sizeof *out->items);
        if (!out->items)
            abort();
        out->form = FORM_JSON;
        for (unsigned i = 0; i < out->n_items; i++)
            out->items[i] = one(c, true);
    }
    l->t.started += ask_weight(out);
}

void ask_clear(struct ask *a)
{
    free(a->items);
    *a = (struct ask){ 0 };
}

void plan_next(struct client *c, size_t request_bytes, struct plan *out)
{
    *out = (struct plan){ .cut_bytes = request_bytes };
    if (random_below(&c->random, PERMILLE) >= c->l->o.gone)
        return;
    out->is_gone = true;
    if (request_bytes && random_below(&c->random, 2))
        out->cut_bytes = random_below(&c->random, (unsigned)request_bytes);
}

void nonce_of(const struct ask *a, uint8_t out[static NONCE_BYTES])
{
    uint64_t random = a->number * 8191, words[NONCE_BYTES / 8];

    for (size_t i = 0; i < NONCE_BYTES / 8; i++)
        words[i] = random_next(&random);
    memcpy(out, words, NONCE_BYTES);
}

void load_keep(struct load *l, struct sealed *take)
{
    struct sealed *s = &l->kept[l->n_sealed++ % KEPT];

    buf_clear(&s->encrypted);
    buf_clear(&s->signature);
    buf_clear(&s->blob);
    *s = *take;
    *take = (struct sealed){ 0 };
}

enum err ask_text(struct load *l, const struct ask *a, struct buf *scratch, struct span *out)
{
    struct text_id id = a->text;
    struct buf *b = scratch;

    if (l->o.is_same) {
        id.client = 0;
        id.number = 0;
        b = &l->same;
    }
    if (!l->o.is_same || b->len != id.bytes) {
        buf_reset(b);
        enum err r = text_write(b, &id);
        if (r != ERR_OK)
            return r;
    }
    *out = buf_view(b);
    return ERR_OK;
}

/* What a decrypt request sends, altered where that is asked for. `bytes` is scratch. */
static enum err sealed_view(struct client *c, const struct ask *a, struct buf *bytes,
                            struct span *encrypted, struct span *signature, struct span *blob)
{
    const struct sealed *s = NULL;
    struct load *l = c->l;

    for (unsigned i = 0; i < KEPT && !s; i++)
        if (l->kept[i].text.number == a->text.number && l->kept[i].blob.len)
            s = &l->kept[i];
    if (!s)
        abort(); /* it was there a moment ago */
    *encrypted = buf_view(&s->encrypted);
    *signature = buf_view(&s->signature);
    *blob = buf_view(&s->blob);
    if (a->kind == ASK_DECRYPT)
        return ERR_OK;
    enum err r = buf_append(bytes, *encrypted);
    if (r == ERR_OK)
        r = buf_append(bytes, buf_view(&s->signature));
    if (r != ERR_OK)
        return r;
    size_t len = s->encrypted.len;
    if (a->kind == ASK_ALTERED_TEXT)
        bytes->ptr[random_below(&c->random, (unsigned)len)] ^=
            (uint8_t)(1u << random_below(&c->random, 8));
    if (a->kind == ASK_ALTERED_SIGNATURE)
        bytes->ptr[len] = bytes->ptr[len] == 'A' ? 'B' : 'A';
    *encrypted = span_sub(buf_view(bytes), 0, len);
    *signature = span_from(buf_view(bytes), len);
    return ERR_OK;
}

/* The members of one operation, inside an object that is open. */
static void put_members(struct client *c, const struct ask *a, struct json_out *w,
                        struct buf *scratch)
{
    struct span encrypted = SPAN_EMPTY, signature, blob;
    uint8_t nonce[NONCE_BYTES];

    buf_reset(scratch);
    if (a->kind == ASK_ENCRYPT) {
        enum err r = ask_text(c->l, a, scratch, &encrypted);
        json_out_key(w, "message");
        json_out_string(w, encrypted);
        w->err = w->err == ERR_OK ? r : w->err;
    } else if (a->kind == ASK_ATTEST) {
        nonce_of(a, nonce);
        json_out_key(w, "nonce");
        json_out_base64(w, SPAN_ARRAY(nonce));
    } else if (opens(a->kind)) {
        enum err r = sealed_view(c, a, scratch, &encrypted, &signature, &blob);
        if (r != ERR_OK) {
            w->err = r;
            return;
        }
        json_out_key(w, "encrypted");
        json_out_base64(w, encrypted);
        json_out_key(w, "signature");
        json_out_string(w, signature);
        json_out_key(w, "ciphertext_blob");
        json_out_string(w, blob);
    }
}

static const char *op_of(enum ask_kind k)
{
    return opens(k) ? "decrypt" : k == ASK_ATTEST ? "attest" : "encrypt";
}

static void put_credentials(const struct load *l, struct json_out *w)
{
    json_out_key(w, "credentials");
    json_out_object(w);
    json_out_key(w, "access_key_id");
    json_out_string(w, l->cred.access_key_id);
    json_out_key(w, "secret_access_key");
    json_out_string(w, l->cred.secret_access_key);
    json_out_key(w, "session_token");
    json_out_string(w, l->cred.session_token);
    json_out_object_end(w);
}

/* One object: the seed protocol's whole request, a JSON body, or an item of a batch. */
static enum err put_object(struct client *c, const struct ask *a, bool has_keys, bool has_op,
                           struct buf *out)
{
    struct load *l = c->l;
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    if (has_op) {
        json_out_key(&w, "operation");
        json_out_string(&w, span_str(op_of(a->kind)));
    }
    if (has_keys)
        put_credentials(l, &w);
    put_members(c, a, &w, &l->scratch);
    json_out_object_end(&w);
    return json_out_end(&w);
}

static enum err put_batch(struct client *c, const struct ask *a, struct buf *out)
{
    struct load *l = c->l;
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    if (l->o.has_keys)
        put_credentials(l, &w);
    json_out_key(&w, "items");
    json_out_array(&w);
    for (unsigned i = 0; i < a->n_items; i++) {
        buf_reset(&l->item);
        enum err r = put_object(c, &a->items[i], false, true, &l->item);
        if (r != ERR_OK)
            return r;
        json_out_raw(&w, buf_view(&l->item));
    }
    json_out_array_end(&w);
    json_out_object_end(&w);
    return json_out_end(&w);
}

static enum err put_head_and_body(const struct ask *a, const char *target, const char *type,
                                  const struct http1_header *more, size_t n, struct span body,
                                  struct buf *out)
{
    struct http1_header h[6] = { { SPAN_LIT("Host"), SPAN_LIT("enclave") } };
    size_t used = 1;
    bool is_get = a->kind == ASK_HEALTH || a->kind == ASK_ATTEST;

    if (type)
        h[used++] = (struct http1_header){ is_get ? SPAN_LIT("Accept") : SPAN_LIT("Content-Type"),
                                           span_str(type) };
    for (size_t i = 0; i < n; i++)
        h[used++] = more[i];
    return http1_request_write(out, is_get ? SPAN_LIT("GET") : SPAN_LIT("POST"), span_str(target),
                               h, used, body);
}

static enum err write_binary(struct client *c, const struct ask *a, struct buf *out)
{
    struct load *l = c->l;
    struct span encrypted, signature, blob;

    buf_reset(&l->scratch);
    if (a->kind == ASK_ENCRYPT) {
        enum err r = ask_text(l, a, &l->scratch, &encrypted);
        if (r != ERR_OK)
            return r;
        return put_head_and_body(a, "/v1/encrypt", "application/octet-stream", NULL, 0, encrypted,
                                 out);
    }
    enum err r = sealed_view(c, a, &l->scratch, &encrypted, &signature, &blob);
    if (r != ERR_OK)
        return r;
    const struct http1_header more[] = {
        { SPAN_LIT("Nitroseal-Signature"), signature },
        { SPAN_LIT("Nitroseal-Ciphertext-Blob"), blob },
    };
    return put_head_and_body(a, "/v1/decrypt", "application/octet-stream", more, 2, encrypted, out);
}

static enum err write_http(struct client *c, const struct ask *a, struct buf *out)
{
    struct load *l = c->l;
    char target[TARGET_MAX];
    uint8_t nonce[NONCE_BYTES];
    AUTO(buf_clear) struct buf body = BUF_INIT(out->max), text = BUF_INIT(TARGET_MAX);
    bool is_binary = a->form == FORM_BINARY;
    enum err r = ERR_OK;

    if (a->kind == ASK_HEALTH)
        return put_head_and_body(a, "/healthz", NULL, NULL, 0, SPAN_EMPTY, out);
    if (a->kind == ASK_ATTEST) {
        nonce_of(a, nonce);
        r = base64_append(&text, SPAN_ARRAY(nonce));
        for (size_t i = 0; i < text.len; i++)
            text.ptr[i] = text.ptr[i] == '+' ? '-' : text.ptr[i] == '/' ? '_' : text.ptr[i];
        (void)snprintf(target, sizeof target, "/v1/attestation?nonce=%.*s", (int)text.len,
                       (const char *)text.ptr);
        return r != ERR_OK
                   ? r
                   : put_head_and_body(a, target, is_binary ? "application/octet-stream" : NULL,
                                       NULL, 0, SPAN_EMPTY, out);
    }
    if (a->kind == ASK_RANDOM) {
        const struct http1_header accept = { SPAN_LIT("Accept"),
                                             SPAN_LIT("application/octet-stream") };
        r = buf_printf(&body, "{\"bytes\":%zu}", a->text.bytes % 65536 + 1);
        return r != ERR_OK ? r
                           : put_head_and_body(a, "/v1/random", "application/json", &accept,
                                               is_binary, buf_view(&body), out);
    }
    if (a->kind == ASK_GARBAGE) {
        r = buf_printf(&body, "{\"message\":\"cut %llu", (unsigned long long)a->number);
        return r != ERR_OK ? r
                           : put_head_and_body(a, "/v1/encrypt", "application/json", NULL, 0,
                                               buf_view(&body), out);
    }
    if (is_binary)
        return write_binary(c, a, out);
    r = a->kind == ASK_BATCH ? put_batch(c, a, &body)
                             : put_object(c, a, l->o.has_keys, false, &body);
    (void)snprintf(target, sizeof target, "/v1/%s",
                   a->kind == ASK_BATCH ? "batch" : op_of(a->kind));
    return r != ERR_OK
               ? r
               : put_head_and_body(a, target, "application/json", NULL, 0, buf_view(&body), out);
}

enum err ask_write(struct client *c, const struct ask *a, struct buf *out)
{
    if (a->form == FORM_RAW) {
        struct span text;
        enum err r = ask_text(c->l, a, &c->l->scratch, &text);
        return r == ERR_OK ? buf_append(out, text) : r;
    }
    if (a->form != FORM_SEED)
        return write_http(c, a, out);
    if (a->kind == ASK_GARBAGE)
        return buf_printf(out, "{\"operation\":\"encrypt\",\"message\":\"cut %llu",
                          (unsigned long long)a->number);
    return put_object(c, a, a->kind != ASK_ATTEST, true, out);
}
