#include "enclave/enclave.h"

enum {
    CLOCK_NS_PER_S = 1000000000,
    LAG_SHIFT = 13, /* the line falls back by 1/8192 of the time: 3 times the worst oscillator */
    FIRM_AFTER_S = 3600 /* a step ahead that nobody took back */
};

/* Where the last wall time that was believed has got to by the monotonic clock. */
static int64_t line_now(const struct enclave_clock *c, uint64_t mono_ns)
{
    uint64_t gone_ns = mono_ns > c->line_ns ? mono_ns - c->line_ns : 0;

    return c->line_s + (int64_t)((gone_ns - (gone_ns >> LAG_SHIFT)) / CLOCK_NS_PER_S);
}

int64_t enclave_clock_read(struct enclave_clock *c, int64_t wall_s, uint64_t mono_ns)
{
    if (c->line_s == 0)
        *c = (struct enclave_clock){
            .line_s = wall_s, .line_ns = mono_ns, .start_wall_s = wall_s, .start_mono_ns = mono_ns
        };
    int64_t line_s = line_now(c, mono_ns);
    if (wall_s <= line_s + SIGV4_SKEW_S) {
        c->ahead_ns = 0;
    } else {
        if (c->ahead_ns == 0)
            c->ahead_ns = mono_ns | 1;
        if (mono_ns < c->ahead_ns + (uint64_t)FIRM_AFTER_S * CLOCK_NS_PER_S)
            return wall_s;
        c->ahead_ns = 0;
    }
    if (wall_s > line_s) {
        c->line_s = wall_s;
        c->line_ns = mono_ns;
    }
    return wall_s >= line_s - SIGV4_SKEW_S ? wall_s : line_s;
}

int64_t enclave_clock_drift(const struct enclave_clock *c, int64_t wall_s, uint64_t mono_ns)
{
    if (c->line_s == 0 || mono_ns < c->start_mono_ns)
        return 0;
    return wall_s - c->start_wall_s - (int64_t)((mono_ns - c->start_mono_ns) / CLOCK_NS_PER_S);
}
