/* An answer in pieces: read the same whatever the pieces are, and every reading of it stays inside.
 * The first byte says how large they are. */
#include <stdlib.h>

#include "client/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err read_in(struct client_reader *r, struct span in, size_t step, size_t *total)
{
    enum err e = ERR_MORE;
    size_t at = 0;

    client_reader_init(r);
    for (size_t there = step; e == ERR_MORE; there += step) {
        struct span piece = span_sub(in, at, there - at);
        size_t used = 0;
        e = client_reader_feed(r, piece, &used, NULL);
        if (used > piece.len)
            abort();
        at += used;
        if (there >= in.len)
            break;
    }
    *total = at;
    if (e == ERR_MORE && client_reader_eof(r) == ERR_OK)
        e = ERR_OK;
    return e;
}

static void look(const struct client_reader *r)
{
    struct client_sealed sealed;
    struct client_bytes bytes;
    struct proto_answer a;
    struct client_problem p;

    if (client_sealed_parse(r, &sealed, NULL) == ERR_OK &&
        sealed.encrypted.len < CLIENT_OVERHEAD_BYTES)
        abort();
    if (client_bytes_parse(r, 0, 100, &bytes, NULL) == ERR_OK && bytes.bytes.len > 100)
        abort();
    for (enum proto_op op = PROTO_ENCRYPT; op <= PROTO_ATTEST; op++)
        if (client_text_parse(r, op, &a, NULL) == ERR_OK && json_str_is_set(a.error))
            abort();
    const struct client_refusal refusal = client_reader_refusal(r);
    client_problem_parse(&refusal, &p);
    if (p.status < 200)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_reader whole, pieces;
    size_t used_whole = 0, used = 0;

    if (size < 2)
        return 0;
    struct span in = span_of(data + 1, size - 1);
    enum err r = read_in(&whole, in, in.len, &used_whole);
    enum err q = read_in(&pieces, in, data[0] + 1U, &used);
    if (r != q || (r == ERR_OK &&
                   (used != used_whole || !span_eq(buf_view(&whole.body), buf_view(&pieces.body)))))
        abort();
    if (r == ERR_OK)
        look(&whole);
    client_reader_clear(&whole);
    client_reader_clear(&pieces);
    return 0;
}
