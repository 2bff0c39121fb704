#include "proxy/relay.h"

static enum relay_side other(enum relay_side s)
{
    return s == RELAY_CLIENT ? RELAY_REMOTE : RELAY_CLIENT;
}

void relay_init(struct relay *r, uint64_t idle_ns, uint64_t now_ns)
{
    *r = (struct relay){ .idle_ns = idle_ns, .last_ns = now_ns };
}

const char *relay_end_name(enum relay_end e)
{
    switch (e) {
    case RELAY_RUNS:
        return "runs";
    case RELAY_DONE:
        return "done";
    case RELAY_BROKEN:
        return "broken";
    case RELAY_IDLE:
        return "idle";
    }
    return "unknown";
}

void relay_ready(struct relay *r, enum relay_side s, bool readable, bool writable)
{
    if (readable)
        r->way[s].can_fill = true;
    if (writable)
        r->way[other(s)].can_drain = true;
    r->moves_left = RELAY_TURN_MOVES;
}

/* The end of a stream is passed on in any case: no socket would call again for that. */
static enum relay_what way_next(const struct relay_way *w, bool broken, bool may_move)
{
    if (w->drop)
        return RELAY_DROP;
    if (w->done)
        return RELAY_WAIT;
    if (w->held > 0)
        return w->can_drain && may_move ? RELAY_DRAIN : RELAY_WAIT;
    if (w->eof)
        return broken ? RELAY_END : RELAY_FINISH;
    return w->can_fill && may_move ? RELAY_FILL : RELAY_WAIT;
}

struct relay_next relay_next(struct relay *r)
{
    if (r->end == RELAY_RUNS && r->way[0].done && r->way[1].done)
        r->end = r->broken ? RELAY_BROKEN : RELAY_DONE;
    if (r->end != RELAY_RUNS)
        return (struct relay_next){ .what = RELAY_END };
    enum relay_side s = r->turn;
    enum relay_what what = way_next(&r->way[s], r->broken, r->moves_left > 0);
    if (what == RELAY_WAIT) {
        s = other(s);
        what = way_next(&r->way[s], r->broken, r->moves_left > 0);
    }
    if (what == RELAY_END)
        r->end = RELAY_BROKEN;
    return (struct relay_next){ .what = what, .from = s };
}

static void told_fill(struct relay *r, enum relay_side s, enum relay_got got, size_t n)
{
    struct relay_way *w = &r->way[s];
    struct relay_way *back = &r->way[other(s)];

    switch (got) {
    case RELAY_MOVED:
        w->held += n;
        w->can_drain = true; /* most often it is so, and the try costs less than waiting */
        return;
    case RELAY_AGAIN:
        w->can_fill = false;
        return;
    case RELAY_EOF:
        w->eof = true;
        return;
    case RELAY_BROKE: /* what it sent before still goes out; towards it nothing does any more */
        w->eof = true;
        r->broken = true;
        back->done = true;
        back->drop = back->held > 0;
        return;
    }
}

static void told_drain(struct relay *r, enum relay_side s, enum relay_got got, size_t n)
{
    struct relay_way *w = &r->way[s];

    switch (got) {
    case RELAY_MOVED:
        w->held -= n;
        w->bytes += n;
        return;
    case RELAY_AGAIN:
        w->can_drain = false;
        return;
    case RELAY_EOF:
    case RELAY_BROKE: /* what the other side said before it closed may still be on the way */
        r->broken = true;
        w->done = true;
        w->drop = true;
        return;
    }
}

void relay_told(struct relay *r, struct relay_next did, enum relay_got got, size_t n,
                uint64_t now_ns)
{
    if (got != RELAY_AGAIN)
        r->last_ns = now_ns;
    if (r->moves_left > 0 && (did.what == RELAY_FILL || did.what == RELAY_DRAIN))
        r->moves_left--;
    if (did.what == RELAY_DRAIN)
        r->turn = other(did.from);
    switch (did.what) {
    case RELAY_FILL:
        told_fill(r, did.from, got, n);
        return;
    case RELAY_DRAIN:
        told_drain(r, did.from, got, n);
        return;
    case RELAY_DROP:
        r->way[did.from].drop = false;
        r->way[did.from].held = 0;
        return;
    case RELAY_FINISH:
        r->way[did.from].done = true;
        return;
    case RELAY_WAIT:
    case RELAY_END:
        return;
    }
}

bool relay_wants_read(const struct relay *r, enum relay_side s)
{
    const struct relay_way *w = &r->way[s];

    return r->end == RELAY_RUNS && !w->done && !w->eof && w->held == 0;
}

bool relay_wants_write(const struct relay *r, enum relay_side s)
{
    const struct relay_way *w = &r->way[other(s)];

    return r->end == RELAY_RUNS && !w->done && w->held > 0;
}

bool relay_tick(struct relay *r, uint64_t now_ns)
{
    if (r->end == RELAY_RUNS && r->idle_ns != 0 && now_ns - r->last_ns >= r->idle_ns)
        r->end = RELAY_IDLE;
    return r->end == RELAY_IDLE;
}

uint64_t relay_wake_ns(const struct relay *r)
{
    return r->idle_ns == 0 || r->end != RELAY_RUNS ? 0 : r->last_ns + r->idle_ns;
}

void relay_hurry(struct relay *r, uint64_t idle_ns)
{
    if (r->idle_ns == 0 || r->idle_ns > idle_ns)
        r->idle_ns = idle_ns;
}
