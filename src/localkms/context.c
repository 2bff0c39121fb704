#include "localkms/context.h"

void context_clear(struct context *c)
{
    buf_clear(&c->scratch);
    c->n = 0;
}

static int compare(struct span a, struct span b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Keeps the list sorted: there are few. */
static void insert(struct context *c, struct context_pair pair)
{
    size_t at = c->n++;

    for (; at > 0 && compare(c->pairs[at - 1].name, pair.name) > 0; at--)
        c->pairs[at] = c->pairs[at - 1];
    c->pairs[at] = pair;
}

/* Numbers, true and false count as their text (kms-recipient reference section 4). */
static enum err value_take(struct json_in *j, struct buf *scratch, struct span *out,
                           struct fault *f)
{
    enum json_kind kind = json_in_peek(j);

    if (kind == JSON_KIND_NUMBER || kind == JSON_KIND_TRUE || kind == JSON_KIND_FALSE) {
        *out = json_in_skip(j);
        return ERR_OK;
    }
    if (kind != JSON_KIND_STRING)
        return fault_set(f, FAULT_SERIALIZATION, "EncryptionContext is not a map of Strings");
    return json_str_view(json_in_string(j), scratch, out) == ERR_OK
               ? ERR_OK
               : fault_bare(f, FAULT_SERIALIZATION);
}

enum err context_parse(struct span object, struct context *out, struct fault *f)
{
    struct json_in j = json_in_init(object);
    struct json_str name;
    uint8_t *unused;

    out->n = 0;
    out->scratch = BUF_INIT(object.len);
    if (object.len == 0)
        return ERR_OK;
    /* Room for all at once: views must not move. */
    if (span_find(object, '\\') < object.len &&
        buf_reserve(&out->scratch, object.len, &unused) != ERR_OK)
        return fault_bare(f, FAULT_INTERNAL);
    for (json_in_object(&j); json_in_member(&j, &name);) {
        struct context_pair pair;
        if (out->n == CONTEXT_PAIRS_MAX)
            return fault_set(f, FAULT_VALIDATION, "EncryptionContext has more than %d pairs",
                             CONTEXT_PAIRS_MAX);
        if (json_str_view(name, &out->scratch, &pair.name) != ERR_OK)
            return fault_bare(f, FAULT_SERIALIZATION);
        enum err r = value_take(&j, &out->scratch, &pair.value, f);
        if (r != ERR_OK)
            return r;
        insert(out, pair);
    }
    return json_in_end(&j) == ERR_OK ? ERR_OK : fault_bare(f, FAULT_SERIALIZATION);
}

static enum err put_u32(struct buf *out, size_t n)
{
    const uint8_t be[4] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };

    return buf_append(out, SPAN_ARRAY(be));
}

static enum err put_text(struct buf *out, struct span s)
{
    enum err r = put_u32(out, s.len);

    return r == ERR_OK ? buf_append(out, s) : r;
}

enum err context_canonical(const struct context *c, struct buf *out)
{
    size_t before = out->len;

    enum err r = put_u32(out, c->n);
    for (size_t i = 0; i < c->n && r == ERR_OK; i++) {
        r = put_text(out, c->pairs[i].name);
        if (r == ERR_OK)
            r = put_text(out, c->pairs[i].value);
    }
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r;
}
