/* A header that is taken lies inside the input, walks to its ends, is the same in pieces, and asks
 * for no more than it needs; frames are walked behind it. */
#include <stdlib.h>

#include "esdk/esdk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct span part, struct span all)
{
    if (part.len && (part.ptr < all.ptr || part.ptr + part.len > all.ptr + all.len))
        abort();
}

static void walk_parts(const struct esdk_header *h, struct span all)
{
    struct span parts[] = { h->message_id, h->context, h->public_key, h->keys,
                            h->commitment, h->body,    h->iv,         h->tag };
    struct span rest = h->context;
    struct esdk_pair p = { 0 };
    struct esdk_key k = { 0 };
    unsigned n = 0;

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        inside(parts[i], span_sub(all, 0, h->bytes));
    for (; esdk_pair_next(&rest, &p); n++)
        inside(p.value, h->context);
    if (n != h->n_pairs || rest.len)
        abort();
    n = 0;
    for (rest = h->keys; esdk_key_next(&rest, &k); n++)
        inside(k.ciphertext, h->keys);
    if (n != h->n_keys || rest.len || h->bytes > all.len)
        abort();
}

static void walk_frames(const struct esdk_header *h, struct span rest)
{
    struct esdk_frame f = { 0 };

    for (uint32_t n = 1; esdk_frame_parse(h, n, rest, &f, NULL, NULL) == ERR_OK; n++) {
        inside(f.iv, rest);
        rest = span_from(rest, f.head_bytes);
        if (f.kind != ESDK_FRAME_REGULAR || f.length + ESDK_TAG_BYTES > rest.len)
            return;
        rest = span_from(rest, (size_t)f.length + ESDK_TAG_BYTES);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct esdk_header h = { 0 }, again = { 0 };
    struct why why = { 0 };
    size_t need = 1;
    enum err r = ERR_MORE;

    /* As a reader of a stream calls it: with as much as it asked for. */
    while (r == ERR_MORE && need <= size) {
        size_t given = need;
        r = esdk_header_parse(span_sub(in, 0, given), NULL, &h, &need, &why);
        if (r == ERR_MORE && need <= given)
            abort();
    }
    if (esdk_header_parse(in, NULL, &again, NULL, NULL) != r)
        abort();
    if (r != ERR_OK) {
        if (!why.what && size)
            abort();
        return 0;
    }
    if (again.bytes != h.bytes || again.bytes != need)
        abort();
    walk_parts(&again, in);
    walk_frames(&again, span_from(in, again.bytes));
    return 0;
}
