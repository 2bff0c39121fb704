/* health.c - what probes and failures make of an enclave, and when things are tried again. */
#include "gateway/gateway.h"

enum {
    AHEAD_MAX_S = 300,
    STATIC_S = 3600, /* credentials without an end may be replaced in their file all the same */
    BACKOFF_FIRST_MS = 500,
    BACKOFF_DOUBLINGS = 7, /* at most a minute and a bit */
};

bool gateway_health_note(struct gateway_health *h, enum gateway_sign sign)
{
    enum gateway_state before = h->state;

    if (sign == GATEWAY_PROBE_GOOD) {
        h->bad = 0;
        h->good += h->good < GATEWAY_RISE;
        if (h->state == GATEWAY_UNKNOWN || h->good >= GATEWAY_RISE)
            h->state = GATEWAY_UP;
    } else {
        h->good = 0;
        h->bad += h->bad < GATEWAY_FALL;
        /* A probe that fails may be bad luck; the others are plain facts, and so is a first one. */
        if (sign != GATEWAY_PROBE_BAD || h->state == GATEWAY_UNKNOWN || h->bad >= GATEWAY_FALL)
            h->state = GATEWAY_DOWN;
    }
    return h->state != before;
}

int64_t gateway_refresh_at(int64_t now_s, int64_t expire_s)
{
    if (expire_s == 0)
        return now_s + STATIC_S;
    int64_t life = expire_s > now_s ? expire_s - now_s : 0;
    int64_t ahead = life / 3 < AHEAD_MAX_S ? life / 3 : AHEAD_MAX_S;
    int64_t at = expire_s - ahead;
    return at > now_s ? at : now_s + 1;
}

uint64_t gateway_backoff_ms(unsigned failures)
{
    unsigned n = failures > 0 ? failures - 1 : 0;

    return (uint64_t)BACKOFF_FIRST_MS << (n < BACKOFF_DOUBLINGS ? n : BACKOFF_DOUBLINGS);
}
