/* framework/structures.md: encryption contexts and encrypted data keys as they stand in a header.
 */
#include <stdlib.h>

#include "esdk/esdk_in.h"

/* A field with its length in two bytes before it. */
static bool take(struct span *rest, struct span *out)
{
    if (rest->len < 2 || rest->len - 2 < get16(rest->ptr))
        return false;
    *out = span_sub(*rest, 2, get16(rest->ptr));
    *rest = span_from(*rest, 2 + out->len);
    return true;
}

bool esdk_pair_next(struct span *rest, struct esdk_pair *out)
{
    return take(rest, &out->key) && take(rest, &out->value);
}

bool esdk_key_next(struct span *rest, struct esdk_key *out)
{
    return take(rest, &out->provider) && take(rest, &out->info) && take(rest, &out->ciphertext);
}

/* By the bytes, the shorter first where one begins the other. */
static int compare(struct span a, struct span b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_key(const void *a, const void *b)
{
    const struct esdk_pair *x = a, *y = b;

    return compare(x->key, y->key);
}

bool pair_find(struct span pairs, struct span key, struct span *value)
{
    struct esdk_pair p;

    while (esdk_pair_next(&pairs, &p))
        if (span_eq(p.key, key)) {
            *value = p.value;
            return true;
        }
    return false;
}

/* ---- reading ---- */

/* A writer sorts, so that the previous key is all there is to compare with; only unsorted pairs,
 * which are allowed, cost more. */
static bool is_repeated(struct span all, struct span before, const struct esdk_pair *p,
                        bool *sorted, struct span *last)
{
    struct esdk_pair other;
    bool first = before.len == 0;

    *sorted = *sorted && (first || compare(*last, p->key) < 0);
    *last = p->key;
    if (*sorted)
        return false;
    for (struct span rest = span_sub(all, 0, before.len); esdk_pair_next(&rest, &other);)
        if (span_eq(other.key, p->key))
            return true;
    return false;
}

enum err context_check(struct span in, unsigned *n, struct why *why)
{
    struct span rest = span_from(in, 2), all = rest, last = SPAN_EMPTY;
    struct esdk_pair p = { 0 };
    bool sorted = true;

    if (in.len < 2)
        return why_fail(why, ERR_MALFORMED, "encryption context: no room for its count", 0);
    unsigned count = get16(in.ptr);
    if (count == 0)
        return why_fail(why, ERR_MALFORMED, "encryption context: no pairs, but not empty", 0);
    for (unsigned i = 0; i < count; i++) {
        size_t at = all.len - rest.len;
        if (!esdk_pair_next(&rest, &p))
            return why_fail(why, ERR_MALFORMED, "encryption context: a pair is cut off", 2 + at);
        if (!span_is_utf8(p.key) || !span_is_utf8(p.value))
            return why_fail(why, ERR_MALFORMED, "encryption context: not UTF-8", 2 + at);
        if (is_repeated(all, span_sub(all, 0, at), &p, &sorted, &last))
            return why_fail(why, ERR_MALFORMED, "encryption context: a key twice", 2 + at);
    }
    if (rest.len)
        return why_fail(why, ERR_MALFORMED, "encryption context: bytes after its last pair",
                        in.len - rest.len);
    *n = count;
    return ERR_OK;
}

/* ---- writing ---- */

static enum err put(struct buf *out, struct span field)
{
    uint8_t len[2];

    put16(len, field.len);
    enum err r = buf_append(out, SPAN_ARRAY(len));
    return r == ERR_OK ? buf_append(out, field) : r;
}

static enum err check_sorted(const struct esdk_pair *pairs, size_t n, struct why *why)
{
    size_t total = 2;

    for (size_t i = 0; i < n; i++) {
        if (pairs[i].key.len > FIELD_MAX_BYTES || pairs[i].value.len > FIELD_MAX_BYTES)
            return why_fail(why, ERR_LIMIT, "encryption context: a key or value is too long", 0);
        if (!span_is_utf8(pairs[i].key) || !span_is_utf8(pairs[i].value))
            return why_fail(why, ERR_MALFORMED, "encryption context: not UTF-8", 0);
        if (i && compare(pairs[i - 1].key, pairs[i].key) == 0)
            return why_fail(why, ERR_MALFORMED, "encryption context: a key twice", 0);
        total += 4 + pairs[i].key.len + pairs[i].value.len;
        if (total > FIELD_MAX_BYTES)
            return why_fail(why, ERR_LIMIT, "encryption context: more than 65,535 bytes", 0);
    }
    return ERR_OK;
}

static void freep(struct esdk_pair **p)
{
    free(*p);
}

enum err esdk_context_write(const struct esdk_pair *pairs, size_t n, struct buf *out,
                            struct why *why)
{
    size_t start = out->len;
    uint8_t count[2];

    if (n == 0)
        return ERR_OK;
    if (n > FIELD_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "encryption context: more than 65,535 pairs", 0);
    AUTO(freep) struct esdk_pair *sorted = calloc(n, sizeof *sorted);
    if (!sorted)
        return why_fail(why, ERR_NOMEM, "encryption context", 0);
    memcpy(sorted, pairs, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_key);
    enum err r = check_sorted(sorted, n, why);
    if (r != ERR_OK)
        return r;
    put16(count, n);
    r = buf_append(out, SPAN_ARRAY(count));
    for (size_t i = 0; r == ERR_OK && i < n; i++) {
        r = put(out, sorted[i].key);
        if (r == ERR_OK)
            r = put(out, sorted[i].value);
    }
    if (r == ERR_OK)
        return ERR_OK;
    buf_truncate(out, start);
    return why_fail(why, r, "encryption context", 0);
}

/* The required pairs that the header does not carry, to `extra` (room for n of them). */
static enum err context_extra(const struct esdk_header *header, const struct esdk_pair *required,
                              size_t n, struct esdk_pair *extra, size_t *n_extra, struct why *why)
{
    struct span value;
    size_t found = 0;

    for (size_t i = 0; i < n; i++) {
        if (!pair_find(header->context, required[i].key, &value))
            extra[found++] = required[i];
        else if (!span_eq(value, required[i].value))
            return why_fail(
                why, ERR_VERIFY,
                "encryption context: the message has another value under a required key", 0);
    }
    *n_extra = found;
    return ERR_OK;
}

enum err esdk_context_full(const struct esdk_header *header, const struct esdk_pair *required,
                           size_t n, struct buf *out, struct why *why)
{
    size_t n_extra = 0, all = 0;
    struct span rest = header->context;

    if (n > FIELD_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "encryption context: more than 65,535 pairs", 0);
    AUTO(freep) struct esdk_pair *pairs = calloc(header->n_pairs + n + 1, sizeof *pairs);
    if (!pairs)
        return why_fail(why, ERR_NOMEM, "encryption context", 0);
    enum err r = context_extra(header, required, n, pairs, &n_extra, why);
    if (r != ERR_OK)
        return r;
    for (all = n_extra; all < header->n_pairs + n_extra && esdk_pair_next(&rest, &pairs[all]);)
        all++;
    return esdk_context_write(pairs, all, out, why);
}

enum err context_unstored(const struct esdk_header *header, const struct esdk_pair *required,
                          size_t n, struct buf *out, struct why *why)
{
    size_t n_extra = 0;

    if (n > FIELD_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "encryption context: more than 65,535 pairs", 0);
    AUTO(freep) struct esdk_pair *extra = calloc(n + 1, sizeof *extra);
    if (!extra)
        return why_fail(why, ERR_NOMEM, "encryption context", 0);
    enum err r = context_extra(header, required, n, extra, &n_extra, why);
    return r == ERR_OK ? esdk_context_write(extra, n_extra, out, why) : r;
}
