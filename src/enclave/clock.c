#include "enclave/enclave.h"

enum { CLOCK_NS_PER_S = 1000000000 };

int64_t enclave_clock_read(struct enclave_clock *c, int64_t wall_s, uint64_t mono_ns)
{
    if (c->highest_s == 0)
        *c = (struct enclave_clock){ wall_s, wall_s, mono_ns };
    if (wall_s > c->highest_s)
        c->highest_s = wall_s;
    int64_t floor_s = c->highest_s - SIGV4_SKEW_S;
    return wall_s < floor_s ? floor_s : wall_s;
}

int64_t enclave_clock_drift(const struct enclave_clock *c, int64_t wall_s, uint64_t mono_ns)
{
    if (c->highest_s == 0 || mono_ns < c->start_mono_ns)
        return 0;
    return wall_s - c->start_wall_s - (int64_t)((mono_ns - c->start_mono_ns) / CLOCK_NS_PER_S);
}
