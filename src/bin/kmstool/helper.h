/* helper.h - what a command and the warm helper say to each other over a Unix socket.
 *
 * The command sends {"argv": [...], "credentials": {...}} and ends its side; the helper reads the
 * words with the same grammar, except that what they do not say is as the helper was told, and
 * answers {"status": N, "stdout": "...", "stderr": "..."}. One request per connection. The socket's
 * mode (0600) says who may.
 */
#ifndef BIN_KMSTOOL_HELPER_H
#define BIN_KMSTOOL_HELPER_H

#include "bin/kmstool/call.h"

enum { HELPER_WORDS_MAX = 128, HELPER_REQUEST_MAX_BYTES = 256 << 10 };

struct helper_request {
    char *argv[HELPER_WORDS_MAX + 1]; /* in `text` */
    int argc;
    struct buf text;
    struct credentials cred;
};
void helper_request_clear(struct helper_request *rq);
/* `argv`: secrets in it were overwritten before. ERR_MALFORMED: a word that is not UTF-8.
 * ERR_LIMIT: too many words, too long. */
MUST_USE enum err helper_request_write(int argc, char **argv, const struct credentials *cred,
                                       struct buf *out);
/* ERR_MALFORMED, ERR_LIMIT (words). Release with helper_request_clear() always. */
MUST_USE enum err helper_request_parse(struct span json, struct helper_request *out,
                                       struct why *why);
MUST_USE enum err helper_answer_write(const struct outcome *o, struct buf *out);
MUST_USE enum err helper_answer_parse(struct span json, struct outcome *out, struct why *why);

/* The whole exchange, from the command's side. False: nobody answered, nothing was done, and a note
 * in o->err says so; else *o is the answer, or says why there is none. */
MUST_USE bool helper_ask(const char *path, int argc, char **argv, const struct credentials *cred,
                         struct outcome *o);

#endif
