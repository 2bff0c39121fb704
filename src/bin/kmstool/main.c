/* kmstool_enclave_cli - the five attested operations of KMS on the command line: a drop-in for
 * AWS's program of that name. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "bin/kmstool/call.h"
#include "bin/kmstool/helper.h"
#include "bin/kmstool/serve.h"
#include "bin/kmstool/usage.h"
#include "io/sys.h"

enum { WRITE_S = 30 };

/* NULL where the variable is unset or empty. */
static const char *variable(const char *name)
{
    const char *text = getenv(name);

    return text && text[0] ? text : NULL;
}

static const char *or_variable(const char *given, const char *name)
{
    return given ? given : variable(name);
}

/* AWS's tool reads none; these are ours (DESIGN section 8), and not the region, whose default
 * scripts rely on. */
static void fill_from_environment(struct args *a)
{
    a->endpoint = or_variable(a->endpoint, "AWS_ENDPOINT_URL_KMS");
    a->ca_file = or_variable(a->ca_file, "NITROSEAL_CA_FILE");
    a->vsock = or_variable(a->vsock, "NITROSEAL_VSOCK");
    a->nsm = or_variable(a->nsm, "NITROSEAL_NSM");
    if (!a->nsm)
        a->nsm = "/dev/nsm";
    if (a->command == KMSTOOL_SERVE)
        a->socket = or_variable(a->socket, "KMSTOOL_SOCKET");
}

/* Its own contexts, for it runs beside the connecting. */
static void *make_key(void *arg)
{
    AUTO(crypto_freep) struct crypto *cx = NULL;

    enum err r = crypto_new(&cx);
    if (r == ERR_OK)
        r = identity_prepare(arg, cx);
    (void)r; /* identity_take() tries again, and says why */
    return NULL;
}

static void say_no_nsm(const struct args *a, const struct why *why, struct buf *err)
{
    err_line(err, "NSM %s: %s", a->nsm, why->what ? why->what : "not usable");
    err_line(err, "check: this program runs inside a Nitro Enclave, as root; --nsm names another "
                  "device or a software NSM");
}

static void run_cold(const struct args *a, const struct credentials *cred, struct outcome *o)
{
    AUTO(crypto_freep) struct crypto *cx = NULL;
    struct identity *id = NULL;
    struct session s;
    struct why why = { 0 };
    pthread_t maker;

    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK) {
        err_line(&o->err, "no cryptography");
        return;
    }
    if (identity_new(a->nsm, &id, &why) != ERR_OK) {
        say_no_nsm(a, &why, &o->err);
        return;
    }
    bool beside = pthread_create(&maker, NULL, make_key, id) == 0;
    session_init(&s, cx, id);
    session_run(&s, a, cred, o);
    if (beside)
        pthread_join(maker, NULL);
    session_clear(&s);
    identity_free(id);
}

/* With credentials and words in order. */
static void run(int argc, char **argv, const struct args *a, const struct credentials *cred,
                struct outcome *o)
{
    const char *helper = variable("KMSTOOL_SOCKET");

    o->status = args_check(a, &o->err);
    if (o->status != KMSTOOL_GO)
        return;
    o->status = KMSTOOL_FAILED;
    if (!helper || !helper_ask(helper, argc, argv, cred, o))
        run_cold(a, cred, o);
}

/* The result, if there is one, whole or not at all as far as we can see to it. */
static int finish(struct outcome *o)
{
    uint64_t deadline_ns = clock_mono_ns() + WRITE_S * NS_PER_S;
    struct why why = { 0 };

    if (o->status == KMSTOOL_OK &&
        fd_write_all(STDOUT_FILENO, buf_view(&o->out), deadline_ns, &why) != ERR_OK) {
        err_line(&o->err, "standard output: %s", why.what ? why.what : "not written");
        o->status = KMSTOOL_FAILED;
    }
    enum err r = fd_write_all(STDERR_FILENO, buf_view(&o->err), deadline_ns, NULL);
    (void)r; /* nowhere left to say so */
    return o->status;
}

int main(int argc, char **argv)
{
    AUTO(outcome_clear) struct outcome o = OUTCOME_INIT;
    AUTO(credentials_clear) struct credentials cred = { 0 };
    AUTO(args_clear) struct args a = { .text = BUF_INIT(0) };

    if (process_harden() != ERR_OK) {
        err_line(&o.err, "process cannot be protected");
        return finish(&o);
    }
    o.status = args_parse(argc, argv, NULL, &a, &o.err);
    if (o.status == KMSTOOL_GO) {
        fill_from_environment(&a);
        if (a.command == KMSTOOL_SERVE)
            o.status = args_check(&a, &o.err);
        else
            o.status = credentials_take(&a, &cred, &o.err);
        if (o.status == KMSTOOL_GO && a.command == KMSTOOL_SERVE)
            return serve(&a);
        if (o.status == KMSTOOL_GO)
            run(argc, argv, &a, &cred, &o);
    }
    return finish(&o);
}
