/* choice.c - which enclave gets the next request. */
#include "gateway/gateway.h"

enum gateway_verdict gateway_choose(const struct gateway_candidate *c, size_t n, size_t from,
                                    size_t *chosen)
{
    enum gateway_verdict v = GATEWAY_NONE;
    size_t best = 0;

    for (size_t k = 0; k < n; k++) {
        size_t i = (from + k) % n;
        if (!c[i].usable || c[i].tried)
            continue;
        if (c[i].in_flight >= c[i].max) {
            if (v == GATEWAY_NONE)
                v = GATEWAY_WAIT;
            continue;
        }
        if (v != GATEWAY_CHOSEN || c[i].in_flight < c[best].in_flight)
            best = i;
        v = GATEWAY_CHOSEN;
    }
    if (v == GATEWAY_CHOSEN)
        *chosen = best;
    return v;
}
