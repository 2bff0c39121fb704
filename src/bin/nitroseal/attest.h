/* attest.h - the questions of `nitroseal attest` about one document, and how its facts are shown.
 *
 * Checks, in this order: chain to the root and signature at `at_s` (attest/chain.h); nonce; for a
 * document fetched now: our label in user_data and no public key; age; PCRs, debug
 * enclaves. */
#ifndef BIN_NITROSEAL_ATTEST_H
#define BIN_NITROSEAL_ATTEST_H

#include "attest/pcrs.h"
#include "bin/nitroseal/cli.h"

struct attest_question {
    struct span root_der;
    bool aws_root;
    int64_t at_s;            /* when to judge; AT_DOCUMENT: at the document's own time */
    struct span nonce;       /* ptr NULL: not compared */
    uint64_t max_age_s;      /* 0: not compared */
    bool fresh;              /* fetched now: label and absence of a public key are checked */
    struct attest_pcrs want; /* an empty list is refused unless any_image */
    bool any_image;          /* compare PCRs with nothing: said by the user, never assumed */
    bool allow_debug;
};

#define AT_DOCUMENT INT64_MIN

#define ATTEST_ROOT_OPTION                                                                         \
    {                                                                                              \
        "root", 0, "FILE", "NITROSEAL_ROOT_FILE", NULL,                                            \
            "Trust this root certificate (PEM or DER) instead of AWS's: for tests."                \
    }

enum { ATTEST_PEM_MAX_BYTES = 65536 };

/* The root that ATTEST_ROOT_OPTION names, into `der` (of ATTEST_PEM_MAX_BYTES), said on stderr;
 * without it AWS's. Sets q->root_der and q->aws_root. CLI_OK, CLI_FILE, CLI_SETTINGS. */
MUST_USE int attest_root_read(const struct options *o, struct crypto *cx, struct attest_question *q,
                              struct buf *der, struct cli_fault *f);

/* CLI_OK, CLI_UNVERIFIED or CLI_FAILED with the fault set. *out borrows from `document`. */
MUST_USE int attest_judge(struct crypto *cx, struct span document, const struct attest_question *q,
                          struct attest_verified *out, struct cli_fault *f);

/* Append the facts: lines for people, or one JSON object. */
MUST_USE enum err attest_lines_write(const struct attest_verified *v,
                                     const struct attest_question *q, struct buf *out);
MUST_USE enum err attest_json_write(const struct attest_verified *v,
                                    const struct attest_question *q, struct buf *out);

/* A saved document, binary or base64. CLI_OK, CLI_FILE. */
MUST_USE int attest_document_read(const char *path, struct buf *out, struct cli_fault *f);

#endif
