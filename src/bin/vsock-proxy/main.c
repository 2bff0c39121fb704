/* vsock-proxy - relay (CID 3, LOCAL_PORT) to a TCP address, for an enclave that has no network. The
 * command line of AWS's program of that name; bytes are never looked at. */
#include <signal.h>
#include <stdio.h>

#include "bin/common/options.h"
#include "bin/vsock-proxy/proxy.h"

#include "io/log.h"

enum { IDLE_MAX_S = 7 * 24 * 3600, WORKERS_MAX = 100000 };

static const struct option_def option_table[] = {
    { "ipv4", '4', NULL, NULL, NULL, "Connect over IPv4 only." },
    { "ipv6", '6', NULL, NULL, NULL, "Connect over IPv6 only." },
    { "num_workers", 'w', "N", NULL, "1000", "Most connections at once; more wait." },
    { "config", 'c', "FILE", NULL, NULL, "Allowlist; accepted and not enforced yet." },
    { "cid", 0, "CID", NULL, "3", "Listen on this CID." },
    { "vsock", 0, "SETTING", "NITROSEAL_VSOCK", "kernel", "kernel, or unix:DIR." },
    { "idle-limit", 0, "SECONDS", NULL, "3600",
      "End a connection on which nothing moves for so long; 0: never." },
    { "log-level", 0, "LEVEL", "NITROSEAL_LOG", "info", "error, warn, info or debug." },
    { 0 },
};

static const struct program_def program = {
    .name = "vsock-proxy",
    .synopsis = "[OPTION ...] LOCAL_PORT REMOTE_ADDR REMOTE_PORT",
    .summary = "Relay connections from vsock LOCAL_PORT to REMOTE_ADDR:REMOTE_PORT over TCP.",
    .options = option_table,
    .footer = "Example:\n  vsock-proxy 8000 kms.us-east-1.amazonaws.com 443\n\n"
              "Exit status: 0 after SIGTERM, 1 could not start, 2 usage.\n",
    .args_min = 3,
    .args_max = 3,
};

/* The form in which the original prints what makes it leave. */
static int fail(const char *text, const char *detail)
{
    fprintf(stderr, "Error: \"%s%s%s\"\n", text, detail ? ": " : "", detail ? detail : "");
    return 1;
}

static int configure(const struct options *o, struct proxy_config *c)
{
    uint64_t port, cid, idle_s, workers;
    enum log_level level;
    struct why why = { 0 };

    if (option_flag(o, "ipv4") && option_flag(o, "ipv6")) {
        complain(o, "--ipv4 and --ipv6 exclude each other");
        return 2;
    }
    if (!option_u64(o, "cid", 0, UINT32_MAX, &cid) ||
        !option_u64(o, "idle-limit", 0, IDLE_MAX_S, &idle_s) ||
        !option_u64(o, "num_workers", 0, WORKERS_MAX, &workers))
        return 2;
    if (log_level_parse(option_text(o, "log-level"), &level) != ERR_OK) {
        complain(o, "--log-level: not error, warn, info or debug");
        return 2;
    }
    log_init("vsock-proxy", level);
    if (workers == 0)
        return fail("Number of workers must not be 0", NULL);
    if (span_to_u64(span_str(o->args[0]), UINT32_MAX, &port) != ERR_OK)
        return fail("Local port is not valid", NULL);
    if (addr_vsock(option_text(o, "vsock"), (uint32_t)cid, (uint32_t)port, &c->at, &why) != ERR_OK)
        return fail("Bad vsock setting", why.what);
    if (span_to_u64(span_str(o->args[2]), UINT16_MAX, &port) != ERR_OK)
        return fail("Remote port is not valid", NULL);
    c->host = o->args[1];
    c->port = (uint16_t)port;
    c->max = (unsigned)workers;
    c->idle_ns = idle_s * NS_PER_S;
    c->family = option_flag(o, "ipv4")   ? RESOLVE_V4
                : option_flag(o, "ipv6") ? RESOLVE_V6
                                         : RESOLVE_ANY;
    return 0;
}

static void on_term(void *arg)
{
    proxy_stop(arg);
}

static int run(const struct options *o, const struct proxy_config *c)
{
    struct loop *loop;
    static struct proxy proxy; /* large, and once per process */
    struct why why = { 0 };
    char at[ADDR_TEXT_BYTES];

    if (crypto_process_init() != ERR_OK || loop_new(&loop) != ERR_OK)
        return fail("Could not start", NULL);
    addr_text(&c->at, at, sizeof(at));
    enum err r = proxy_start(&proxy, loop, c, &why);
    if (r == ERR_OK)
        r = loop_on_signal(loop, SIGTERM, on_term, &proxy);
    if (r == ERR_OK)
        r = loop_on_signal(loop, SIGINT, on_term, &proxy);
    if (r == ERR_OK) {
        if (option_count(o, "config") > 0)
            log_event(LOG_WARN, "allowlist is not enforced",
                      LOG_STR("file", option_text(o, "config")));
        log_event(LOG_INFO, "listening", LOG_STR("at", at), LOG_STR("remote", c->host),
                  LOG_INT("port", c->port));
        loop_run(loop);
    }
    proxy_clear(&proxy);
    loop_free(loop);
    return r == ERR_OK ? 0 : fail("Could not listen for connections", why.what);
}

int main(int argc, char **argv)
{
    static struct options o;
    struct proxy_config c = { .max = 0 };

    int status = options_parse(&program, argc, argv, &o);
    if (status >= 0)
        return status;
    status = configure(&o, &c);
    if (status != 0)
        return status;
    if (process_harden() != ERR_OK)
        return fail("Could not start", "process settings");
    return run(&o, &c);
}
