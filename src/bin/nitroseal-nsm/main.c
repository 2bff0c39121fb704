/* nitroseal-nsm - a Nitro Secure Module in software, on a Unix socket of packets: wiring and start.
 */
#include <signal.h>
#include <stdio.h>

#include "base/hex.h"
#include "base/json.h"
#include "bin/nitroseal-nsm/settings.h"
#include "bin/nitroseal-nsm/state.h"
#include "io/seqpacket.h"

enum {
    CLIENTS_MAX = 1024,
    PATH_MAX_BYTES = 1024,
    JSON_MAX_BYTES = 4096,
};

struct program {
    struct settings set;
    struct crypto *cx;
    struct loop *loop;
    struct softnsm *nsm;
    struct seqpacket *server;
    unsigned generation; /* of the PKI that is kept */
};

static int fail(int status, const char *event, const char *which, const struct why *why)
{
    log_event(LOG_ERROR, event, LOG_STR("which", which),
              LOG_STR("why", why && why->what ? why->what : ""));
    return status;
}

static void on_term(void *arg)
{
    loop_stop(((struct program *)arg)->loop);
}

/* A renewed authority is kept; if that fails, the next start makes it anew under the same root. */
static void keep_pki(struct program *p)
{
    const struct softnsm_pki *pki = softnsm_pki_of(p->nsm);
    struct why why = { 0 };

    if (softnsm_pki_generation(pki) == p->generation)
        return;
    p->generation = softnsm_pki_generation(pki);
    if (state_save(p->set.state, pki, &why) != ERR_OK)
        log_event(LOG_WARN, "certificates not kept", LOG_STR("state", p->set.state),
                  LOG_STR("why", why.what));
}

static void ask(struct span request, struct buf *response, void *arg)
{
    struct program *p = arg;

    enum err r = softnsm_ask(p->cx, p->nsm, request, clock_wall_ms(), response);
    if (r != ERR_OK)
        log_event(LOG_ERROR, "no response", LOG_STR("why", err_name(r)));
    keep_pki(p);
    log_event(LOG_DEBUG, "asked", LOG_INT("request_bytes", request.len),
              LOG_INT("response_bytes", response->len));
}

static int print_pcrs(const struct attest_pcrs *pcrs)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(JSON_MAX_BYTES);
    struct json_out w = json_out_init(&out);
    char name[16], value[2 * ATTEST_PCR_BYTES + 1];

    json_out_object(&w);
    for (unsigned i = 0; i < ATTEST_PCRS; i++) {
        if (!(pcrs->present & UINT32_C(1) << i))
            continue;
        (void)snprintf(name, sizeof(name), "PCR%u", i);
        hex_write(SPAN_ARRAY(pcrs->value[i]), value);
        json_out_key(&w, name);
        json_out_string(&w, span_str(value));
    }
    json_out_object_end(&w);
    if (json_out_end(&w) != ERR_OK)
        return EXIT_GENERAL;
    printf("%.*s\n", (int)out.len, (const char *)out.ptr);
    return fflush(stdout) == 0 ? 0 : EXIT_GENERAL;
}

static int make_nsm(struct program *p)
{
    AUTO(softnsm_pki_freep) struct softnsm_pki *pki = NULL;
    int64_t now_ms = clock_wall_ms();
    struct why why = { 0 };

    if (state_load(p->cx, p->set.state, now_ms / 1000, &pki, &why) != ERR_OK)
        return fail(EXIT_CONFIGURATION, "state not usable", p->set.state, &why);
    p->generation = softnsm_pki_generation(pki);
    enum err r = softnsm_new(p->cx, &p->set.nsm, pki, now_ms, &p->nsm, &why);
    if (r != ERR_OK)
        return fail(EXIT_CONFIGURATION, "settings or state refused", p->set.state, &why);
    pki = NULL; /* the NSM's */
    keep_pki(p);
    return -1;
}

static int listen_now(struct program *p)
{
    const struct seqpacket_options o = { .path = p->set.socket,
                                         .clients_max = CLIENTS_MAX,
                                         .request_max = NSM_REQUEST_MAX,
                                         .response_max = NSM_RESPONSE_MAX,
                                         .ask = ask,
                                         .arg = p };
    struct why why = { 0 };

    if (loop_on_signal(p->loop, SIGTERM, on_term, p) != ERR_OK ||
        loop_on_signal(p->loop, SIGINT, on_term, p) != ERR_OK)
        return fail(EXIT_GENERAL, "cannot start", "signals", NULL);
    if (seqpacket_new(p->loop, &o, &p->server, &why) != ERR_OK)
        return fail(EXIT_GENERAL, "cannot listen", p->set.socket, &why);
    return -1;
}

static void announce(const struct program *p)
{
    AUTO(buf_clear) struct buf root = BUF_INIT(PATH_MAX_BYTES);

    if (state_root_path(p->set.state, &root) != ERR_OK)
        return;
    log_event(LOG_WARN,
              "this is a software NSM: it protects nothing, and only its own root trusts it",
              LOG_SPAN("root", buf_view(&root)));
    log_event(LOG_INFO, "ready", LOG_STR("version", NITROSEAL_VERSION),
              LOG_STR("at", p->set.socket), LOG_SPAN("module", softnsm_module_id(p->nsm)),
              LOG_STR("mode", p->set.nsm.debug_mode ? "debug" : "production"),
              LOG_STR("leaf", p->set.nsm.expired_leaf ? "expired" : "valid"));
}

static int run(struct program *p)
{
    int status = make_nsm(p);

    if (status < 0)
        status = listen_now(p);
    if (status < 0) {
        announce(p);
        loop_run(p->loop);
        log_event(LOG_INFO, "stopped", LOG_INT("status", 0));
        status = 0;
    }
    seqpacket_free(p->server);
    softnsm_free(p->nsm);
    return status;
}

int main(int argc, char **argv)
{
    struct program p = { 0 };

    log_init("nitroseal-nsm", LOG_INFO);
    if (process_harden() != ERR_OK || crypto_process_init() != ERR_OK ||
        crypto_new(&p.cx) != ERR_OK || loop_new(&p.loop) != ERR_OK)
        return fail(EXIT_GENERAL, "cannot start", "process", NULL);
    int status = settings_parse(argc, argv, &p.set);
    if (status < 0) {
        log_init("nitroseal-nsm", p.set.level);
        status = p.set.print_pcrs ? print_pcrs(&p.set.nsm.pcrs) : run(&p);
    }
    loop_free(p.loop);
    crypto_free(p.cx);
    return status;
}
