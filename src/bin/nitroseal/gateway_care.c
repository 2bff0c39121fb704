/* gateway_care.c - what the gateway does on its own: health checks, credentials fetched ahead of
 * their end and given to each enclave.
 *
 * An enclave that comes (back) gets requests once it has credentials, if there are any. One that
 * may have been started anew is looked at, and given them again; it serves on meanwhile.
 */
#include "bin/nitroseal/gateway.h"

#include "base/rfc3339.h"
#include "io/log.h"
#include "io/sys.h"

enum {
    PROBE_MS = 3000,
    PROBE_SOON_MS = 200, /* the second look at one that comes back */
    PUSH_MS = 5000,
    PUSH_PAUSE_MS = 1000,
    REQUEST_MAX_BYTES = 192 << 10,
    FETCH_TEXT_MAX_BYTES = 512,
    MS_PER_S = 1000,
};

bool gw_enclave_usable(const struct gw_enclave *e)
{
    return e->health.state != GATEWAY_DOWN && (e->g->generation == 0 || e->pushed != 0);
}

/* --- health --- */

void gw_enclave_note(struct gw_enclave *e, enum gateway_sign sign, const char *why)
{
    if (!gateway_health_note(&e->health, sign))
        return;
    if (e->health.state == GATEWAY_UP) {
        log_event(LOG_INFO, "enclave up", LOG_STR("enclave", e->name));
        return;
    }
    e->pushed = 0;
    log_event(LOG_WARN, "enclave down", LOG_STR("enclave", e->name), LOG_STR("why", why));
}

void gw_enclave_suspect(struct gw_enclave *e)
{
    e->probe_at_ns = 0;
    e->wants_push = true;
}

static void on_probed(void *arg, unsigned status, struct span body, const char *why)
{
    struct gw_enclave *e = arg;
    bool was_open = e->probe && e->probe->was_open;
    enum gateway_sign sign = GATEWAY_PROBE_BAD;

    e->probe = NULL;
    if (status == 200)
        sign = GATEWAY_PROBE_GOOD;
    else if (status == 503 && gateway_refusal_parse(body) == GATEWAY_REFUSAL_STOPPING)
        sign = GATEWAY_LEAVING;
    else if (status == 0 && !was_open)
        sign = GATEWAY_UNREACHABLE;
    e->counts.probes_bad += sign != GATEWAY_PROBE_GOOD;
    gw_enclave_note(e, sign, status ? "its health check says no" : why);
    e->is_told = true;
    if (sign == GATEWAY_PROBE_GOOD && e->health.state == GATEWAY_DOWN &&
        e->g->set->health_ms > PROBE_SOON_MS)
        e->probe_at_ns = clock_mono_ns() + PROBE_SOON_MS * NS_PER_MS;
}

static void probe(struct gw_enclave *e, uint64_t now_ns)
{
    AUTO(buf_clear) struct buf rq = BUF_INIT(256);
    const struct http1_header h[] = { { SPAN_LIT("host"), SPAN_LIT("enclave") },
                                      { SPAN_LIT("connection"), SPAN_LIT("close") } };

    e->probe_at_ns = now_ns + e->g->set->health_ms * NS_PER_MS;
    if (http1_request_write(&rq, SPAN_LIT("GET"), SPAN_LIT("/healthz"), h, 2, SPAN_EMPTY) == ERR_OK)
        (void)!gw_call_new(e->g, &e->at, &rq, now_ns + PROBE_MS * NS_PER_MS, on_probed, e,
                           &e->probe); /* no memory: at the next interval */
}

/* --- credentials: to the enclaves --- */

static enum err write_credentials(const struct cli_credentials *c, struct buf *out)
{
    struct json_out w = json_out_init(out);
    char expiration[RFC3339_BYTES];

    json_out_object(&w);
    json_out_key(&w, "access_key_id");
    json_out_string(&w, buf_view(&c->access_key_id));
    json_out_key(&w, "secret_access_key");
    json_out_string(&w, secret_view(&c->secret_access_key));
    if (secret_view(&c->session_token).len) {
        json_out_key(&w, "session_token");
        json_out_string(&w, secret_view(&c->session_token));
    }
    if (c->expires_s) {
        rfc3339_write(c->expires_s, expiration);
        json_out_key(&w, "expiration");
        json_out_string(&w, span_str(expiration));
    }
    json_out_object_end(&w);
    return json_out_end(&w);
}

static void on_pushed(void *arg, unsigned status, struct span body, const char *why)
{
    struct gw_enclave *e = arg;
    uint64_t now_ns = clock_mono_ns();
    (void)body;

    e->push = NULL;
    if (status == 204 || status == 200) {
        e->pushed = e->pushing;
        e->pushed_ns = now_ns;
        e->push_failures = 0;
        e->counts.pushes_good++;
        log_event(LOG_INFO, "credentials given", LOG_STR("enclave", e->name));
        exchange_place_waiting(e->g);
        return;
    }
    e->counts.pushes_bad++;
    e->push_failures++;
    e->push_at_ns = now_ns + gateway_backoff_ms(e->push_failures) * NS_PER_MS;
    log_event(LOG_WARN, "credentials not taken", LOG_STR("enclave", e->name),
              LOG_INT("status", status), LOG_STR("why", status ? "refused" : why));
}

static void push(struct gw_enclave *e, uint64_t now_ns)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(REQUEST_MAX_BYTES);
    AUTO(buf_clear) struct buf rq = BUF_INIT(REQUEST_MAX_BYTES);
    const struct http1_header h[] = { { SPAN_LIT("host"), SPAN_LIT("enclave") },
                                      { SPAN_LIT("content-type"), SPAN_LIT("application/json") },
                                      { SPAN_LIT("connection"), SPAN_LIT("close") } };

    e->push_at_ns = now_ns + PUSH_PAUSE_MS * NS_PER_MS;
    e->wants_push = false;
    e->pushing = e->g->generation;
    enum err r = write_credentials(&e->g->current, &body);
    if (r == ERR_OK)
        r = http1_request_write(&rq, SPAN_LIT("PUT"), SPAN_LIT("/v1/credentials"), h, 3,
                                buf_view(&body));
    if (r == ERR_OK)
        r = gw_call_new(e->g, &e->at, &rq, now_ns + PUSH_MS * NS_PER_MS, on_pushed, e, &e->push);
    if (r != ERR_OK)
        on_pushed(e, 0, SPAN_EMPTY, err_name(r));
}

static bool is_push_due(const struct gw_enclave *e, uint64_t now_ns)
{
    return !e->push && e->g->generation > 0 && e->health.state == GATEWAY_UP &&
           now_ns >= e->push_at_ns && (e->pushed != e->g->generation || e->wants_push);
}

/* --- credentials: from where they come --- */

static void fetch(struct crypto *cx, void *arg)
{
    struct gateway *g = arg;
    (void)cx;

    g->fetch_status = cli_credentials_find(g->set->profile, g->set->is_profile_chosen, &g->fetched,
                                           &g->fetch_fault);
}

static bool are_same(const struct cli_credentials *a, const struct cli_credentials *b)
{
    return a->expires_s == b->expires_s &&
           span_eq(buf_view(&a->access_key_id), buf_view(&b->access_key_id)) &&
           ct_eq(secret_view(&a->secret_access_key), secret_view(&b->secret_access_key)) &&
           ct_eq(secret_view(&a->session_token), secret_view(&b->session_token));
}

static void take_fetched(struct gateway *g, int64_t now_s)
{
    char until[RFC3339_BYTES] = "";

    cli_credentials_clear(&g->current);
    g->current = g->fetched;
    g->fetched = (struct cli_credentials){ .access_key_id = BUF_INIT(0) };
    g->generation++;
    if (g->current.expires_s)
        rfc3339_write(g->current.expires_s, until);
    log_event(LOG_INFO, "credentials fetched", LOG_STR("until", until[0] ? until : "not known"),
              LOG_INT("seconds", g->current.expires_s ? g->current.expires_s - now_s : 0));
}

static void on_fetched(void *arg)
{
    struct gateway *g = arg;
    int64_t now_ms = clock_wall_ms(), now_s = now_ms / MS_PER_S;
    uint64_t now_ns = clock_mono_ns();
    bool is_new =
        g->fetch_status == CLI_OK && !(g->generation > 0 && are_same(&g->current, &g->fetched));
    bool is_static = g->fetch_status == CLI_OK && g->fetched.expires_s == 0;

    g->is_fetching = false;
    g->has_fetched = true;
    g->fetches_good += g->fetch_status == CLI_OK;
    g->fetches_bad += g->fetch_status != CLI_OK;
    if (is_new)
        take_fetched(g, now_s);
    if (is_new || is_static)
        g->renew_ms = gateway_refresh_at(now_s, g->current.expires_s) * MS_PER_S;
    /* The same ones before that time: somebody asked on SIGHUP. */
    if (is_new || is_static || (g->fetch_status == CLI_OK && now_ms < g->renew_ms)) {
        g->fetch_failures = 0;
        int64_t in_ms = g->renew_ms - now_ms;
        g->fetch_at_ns = now_ns + (in_ms > 0 ? (uint64_t)in_ms : MS_PER_S) * NS_PER_MS;
    } else { /* none, or there are no newer ones yet */
        g->fetch_failures++;
        g->fetch_at_ns = now_ns + gateway_backoff_ms(g->fetch_failures) * NS_PER_MS;
    }
    if (g->fetch_status != CLI_OK)
        log_event(
            LOG_ERROR, "no credentials",
            LOG_SPAN("why", span_sub(buf_view(&g->fetch_fault.text), 0, FETCH_TEXT_MAX_BYTES)),
            LOG_INT("failures", g->fetch_failures));
    cli_credentials_clear(&g->fetched);
    cli_fault_clear(&g->fetch_fault);
}

static void fetch_soon(struct gateway *g)
{
    g->is_fetching = true;
    g->fetched = (struct cli_credentials){ .access_key_id = BUF_INIT(0) };
    g->fetch_fault = CLI_FAULT_INIT;
    if (work_submit(g->work, (struct work){ .run = fetch, .done = on_fetched, .arg = g }) != ERR_OK)
        g->is_fetching = false; /* at the next tick */
}

/* --- time --- */

void gw_care_tick(struct gateway *g, uint64_t now_ns)
{
    if (g->set->keeps_credentials && !g->is_fetching && now_ns >= g->fetch_at_ns && !g->is_stopping)
        fetch_soon(g);
    for (unsigned i = 0; i < g->n_enclaves; i++) {
        struct gw_enclave *e = &g->enclaves[i];
        if (!e->probe && now_ns >= e->probe_at_ns)
            probe(e, now_ns);
        if (is_push_due(e, now_ns))
            push(e, now_ns);
    }
}

bool gw_care_settled(const struct gateway *g)
{
    if (g->set->keeps_credentials && !g->has_fetched)
        return false;
    for (unsigned i = 0; i < g->n_enclaves; i++) {
        const struct gw_enclave *e = &g->enclaves[i];
        bool waits_for_push = g->generation > 0 && e->health.state == GATEWAY_UP && !e->pushed &&
                              e->push_failures == 0;
        if (!e->is_told || waits_for_push)
            return false;
    }
    return true;
}
