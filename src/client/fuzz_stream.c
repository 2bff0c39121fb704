/* An answer in one piece or in many is the same; one that is good says so in its last bytes. */
#include <stdlib.h>

#include "client/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 20 };

static enum err read_all(struct client_stream *a, struct span in, size_t step, struct buf *out)
{
    enum err r = ERR_MORE;

    client_stream_init(a);
    for (size_t at = 0; at < in.len && (r == ERR_MORE || r == ERR_OK); at += step) {
        struct span rest = span_sub(in, at, step);
        do {
            struct span content;
            r = client_stream_take(a, &rest, &content, NULL);
            if ((r == ERR_OK || r == ERR_MORE) && buf_append(out, content) != ERR_OK)
                abort();
        } while (r == ERR_OK && (rest.len || !a->is_over));
    }
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(client_stream_clear) struct client_stream a, b;
    AUTO(buf_clear) struct buf whole = BUF_INIT(OUT_MAX), pieces = BUF_INIT(OUT_MAX);
    struct client_problem problem;
    struct span in = span_of(data, size);

    if (size > OUT_MAX)
        return 0;
    enum err r = read_all(&a, in, size + 1, &whole);
    if (read_all(&b, in, 1 + size % 11, &pieces) != r)
        abort();
    if (r != ERR_OK && r != ERR_MORE)
        return 0;
    if (!span_eq(buf_view(&whole), buf_view(&pieces)) || a.is_over != b.is_over ||
        client_stream_is_good(&a) != client_stream_is_good(&b) || strcmp(a.code, b.code) != 0)
        abort();
    if (client_stream_is_good(&a) && (size < 4 || memcmp(data + size - 4, "\r\n\r\n", 4) != 0))
        abort();
    const struct client_refusal refusal = client_stream_refusal(&a);
    client_problem_parse(&refusal, &problem);
    return 0;
}
