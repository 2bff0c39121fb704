/* handle.h - inside libnitroseal: a handle, one call on it, how calls fail. include/nitroseal.h is
 * the manual.
 *
 * Nothing of the process is kept: no static data that changes, no thread, no signal handler.
 * Secrets are in bufs, which wipe what they leave behind; base's `secret` keeps spare pages for the
 * whole process, which a library must not.
 */
#ifndef LIB_HANDLE_H
#define LIB_HANDLE_H

#include <nitroseal.h>

#include "client/client.h"
#include "io/addr.h"
#include "io/talk.h"

enum {
    LIB_TIMEOUT_DEFAULT_MS = 30000,
    LIB_TIMEOUT_MAX_MS = 3600000,
    LIB_CREDENTIAL_MAX_BYTES = 8192,
};

struct nitroseal {
    _Atomic uint64_t timeout_ms; /* set and read without the turn: what is to wait asks for it */
    struct talk_turn turn;       /* of whoever uses what follows */
    struct addr at;
    int fd; /* -1: no connection */
    bool has_credentials;
    struct buf access_key_id, secret_access_key, session_token;
    struct client_reader reader;
    struct buf in; /* bytes of the connection that nobody has looked at */
};

/* See nitroseal_new(). ERR_MALFORMED, ERR_LIMIT, ERR_UNSUPPORTED with `why`. */
MUST_USE enum err lib_address_parse(const char *text, const char *environment, struct addr *out,
                                    struct why *why);

/* What a failure says; all but status and code may be NULL or empty. */
struct lib_fault {
    enum nitroseal_status status;
    const char *code, *text, *detail, *hint;
};
/* Make *error, if the caller wants it; returns the status. */
enum nitroseal_status lib_fail(struct nitroseal_error **error, const struct lib_fault *f);
enum nitroseal_status lib_no_memory(struct nitroseal_error **error);
enum nitroseal_status lib_invalid(struct nitroseal_error **error, const char *text,
                                  const char *detail);
/* With credentials of its own a handle sends text only; `hint` may be NULL. */
enum nitroseal_status lib_not_text(struct nitroseal_error **error, const char *hint);
/* The answer is a failure of the service: its words. */
enum nitroseal_status lib_problem(struct nitroseal_error **error, const struct client_problem *p);
/* What one of its codes stands for. */
enum nitroseal_status lib_status_of(const struct client_problem *p);
/* The answer is none to the question. */
enum nitroseal_status lib_malformed(struct nitroseal_error **error, const char *detail);

/* A call under way: the handle is locked, `request` is to be written. */
struct lib_call {
    struct nitroseal *ns; /* NULL: not locked */
    uint64_t deadline_ns;
    struct nitroseal_error **error;
    struct buf request;
};
MUST_USE enum nitroseal_status lib_call_begin(struct lib_call *c, struct nitroseal *ns,
                                              long timeout_ms, struct nitroseal_error **error);
/* Unlock, and wipe what the call had in memory; for AUTO(). */
void lib_call_end(struct lib_call *c);
/* Send the request, if `written` says that it could be, and read the whole answer into the handle's
 * reader. NITROSEAL_OK: status below 300. */
MUST_USE enum nitroseal_status lib_call_run(struct lib_call *c, enum err written);
/* NITROSEAL_OK: there is a connection, and it looks alive. */
MUST_USE enum nitroseal_status lib_call_connect(struct lib_call *c);

/* How it can fail before there is an answer. `code`: unreachable, closed. */
enum nitroseal_status lib_timed_out(struct lib_call *c);
enum nitroseal_status lib_unreachable(struct lib_call *c, const char *code, const char *text,
                                      const char *detail);
enum nitroseal_status lib_not_http(struct lib_call *c, const char *detail);
enum nitroseal_status lib_not_written(struct lib_call *c, enum err r);

/* A buf's memory as the caller's, with a NUL behind. ERR_NOMEM. */
MUST_USE enum err lib_hand_over(struct buf *b, unsigned char **data, size_t *len);
/* Copies with a NUL; absent and empty stay NULL. ERR_NOMEM. */
MUST_USE enum err lib_text(struct span s, char **out);
MUST_USE enum err lib_decoded(struct json_str s, char **out);
/* Members of an answer as results; *out is untouched on failure. */
MUST_USE enum nitroseal_status lib_message(struct nitroseal_error **error,
                                           const struct proto_answer *a,
                                           struct nitroseal_message *out);
MUST_USE enum nitroseal_status lib_opened(struct nitroseal_error **error,
                                          const struct proto_answer *a,
                                          struct nitroseal_bytes *out);

/* The handle's own credentials, or NULL for those that the service holds. */
const struct proto_credentials *lib_credentials(const struct nitroseal *ns,
                                                struct proto_credentials *room);

#endif
