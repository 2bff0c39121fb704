/* main.c - options, the run, the report: one JSON object on stdout, the first complaints on stderr.
 * Credentials come from the environment (AWS_ACCESS_KEY_ID, ...). Status 0: every request is
 * accounted for; 1: one was lost, answered twice or wrongly; 2: usage. */
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "bin/common/options.h"
#include "load.h"

enum { BYTES_MAX = 1 << 28, MIXED_BYTES = 1 << 20, OVERHEAD = 1 << 20, ARRIVALS_EACH_MAX = 4096 };

static const struct option_def table[] = {
    { "vsock", 0, "HOW", "NITROSEAL_VSOCK", "kernel", "kernel, or unix:DIR." },
    { "cid", 0, "CID", NULL, "16", "CID of the enclave." },
    { "port", 0, "PORT", NULL, "5000", "Port of the service." },
    { "protocol", 0, "WORD", NULL, "seed", "seed, json, binary, mixed (seed and HTTP), raw." },
    { "clients", 'c', "N", NULL, "8", "Clients at one time." },
    { "pipeline", 0, "N", NULL, "1", "Requests under way on one HTTP connection." },
    { "seconds", 's', "S", NULL, "5", "For how long." },
    { "requests", 'n', "N", NULL, "0", "Stop after so many; 0: no limit." },
    { "rate", 0, "N", NULL, "0",
      "Open loop: so many requests arrive each second, whatever became of those before; 0: each "
      "client asks again when it was answered." },
    { "op", 0, "OP", NULL, "encrypt",
      "encrypt, decrypt, attest, random, health, batch or mixed (all of them, and some that have "
      "to be refused)." },
    { "batch", 0, "N", NULL, "0", "Items of a batch; 0: 1 to 20." },
    { "bytes", 'b', "N", NULL, "100", "Length of the text, or mixed." },
    { "bytes-max", 0, "N", NULL, "1048576", "The longest of mixed lengths." },
    { "gone", 0, "N", NULL, "0", "Of 1000 requests so many are given up in their middle." },
    { "pause", 0, "MS", NULL, "0", "After a failure wait up to so long." },
    { "keys", 0, "WORD", NULL, "sent", "sent: credentials are in each JSON request; held: not." },
    { "same", 0, NULL, NULL, NULL,
      "All texts of one length are one text: to measure the service and not the making of texts." },
    { "seed", 0, "N", NULL, "1", "Of what is chosen at random." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal_load",
    .synopsis = "[OPTION ...]",
    .summary = "Load client that accounts for every request.",
    .options = table,
};

bool load_is_over(const struct load *l)
{
    return (l->o.requests && l->t.started >= l->o.requests) || clock_mono_ns() >= l->end_ns;
}

static void live_less(struct load *l)
{
    if (--l->live == 0)
        loop_stop(l->loop);
}

void client_down(struct client *c)
{
    if (!c->is_live)
        return;
    c->is_live = false;
    live_less(c->l);
}

static void begin(struct client *c)
{
    if (!c->is_live) {
        c->is_live = true;
        c->l->live++;
    }
    c->has_failed = false;
    if (c->form == FORM_SEED)
        seed_begin(c);
    else if (c->form == FORM_RAW)
        raw_begin(c);
    else
        http_begin(c);
}

bool load_opened(struct load *l)
{
    if (l->n_opening == 0)
        return true;
    if (--l->n_opening > 0)
        return false;
    l->start_ns = clock_mono_ns();
    l->end_ns = l->start_ns + l->o.seconds * NS_PER_S;
    for (unsigned i = 0; i < l->o.clients; i++)
        if (l->clients[i].is_open && l->clients[i].form != FORM_SEED)
            begin(&l->clients[i]);
    return true;
}

static void end(struct client *c)
{
    if (c->conn)
        http_end(c);
    else
        client_down(c);
}

static void on_pause(void *arg)
{
    struct client *c = arg;

    if (load_is_over(c->l))
        end(c);
    else
        begin(c);
}

void client_done(struct client *c)
{
    struct load *l = c->l;

    if (load_is_over(l)) {
        end(c);
    } else if (l->o.rate) {
        if (!c->conn)
            client_down(c);
        if (c->is_free)
            return;
        c->is_free = true;
        c->next_free = l->free_clients;
        l->free_clients = c;
    } else if (c->has_failed && l->o.pause_ms) {
        unsigned ms = 1 + random_below(&c->random, l->o.pause_ms);
        loop_timer_arm(c->pause, clock_mono_ns() + ms * NS_PER_MS);
    } else {
        begin(c);
    }
}

void client_connect(struct client *c, const struct conn_events *events)
{
    struct load *l = c->l;
    const struct conn_options o = {
        .in_max = l->answer_max,
        .deadline_ns = clock_mono_ns() + CALL_S * NS_PER_S,
        .events = events,
        .arg = c,
    };

    c->is_open = c->is_leaving = false;
    c->plan = (struct plan){ 0 };
    if (conn_connect(l->loop, &l->to, &o, &c->conn, NULL) != ERR_OK)
        abort();
    l->t.connections++;
}

void client_next(struct client *c, struct ask *out)
{
    ask_next(c, out);
    out->start_ns = c->due_ns ? c->due_ns : clock_mono_ns();
    c->due_ns = 0;
}

void client_send(struct client *c, const struct ask *a)
{
    AUTO(buf_clear) struct buf bytes = BUF_INIT(c->l->answer_max);

    bytes.is_public = true; /* wiping them would be our CPU and not the service's */
    if (ask_write(c, a, &bytes) != ERR_OK)
        abort();
    plan_next(c, bytes.len, &c->plan);
    if (c->plan.cut_bytes < bytes.len)
        buf_truncate(&bytes, c->plan.cut_bytes);
    if (bytes.len == 0 || conn_send(c->conn, &bytes) != ERR_OK)
        conn_close(c->conn);
}

/* --- open loop --- */

static void arrive(struct load *l)
{
    struct client *c = l->free_clients;

    if (!c) {
        l->t.started++;
        l->t.unsent++;
        return;
    }
    l->free_clients = c->next_free;
    c->is_free = false;
    c->due_ns = l->next_arrival_ns;
    begin(c);
}

static void on_arrivals(void *arg)
{
    struct load *l = arg;
    uint64_t now = clock_mono_ns();

    for (unsigned n = 0; l->next_arrival_ns <= now && n < ARRIVALS_EACH_MAX; n++) {
        if (load_is_over(l))
            break;
        arrive(l);
        /* Evenly, give or take half a gap. */
        uint64_t gap = NS_PER_S / l->o.rate;
        l->next_arrival_ns += gap / 2 + random_next(&l->random) % (gap + 1);
    }
    if (!load_is_over(l)) {
        loop_timer_arm(l->arrivals, l->next_arrival_ns);
        return;
    }
    for (struct client *c = l->free_clients; c; c = c->next_free)
        if (c->conn)
            http_end(c);
    live_less(l);
}

/* --- the run --- */

static void run(struct load *l)
{
    l->start_ns = clock_mono_ns();
    l->live = 1;
    if (l->o.rate) {
        for (unsigned i = l->o.clients; i-- > 0;) {
            l->clients[i].is_free = true;
            l->clients[i].next_free = l->free_clients;
            l->free_clients = &l->clients[i];
        }
        l->next_arrival_ns = l->start_ns;
        on_arrivals(l);
    } else {
        for (unsigned i = 0; i < l->o.clients; i++)
            l->n_opening += l->clients[i].form != FORM_SEED;
        for (unsigned i = 0; i < l->o.clients; i++)
            begin(&l->clients[i]);
        live_less(l);
    }
    if (l->live)
        loop_run(l->loop);
}

static enum form form_of(enum protocol p, unsigned index)
{
    switch (p) {
    case PROTOCOL_SEED:
        return FORM_SEED;
    case PROTOCOL_BINARY:
        return FORM_BINARY;
    case PROTOCOL_MIXED:
        return index % 3 == 0 ? FORM_SEED : FORM_JSON;
    case PROTOCOL_RAW:
        return FORM_RAW;
    case PROTOCOL_JSON:
        break;
    }
    return FORM_JSON;
}

/* Decrypt alone needs something sealed before the clock runs. */
static bool prepare(struct load *l)
{
    struct load_options o = l->o;
    bool needs = strcmp(o.op, "decrypt") == 0;

    if (!needs)
        return true;
    l->o.op = "encrypt";
    l->o.requests = l->o.clients = 1;
    l->o.gone = 0;
    l->o.rate = 0;
    l->end_ns = UINT64_MAX;
    run(l);
    l->o = o;
    bool is_there = l->n_sealed > 0;
    tally_clear(&l->t);
    return is_there;
}

static void print(const struct load *l, double seconds)
{
    const struct tally *t = &l->t;
    uint64_t ends = t->good + t->refused + t->failed + t->gone + t->lost + t->wrong + t->unsent;
    bool comma = false;

    printf("{\"op\":\"%s\",\"clients\":%u,\"bytes\":%lld,\"seconds\":%.3f,\"started\":%llu,"
           "\"requests\":%llu,\"refused\":%llu,\"failed\":%llu,\"gone\":%llu,\"lost\":%llu,"
           "\"twice\":%llu,\"wrong\":%llu,\"unsent\":%llu,\"is_balanced\":%s,",
           l->o.op, l->o.clients, l->o.bytes == SIZE_MAX ? -1LL : (long long)l->o.bytes, seconds,
           (unsigned long long)t->started, (unsigned long long)t->good,
           (unsigned long long)t->refused, (unsigned long long)t->failed,
           (unsigned long long)t->gone, (unsigned long long)t->lost, (unsigned long long)t->twice,
           (unsigned long long)t->wrong, (unsigned long long)t->unsent,
           ends == t->started ? "true" : "false");
    printf("\"rps\":%.1f,\"mb_s\":%.3f,\"connections\":%llu,\"ids\":%zu,\"p50_ms\":%.3f,"
           "\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f,\"failed_p50_ms\":%.3f,"
           "\"failed_p99_ms\":%.3f,\"codes\":{",
           (double)t->good / seconds, (double)t->bytes / seconds / 1e6,
           (unsigned long long)t->connections, t->n_ids, histogram_ms(&t->good_us, 500),
           histogram_ms(&t->good_us, 990), histogram_ms(&t->good_us, 999),
           histogram_ms(&t->good_us, 1000), histogram_ms(&t->failed_us, 500),
           histogram_ms(&t->failed_us, 990));
    for (int i = 0; i < CODES_MAX; i++) {
        if (!t->by_code[i])
            continue;
        printf("%s\"%s\":%llu", comma ? "," : "", code_name(i), (unsigned long long)t->by_code[i]);
        comma = true;
    }
    printf("},\"errors\":%llu}\n", (unsigned long long)(t->failed + t->lost + t->twice + t->wrong));
}

static struct proto_credentials credentials(void)
{
    return (struct proto_credentials){
        .access_key_id = span_str(getenv("AWS_ACCESS_KEY_ID")),
        .secret_access_key = span_str(getenv("AWS_SECRET_ACCESS_KEY")),
        .session_token = span_str(getenv("AWS_SESSION_TOKEN")),
    };
}

static bool take_protocol(const struct options *o, struct load_options *out)
{
    static const char *const names[] = { "seed", "json", "binary", "mixed", "raw" };

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(option_text(o, "protocol"), names[i]) == 0) {
            out->protocol = (enum protocol)i;
            return true;
        }
    }
    complain(o, "--protocol: not seed, json, binary, mixed or raw");
    return false;
}

static bool take_numbers(const struct options *o, struct load *l)
{
    uint64_t bytes = 0, bytes_max, clients, pipeline, batch, gone, pause, seed;
    bool is_mixed = strcmp(option_text(o, "bytes"), "mixed") == 0;

    if ((!is_mixed && !option_u64(o, "bytes", 0, BYTES_MAX, &bytes)) ||
        !option_u64(o, "bytes-max", 1, BYTES_MAX, &bytes_max) ||
        !option_u64(o, "clients", 1, CLIENTS_MAX, &clients) ||
        !option_u64(o, "pipeline", 1, PIPELINE_MAX, &pipeline) ||
        !option_u64(o, "batch", 0, BATCH_ITEMS_MAX, &batch) ||
        !option_u64(o, "gone", 0, 1000, &gone) || !option_u64(o, "pause", 0, 60000, &pause) ||
        !option_u64(o, "seed", 0, UINT32_MAX, &seed) ||
        !option_u64(o, "seconds", 1, 86400, &l->o.seconds) ||
        !option_u64(o, "requests", 0, UINT32_MAX, &l->o.requests) ||
        !option_u64(o, "rate", 0, 1000000, &l->o.rate))
        return false;
    l->o.bytes = is_mixed ? SIZE_MAX : bytes;
    l->o.bytes_max = bytes_max;
    l->o.clients = (unsigned)clients;
    l->o.pipeline = (unsigned)pipeline;
    l->o.batch = (unsigned)batch;
    l->o.gone = (unsigned)gone;
    l->o.pause_ms = (unsigned)pause;
    l->o.op = option_text(o, "op");
    l->o.has_keys = strcmp(option_text(o, "keys"), "held") != 0;
    l->o.is_same = option_flag(o, "same");
    l->random = seed;
    /* Escaped and in base64, and all of a batch. */
    size_t longest = is_mixed ? bytes_max : bytes, items = batch ? batch : 1;
    l->answer_max = (longest * 4 + OVERHEAD) * (items < 32 ? 32 : items);
    return true;
}

static bool make_clients(struct load *l)
{
    l->clients = calloc(l->o.clients, sizeof *l->clients);
    if (!l->clients)
        return false;
    for (unsigned i = 0; i < l->o.clients; i++) {
        struct client *c = &l->clients[i];
        c->l = l;
        c->index = i;
        c->form = form_of(l->o.protocol, i);
        c->random = random_next(&l->random);
        if (loop_timer_new(l->loop, on_pause, c, &c->pause) != ERR_OK)
            return false;
    }
    return loop_timer_new(l->loop, on_arrivals, l, &l->arrivals) == ERR_OK;
}

static void clear(struct load *l)
{
    for (unsigned i = 0; l->clients && i < l->o.clients; i++)
        loop_timer_free(l->clients[i].pause);
    loop_timer_free(l->arrivals);
    loop_free(l->loop);
    for (unsigned i = 0; l->clients && i < l->o.clients; i++)
        for (unsigned k = 0; k < l->clients[i].n_queue; k++)
            ask_clear(&l->clients[i].queue[k]);
    for (unsigned i = 0; i < KEPT; i++) {
        buf_clear(&l->kept[i].encrypted);
        buf_clear(&l->kept[i].signature);
        buf_clear(&l->kept[i].blob);
    }
    buf_clear(&l->same);
    buf_clear(&l->scratch);
    buf_clear(&l->expected);
    buf_clear(&l->item);
    free(l->clients);
    tally_clear(&l->t);
}

int main(int argc, char **argv)
{
    static struct load l; /* large for a stack */
    struct options o;
    uint64_t cid, port;
    struct why why = { 0 };

    int status = options_parse(&program, argc, argv, &o);
    if (status >= 0)
        return status;
    if (!option_u64(&o, "cid", 0, UINT32_MAX, &cid) || !option_u64(&o, "port", 1, 65535, &port) ||
        !take_protocol(&o, &l.o) || !take_numbers(&o, &l))
        return 2;
    /* Large buffers are used again: what the system takes for fresh pages would be missing. */
    (void)mallopt(M_MMAP_MAX, 0);
    (void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
    l.cred = credentials();
    l.scratch = l.expected = l.item = l.same = BUF_INIT(l.answer_max);
    if (addr_vsock(option_text(&o, "vsock"), (uint32_t)cid, (uint32_t)port, &l.to, &why) !=
            ERR_OK ||
        loop_new(&l.loop) != ERR_OK || !make_clients(&l))
        return 2;
    if (!prepare(&l)) {
        fprintf(stderr, "nitroseal_load: cannot encrypt what is to be decrypted\n");
        return 1;
    }
    l.end_ns = clock_mono_ns() + l.o.seconds * NS_PER_S;
    run(&l);
    print(&l, (double)(clock_mono_ns() - l.start_ns) / (double)NS_PER_S);
    bool is_fine = l.t.lost + l.t.twice + l.t.wrong == 0;
    clear(&l);
    return is_fine ? 0 : 1;
}
