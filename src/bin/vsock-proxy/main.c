/* vsock-proxy - relay (CID 3, LOCAL_PORT) to a TCP address, for an enclave that has no network. The
 * command line, allowlist and error texts of AWS's program of that name; bytes are never looked at.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "bin/common/options.h"
#include "bin/vsock-proxy/proxy.h"

#include "io/log.h"
#include "io/notify.h"

enum {
    IDLE_MAX_S = 7 * 24 * 3600,
    CONNECT_MAX_S = 600,
    DRAIN_MAX_S = 3600,
    MAX_DEFAULT = 10000,
    PIPES_MAX = 1024,
    OTHER_FDS = 64, /* log, loop, listening sockets, resolver */
};

static const struct option_def option_table[] = {
    { "ipv4", '4', NULL, NULL, NULL, "Connect over IPv4 only." },
    { "ipv6", '6', NULL, NULL, NULL, "Connect over IPv6 only." },
    { "num_workers", 'w', "N", NULL, NULL,
      "Most connections at once for each LOCAL_PORT; more are refused." },
    { "config", 'c', "FILE", NULL, "/etc/nitro_enclaves/vsock-proxy.yaml",
      "Allowlist: what may be connected to." },
    { "cid", 0, "CID", NULL, "3", "Listen on this CID." },
    { "vsock", 0, "SETTING", "NITROSEAL_VSOCK", "kernel", "kernel, or unix:DIR." },
    { "connect-limit", 0, "SECONDS", NULL, "10", "Give an address up after so long." },
    { "idle-limit", 0, "SECONDS", NULL, "3600",
      "End a connection on which nothing moves for so long; 0: never." },
    { "drain-limit", 0, "SECONDS", NULL, "10", "After SIGTERM wait so long for what still moves." },
    { "dns", 0, "ADDRESS", NULL, NULL,
      "Ask this DNS server (ADDRESS[:PORT], ...), not the system's." },
    { "log-level", 0, "LEVEL", "NITROSEAL_LOG", "info", "error, warn, info or debug." },
    { 0 },
};

static const struct program_def program = {
    .name = "vsock-proxy",
    .synopsis = "[OPTION ...] LOCAL_PORT REMOTE_ADDR REMOTE_PORT [...]",
    .summary = "Relay connections from vsock LOCAL_PORT to REMOTE_ADDR:REMOTE_PORT over TCP.\n"
               "Up to 10 such triples may be given.",
    .options = option_table,
    .footer = "Signals: SIGHUP reads the allowlist again, SIGUSR1 logs the metrics,\n"
              "SIGTERM lets connections end and leaves, at once when sent again.\n\n"
              "Example:\n  vsock-proxy 8000 kms.us-east-1.amazonaws.com 443\n\n"
              "Exit status: 0 after SIGTERM, 1 could not start, 2 usage.\n",
    .args_min = 3,
    .args_max = 3 * PROXY_GATES_MAX,
};

/* The form in which the original prints what makes it leave. */
static int fail(const char *text, const char *detail)
{
    fprintf(stderr, "Error: \"%s%s%s\"\n", text, detail ? ": " : "", detail ? detail : "");
    return 1;
}

/* Printable ASCII: names of other scripts have such a form too (RFC 5890 section 2.3.2.1), and the
 * allowlist is compared byte for byte. */
static bool is_ascii(const char *host)
{
    for (const char *p = host; *p; p++)
        if (*p <= ' ' || *p == 0x7f)
            return false;
    return *host != '\0';
}

static int take_target(const struct options *o, uint32_t cid, const char *const args[static 3],
                       struct target *out)
{
    struct why why = { 0 };
    uint64_t port;

    if (span_to_u64(span_str(args[0]), UINT32_MAX, &port) != ERR_OK)
        return fail("Local port is not valid", NULL);
    out->local_port = (uint32_t)port;
    if (addr_vsock(option_text(o, "vsock"), cid, out->local_port, &out->at, &why) != ERR_OK)
        return fail("Bad vsock setting", why.what);
    if (span_to_u64(span_str(args[2]), UINT16_MAX, &port) != ERR_OK)
        return fail("Remote port is not valid", NULL);
    if (!is_ascii(args[1]))
        return fail("Remote address is not valid",
                    "letters outside ASCII are written in their xn-- form (IDNA), here and in the "
                    "allowlist");
    out->host = args[1];
    out->port = (uint16_t)port;
    return 0;
}

/* Each relay takes two descriptors, and pipes while bytes are on their way. */
static int set_limits(const struct options *o, struct proxy_config *c)
{
    const char *text = option_text(o, "num_workers");
    struct rlimit fds = { 0, 0 };
    uint64_t workers = MAX_DEFAULT;

    if (text && span_to_u64(span_str(text), UINT32_MAX, &workers) != ERR_OK)
        return fail("Number of workers is not valid", NULL);
    if (workers == 0)
        return fail("Number of workers must not be 0", NULL);
    if (getrlimit(RLIMIT_NOFILE, &fds) == 0 && fds.rlim_cur < fds.rlim_max) {
        fds.rlim_cur = fds.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &fds);
    }
    (void)getrlimit(RLIMIT_NOFILE, &fds);
    uint64_t pipes = fds.rlim_cur / 8 < PIPES_MAX ? fds.rlim_cur / 8 : PIPES_MAX;
    uint64_t taken = 2 * pipes + OTHER_FDS + 2 * c->n_targets;
    uint64_t room = fds.rlim_cur > taken ? (fds.rlim_cur - taken) / (2 * c->n_targets) : 1;
    if (room < workers && text)
        log_event(LOG_WARN, "fewer connections than --num_workers: raise the limit of open files",
                  LOG_INT("num_workers", workers), LOG_INT("possible", room),
                  LOG_INT("open_files", fds.rlim_cur));
    c->max = (unsigned)(room < workers ? room : workers);
    c->pipes_max = (unsigned)pipes;
    return 0;
}

static bool take_seconds(const struct options *o, const char *name, uint64_t min, uint64_t max,
                         uint64_t *out_ns)
{
    uint64_t s;

    if (!option_u64(o, name, min, max, &s))
        return false;
    *out_ns = s * NS_PER_S;
    return true;
}

static int configure(const struct options *o, struct proxy_config *c)
{
    uint64_t cid;
    enum log_level level;
    int status = 0;

    if (option_flag(o, "ipv4") && option_flag(o, "ipv6")) {
        complain(o, "--ipv4 and --ipv6 exclude each other");
        return 2;
    }
    if (o->n_args % 3 != 0) {
        complain(o, "LOCAL_PORT REMOTE_ADDR REMOTE_PORT belong together, and %u words are left",
                 o->n_args % 3);
        return 2;
    }
    if (!option_u64(o, "cid", 0, UINT32_MAX, &cid) ||
        !take_seconds(o, "idle-limit", 0, IDLE_MAX_S, &c->idle_ns) ||
        !take_seconds(o, "connect-limit", 1, CONNECT_MAX_S, &c->connect_ns) ||
        !take_seconds(o, "drain-limit", 0, DRAIN_MAX_S, &c->drain_ns))
        return 2;
    if (log_level_parse(option_text(o, "log-level"), &level) != ERR_OK) {
        complain(o, "--log-level: not error, warn, info or debug");
        return 2;
    }
    log_init("vsock-proxy", level);
    for (; status == 0 && c->n_targets < o->n_args / 3; c->n_targets++)
        status =
            take_target(o, (uint32_t)cid, &o->args[3 * c->n_targets], &c->targets[c->n_targets]);
    c->allowlist = option_text(o, "config");
    c->dns_servers = option_text(o, "dns");
    c->family = option_flag(o, "ipv4")   ? RESOLVE_V4
                : option_flag(o, "ipv6") ? RESOLVE_V6
                                         : RESOLVE_ANY;
    return status != 0 ? status : set_limits(o, c);
}

static void on_term(void *arg)
{
    proxy_stop(arg);
}

static void on_hup(void *arg)
{
    proxy_reload(arg);
}

static void on_usr1(void *arg)
{
    proxy_metrics(arg);
}

static enum err watch_signals(struct loop *loop, struct proxy *p)
{
    static const struct {
        int signo;
        loop_fn *fn;
    } table[] = {
        { SIGTERM, on_term }, { SIGINT, on_term }, { SIGHUP, on_hup }, { SIGUSR1, on_usr1 }
    };
    enum err r = ERR_OK;

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]) && r == ERR_OK; i++)
        r = loop_on_signal(loop, table[i].signo, table[i].fn, p);
    return r;
}

static int run(const struct proxy_config *c)
{
    struct loop *loop;
    static struct proxy proxy; /* large, and once per process */
    char text[256] = "";

    if (loop_new(&loop) != ERR_OK)
        return fail("Could not start", NULL);
    /* First: a signal that comes while the allowlist is asked about is not lost. */
    if (watch_signals(loop, &proxy) != ERR_OK) {
        loop_free(loop);
        return fail("Could not start", NULL);
    }
    if (proxy_start(&proxy, loop, c))
        loop_run(loop);
    if (proxy.r != ERR_OK)
        (void)snprintf(text, sizeof(text), "%s: %s", proxy.stage, proxy.why.what);
    proxy_clear(&proxy);
    loop_free(loop);
    return text[0] ? fail(text, NULL) : 0;
}

int main(int argc, char **argv)
{
    static struct options o;
    static struct proxy_config c;

    if (argc == 2 && strcmp(argv[1], "-V") == 0) { /* the original's letter */
        static char version[] = "--version";
        argv[1] = version;
    }
    int status = options_parse(&program, argc, argv, &o);
    if (status >= 0)
        return status;
    status = configure(&o, &c);
    if (status != 0)
        return status;
    unsigned sockets = notify_sockets();
    if (sockets > c.n_targets) {
        fprintf(stderr, "vsock-proxy: %u sockets from systemd for %u LOCAL_PORTs\n", sockets,
                c.n_targets);
        return 2;
    }
    c.n_sockets = sockets;
    if (process_harden() != ERR_OK)
        return fail("Could not start", "process settings");
    return run(&c);
}
