/* What inspect found, for people and for programs. */
#include <stdarg.h>

#include "base/hex.h"
#include "bin/nitroseal/fault.h"
#include "bin/nitroseal/inspect.h"

/* ---- JSON ---- */

static void json_number(struct json_out *w, const char *name, uint64_t v)
{
    json_out_key(w, name);
    json_out_uint(w, v);
}

static void json_suite(struct json_out *w, const struct esdk_suite *s)
{
    char id[8];

    snprintf(id, sizeof id, "0x%04x", s->id);
    json_out_key(w, "suite");
    json_out_object(w);
    json_out_key(w, "id");
    json_out_string(w, span_str(id));
    json_out_key(w, "name");
    json_out_string(w, span_str(s->name));
    json_out_key(w, "commits");
    json_out_bool(w, s->commits);
    json_out_key(w, "signs");
    json_out_bool(w, s->signs);
    json_out_object_end(w);
}

static void json_context(struct json_out *w, const struct esdk_header *h)
{
    struct span rest = h->context;
    struct esdk_pair p;

    json_out_key(w, "encryption_context");
    json_out_object(w);
    while (esdk_pair_next(&rest, &p)) {
        json_out_key_text(w, p.key);
        json_out_string(w, p.value);
    }
    json_out_object_end(w);
}

/* The info of "aws-kms" is an ARN; other providers may hold any bytes there. */
static void json_keys(struct json_out *w, const struct esdk_header *h)
{
    struct span rest = h->keys;
    struct esdk_key k;

    json_out_key(w, "encrypted_data_keys");
    json_out_array(w);
    while (esdk_key_next(&rest, &k)) {
        json_out_object(w);
        json_out_key(w, "provider");
        json_out_string(w, k.provider);
        json_out_key(w, span_is_utf8(k.info) ? "info" : "info_base64");
        if (span_is_utf8(k.info))
            json_out_string(w, k.info);
        else
            json_out_base64(w, k.info);
        json_number(w, "ciphertext_bytes", k.ciphertext.len);
        json_out_object_end(w);
    }
    json_out_array_end(w);
}

static void json_header(struct json_out *w, const struct esdk_header *h)
{
    char id[2 * 32 + 1];

    json_number(w, "version", h->suite->version);
    json_suite(w, h->suite);
    hex_write(span_sub(h->message_id, 0, 32), id);
    json_out_key(w, "message_id");
    json_out_string(w, span_str(id));
    json_context(w, h);
    json_keys(w, h);
    json_number(w, "header_bytes", h->bytes);
    json_out_key(w, "framed");
    json_out_bool(w, h->framed);
    json_number(w, "frame_length", h->frame_length);
}

enum err inspect_write_json(const struct inspect *i, const struct inspect_report *how,
                            struct buf *out)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    json_out_key(&w, "format");
    json_out_string(&w, SPAN_LIT("message"));
    json_out_key(&w, "armored");
    json_out_bool(&w, how->armored);
    if (i->header_read) {
        json_header(&w, &i->header);
        json_number(&w, "frames", i->frames);
        json_number(&w, "last_frame_bytes", i->last_frame_bytes);
        json_number(&w, "plaintext_bytes", i->plaintext_bytes);
        json_number(&w, "signature_bytes", i->signature_bytes);
    }
    json_number(&w, "bytes", i->bytes);
    json_out_key(&w, "whole");
    json_out_bool(&w, i->whole);
    json_out_key(&w, "verified");
    json_out_bool(&w, false);
    if (how->fault) {
        json_out_key(&w, "fault");
        json_out_string(&w, span_str(how->fault));
        json_number(&w, "fault_at", how->fault_at);
    }
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    return r == ERR_OK ? buf_append_byte(out, '\n') : r;
}

/* ---- text ---- */

/* Sticky: a report that does not fit fails as a whole. */
struct lines {
    struct buf *out;
    enum err err;
};

static void put(struct lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct lines *l, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (l->err == ERR_OK)
        l->err = buf_append_str(l->out, line);
}

static void put_foreign(struct lines *l, struct span text)
{
    static const size_t shown_bytes = 4096; /* of one value: it is there to be looked at */

    if (l->err != ERR_OK)
        return;
    cli_append_clean(l->out, span_sub(text, 0, shown_bytes));
    if (text.len > shown_bytes)
        put(l, "... (%zu bytes)", text.len);
}

static void text_context(struct lines *l, const struct esdk_header *h)
{
    struct span rest = h->context;
    struct esdk_pair p;

    if (h->n_pairs == 0)
        put(l, "context       none\n");
    while (esdk_pair_next(&rest, &p)) {
        put(l, "context       ");
        put_foreign(l, p.key);
        put(l, " = ");
        put_foreign(l, p.value);
        put(l, "\n");
    }
}

static void text_keys(struct lines *l, const struct esdk_header *h)
{
    struct span rest = h->keys;
    struct esdk_key k;

    while (esdk_key_next(&rest, &k)) {
        put(l, "data key      ");
        put_foreign(l, k.provider);
        put(l, " ");
        if (span_is_utf8(k.info))
            put_foreign(l, k.info);
        else
            put(l, "(%zu bytes)", k.info.len);
        put(l, ", encrypted: %zu bytes\n", k.ciphertext.len);
    }
}

static void text_header(struct lines *l, const struct inspect *i)
{
    const struct esdk_header *h = &i->header;
    char id[2 * 32 + 1];

    hex_write(span_sub(h->message_id, 0, 32), id);
    put(l, "suite         0x%04x %s\n", h->suite->id, h->suite->name);
    put(l, "              %s, %s\n",
        h->suite->commits ? "commits to its key" : "does not commit to its key",
        h->suite->signs ? "signed" : "not signed");
    put(l, "message id    %s\n", id);
    text_context(l, h);
    text_keys(l, h);
    put(l, "header        %zu bytes\n", h->bytes);
    if (h->framed)
        put(l, "frames        %llu of %u bytes, the last %llu\n", (unsigned long long)i->frames,
            h->frame_length, (unsigned long long)i->last_frame_bytes);
    else
        put(l, "body          one block\n");
    put(l, "plaintext     %llu bytes\n", (unsigned long long)i->plaintext_bytes);
    if (h->suite->signs)
        put(l, "signature     %llu bytes\n", (unsigned long long)i->signature_bytes);
}

enum err inspect_write_text(const struct inspect *i, const struct inspect_report *how,
                            struct buf *out)
{
    struct lines l = { .out = out };

    if (i->header_read) {
        put(&l, "format        AWS Encryption SDK message, version %u%s\n",
            i->header.suite->version, how->armored ? ", as text (base64)" : "");
        text_header(&l, i);
        put(&l, "message       %llu bytes%s\n", (unsigned long long)i->bytes,
            i->whole ? "" : ", not whole");
        put(&l, "verified      nothing: that takes the key\n");
    }
    if (how->fault)
        put(&l, "fault         %s (at byte %llu)\n", how->fault, (unsigned long long)how->fault_at);
    return l.err;
}

enum err inspect_seed_write(const struct inspect_seed *s, bool json, struct buf *out)
{
    if (!json)
        return buf_printf(out,
                          "format        seed message\n"
                          "encrypted     %zu bytes: IV, tag, ciphertext\n"
                          "plaintext     %zu bytes\n"
                          "signature     %zu bytes\n"
                          "data key      encrypted: %zu bytes\n"
                          "verified      nothing: that takes the key\n",
                          s->encrypted_bytes, s->plaintext_bytes, s->signature_bytes,
                          s->ciphertext_blob_bytes);
    struct json_out w = json_out_init(out);
    json_out_object(&w);
    json_out_key(&w, "format");
    json_out_string(&w, SPAN_LIT("seed"));
    json_number(&w, "encrypted_bytes", s->encrypted_bytes);
    json_number(&w, "plaintext_bytes", s->plaintext_bytes);
    json_number(&w, "signature_bytes", s->signature_bytes);
    json_number(&w, "ciphertext_blob_bytes", s->ciphertext_blob_bytes);
    json_out_key(&w, "verified");
    json_out_bool(&w, false);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    return r == ERR_OK ? buf_append_byte(out, '\n') : r;
}
