#include "proxy/relay.h"

enum { NS_PER_MILLISECOND = 1000000 };

static enum relay_side other(enum relay_side s)
{
    return s == RELAY_CLIENT ? RELAY_REMOTE : RELAY_CLIENT;
}

void relay_init(struct relay *r, size_t high_water, uint64_t idle_ns, uint64_t now_ns)
{
    *r = (struct relay){ .high_water = high_water, .idle_ns = idle_ns, .last_ns = now_ns };
}

const char *relay_end_name(enum relay_end e)
{
    switch (e) {
    case RELAY_RUNS:
        return "runs";
    case RELAY_DONE:
        return "done";
    case RELAY_NO_REMOTE:
        return "no remote";
    case RELAY_BROKEN:
        return "broken";
    case RELAY_IDLE:
        return "idle";
    }
    return "unknown";
}

static void close_side(struct relay *r, enum relay_side s, struct relay_action *out)
{
    if (r->gone[s] || r->closing[s])
        return;
    r->closing[s] = true;
    out->close[s] = true;
}

static void end(struct relay *r, enum relay_end why)
{
    if (r->end == RELAY_RUNS)
        r->end = why;
}

static void note(struct relay *r, const struct relay_input *in)
{
    switch (in->event) {
    case RELAY_CONNECTED:
        r->connected = true;
        r->last_ns = in->now_ns;
        return;
    case RELAY_REFUSED:
        r->gone[RELAY_REMOTE] = true;
        end(r, RELAY_NO_REMOTE);
        return;
    case RELAY_PROGRESS:
        r->last_ns = in->now_ns;
        return;
    case RELAY_EOF:
        r->eof[in->side] = true;
        r->last_ns = in->now_ns;
        return;
    case RELAY_CLOSED:
        r->gone[in->side] = true;
        r->eof[in->side] = true;
        if (in->broken || !r->connected)
            end(r, RELAY_BROKEN);
        return;
    case RELAY_TICK:
        if (r->idle_ns != 0 && in->now_ns - r->last_ns >= r->idle_ns) {
            r->expired = true;
            end(r, RELAY_IDLE);
        }
        return;
    case RELAY_STOP: {
        const uint64_t short_ns = (uint64_t)RELAY_STOP_IDLE_MS * NS_PER_MILLISECOND;
        if (r->idle_ns == 0 || r->idle_ns > short_ns)
            r->idle_ns = short_ns;
        return;
    }
    }
}

/* From side `s` to the other, as far as there is room; at the end of `s` the other is finished. */
static void pump(struct relay *r, const struct relay_input *in, enum relay_side s,
                 struct relay_action *out)
{
    enum relay_side to = other(s);
    if (r->gone[to] || r->closing[to] || r->finished[to])
        return;

    size_t room = in->unsent[to] < r->high_water ? r->high_water - in->unsent[to] : 0;
    if (in->event == RELAY_CLOSED && in->side == s)
        room = SIZE_MAX; /* its buffer goes with it, and bounds what this can be */
    size_t n = in->waiting[s] < room ? in->waiting[s] : room;
    out->move[s] = n;
    r->bytes[s] += n;
    if (r->eof[s] && n == in->waiting[s]) {
        r->finished[to] = true;
        out->finish[to] = true;
    }
}

/* One side is gone for a reason that the other cannot outlive: what is queued towards it still goes
 * out, then it is closed. */
static void wind_down(struct relay *r, const struct relay_input *in, struct relay_action *out)
{
    for (unsigned i = 0; i < 2; i++) {
        enum relay_side s = (enum relay_side)i;
        bool queued = in->unsent[s] + out->move[other(s)] > 0;
        if (r->expired || !queued)
            close_side(r, s, out);
    }
}

void relay_step(struct relay *r, const struct relay_input *in, struct relay_action *out)
{
    *out = (struct relay_action){ .over = false };
    note(r, in);
    if (r->connected && !r->expired) {
        pump(r, in, RELAY_CLIENT, out);
        pump(r, in, RELAY_REMOTE, out);
    }
    if (r->gone[RELAY_CLIENT] && r->gone[RELAY_REMOTE])
        end(r, RELAY_DONE);
    if (r->end != RELAY_RUNS)
        wind_down(r, in, out);
    out->over = r->gone[RELAY_CLIENT] && r->gone[RELAY_REMOTE];
    if (r->idle_ns != 0 && !r->expired && !out->over)
        out->wake_ns = r->last_ns + r->idle_ns;
}
