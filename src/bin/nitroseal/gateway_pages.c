/* gateway_pages.c - the gateway's own health and metrics. */
#include "bin/nitroseal/gateway.h"

#include "io/sys.h"

#define JSON_TYPE    "application/json"
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum { HEALTH_MAX_BYTES = 256, MS_PER_S = 1000 };

enum err gw_health_page(const struct gateway *g, const struct gateway_client *to, struct buf *out,
                        unsigned *status)
{
    static const struct gateway_fault stopping = { .status = 503,
                                                   .code = "stopping",
                                                   .title = "Gateway is stopping" };
    static const struct gateway_fault none = { .status = 503,
                                               .code = "no_enclave",
                                               .title = "No enclave can be asked" };
    AUTO(buf_clear) struct buf body = BUF_INIT(HEALTH_MAX_BYTES);
    unsigned usable = 0;

    for (unsigned i = 0; i < g->n_enclaves; i++)
        usable += gw_enclave_usable(&g->enclaves[i]);
    *status = usable > 0 && !g->is_stopping ? 200 : 503;
    if (*status != 200)
        return gateway_problem_write(g->is_stopping ? &stopping : &none, to, out);
    enum err r = buf_printf(&body, "{\"status\":\"ok\",\"enclaves\":%u,\"usable\":%u}",
                            g->n_enclaves, usable);
    return r == ERR_OK ? gateway_text_write(200, JSON_TYPE, buf_view(&body), to, out) : r;
}

enum err gw_metrics_page(const struct gateway *g, const struct gateway_client *to, struct buf *out)
{
    struct gateway_enclave_now each[GATEWAY_ENCLAVES_MAX];
    AUTO(buf_clear) struct buf body = BUF_INIT(GATEWAY_METRICS_MAX_BYTES);
    uint64_t now_ns = clock_mono_ns();
    const struct gateway_now now = {
        .version = NITROSEAL_VERSION,
        .enclaves = each,
        .n_enclaves = g->n_enclaves,
        .own = g->own,
        .accepted = g->accepted,
        .refused = g->refused,
        .connections = g->n_clients,
        .waiting = g->n_waiting,
        .bytes_in = g->bytes_in,
        .bytes_out = g->bytes_out,
        .keeps_credentials = g->set->keeps_credentials,
        .fetches_good = g->fetches_good,
        .fetches_bad = g->fetches_bad,
        .has_credentials = g->generation > 0,
        .credentials_expire_s =
            g->current.expires_s ? g->current.expires_s - clock_wall_ms() / MS_PER_S : 0,
        .resident_bytes = memory_resident(g->memory_fd),
    };

    for (unsigned i = 0; i < g->n_enclaves; i++) {
        const struct gw_enclave *e = &g->enclaves[i];
        each[i] = (struct gateway_enclave_now){
            .name = e->name,
            .counts = &e->counts,
            .in_flight = e->in_flight,
            .active = e->conns - e->n_idle,
            .idle = e->n_idle,
            .state = e->health.state,
            .usable = gw_enclave_usable(e),
            .has_credentials = e->pushed > 0,
            .credentials_age_s = (now_ns - e->pushed_ns) / NS_PER_S,
        };
    }
    enum err r = gateway_metrics_write(&now, &body);
    return r == ERR_OK ? gateway_text_write(200, METRICS_TYPE, buf_view(&body), to, out) : r;
}
