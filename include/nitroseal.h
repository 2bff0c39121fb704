/* nitroseal.h - encrypt and sign, decrypt and verify inside an AWS Nitro Enclave, from C and C++.
 *
 * libnitroseal talks to nitroseald (or to `nitroseal gateway` before several of them) over its HTTP
 * API. What it does by itself is to connect, to ask and to read answers: no key is here, no TLS, no
 * AWS call.
 *
 *     struct nitroseal *ns;
 *     struct nitroseal_error *error;
 *     struct nitroseal_message message;
 *
 *     if (nitroseal_new("vsock:16:5000", &ns, &error) != NITROSEAL_OK ||
 *         nitroseal_encrypt_text(ns, "a secret", 8, &message, 0, &error) != NITROSEAL_OK)
 *         fprintf(stderr, "%s: %s\n", error->code, error->text);
 *
 * Model
 *   A handle (struct nitroseal) is one place to ask and at most one connection, which is kept
 * between calls and made anew where it has gone. Calls block until they are answered or their time
 * is over. Threads may share a handle: its calls then follow one another. For calls at the same
 * time, make handles. The library has no global state, raises no signal (SIGPIPE included), starts
 * no thread and prints nothing. A handle does not survive fork(): let the child make its own.
 *
 * Results
 *   Every call returns an enum nitroseal_status. On success *out is written, without looking at
 * what it held; on failure it is untouched. What was allocated belongs to the caller and is given
 * back with the call that its struct names, which wipes it and accepts a struct of zeros. The last
 * parameter of a call, `error`, may be NULL. Otherwise *error becomes NULL on success and on
 *   failure a value to be given to nitroseal_error_free().
 *
 * Time
 *   `timeout_ms` is the most that the call may take in milliseconds, waiting for other threads, for
 * a connection and for the answer together. 0: what nitroseal_set_timeout() says (30,000 at first).
 *   A call whose time is over may have been done by the enclave all the same.
 *
 * Repetition
 *   If a connection that was kept turns out to be closed before a byte of the answer came, the
 * request is sent once more over a new one. Nothing else is repeated. The enclave may then have
 * done it twice, which costs a call of KMS and changes nothing.
 *
 * Credentials
 *   The enclave needs AWS credentials to ask KMS. Either it holds some
 * (nitroseal_put_credentials(), or a gateway that does so), or this handle sends its own with each
 * request (nitroseal_set_credentials()), which only text can carry: bytes that are not UTF-8 need
 * the first way.
 */
#ifndef NITROSEAL_H
#define NITROSEAL_H

#include <stddef.h>

#if defined(__GNUC__)
#define NITROSEAL_API __attribute__((visibility("default")))
#else
#define NITROSEAL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What came of a call, by what the caller can do about it. New values may be added: treat those
 * that you do not know as NITROSEAL_FAILED. Values below 16 are exit statuses of the command line,
 * too. */
enum nitroseal_status {
    NITROSEAL_OK = 0,
    NITROSEAL_FAILED = 1,         /* the service could not; code and hint say why */
    NITROSEAL_INVALID = 2,        /* an argument is wrong: nothing was sent */
    NITROSEAL_UNREACHABLE = 3,    /* nobody listens, or the connection broke */
    NITROSEAL_REFUSED = 4,        /* KMS said no: kms_type and kms_message say why */
    NITROSEAL_UNVERIFIED = 5,     /* tag, signature or key do not hold: there is no text */
    NITROSEAL_NO_CREDENTIALS = 7, /* neither this handle nor the service has any that live */
    NITROSEAL_TIMEOUT = 16,       /* time is over */
    NITROSEAL_BUSY = 17,          /* the service has no place now, or stops: come again later */
    NITROSEAL_NO_MEMORY = 18,
    NITROSEAL_NOT_TEXT = 19, /* bytes that are not UTF-8 where only text can go */
    NITROSEAL_STOPPED = 20   /* the caller's own read, write or stop ended a stream */
};

/* Exit status of the command line for it: 0 to 7. */
NITROSEAL_API int nitroseal_exit_status(enum nitroseal_status status);

/* "1.2.3": the version of the library that runs. Static. */
NITROSEAL_API const char *nitroseal_version(void);

/* A failure. Texts end with NUL, are UTF-8, and are NULL where there is nothing to say, but `code`
 * and `text`, which are always there. They live as long as the struct. */
struct nitroseal_error {
    enum nitroseal_status status;
    int http_status;   /* of the answer; 0: there was none */
    int retry_after_s; /* seconds; 0: the service said nothing about it */
    const char *code; /* stable, lower_snake_case: doc/openapi.yaml lists those of the service; ours
                         are  invalid_argument, unreachable, closed, timeout, not_http,
                         malformed_answer,  not_text, no_memory, http_status, not_whole, stopped */
    const char *text; /* one sentence for people, in English */
    const char *detail;                                  /* more of it */
    const char *hint;                                    /* what to do next */
    const char *kms_type, *kms_message, *kms_request_id; /* as KMS said it */
    const char *request_id; /* to find the request in the service's log */
};
/* NULL is allowed. */
NITROSEAL_API void nitroseal_error_free(struct nitroseal_error *error);

/* --- the handle --- */

struct nitroseal;

/* A handle for an address; nothing is sent yet.
 *
 *     vsock:CID:PORT        an enclave, over the transport that NITROSEAL_VSOCK in the environment
 *                           names (kernel, or unix:DIR; unset: kernel)
 *     vsock:CID:PORT@HOW    the same with HOW in place of the environment's
 *     unix:PATH             a Unix socket: the gateway's
 *     tcp:127.0.0.1:PORT    loopback only (also [::1], localhost): there is no TLS on the way
 *     plain-tcp:HOST:PORT   any address, for a network that is trusted with the plaintext
 *
 * NITROSEAL_INVALID, NITROSEAL_NO_MEMORY. Give it back with nitroseal_free(). */
NITROSEAL_API enum nitroseal_status nitroseal_new(const char *address, struct nitroseal **out,
                                                  struct nitroseal_error **error);
/* Close and wipe; NULL is allowed. No other thread may use the handle any more. */
NITROSEAL_API void nitroseal_free(struct nitroseal *ns);

/* Connect now, in place of with the first request; without effect on a connection that lives.
 * NITROSEAL_UNREACHABLE, NITROSEAL_TIMEOUT. */
NITROSEAL_API enum nitroseal_status nitroseal_connect(struct nitroseal *ns, long timeout_ms,
                                                      struct nitroseal_error **error);
/* For calls with timeout_ms 0 that begin from now on: 1 to 3,600,000 ms. Waits for nobody.
 * NITROSEAL_INVALID. */
NITROSEAL_API enum nitroseal_status nitroseal_set_timeout(struct nitroseal *ns, long timeout_ms,
                                                          struct nitroseal_error **error);

/* AWS credentials that this handle sends with each request; copied, and wiped with the handle.
 * `access_key_id` NULL: none any more. `session_token` may be NULL. NITROSEAL_INVALID: one of a
 * pair, or too long (8,192 bytes each), NITROSEAL_NO_MEMORY, NITROSEAL_TIMEOUT (another thread has
 * the handle). */
NITROSEAL_API enum nitroseal_status nitroseal_set_credentials(struct nitroseal *ns,
                                                              const char *access_key_id,
                                                              const char *secret_access_key,
                                                              const char *session_token,
                                                              struct nitroseal_error **error);
/* AWS credentials that the service holds for requests without any, of all its clients, until the
 * next ones: in memory only. `expiration`: "2026-11-28T09:00:00Z" (RFC 3339), or NULL for never.
 * NITROSEAL_INVALID, and as every request. */
NITROSEAL_API enum nitroseal_status nitroseal_put_credentials(
    struct nitroseal *ns, const char *access_key_id, const char *secret_access_key,
    const char *session_token, const char *expiration, long timeout_ms,
    struct nitroseal_error **error);

/* --- requests ---
 * Each may fail with every status but those that name an argument it does not have. */

/* Bytes. data[len] is a NUL that does not count. */
struct nitroseal_bytes {
    unsigned char *data;
    size_t len;
    char *key_id;     /* ARN of the KMS key; NULL where there is none to name */
    char *request_id; /* NULL where the service gave none */
};
NITROSEAL_API void nitroseal_bytes_clear(struct nitroseal_bytes *bytes);

/* What encrypting bytes gives: keep all three. */
struct nitroseal_sealed {
    unsigned char *encrypted;       /* IV (12), tag (16), ciphertext */
    size_t encrypted_len;           /* 28 more than the plaintext */
    unsigned char *ciphertext_blob; /* the data key, as KMS encrypted it */
    size_t ciphertext_blob_len;
    unsigned char signature[32]; /* HMAC-SHA256 of the plaintext */
    char *key_id, *request_id;   /* as in nitroseal_bytes */
};
NITROSEAL_API void nitroseal_sealed_clear(struct nitroseal_sealed *sealed);

/* The same as texts in base64: the three values that kms-client prints and reads. */
struct nitroseal_message {
    char *encrypted, *signature, *ciphertext_blob;
    char *key_id, *request_id; /* as in nitroseal_bytes */
};
NITROSEAL_API void nitroseal_message_clear(struct nitroseal_message *message);

/* Encrypt and sign `len` bytes (0 is allowed; the service's limit is 16 MiB by default).
 * NITROSEAL_NOT_TEXT: they are not UTF-8, and this handle has credentials of its own. */
NITROSEAL_API enum nitroseal_status nitroseal_encrypt(struct nitroseal *ns, const void *data,
                                                      size_t len, struct nitroseal_sealed *out,
                                                      long timeout_ms,
                                                      struct nitroseal_error **error);
/* Decrypt and verify; key_id and request_id of `sealed` are not looked at. NITROSEAL_UNVERIFIED:
 * something was altered, and nothing of the text comes out. With credentials of its own a handle
 * gets text only: code text_not_utf8. */
NITROSEAL_API enum nitroseal_status nitroseal_decrypt(struct nitroseal *ns,
                                                      const struct nitroseal_sealed *sealed,
                                                      struct nitroseal_bytes *out, long timeout_ms,
                                                      struct nitroseal_error **error);

/* The same for UTF-8 text and base64. NITROSEAL_NOT_TEXT. */
NITROSEAL_API enum nitroseal_status nitroseal_encrypt_text(struct nitroseal *ns, const char *text,
                                                           size_t len,
                                                           struct nitroseal_message *out,
                                                           long timeout_ms,
                                                           struct nitroseal_error **error);
NITROSEAL_API enum nitroseal_status nitroseal_decrypt_text(
    struct nitroseal *ns, const char *encrypted, const char *signature, const char *ciphertext_blob,
    struct nitroseal_bytes *out, long timeout_ms, struct nitroseal_error **error);

/* `len` random bytes (1 to 65,536) of the enclave's generator into `out`, which is the caller's.
 * NITROSEAL_INVALID. */
NITROSEAL_API enum nitroseal_status nitroseal_random(struct nitroseal *ns, void *out, size_t len,
                                                     long timeout_ms,
                                                     struct nitroseal_error **error);

/* A fresh attestation document (COSE_Sign1, at most 16,384 bytes) with `nonce` (1 to 512 bytes) in
 * it. It is not verified here, and a document that is not verified proves nothing: `nitroseal
 * attest
 * --document` does that, or any library that knows Nitro's. NITROSEAL_INVALID. */
NITROSEAL_API enum nitroseal_status nitroseal_attest(struct nitroseal *ns, const void *nonce,
                                                     size_t nonce_len, struct nitroseal_bytes *out,
                                                     long timeout_ms,
                                                     struct nitroseal_error **error);

/* --- many requests in one (since NITROSEAL_1.1) ---
 * Up to 1,000 texts to encrypt or messages to decrypt over one round trip, each with a result of
 * its own. All of them use this handle's credentials, or those of the service.
 */
enum nitroseal_operation { NITROSEAL_ENCRYPT = 1, NITROSEAL_DECRYPT = 2 };

/* What the operation does not need is not looked at. */
struct nitroseal_item {
    enum nitroseal_operation operation;
    const char *text; /* to encrypt: UTF-8, `len` bytes */
    size_t len;
    const char *encrypted, *signature, *ciphertext_blob; /* to decrypt: base64 */
};
struct nitroseal_result {
    enum nitroseal_status status;
    struct nitroseal_message message; /* of encrypting that went well, else zeros */
    struct nitroseal_bytes text;      /* of decrypting that went well, else zeros */
    struct nitroseal_error *error;    /* what went wrong, else NULL */
};
/* The result of items[i] is results[i]; the array is the caller's, with room for `n`.
 * NITROSEAL_OK: all of them are written, and each says by its own status what came of it.
 * Else none is: the whole was refused or did not come back. NITROSEAL_INVALID (no items, or more
 * than 1,000), NITROSEAL_NOT_TEXT, and as every request. */
NITROSEAL_API enum nitroseal_status nitroseal_batch(struct nitroseal *ns,
                                                    const struct nitroseal_item *items, size_t n,
                                                    struct nitroseal_result *results,
                                                    long timeout_ms,
                                                    struct nitroseal_error **error);
/* Wipes each, errors included; results of zeros are fine. */
NITROSEAL_API void nitroseal_results_clear(struct nitroseal_result *results, size_t n);

/* --- messages of any length (since NITROSEAL_1.1) ---
 * Messages of the AWS Encryption SDK, sealed and opened in the enclave while they pass: memory does
 * not depend on their length, and whoever is slow, at either end, holds the other back.
 *
 *     struct nitroseal_stream s;
 *
 *     memset(&s, 0, sizeof s);
 *     s.size = sizeof s;
 *     s.read = from_file, s.write = to_file, s.arg = &files;
 *     if (nitroseal_decrypt_stream(ns, &s, NULL, 0, &error) != NITROSEAL_OK)
 *         ... throw away what was written
 *
 *   What `write` got is worth nothing before the call has returned NITROSEAL_OK: a message can turn
 * out to be altered, or cut, at its last byte, after all but that was handed on. Write to a place
 * that can be given up, and use nothing of it after any other status.
 *   A stream has a connection of its own and is never repeated. It takes the handle's turn for as
 * long as it lasts, so its callbacks must not call with the same handle: give streams that run at
 * the same time handles of their own. Credentials are those of the service; a handle that has some
 * of its own is refused (NITROSEAL_INVALID).
 */
enum {
    NITROSEAL_PAIRS_MAX = 64,   /* of each kind */
    NITROSEAL_READ_FAILED = -1, /* what a read may return besides a number of bytes */
    NITROSEAL_READ_LATER = -2
};

/* One pair of an encryption context: UTF-8, no two of one name, none that begins with aws-crypto-.
 */
struct nitroseal_pair {
    const char *name, *value;
};

/* Begin with zeros. What an operation cannot use is refused. */
struct nitroseal_stream {
    size_t size; /* sizeof(struct nitroseal_stream) */

    /* Sealing (encrypt, rewrap). */
    const struct nitroseal_pair *context; /* bound to the message, readable by anybody */
    size_t n_context;
    const char *suite;  /* "0x0478", "0x0578" (signed besides); NULL: the service's choice */
    const char *key_id; /* ARN of one of the service's keys; NULL: its first */
    unsigned long frame_length; /* 1 to 1,048,576; 0: the service's choice */
    /* Opening (decrypt, rewrap): refused where these are not bound to the message. */
    const struct nitroseal_pair *required;
    size_t n_required;

    /* Bytes in: at most `max` into `into`. Returns how many; 0: that was the end;
     * NITROSEAL_READ_FAILED: the call is to end; NITROSEAL_READ_LATER: none now, ask again when
     * wait_fd() is readable. */
    long (*read)(void *arg, void *into, size_t max);
    /* Before a read: the descriptor that poll(2) finds readable when reading would not wait, or -1
     * where it does not wait now. NULL: never waits. With it, what comes back is handed on, and
     * stop_fd is heard, while there is nothing to read. */
    int (*wait_fd)(void *arg);
    int has_length; /* `length` bytes will be read, no fewer, no more: nothing else is announced */
    unsigned long length;
    /* Bytes out, all `len` of them. Returns 0; else the call is to end. */
    int (*write)(void *arg, const void *data, size_t len);
    void *arg;
    int stop_fd; /* the call is to end when this is readable; 0: none */
};
/* About a stream that was good. */
struct nitroseal_streamed {
    unsigned long bytes_in, bytes_out;
    char *suite, *key_id, *request_id; /* NULL where the service does not say */
};
NITROSEAL_API void nitroseal_streamed_clear(struct nitroseal_streamed *streamed);

/* `out` may be NULL. `timeout_ms` is for the connection, and then for each pause in which the
 * service neither takes nor gives a byte; the time that `read` and `write` take does not count.
 *   NITROSEAL_STOPPED: a callback, or stop_fd. NITROSEAL_UNVERIFIED: message_not_authentic,
 * context_mismatch, no_key. NITROSEAL_UNREACHABLE with not_whole: the answer ended early.
 * NITROSEAL_FAILED with the service's codes message_malformed, message_unsupported, message_limit
 * and others. Before the first byte of output a failure is a whole one, with KMS's words; later the
 * service says its code only. */
NITROSEAL_API enum nitroseal_status nitroseal_encrypt_stream(struct nitroseal *ns,
                                                             const struct nitroseal_stream *stream,
                                                             struct nitroseal_streamed *out,
                                                             long timeout_ms,
                                                             struct nitroseal_error **error);
NITROSEAL_API enum nitroseal_status nitroseal_decrypt_stream(struct nitroseal *ns,
                                                             const struct nitroseal_stream *stream,
                                                             struct nitroseal_streamed *out,
                                                             long timeout_ms,
                                                             struct nitroseal_error **error);
/* Opened under one key, or in one context, and sealed anew: nothing of it is outside in plain. */
NITROSEAL_API enum nitroseal_status nitroseal_rewrap_stream(struct nitroseal *ns,
                                                            const struct nitroseal_stream *stream,
                                                            struct nitroseal_streamed *out,
                                                            long timeout_ms,
                                                            struct nitroseal_error **error);

/* --- */

/* Does the service say that it is in order (GET /healthz)? */
NITROSEAL_API enum nitroseal_status nitroseal_health(struct nitroseal *ns, long timeout_ms,
                                                     struct nitroseal_error **error);

#ifdef __cplusplus
}
#endif

#endif
