/* load.c - a load client for the seed protocol: N clients on one loop, each asking again as soon as
 * it was answered. Prints one JSON object: requests per second, latency percentiles, errors.
 * Credentials come from the environment (AWS_ACCESS_KEY_ID, ...). */
#include <stdio.h>
#include <stdlib.h>

#include "bin/common/options.h"
#include "io/conn.h"
#include "proto/proto.h"

enum { CLIENTS_MAX = 4096, ANSWER_MAX = 1 << 27, CALL_S = 60 };

struct load {
    struct loop *loop;
    struct addr to;
    struct span request;
    enum proto_op op;
    size_t text_bytes;
    uint64_t start_ns, end_ns, requests_max;
    uint64_t started, done, errors;
    unsigned live;
    uint32_t *us; /* latencies of good answers */
    size_t n_us, cap_us;
    char error[256];
    struct buf answer; /* the last good one */
};

struct slot {
    struct load *l;
    struct conn *conn;
    uint64_t start_ns;
    bool is_answered;
};

static const struct option_def table[] = {
    { "vsock", 0, "HOW", "NITROSEAL_VSOCK", "kernel", "kernel, or unix:DIR." },
    { "cid", 0, "CID", NULL, "16", "CID of the enclave." },
    { "port", 0, "PORT", NULL, "5000", "Port of the service." },
    { "clients", 'c', "N", NULL, "8", "Clients at one time." },
    { "seconds", 's', "S", NULL, "5", "For how long." },
    { "requests", 'n', "N", NULL, "0", "Stop after so many; 0: no limit." },
    { "op", 0, "OP", NULL, "encrypt", "encrypt or decrypt." },
    { "bytes", 'b', "N", NULL, "100", "Length of the text." },
    { 0 },
};

static const struct program_def program = {
    .name = "bench_load",
    .synopsis = "[OPTION ...]",
    .summary = "Load client for the seed protocol.",
    .options = table,
};

static void begin(struct slot *s);

static void record(struct load *l, uint64_t us)
{
    if (l->n_us == l->cap_us) {
        l->cap_us = l->cap_us ? l->cap_us * 2 : 65536;
        l->us = realloc(l->us, l->cap_us * sizeof l->us[0]);
        if (!l->us)
            abort();
    }
    l->us[l->n_us++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static void record_error(struct load *l, struct span text)
{
    l->errors++;
    if (l->error[0] == '\0')
        snprintf(l->error, sizeof l->error, "%.*s", (int)(text.len < 200 ? text.len : 200),
                 text.ptr ? (const char *)text.ptr : "");
}

static void judge(struct slot *s, struct span in)
{
    struct load *l = s->l;
    struct proto_answer a;

    if (proto_answer_parse(in, l->op, &a, NULL) != ERR_OK || json_str_is_set(a.error) ||
        (l->op == PROTO_DECRYPT && (!a.signature_valid || a.decrypted.raw.len != l->text_bytes))) {
        record_error(l, in);
        return;
    }
    record(l, (clock_mono_ns() - s->start_ns) / 1000);
    if (l->answer.len == 0 && buf_append(&l->answer, in) != ERR_OK)
        abort();
}

static void on_open(struct conn *c, void *arg)
{
    struct slot *s = arg;
    struct buf copy = BUF_INIT(s->l->request.len);

    if (buf_append(&copy, s->l->request) != ERR_OK || conn_send(c, &copy) != ERR_OK)
        conn_close(c);
    conn_finish(c);
}

static void on_data(struct conn *c, void *arg)
{
    (void)c;
    (void)arg;
}

static void on_eof(struct conn *c, void *arg)
{
    struct slot *s = arg;

    s->is_answered = true;
    judge(s, buf_view(conn_in(c)));
}

static void on_closed(struct conn *c, void *arg, enum err r, const struct why *why)
{
    struct slot *s = arg;
    (void)c;

    if (!s->is_answered)
        record_error(s->l, span_str(why && why->what ? why->what : err_name(r)));
    s->l->done++;
    s->l->live--;
    begin(s);
}

static const struct conn_events events = {
    .open = on_open, .data = on_data, .eof = on_eof, .closed = on_closed
};

static void begin(struct slot *s)
{
    struct load *l = s->l;
    const struct conn_options o = {
        .in_max = ANSWER_MAX,
        .deadline_ns = clock_mono_ns() + CALL_S * NS_PER_S,
        .events = &events,
        .arg = s,
    };
    bool over = clock_mono_ns() >= l->end_ns || (l->requests_max && l->started >= l->requests_max);

    if (over) {
        if (l->live == 0)
            loop_stop(l->loop);
        return;
    }
    s->is_answered = false;
    s->start_ns = clock_mono_ns();
    if (conn_connect(l->loop, &l->to, &o, &s->conn, NULL) != ERR_OK)
        abort();
    l->started++;
    l->live++;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void run(struct load *l, unsigned clients, struct slot *slots)
{
    l->n_us = 0;
    l->started = l->done = l->errors = 0;
    l->start_ns = clock_mono_ns();
    for (unsigned i = 0; i < clients; i++) {
        slots[i] = (struct slot){ .l = l };
        begin(&slots[i]);
    }
    loop_run(l->loop);
}

static double percentile_ms(const struct load *l, unsigned p)
{
    return l->n_us ? (double)l->us[(l->n_us - 1) * p / 100] / 1000 : 0;
}

static void print(struct load *l, unsigned clients, double seconds)
{
    qsort(l->us, l->n_us, sizeof l->us[0], by_value);
    printf("{\"op\":\"%s\",\"clients\":%u,\"bytes\":%zu,\"seconds\":%.3f,\"requests\":%zu,"
           "\"rps\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"errors\":%llu",
           l->op == PROTO_DECRYPT ? "decrypt" : "encrypt", clients, l->text_bytes, seconds, l->n_us,
           (double)l->n_us / seconds, percentile_ms(l, 50), percentile_ms(l, 99),
           percentile_ms(l, 100), (unsigned long long)l->errors);
    printf("}\n");
    if (l->errors)
        fprintf(stderr, "first error: %s\n", l->error);
}

static struct proto_credentials credentials(void)
{
    return (struct proto_credentials){
        .access_key_id = span_str(getenv("AWS_ACCESS_KEY_ID")),
        .secret_access_key = span_str(getenv("AWS_SECRET_ACCESS_KEY")),
        .session_token = span_str(getenv("AWS_SESSION_TOKEN")),
    };
}

static enum err write_encrypt(struct buf *out, size_t bytes)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(bytes);
    const struct proto_credentials cred = credentials();

    for (size_t i = 0; i < bytes; i++)
        if (buf_append_byte(&text, (uint8_t)('a' + i % 26)) != ERR_OK)
            return ERR_NOMEM;
    return proto_encrypt_write(out, &cred, buf_view(&text));
}

/* Decrypt needs something encrypted: one request before the clock runs. */
static enum err write_decrypt(struct load *l, struct slot *slots, struct buf *out)
{
    const struct proto_credentials cred = credentials();
    struct proto_answer a;

    l->op = PROTO_ENCRYPT;
    l->requests_max = 1;
    l->end_ns = UINT64_MAX;
    run(l, 1, slots);
    l->op = PROTO_DECRYPT;
    if (l->errors || proto_answer_parse(buf_view(&l->answer), PROTO_ENCRYPT, &a, NULL) != ERR_OK) {
        fprintf(stderr, "cannot encrypt: %s\n", l->error);
        return ERR_IO;
    }
    return proto_decrypt_write(out, &cred, a.encrypted.raw, a.signature.raw, a.ciphertext_blob.raw);
}

int main(int argc, char **argv)
{
    static struct slot slots[CLIENTS_MAX];
    struct options o;
    struct load l = { .answer = BUF_INIT(ANSWER_MAX) };
    struct buf request = BUF_INIT(ANSWER_MAX), decrypt = BUF_INIT(ANSWER_MAX);
    uint64_t cid, port, clients, seconds, requests, bytes;
    struct why why = { 0 };

    int status = options_parse(&program, argc, argv, &o);
    if (status >= 0)
        return status;
    if (!option_u64(&o, "cid", 0, UINT32_MAX, &cid) || !option_u64(&o, "port", 1, 65535, &port) ||
        !option_u64(&o, "clients", 1, CLIENTS_MAX, &clients) ||
        !option_u64(&o, "seconds", 1, 86400, &seconds) ||
        !option_u64(&o, "requests", 0, UINT32_MAX, &requests) ||
        !option_u64(&o, "bytes", 0, 1 << 26, &bytes))
        return 2;
    if (addr_vsock(option_text(&o, "vsock"), (uint32_t)cid, (uint32_t)port, &l.to, &why) !=
            ERR_OK ||
        loop_new(&l.loop) != ERR_OK || write_encrypt(&request, bytes) != ERR_OK)
        return 1;
    l.text_bytes = bytes;
    l.request = buf_view(&request);
    if (strcmp(option_text(&o, "op"), "decrypt") == 0) {
        if (write_decrypt(&l, slots, &decrypt) != ERR_OK)
            return 1;
        l.request = buf_view(&decrypt);
    }
    l.requests_max = requests;
    l.end_ns = clock_mono_ns() + seconds * NS_PER_S;
    run(&l, (unsigned)clients, slots);
    print(&l, (unsigned)clients, (double)(clock_mono_ns() - l.start_ns) / (double)NS_PER_S);
    loop_free(l.loop);
    free(l.us);
    buf_clear(&request);
    buf_clear(&decrypt);
    buf_clear(&l.answer);
    return l.errors ? 1 : 0;
}
