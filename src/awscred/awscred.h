/* awscred.h - where AWS credentials come from beyond environment and files: what container
 * endpoints, the instance's metadata service (IMDSv2) and a credential_process are asked and what
 * their answers mean. Pure: the caller moves the bytes and waits.
 *
 * Source: credentials reference sections 1 to 3. Left out on purpose: IMDSv1 (a client that falls
 * back to it gives up what v2 is for). Values are secrets: everything that holds one is a buf.
 */
#ifndef AWSCRED_AWSCRED_H
#define AWSCRED_AWSCRED_H

#include "base/buf.h"

enum {
    AWSCRED_ANSWER_MAX_BYTES = 65535, /* as AWS's CRT */
    AWSCRED_WORDS_MAX = 64,           /* of a credential_process */
    AWSCRED_HOST_BYTES = 256,
};

/* --- answers --- */

enum awscred_form { AWSCRED_PROCESS, AWSCRED_CONTAINER, AWSCRED_IMDS };

struct awscred { /* views into the `text` that was given */
    struct span access_key_id, secret_access_key, session_token; /* token: may be empty */
    int64_t expires_s;                                           /* unix; 0: never */
};

/* Read an answer; decoded members go to `text`, whose maximum bounds them. ERR_MALFORMED: not this
 * form. ERR_DENIED: an answer that says why there are none (IMDS: "Code" is not "Success").
 * why->what says which, without anything of the answer. *out untouched on failure. */
MUST_USE enum err awscred_answer_parse(struct span json, enum awscred_form form, struct buf *text,
                                       struct awscred *out, struct why *why);

/* --- when to ask again (section 3, "Refresh") --- */

enum awscred_age {
    AWSCRED_FRESH,
    AWSCRED_AGING,   /* fetch new ones; until that works these are good */
    AWSCRED_EXPIRED, /* not to be used */
};
enum { AWSCRED_AGING_S = 600, AWSCRED_JITTER_S = 300 };
/* `jitter` spreads many clients: any number, the same for one set of credentials. */
enum awscred_age awscred_age_of(int64_t expires_s, int64_t now_s, uint32_t jitter);

/* --- credential_process --- */

/* Cut a command line into words as a shell would quote them, and no more: no variables, no globs,
 * no operators. Words are NUL-terminated in `text`; argv ends with NULL. ERR_MALFORMED: open quote,
 * nothing there, NUL. ERR_LIMIT: too many words. */
MUST_USE enum err awscred_words(struct span line, struct buf *text,
                                const char *argv[static AWSCRED_WORDS_MAX + 1], struct why *why);

/* --- endpoints --- */

struct awscred_place {
    bool tls;
    char host[AWSCRED_HOST_BYTES]; /* without brackets */
    uint16_t port;
    struct span path; /* view of the URL: with the query, "/" if it has none */
};
/* An http or https URL without user, password and fragment. ERR_MALFORMED, ERR_LIMIT. */
MUST_USE enum err awscred_url_parse(struct span url, struct awscred_place *out, struct why *why);
/* Append what its Host header says: the port only where it is not the scheme's own. ERR_LIMIT. */
MUST_USE enum err awscred_place_host(const struct awscred_place *p, struct buf *out);
/* May a container URL name this place? https anywhere; http only to this machine's loopback and
 * the addresses of ECS and EKS. */
bool awscred_container_allows(const struct awscred_place *p);

/* --- the conversation with an endpoint --- */

struct awscred_talk {
    enum awscred_form form; /* container or IMDS */
    struct awscred_place at;
    struct buf authorization; /* container: sent as it is */
    struct buf token, role;   /* IMDS */
    unsigned state, tries;
    bool renewed; /* IMDS: the token was fetched twice */
};
/* `authorization` may be empty; CR and LF in it: ERR_MALFORMED. */
MUST_USE enum err awscred_talk_container(struct awscred_talk *t, const struct awscred_place *at,
                                         struct span authorization, struct why *why);
void awscred_talk_imds(struct awscred_talk *t, const struct awscred_place *at);
void awscred_talk_clear(struct awscred_talk *t);

struct awscred_request {
    struct buf bytes; /* the whole HTTP request */
    unsigned wait_ms, timeout_ms;
};
/* What to send next: after waiting wait_ms, on a connection of its own. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err awscred_talk_request(const struct awscred_talk *t, struct awscred_request *out);
/* What came of it. `r`: ERR_OK with status and body, or why there was no answer. Gives ERR_OK (*out
 * is there), ERR_MORE (ask awscred_talk_request() again), ERR_DENIED (the endpoint has none for us)
 * or the reason to give up. */
MUST_USE enum err awscred_talk_answer(struct awscred_talk *t, enum err r, unsigned status,
                                      struct span body, struct buf *text, struct awscred *out,
                                      struct why *why);

#endif
