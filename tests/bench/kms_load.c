/* kms_load.c - a load client for the local KMS: N keep-alive TLS connections on one loop, each
 * asking again as soon as it was answered. Prints one JSON object: calls per second, latency
 * percentiles, errors. Credentials come from the environment. --hold only keeps the connections,
 * until its standard input ends.
 *
 * Documents are made by a software NSM of this program under authorities kept in --pki (root as PEM
 * beside it). "new" goes round more of them than the server keeps, so each is verified anew; "same"
 * is one. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base64.h"
#include "bin/common/options.h"
#include "crypto/rsa.h"
#include "http1/http1.h"
#include "io/conn.h"
#include "sigv4/sigv4.h"
#include "softnsm/softnsm.h"

enum { CONNECTIONS_MAX = 1024, DOCUMENTS = 256, IN_MAX = 1 << 20, CALL_S = 60, BODY_MAX = 32768 };

struct slot;
struct load {
    struct crypto *cx;
    struct loop *loop;
    struct tls_ctx *tls;
    struct addr to;
    char host[64];
    const char *operation;
    struct buf bodies[DOCUMENTS];
    unsigned n_bodies, next_body;
    uint64_t seconds, began_ns, end_ns;
    unsigned connections;
    uint64_t pid; /* of the server: its CPU time is told, of the time that counts; 0: none */
    double cpu_s, took_s;
    size_t counted;
    struct slot *slots;
    uint64_t errors, *us;
    size_t n_us, cap_us;
    unsigned live, open;
    bool hold;
    char error[256];
    struct sigv4_credentials cred;
};

struct slot {
    struct load *l;
    struct conn *conn;
    uint64_t start_ns;
};

static const struct option_def table[] = {
    { "at", 0, "ADDR:PORT", NULL, NULL, "Where the KMS listens." },
    { "ca", 0, "FILE", NULL, NULL, "Its CA." },
    { "pki", 0, "FILE", NULL, NULL,
      "Authorities of documents; made if it is not there, with FILE.root." },
    { "operation", 0, "NAME", NULL, "GenerateRandom", "Operation." },
    { "body", 0, "JSON", NULL, "{}", "Its request; for a document without the last brace." },
    { "documents", 0, "none|new|same", NULL, "none", "Attested, and how." },
    { "connections", 'c', "N", NULL, "1", "Connections." },
    { "seconds", 's', "S", NULL, "2", "For how long." },
    { "pid", 0, "N", NULL, "0", "Process whose CPU time is told." },
    { "hold", 0, NULL, NULL, NULL, "Open the connections, say so, and wait." },
    { 0 },
};

static const struct program_def program = {
    .name = "bench_kms_load",
    .synopsis = "--at ADDR:PORT --ca FILE [OPTION ...]",
    .summary = "Load client for the local KMS.",
    .options = table,
};

static void sure(enum err r, const char *what)
{
    if (r == ERR_OK)
        return;
    fprintf(stderr, "bench_kms_load: %s: %s\n", what, err_name(r));
    exit(1);
}

static void failed(struct load *l, struct span text)
{
    if (l->errors++ == 0)
        snprintf(l->error, sizeof l->error, "%.*s", (int)(text.len < 200 ? text.len : 200),
                 (const char *)text.ptr);
}

static void record(struct load *l, uint64_t us)
{
    if (l->n_us == l->cap_us) {
        l->cap_us = l->cap_us ? l->cap_us * 2 : 65536;
        l->us = realloc(l->us, l->cap_us * sizeof l->us[0]);
        if (!l->us)
            abort();
    }
    l->us[l->n_us++] = us;
}

static void ask(struct slot *s)
{
    struct load *l = s->l;
    AUTO(buf_clear) struct buf authorization = BUF_INIT(4096);
    struct buf request = BUF_INIT(65536);
    char date[SIGV4_TIME_BYTES + 1], target[96];
    const struct sigv4_scope scope = { SPAN_LIT("us-east-1"), SPAN_LIT("kms") };
    struct span body = buf_view(&l->bodies[l->next_body++ % l->n_bodies]);

    sigv4_time_write(clock_wall_ms() / 1000, date);
    snprintf(target, sizeof target, "TrentService.%s", l->operation);
    const struct sigv4_header signed_headers[] = {
        { SPAN_LIT("content-type"), SPAN_LIT("application/x-amz-json-1.1") },
        { SPAN_LIT("host"), span_str(l->host) },
        { SPAN_LIT("x-amz-date"), span_str(date) },
        { SPAN_LIT("x-amz-target"), span_str(target) },
    };
    const struct sigv4_request rq = { .method = SPAN_LIT("POST"),
                                      .path = SPAN_LIT("/"),
                                      .headers = signed_headers,
                                      .n_headers = 4,
                                      .body = body };
    sure(sigv4_sign(&rq, scope, span_str(date), &l->cred, &authorization), "sign");
    struct http1_header headers[5];
    for (unsigned i = 0; i < 4; i++)
        headers[i] = (struct http1_header){ signed_headers[i].name, signed_headers[i].value };
    headers[4] = (struct http1_header){ SPAN_LIT("authorization"), buf_view(&authorization) };
    sure(http1_request_write(&request, SPAN_LIT("POST"), SPAN_LIT("/"), headers, 5, body),
         "request");
    s->start_ns = clock_mono_ns();
    conn_set_deadline(s->conn, s->start_ns + CALL_S * NS_PER_S);
    if (conn_send(s->conn, &request) != ERR_OK)
        conn_close(s->conn);
}

/* User and system time of the server so far. */
static double server_cpu_s(const struct load *l)
{
    char path[64], text[1024] = "";
    unsigned long long user = 0, system = 0;

    snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)l->pid);
    FILE *f = l->pid ? fopen(path, "r") : NULL;
    if (!f)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    if (at)
        (void)sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* The clock runs once all handshakes are over. */
static void on_open(struct conn *c, void *arg)
{
    struct load *l = ((struct slot *)arg)->l;

    conn_set_deadline(c, 0);
    if (++l->open < l->connections || l->hold)
        return;
    l->cpu_s = server_cpu_s(l);
    l->began_ns = clock_mono_ns();
    l->end_ns = l->began_ns + l->seconds * NS_PER_S;
    for (unsigned i = 0; i < l->connections; i++)
        ask(&l->slots[i]);
}

/* The first that has nothing more to ask ends the time that counts. */
static void finish(struct load *l, struct conn *c)
{
    if (l->took_s == 0) {
        l->took_s = (double)(clock_mono_ns() - l->began_ns) / (double)NS_PER_S;
        l->cpu_s = server_cpu_s(l) - l->cpu_s;
        l->counted = l->n_us;
    }
    conn_close(c);
}

static void on_data(struct conn *c, void *arg)
{
    static struct http1_head head;
    struct slot *s = arg;
    struct load *l = s->l;
    struct buf *in = conn_in(c);
    size_t used = 0;

    if (http1_response_parse(buf_view(in), false, &head, &used, NULL) != ERR_OK ||
        in->len < used + head.content_length)
        return;
    if (head.status == 200)
        record(l, (clock_mono_ns() - s->start_ns) / 1000);
    else
        failed(l, span_from(buf_view(in), used));
    buf_consume(in, used + (size_t)head.content_length);
    if (clock_mono_ns() < l->end_ns)
        ask(s);
    else
        finish(l, c);
}

static void on_closed(struct conn *c, void *arg, enum err r, const struct why *why)
{
    struct slot *s = arg;

    (void)c;
    if (r != ERR_OK)
        failed(s->l, span_str(why && why->what ? why->what : err_name(r)));
    if (--s->l->live == 0)
        loop_stop(s->l->loop);
}

static const struct conn_events events = { .open = on_open, .data = on_data, .closed = on_closed };

static void dial(struct load *l, struct slot *s)
{
    const struct conn_options o = { .tls = l->tls,
                                    .server_name = "localhost",
                                    .in_max = IN_MAX,
                                    .deadline_ns = clock_mono_ns() + CALL_S * NS_PER_S,
                                    .events = &events,
                                    .arg = s };

    *s = (struct slot){ .l = l };
    sure(conn_connect(l->loop, &l->to, &o, &s->conn, NULL), "connect");
    l->live++;
}

static struct softnsm_pki *pki_take(struct load *l, const char *path)
{
    AUTO(buf_clear) struct buf pem = BUF_INIT(SOFTNSM_PKI_MAX_BYTES), root = BUF_INIT(65536);
    struct softnsm_pki *pki = NULL;
    char root_path[1024];

    if (file_read(path, &pem, NULL) == ERR_OK) {
        sure(softnsm_pki_parse(l->cx, buf_view(&pem), &pki, NULL), "authorities");
        return pki;
    }
    sure(softnsm_pki_new(l->cx, clock_wall_ms() / 1000, &pki), "authorities");
    sure(softnsm_pki_write(pki, &pem), "authorities");
    sure(file_write(path, buf_view(&pem), 0600, NULL), path);
    snprintf(root_path, sizeof root_path, "%s.root", path);
    sure(x509_der_to_pem(softnsm_pki_der(pki, SOFTNSM_ROOT), &root), "root");
    sure(file_write(root_path, buf_view(&root), 0644, NULL), root_path);
    return pki;
}

static void document_add(struct load *l, struct softnsm *nsm, struct span key, const char *body,
                         unsigned i)
{
    AUTO(buf_clear)
    struct buf request = BUF_INIT(NSM_REQUEST_MAX), response = BUF_INIT(NSM_RESPONSE_MAX);
    char nonce[16];
    snprintf(nonce, sizeof nonce, "%u", i);
    const struct nsm_request rq = { .op = NSM_ATTESTATION,
                                    .public_key = key,
                                    .nonce = span_str(nonce) };
    struct nsm_response rs;

    sure(nsm_request_write(&rq, &request), "NSM request");
    sure(softnsm_ask(l->cx, nsm, buf_view(&request), clock_wall_ms(), &response), "NSM");
    sure(nsm_response_parse(buf_view(&response), NSM_ATTESTATION, &rs, NULL), "NSM response");
    struct buf *b = &l->bodies[i];
    *b = BUF_INIT(BODY_MAX);
    sure(buf_printf(b,
                    "%s,\"Recipient\":{\"KeyEncryptionAlgorithm\":\"RSAES_OAEP_SHA_256\","
                    "\"AttestationDocument\":\"",
                    body),
         "body");
    sure(base64_append(b, rs.data), "body");
    sure(buf_append_str(b, "\"}}"), "body");
    l->n_bodies = i + 1;
}

static void bodies_make(struct load *l, const struct options *o)
{
    const char *how = option_text(o, "documents"), *body = option_text(o, "body");
    struct softnsm_settings s = { .instance_id = SPAN_LIT("i-0123456789abcdef0"),
                                  .region = SPAN_LIT("us-east-1") };
    struct softnsm *nsm = NULL;
    struct rsa_key *rsa = NULL;

    if (strcmp(how, "none") == 0) {
        l->bodies[0] = BUF_INIT(BODY_MAX);
        sure(buf_append_str(&l->bodies[0], body), "body");
        l->n_bodies = 1;
        return;
    }
    s.pcrs.present = 7;
    for (unsigned i = 0; i < 3; i++)
        memset(s.pcrs.value[i], 0x11 * ((int)i + 1), ATTEST_PCR_BYTES);
    sure(softnsm_new(l->cx, &s, pki_take(l, option_text(o, "pki")), clock_wall_ms(), &nsm, NULL),
         "NSM");
    sure(rsa_key_new(l->cx, RSA_BITS_DEFAULT, &rsa), "RSA key");
    for (unsigned i = 0; i < (strcmp(how, "new") == 0 ? DOCUMENTS : 1); i++)
        document_add(l, nsm, rsa_key_spki(rsa), body, i);
    softnsm_free(nsm);
    rsa_key_free(rsa);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double percentile_ms(const struct load *l, unsigned p)
{
    return l->n_us ? (double)l->us[(l->n_us - 1) * p / 100] / 1000 : 0;
}

static void on_input(void *arg)
{
    struct load *l = arg;
    char byte;

    (void)!read(0, &byte, 1);
    loop_stop(l->loop);
}

static void prepare(struct load *l, const struct options *o)
{
    AUTO(buf_clear) struct buf ca = BUF_INIT(65536);

    sure(crypto_process_init(), "crypto");
    sure(crypto_new(&l->cx), "crypto");
    sure(loop_new(&l->loop), "loop");
    if (!option_text(o, "at")) { /* only the authorities are wanted */
        softnsm_pki_free(pki_take(l, option_text(o, "pki")));
        exit(0);
    }
    sure(addr_tcp(option_text(o, "at"), &l->to, NULL), "--at");
    snprintf(l->host, sizeof l->host, "%s", option_text(o, "at"));
    sure(file_read(option_text(o, "ca"), &ca, NULL), "--ca");
    sure(tls_ctx_client(buf_view(&ca), &l->tls, NULL), "--ca");
    l->operation = option_text(o, "operation");
    l->hold = option_flag(o, "hold");
    l->cred = (struct sigv4_credentials){ span_str(getenv("AWS_ACCESS_KEY_ID")),
                                          span_str(getenv("AWS_SECRET_ACCESS_KEY")), SPAN_EMPTY };
    bodies_make(l, o);
}

int main(int argc, char **argv)
{
    static struct slot slots[CONNECTIONS_MAX];
    static struct load l;
    struct options o;
    struct loop_watch *watch = NULL;
    uint64_t connections, seconds;

    int status = options_parse(&program, argc, argv, &o);
    if (status >= 0)
        return status;
    if (!option_u64(&o, "connections", 1, CONNECTIONS_MAX, &connections) ||
        !option_u64(&o, "seconds", 1, 3600, &seconds) || !option_u64(&o, "pid", 0, 1 << 30, &l.pid))
        return 2;
    l.slots = slots;
    l.seconds = seconds;
    l.connections = (unsigned)connections;
    prepare(&l, &o);
    for (unsigned i = 0; i < connections; i++)
        dial(&l, &slots[i]);
    if (l.hold)
        sure(loop_watch_new(l.loop, 0, on_input, &l, &watch), "input");
    loop_run(l.loop);
    if (l.hold)
        return 0;
    qsort(l.us, l.n_us, sizeof l.us[0], by_value);
    printf("{\"calls\":%zu,\"seconds\":%.3f,\"rps\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"cpu_us\":%.2f,\"errors\":%llu}\n",
           l.counted, l.took_s, l.took_s > 0 ? (double)l.counted / l.took_s : 0,
           percentile_ms(&l, 50), percentile_ms(&l, 99),
           l.counted ? l.cpu_s * 1e6 / (double)l.counted : 0, (unsigned long long)l.errors);
    if (l.errors)
        fprintf(stderr, "first error: %s\n", l.error);
    return l.errors ? 1 : 0;
}
