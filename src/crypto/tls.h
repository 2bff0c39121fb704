/* tls.h - TLS 1.2/1.3 as a pure engine: bytes in, bytes out, no descriptor.
 *
 *     peer bytes -> tls_feed()  ... tls_read()  -> plaintext
 *     plaintext  -> tls_write() ... tls_drain() -> bytes for the peer
 * The owner calls tls_drain() after every other call and sends what came. A client checks the
 * server's chain against the given CA certificates only (never the system's) and its name, by the
 * system's clock. Revocation is not looked at. TLS 1.2 only with ephemeral keys and AEAD; no
 * renegotiation, no compression, no early data.
 *
 * The engine cannot know that the transport ended: at its end, tls_is_closed() tells whether the
 * peer meant it. Bytes that were fed stay queued until tls_read(), so feed no faster than you read.
 */
#ifndef CRYPTO_TLS_H
#define CRYPTO_TLS_H

#include "base/buf.h"
#include "crypto/crypto.h"

enum { TLS_NAME_MAX_BYTES = 253 };

struct tls_ctx; /* settings, shared by the connections of one thread, which it must outlive */
struct tls;

/* `ca_pem`: one or more CERTIFICATE blocks. ERR_MALFORMED: none, or one that does not parse.
 * Session resumption is on (tickets kept in the context). */
MUST_USE enum err tls_ctx_client(struct span ca_pem, struct tls_ctx **out, struct why *why);
/* Certificate chain (leaf first) and PKCS#8 key in PEM. ALPN answers http/1.1. */
MUST_USE enum err tls_ctx_server(struct span chain_pem, struct span key_pem, struct tls_ctx **out,
                                 struct why *why);
void tls_ctx_free(struct tls_ctx *ctx);
void tls_ctx_freep(struct tls_ctx **ctx);

/* A client sends `server_name` as SNI and requires it in the certificate; where it is an IP
 * address, it requires that address and sends no SNI. A server passes NULL. ERR_INTERNAL: the other
 * way round, or not a name. */
MUST_USE enum err tls_new(struct tls_ctx *ctx, const char *server_name, struct tls **out);
void tls_free(struct tls *t);
void tls_freep(struct tls **t);

/* Take bytes from the peer and go on with the handshake. ERR_OK: carry on. ERR_VERIFY: the peer's
 * certificate does not hold (why: "certificate expired", "unknown CA", "name mismatch", ...).
 * ERR_MALFORMED: alert or protocol fault. ERR_NOMEM, ERR_CRYPTO. After a failure drain once more
 * (the alert) and close. */
MUST_USE enum err tls_feed(struct tls *t, struct span from_peer, struct why *why);
/* A client's first step, before anything came. */
MUST_USE enum err tls_start(struct tls *t);
bool tls_is_open(const struct tls *t);    /* handshake done, and nothing has failed since */
bool tls_is_resumed(const struct tls *t); /* open, by a session of an earlier connection */
bool tls_is_closed(const struct tls *t);  /* the peer's close_notify came */
/* Append what has been decrypted. ERR_OK also when there is nothing. ERR_LIMIT: `plain` is full,
 * call again later. ERR_MALFORMED. */
MUST_USE enum err tls_read(struct tls *t, struct buf *plain, struct why *why);
/* Encrypt all of `plain`; only when open (else ERR_INTERNAL). */
MUST_USE enum err tls_write(struct tls *t, struct span plain);
/* Append the bytes for the peer, which anybody may read: an empty `out` becomes one that is public.
 * ERR_LIMIT: `out` is full, what was taken is taken, call again. */
MUST_USE enum err tls_drain(struct tls *t, struct buf *out);
/* Queue our close_notify. */
void tls_finish(struct tls *t);

#endif
