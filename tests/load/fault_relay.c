/* fault_relay.c - passes TCP bytes on, and cuts connections in the middle: each is ended without a
 * word after a random number of bytes in either direction, wherever in a TLS record that falls.
 *
 *   fault_relay --listen 127.0.0.1:0 --to 127.0.0.1:PORT --port-file FILE [--cut-after BYTES]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "bin/common/options.h"
#include "io/conn.h"

enum { IN_MAX = 1 << 20, CONNS_MAX = 4096 };

struct relay {
    struct loop *loop;
    struct addr to;
    uint64_t cut_after, random, cuts;
};

struct pair {
    struct relay *relay;
    struct conn *ends[2];
    uint64_t left; /* bytes until the cut */
};

static const struct option_def table[] = {
    { "listen", 0, "ADDR:PORT", NULL, "127.0.0.1:0", "Listen here." },
    { "to", 0, "ADDR:PORT", NULL, NULL, "Pass on to this address." },
    { "port-file", 0, "FILE", NULL, NULL, "Write the port into this file." },
    { "cut-after", 0, "BYTES", NULL, "0",
      "Cut a connection after so many bytes in the mean; 0: never." },
    { 0 },
};

static const struct program_def program = {
    .name = "fault_relay",
    .synopsis = "--to ADDR:PORT --port-file FILE [OPTION ...]",
    .summary = "Passes bytes on and cuts connections in the middle.",
    .options = table,
};

/* xorshift64 */
static uint64_t random_next(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* What came before the cut is passed on; then the sender's side breaks off and the receiver's
 * ends in the middle. */
static void pass(struct pair *p, unsigned from)
{
    struct conn *to = p->ends[!from];
    struct buf *in = conn_in(p->ends[from]);
    bool is_cut = p->relay->cut_after && in->len >= p->left;

    if (is_cut) {
        buf_truncate(in, p->left);
        p->relay->cuts++;
    }
    p->left -= in->len;
    struct buf bytes = buf_take(in);
    bool is_passed = to && (bytes.len == 0 || conn_send(to, &bytes) == ERR_OK);
    buf_clear(&bytes);
    if (is_passed && is_cut)
        conn_finish(to);
    if (!is_passed || is_cut)
        conn_close(p->ends[from]);
}

static void on_data(struct conn *c, void *arg)
{
    struct pair *p = arg;

    pass(p, c == p->ends[1]);
}

static void on_eof(struct conn *c, void *arg)
{
    struct pair *p = arg;
    struct conn *other = p->ends[c != p->ends[1]];

    if (other)
        conn_finish(other);
}

static void on_closed(struct conn *c, void *arg, enum err r, const struct why *why)
{
    struct pair *p = arg;
    unsigned which = c == p->ends[1];
    (void)r;
    (void)why;

    p->ends[which] = NULL;
    if (!p->ends[!which])
        free(p);
    else if (conn_unsent(p->ends[!which]))
        conn_finish(p->ends[!which]);
    else
        conn_close(p->ends[!which]);
}

static const struct conn_events events = { .data = on_data, .eof = on_eof, .closed = on_closed };

static void on_accepted(struct conn *c, void *arg)
{
    struct relay *relay = arg;
    struct pair *p = calloc(1, sizeof *p);

    if (!p)
        abort();
    p->relay = relay;
    p->left =
        relay->cut_after ? 1 + random_next(&relay->random) % (2 * relay->cut_after) : UINT64_MAX;
    const struct conn_options o = { .in_max = IN_MAX, .events = &events, .arg = p };
    conn_set_arg(c, &events, p);
    p->ends[0] = c;
    if (conn_connect(relay->loop, &relay->to, &o, &p->ends[1], NULL) != ERR_OK)
        conn_close(c);
}

static void on_term(void *arg)
{
    loop_stop(arg);
}

static bool write_port(const char *path, unsigned port)
{
    FILE *f = fopen(path, "we");

    if (!f)
        return false;
    bool is_fine = fprintf(f, "%u\n", port) > 0;
    return fclose(f) == 0 && is_fine;
}

int main(int argc, char **argv)
{
    struct relay relay = { .random = UINT64_C(0x1234567) };
    struct listener *listener = NULL;
    struct options o;
    struct addr at;
    struct why why = { 0 };

    int status = options_parse(&program, argc, argv, &o);
    if (status >= 0)
        return status;
    if (!option_u64(&o, "cut-after", 0, UINT32_MAX, &relay.cut_after))
        return 2;
    if (!option_text(&o, "to") || !option_text(&o, "port-file") ||
        addr_tcp(option_text(&o, "listen"), &at, &why) != ERR_OK ||
        addr_tcp(option_text(&o, "to"), &relay.to, &why) != ERR_OK) {
        complain(&o, "--listen, --to and --port-file: %s", why.what ? why.what : "missing");
        return 2;
    }
    const struct listener_options lo = {
        .conn = { .in_max = IN_MAX }, .max = CONNS_MAX, .accepted = on_accepted, .arg = &relay
    };
    if (loop_new(&relay.loop) != ERR_OK ||
        loop_on_signal(relay.loop, SIGTERM, on_term, relay.loop) != ERR_OK ||
        listener_new(relay.loop, &at, &lo, &listener, &why) != ERR_OK ||
        !write_port(option_text(&o, "port-file"), listener_port(listener))) {
        complain(&o, "cannot listen: %s", why.what ? why.what : "");
        return 1;
    }
    loop_run(relay.loop);
    fprintf(stderr, "cuts %llu\n", (unsigned long long)relay.cuts);
    listener_free(listener);
    loop_free(relay.loop);
    return 0;
}
