/* pairs.c - RSA key pairs, made by workers: one of 4,096 bits takes seconds, and the loop answers
 * others meanwhile. */
#include <stdlib.h>

#include "bin/nitroseal-kms/kms.h"

enum { SPKI_MAX_BYTES = 1024 };

struct job {
    struct kms *k;
    uint64_t client;
    enum keypair_spec spec;
    struct secret pkcs8;
    struct buf spki;
    enum err r;
};

static void job_free(struct job *j)
{
    secret_clear(&j->pkcs8);
    buf_clear(&j->spki);
    free(j);
}

static void make(struct crypto *cx, void *arg)
{
    struct job *j = arg;

    j->r = keypair_new(cx, j->spec, &j->pkcs8, &j->spki);
}

/* The pair is for the request that is handled next, and that is this client's. */
static void made(void *arg)
{
    struct job *j = arg;

    if (j->r == ERR_OK)
        j->r = localkms_give(j->k->core, &j->pkcs8, buf_view(&j->spki));
    server_again(j->k->server, j->client, j->r == ERR_OK);
    localkms_forget(j->k->core);
    job_free(j);
}

enum err kms_make_pair(struct kms *k, uint64_t client)
{
    struct job *j = calloc(1, sizeof *j);

    if (!j)
        return ERR_NOMEM;
    *j = (struct job){
        .k = k, .client = client, .spec = localkms_wanted(k->core), .spki = BUF_INIT(SPKI_MAX_BYTES)
    };
    const struct work w = { .run = make, .done = made, .arg = j };
    enum err r = work_submit(k->pool, w);
    if (r != ERR_OK)
        job_free(j);
    return r;
}
