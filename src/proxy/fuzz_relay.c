/* Any outcomes in any order: bytes are given only where they were taken, each side is finished at
 * most once and never given to afterwards, and a relay that waits for nothing is at its end. */
#include <stdlib.h>

#include "proxy/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum relay_got outcome(struct relay_next n, uint8_t d)
{
    static const enum relay_got fill[] = { RELAY_MOVED, RELAY_AGAIN, RELAY_EOF, RELAY_BROKE };
    static const enum relay_got drain[] = { RELAY_MOVED, RELAY_AGAIN, RELAY_MOVED, RELAY_BROKE };

    if (n.what == RELAY_FILL)
        return fill[d & 3];
    return n.what == RELAY_DRAIN ? drain[d & 3] : RELAY_MOVED;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct relay r;
    size_t held[2] = { 0 };
    unsigned finished[2] = { 0 };

    relay_init(&r, 0, 0);
    for (size_t i = 0; i + 2 <= size; i += 2) {
        uint8_t d = data[i];
        relay_ready(&r, (enum relay_side)(d >> 7), d & 64, d & 32);
        struct relay_next n = relay_next(&r);
        enum relay_got got = outcome(n, d);
        size_t moved = got == RELAY_MOVED ? 1 + data[i + 1] : 0;
        if (n.what == RELAY_END)
            break;
        if (n.what == RELAY_FILL && (held[n.from] > 0 || finished[n.from]))
            abort();
        if (n.what == RELAY_DRAIN && (held[n.from] == 0 || finished[n.from]))
            abort();
        if (n.what == RELAY_DRAIN && moved > held[n.from])
            moved = held[n.from];
        if (n.what == RELAY_FILL)
            held[n.from] += moved;
        if (n.what == RELAY_DRAIN)
            held[n.from] -= moved;
        if (n.what == RELAY_DROP)
            held[n.from] = 0;
        if (n.what == RELAY_FINISH && (held[n.from] > 0 || finished[n.from]++))
            abort();
        bool waits = relay_wants_read(&r, RELAY_CLIENT) || relay_wants_read(&r, RELAY_REMOTE) ||
                     relay_wants_write(&r, RELAY_CLIENT) || relay_wants_write(&r, RELAY_REMOTE);
        if (n.what == RELAY_WAIT && !waits)
            abort();
        if (n.what == RELAY_FILL && !relay_wants_read(&r, n.from))
            abort();
        if (n.what == RELAY_DRAIN && !relay_wants_write(&r, (enum relay_side) !n.from))
            abort();
        relay_told(&r, n, got, moved, i);
    }
    return 0;
}
