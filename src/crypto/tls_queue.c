/* tls_queue.c - the two queues between an engine and its owner as OpenSSL sees them.
 *
 * OpenSSL's own memory BIO copies once more, and wipes what it moves: what passes here is what
 * anybody on the network may read.
 */
#include "crypto/tls_internal.h"

enum { KEEP_BYTES = 16 * 1024 }; /* of a queue that is empty: a record or so */

size_t tls_queue_len(const struct tls_queue *q)
{
    return q->bytes.len - q->taken;
}

enum err tls_queue_room(struct tls_queue *q, size_t n)
{
    if (q->taken > 0) {
        buf_consume(&q->bytes, q->taken);
        q->taken = 0;
    }
    q->bytes.is_public = true;
    return buf_make_room(&q->bytes, n);
}

enum err tls_queue_put(struct tls_queue *q, struct span s)
{
    enum err r = tls_queue_room(q, s.len);

    return r == ERR_OK ? buf_append(&q->bytes, s) : r;
}

/* `n` bytes at the front have found their place. */
static void taken(struct tls_queue *q, size_t n)
{
    q->taken += n;
    if (q->taken < q->bytes.len)
        return;
    q->taken = 0;
    if (q->bytes.cap > KEEP_BYTES)
        buf_clear(&q->bytes);
    else
        buf_reset(&q->bytes);
}

enum err tls_queue_move(struct tls_queue *q, struct buf *out)
{
    struct span s = span_from(buf_view(&q->bytes), q->taken);
    size_t max = out->max, room = max - out->len;

    if (s.len == 0)
        return ERR_OK;
    if (out->cap == 0 && q->taken == 0 && s.len <= max) {
        *out = buf_take(&q->bytes);
        out->max = max;
        return ERR_OK;
    }
    struct span now = span_sub(s, 0, room);
    enum err r = buf_append(out, now);
    if (r != ERR_OK)
        return r;
    taken(q, now.len);
    return now.len == s.len ? ERR_OK : ERR_LIMIT;
}

/* --- what OpenSSL calls --- */

static int on_write(BIO *b, const char *from, size_t n, size_t *done)
{
    if (tls_queue_put(BIO_get_data(b), (struct span){ (const uint8_t *)from, n }) != ERR_OK) {
        ERR_raise(ERR_LIB_BIO, ERR_R_MALLOC_FAILURE);
        return 0;
    }
    *done = n;
    return 1;
}

/* Nothing there is "not yet": only the owner knows of an end. */
static int on_read(BIO *b, char *to, size_t n, size_t *done)
{
    struct tls_queue *q = BIO_get_data(b);
    struct span s = span_sub(span_from(buf_view(&q->bytes), q->taken), 0, n);

    BIO_clear_retry_flags(b);
    *done = s.len;
    if (s.len == 0) {
        BIO_set_retry_read(b);
        return 0;
    }
    memcpy(to, s.ptr, s.len);
    taken(q, s.len);
    return 1;
}

static long on_ctrl(BIO *b, int what, long n, void *p)
{
    (void)b;
    (void)n;
    (void)p;
    return what == BIO_CTRL_FLUSH || what == BIO_CTRL_DUP;
}

BIO_METHOD *tls_queue_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "queue");

    if (m && BIO_meth_set_write_ex(m, on_write) == 1 && BIO_meth_set_read_ex(m, on_read) == 1 &&
        BIO_meth_set_ctrl(m, on_ctrl) == 1)
        return m;
    BIO_meth_free(m);
    return NULL;
}

BIO *tls_queue_bio(const BIO_METHOD *m, struct tls_queue *q)
{
    BIO *b = BIO_new(m);

    if (!b)
        return NULL;
    BIO_set_data(b, q);
    BIO_set_init(b, 1);
    return b;
}
