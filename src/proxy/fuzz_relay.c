/* Any order of events with any numbers: bytes are moved only where they are, each side is finished
 * and closed at most once and never moved to afterwards. */
#include <stdlib.h>

#include "proxy/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct relay *r, const struct relay_input *in, unsigned finishes[2],
                  unsigned closes[2])
{
    struct relay_action a;
    const unsigned finished[2] = { finishes[0], finishes[1] };

    relay_step(r, in, &a);
    for (unsigned s = 0; s < 2; s++) {
        finishes[s] += a.finish[s];
        closes[s] += a.close[s];
        if (a.move[s] > in->waiting[s] || finishes[s] > 1 || closes[s] > 1)
            abort();
        if (a.move[s] > 0 && (finished[1 - s] || !r->connected))
            abort();
    }
    if (a.over && r->end == RELAY_RUNS)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct relay r;
    unsigned finishes[2] = { 0 }, closes[2] = { 0 };

    relay_init(&r, 64, size % 2 ? 50 : 0, 0);
    for (size_t i = 0; i + 6 <= size; i += 6) {
        const uint8_t *d = data + i;
        const struct relay_input in = {
            .event = (enum relay_event)(d[0] % (RELAY_STOP + 1)),
            .side = (enum relay_side)(d[0] >> 7),
            .broken = d[0] & 64,
            .now_ns = r.last_ns + d[1],
            .waiting = { d[2], d[3] },
            .unsent = { d[4], d[5] },
        };
        check(&r, &in, finishes, closes);
    }
    return 0;
}
