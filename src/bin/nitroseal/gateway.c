/* gateway.c - `nitroseal gateway`: settings and start. */
#include "bin/nitroseal/gateway.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/log.h"
#include "io/notify.h"
#include "io/sys.h"

#define LISTEN_DEFAULT  "unix:/run/nitroseal/gateway.sock"
#define ENCLAVE_DEFAULT "16"

enum { OTHER_FDS = 64, PORT_DEFAULT = 5000 };

static const struct option_def options[] = {
    { "listen", 'l', "WHERE", NULL, LISTEN_DEFAULT,
      "unix:PATH, 127.0.0.1:PORT or [::1]:PORT; may be given several times." },
    { "enclave", 'e', "CID[:PORT]", "NITROSEAL_ENCLAVES", ENCLAVE_DEFAULT,
      "Where a service listens; may be given several times. In the variable: with commas." },
    { "vsock", 0, "HOW", "NITROSEAL_VSOCK", "kernel", "kernel, or unix:DIR." },
    { "no-credentials", 0, NULL, NULL, NULL, "Give the enclaves none: requests carry their own." },
    CLI_PROFILE_OPTION,
    { "max-connections", 0, "N", NULL, "4096", "Connections of clients at one time." },
    { "max-running", 0, "N", NULL, "256", "Requests that one enclave gets at one time." },
    { "max-waiting", 0, "N", NULL, "1024", "Requests that wait for an enclave; more are refused." },
    { "wait-timeout", 0, "MS", NULL, "5000", "For which they wait." },
    { "connect-timeout", 0, "MS", NULL, "2000", "For a connection to an enclave." },
    { "read-timeout", 0, "MS", NULL, "10000",
      "For the head of a request; for the next bytes of its body." },
    { "write-timeout", 0, "MS", NULL, "30000",
      "For a client to take the next bytes of an answer." },
    { "answer-timeout", 0, "MS", NULL, "60000", "For the next bytes from an enclave." },
    { "idle-timeout", 0, "MS", NULL, "300000",
      "A client's connection without requests is closed after this." },
    { "stop-timeout", 0, "MS", NULL, "15000", "After SIGTERM, for what runs to end." },
    { "health-interval", 0, "MS", NULL, "2000", "Between health checks of an enclave." },
    { "log-level", 0, "LEVEL", "NITROSEAL_LOG", "info", "error, warn, info or debug." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal gateway",
    .synopsis = "[OPTION ...]",
    .summary = "Hand HTTP requests of programs on this machine to services in enclaves: the one "
               "that has the\nleast to do gets the next. Gives them AWS credentials, watches their "
               "health, counts.",
    .options = options,
    .footer = "Its own pages: /healthz, /metrics; of one enclave: /enclaves/CID/healthz and "
              "/metrics.\nSignals: SIGTERM finishes what runs and leaves, at once when sent again; "
              "SIGHUP fetches credentials.\n\nExamples:\n"
              "  nitroseal gateway --listen 127.0.0.1:8080 --enclave 16 --enclave 17\n"
              "  curl --json '{\"message\":\"hello\"}' http://127.0.0.1:8080/v1/encrypt\n\n"
              "Exit status: 0 stopped by a signal, 1 failed, 2 usage.\n",
};

/* --- settings --- */

static bool is_loopback(const struct addr *a)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    if (a->tcp.ss_family == AF_INET) {
        memcpy(&in, &a->tcp, sizeof in);
        return ntohl(in.sin_addr.s_addr) >> 24 == 127;
    }
    memcpy(&in6, &a->tcp, sizeof in6);
    return a->tcp.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

static bool read_listen(const struct options *o, const char *text, struct addr *out)
{
    struct why why = { .what = "" };
    bool is_unix = span_starts(span_str(text), "unix:");

    enum err r = is_unix ? addr_unix(text + strlen("unix:"), out, &why) : addr_tcp(text, out, &why);
    if (r != ERR_OK) {
        complain(o, _("--listen %s: %s; unix:PATH, 127.0.0.1:PORT and [::1]:PORT are possible"),
                 text, why.what);
        return false;
    }
    if (!is_unix && !is_loopback(out)) {
        complain(
            o,
            _("--listen %s: only this machine's loopback addresses: the gateway has neither TLS "
              "nor users; put a proxy that has them before it (doc/fleet.md)"),
            text);
        return false;
    }
    return true;
}

static bool read_listens(const struct options *o, struct gw_settings *set)
{
    unsigned n = option_count(o, "listen");

    if (n > GW_LISTEN_MAX) {
        complain(o, _("--listen: at most %d"), GW_LISTEN_MAX);
        return false;
    }
    set->n_listen = n > 0 ? n : 1;
    for (unsigned i = 0; i < set->n_listen; i++)
        if (!read_listen(o, n > 0 ? option_at(o, "listen", i) : option_text(o, "listen"),
                         &set->listen[i]))
            return false;
    return true;
}

/* "16", "16:5000". */
static bool read_enclave(const struct options *o, struct span text, struct gw_settings *set)
{
    struct span port = text;
    struct span cid = span_cut(&port, ':');
    struct why why = { .what = "" };
    uint64_t c = 0, p = PORT_DEFAULT;

    if (set->n_enclaves == GATEWAY_ENCLAVES_MAX) {
        complain(o, _("--enclave: at most %d"), GATEWAY_ENCLAVES_MAX);
        return false;
    }
    if (span_to_u64(cid, UINT32_MAX - 1, &c) != ERR_OK || c < CID_PARENT ||
        (port.ptr && (span_to_u64(port, UINT32_MAX - 1, &p) != ERR_OK || p == 0))) {
        complain(o, _("--enclave %.*s: not CID or CID:PORT"), (int)text.len,
                 (const char *)text.ptr);
        return false;
    }
    struct addr *at = &set->enclave[set->n_enclaves];
    if (addr_vsock(option_text(o, "vsock"), (uint32_t)c, (uint32_t)p, at, &why) != ERR_OK) {
        complain(o, _("--vsock or NITROSEAL_VSOCK '%s': %s"), option_text(o, "vsock"), why.what);
        return false;
    }
    for (unsigned i = 0; i < set->n_enclaves; i++)
        if (set->enclave[i].cid == at->cid && set->enclave[i].port == at->port) {
            complain(o, _("--enclave %.*s: given twice"), (int)text.len, (const char *)text.ptr);
            return false;
        }
    set->n_enclaves++;
    return true;
}

static bool read_enclaves(const struct options *o, struct gw_settings *set)
{
    unsigned n = option_count(o, "enclave");

    for (unsigned i = 0; i < n; i++)
        if (!read_enclave(o, span_str(option_at(o, "enclave", i)), set))
            return false;
    for (struct span rest = n == 0 ? span_str(option_text(o, "enclave")) : SPAN_EMPTY; rest.ptr;)
        if (!read_enclave(o, span_trim(span_cut(&rest, ',')), set))
            return false;
    return true;
}

static bool read_numbers(const struct options *o, struct gw_settings *s)
{
    const struct {
        const char *name;
        uint64_t min, max;
        uint64_t *out;
    } all[] = {
        { "max-connections", 1, 65536, &s->connections_max },
        { "max-running", 1, 65536, &s->running_max },
        { "max-waiting", 0, 65536, &s->waiting_max },
        { "wait-timeout", 10, 3600000, &s->wait_ms },
        { "connect-timeout", 10, 60000, &s->connect_ms },
        { "read-timeout", 10, 3600000, &s->read_ms },
        { "write-timeout", 10, 3600000, &s->write_ms },
        { "answer-timeout", 10, 3600000, &s->answer_ms },
        { "idle-timeout", 10, 86400000, &s->idle_ms },
        { "stop-timeout", 0, 3600000, &s->stop_ms },
        { "health-interval", 50, 3600000, &s->health_ms },
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!option_u64(o, all[i].name, all[i].min, all[i].max, all[i].out))
            return false;
    return true;
}

/* A client and its connection to an enclave take a descriptor each. */
static void make_room(struct gw_settings *s)
{
    struct rlimit fds = { 0, 0 };
    uint64_t wanted =
        2 * s->connections_max + OTHER_FDS + (uint64_t)s->n_enclaves * GW_IDLE_PER_ENCLAVE;

    if (getrlimit(RLIMIT_NOFILE, &fds) == 0 && fds.rlim_cur < wanted) {
        fds.rlim_cur = wanted < fds.rlim_max ? wanted : fds.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &fds);
    }
    (void)getrlimit(RLIMIT_NOFILE, &fds);
    if (fds.rlim_cur >= wanted)
        return;
    uint64_t possible = fds.rlim_cur > 2 * OTHER_FDS ? (fds.rlim_cur - OTHER_FDS) / 3 : 1;
    if (possible >= s->connections_max)
        return;
    log_event(LOG_WARN, "fewer connections than --max-connections: raise the limit of open files",
              LOG_INT("possible", possible), LOG_INT("open_files", fds.rlim_cur));
    s->connections_max = possible;
}

static int configure(const struct options *o, struct gw_settings *set)
{
    enum log_level level;

    if (!read_listens(o, set) || !read_enclaves(o, set) || !read_numbers(o, set))
        return CLI_USAGE;
    if (log_level_parse(option_text(o, "log-level"), &level) != ERR_OK) {
        complain(o, _("--log-level: not error, warn, info or debug"));
        return CLI_USAGE;
    }
    log_init("nitroseal-gateway", level);
    set->keeps_credentials = !option_flag(o, "no-credentials");
    set->profile = option_text(o, "profile");
    set->is_profile_chosen = option_count(o, "profile") > 0;
    set->n_sockets = notify_sockets();
    if (set->n_sockets > GW_LISTEN_MAX) {
        complain(o, _("%u sockets from systemd; at most %d"), set->n_sockets, GW_LISTEN_MAX);
        return CLI_USAGE;
    }
    make_room(set);
    return CLI_OK;
}

/* --- start --- */

static int run(const struct gw_settings *set)
{
    static struct gateway g; /* large, and once per process */
    struct why why = { .what = "" };

    g.set = set;
    g.memory_fd = memory_open();
    if (loop_new(&g.loop) != ERR_OK)
        return CLI_FAILED;
    enum err r = gw_start(&g, &why);
    if (r == ERR_OK)
        loop_run(g.loop);
    else
        log_event(LOG_ERROR, "not started", LOG_STR("why", why.what));
    gw_clear(&g);
    int status = r == ERR_OK && g.failure == ERR_OK ? CLI_OK : CLI_FAILED;
    /* Somebody is asked for credentials, who may take a minute: nobody waits for the answer. */
    if (g.is_fetching)
        _exit(status);
    work_pool_free(g.work);
    loop_free(g.loop);
    return status;
}

int cmd_gateway(int argc, char **argv)
{
    static struct options o;
    static struct gw_settings set;
    int status = options_parse(&program, argc, argv, &o);

    if (status >= 0)
        return status;
    status = configure(&o, &set);
    if (status != CLI_OK)
        return status;
    if (process_harden() != ERR_OK || crypto_process_init() != ERR_OK) {
        complain(&o, _("the cryptographic library does not start"));
        return CLI_FAILED;
    }
    return run(&set);
}
