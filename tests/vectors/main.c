#include "runner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hex.h"
#include "crypto/hash.h"

enum { FILE_MAX = 64 << 20, UNKNOWN_MAX = 64 };

static const struct {
    const char *kind;
    kind_fn *run;
} kinds[] = {
    { "nitro-attestation", run_attestation },
    { "nitro-attestation-b64", run_attestation_b64 },
    { "x509-cert", run_x509_cert },
    { "x509-root", run_x509_root },
    { "pcr-facts", run_pcr_facts },
    { "nsm-message", run_nsm },
    { "cose-example", run_cose },
    { "cbor", run_cbor },
    { "cbor-vectors", run_cbor_vectors },
    { "json", run_json },
    { "http-request", run_http_request },
    { "http-response", run_http_response },
    { "kms-request", run_kms_request },
    { "kms-response", run_kms_response },
    { "sigv4-file", run_sigv4 },
    { "cms", run_cms },
    { "kms-ciphertext-for-recipient", run_recipient },
    { "kms-ciphertext-for-recipient-b64", run_recipient_b64 },
    { "rsa-private-key", run_rsa_key },
    { "wycheproof", run_wycheproof },
    { "eif", run_eif },
    { "esdk-message", run_esdk },
};

void set_note(struct runner *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r->note, sizeof r->note, fmt, ap);
    va_end(ap);
}

static void count(struct runner *r, const char *path, const char *name, bool good,
                  const char *detail)
{
    if (good) {
        r->passed++;
        return;
    }
    r->failed++;
    printf("FAIL %s%s%s: %s\n", path, name ? " " : "", name ? name : "", detail);
}

void count_one(struct runner *r, const struct entry *e, bool good, const char *name,
               const char *detail)
{
    count(r, e->path, name, good, detail);
}

bool read_file(struct runner *r, const char *relative, struct buf *out)
{
    char path[2048];
    uint8_t *p;

    *out = BUF_INIT(FILE_MAX);
    snprintf(path, sizeof path, "%s/%s", r->dir, relative);
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    /* Exactly as large as the file, so that a sanitizer sees one byte over. */
    out->max = size > 0 && size < FILE_MAX ? (size_t)size : 1;
    bool good = buf_reserve(out, out->max, &p) == ERR_OK;
    if (good)
        buf_commit(out, fread(p, 1, size > 0 ? (size_t)size : 0, f));
    good = good && out->len == (size_t)(size > 0 ? size : 0);
    fclose(f);
    return good;
}

const char *value_text(const struct entry *e, const char *name)
{
    return json_string_value(json_object_get(e->values, name));
}

bool unhex(const char *text, struct buf *out)
{
    *out = BUF_INIT(strlen(text) / 2 + 1);
    return hex_parse(span_str(text), out) == ERR_OK;
}

bool value_matches_hex(struct runner *r, const struct entry *e, const char *name, struct span got)
{
    const char *want = value_text(e, name);
    AUTO(buf_clear) struct buf bytes = BUF_INIT(0);

    if (!want || (unhex(want, &bytes) && span_eq(buf_view(&bytes), got)))
        return true;
    set_note(r, "%s differs", name);
    return false;
}

void skip_for(struct runner *r, const char *why, unsigned n)
{
    json_t *so_far = json_object_get(r->skips, why);

    r->skipped += n;
    json_object_set_new(r->skips, why, json_integer(json_integer_value(so_far) + n));
}

static bool digest_holds(const struct entry *e, const char *want)
{
    uint8_t sum[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];

    if (!want)
        return true;
    sha256(e->bytes, sum);
    hex_write(SPAN_ARRAY(sum), hex);
    return strcmp(hex, want) == 0;
}

static void judge(struct runner *r, const struct entry *e, enum outcome got)
{
    bool must = !e->strictness || strcmp(e->strictness, "should") != 0;

    switch (got) {
    case COUNTED:
        return;
    case SKIPPED:
        skip_for(r, r->note, 1);
        return;
    case MISMATCH:
        count(r, e->path, NULL, false, r->note);
        return;
    case OUR_CHOICE:
        got = REFUSED;
        if (!must && strcmp(e->expected, "valid") == 0)
            got = ACCEPTED; /* allowed, and written down in doc/decisions.md */
        break;
    case ACCEPTED:
    case REFUSED:
        break;
    }
    if (strcmp(e->expected, "valid") == 0)
        count(r, e->path, NULL, got == ACCEPTED, r->note[0] ? r->note : "refused, but it is valid");
    else if (strcmp(e->expected, "invalid") == 0)
        count(r, e->path, NULL, got == REFUSED, "accepted, but it is invalid");
    else
        count(r, e->path, NULL, true, ""); /* policy: it was decided, and nothing crashed */
    if (r->verbose && strcmp(e->expected, "policy") == 0)
        printf("policy %s %s\n", e->path,
               got == ACCEPTED ? "accepted"
               : r->note[0]    ? r->note
                               : "refused");
}

static kind_fn *kind_of(const char *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return kinds[i].run;
    return NULL;
}

static void run_entry(struct runner *r, json_t *item, json_t *unknown)
{
    struct entry e = { 0 };
    const char *sum = json_string_value(json_object_get(item, "sha256"));
    AUTO(buf_clear) struct buf bytes = BUF_INIT(0);

    e.path = json_string_value(json_object_get(item, "path"));
    e.kind = json_string_value(json_object_get(item, "kind"));
    e.expected = json_string_value(json_object_get(item, "expected"));
    e.strictness = json_string_value(json_object_get(item, "strictness"));
    e.values = json_object_get(item, "values");
    if (!e.path || !e.kind || !e.expected) {
        count(r, e.path ? e.path : "manifest.json", NULL, false,
              "entry without path, kind or expected");
        return;
    }
    kind_fn *run = kind_of(e.kind);
    if (!run && strcmp(e.expected, "n/a") != 0) {
        json_int_t n = json_integer_value(json_object_get(unknown, e.kind));
        json_object_set_new(unknown, e.kind, json_integer(n + 1));
        return;
    }
    if (!read_file(r, e.path, &bytes)) {
        count(r, e.path, NULL, false, "cannot be read");
        return;
    }
    e.bytes = buf_view(&bytes);
    if (!e.bytes.ptr)
        e.bytes.ptr = (const uint8_t *)"";
    r->note[0] = '\0';
    if (!digest_holds(&e, sum))
        count(r, e.path, NULL, false, "is not the file that the manifest describes (sha256)");
    else if (run)
        judge(r, &e, run(r, &e));
}

static int run_all(struct runner *r)
{
    json_t *item, *n, *unknown = json_object();
    const char *kind;
    size_t i;

    json_array_foreach(r->entries, i, item) run_entry(r, item, unknown);
    json_object_foreach(unknown, kind, n)
    {
        r->skipped += (unsigned)json_integer_value(n);
        printf("unknown kind %s: %lld skipped\n", kind, (long long)json_integer_value(n));
    }
    json_object_foreach(r->skips, kind, n)
        printf("skip %lld: %s\n", (long long)json_integer_value(n), kind);
    json_decref(unknown);
    json_decref(r->skips);
    printf("%u passed, %u failed, %u skipped\n", r->passed, r->failed, r->skipped);
    return r->failed == 0 && r->passed > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct runner r = { .skips = json_object() };
    json_error_t fault;
    char path[2048];

    r.verbose = argc == 3 && strcmp(argv[1], "-v") == 0; /* how each policy case was decided */
    if (argc != 2 && !r.verbose) {
        fprintf(stderr, "usage: run_vectors [-v] DIR (a folder with a manifest.json)\n");
        return 2;
    }
    r.dir = argv[argc - 1];
    snprintf(path, sizeof path, "%s/manifest.json", r.dir);
    json_t *manifest = json_load_file(path, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &fault);
    if (!manifest) {
        fprintf(stderr, "run_vectors: %s: %s\n", path, fault.text);
        return 2;
    }
    r.entries = json_object_get(manifest, "entries");
    if (crypto_process_init() != ERR_OK || crypto_new(&r.cx) != ERR_OK) {
        fprintf(stderr, "run_vectors: cryptography is not available\n");
        return 2;
    }
    int status = run_all(&r);
    crypto_free(r.cx);
    json_decref(manifest);
    return status;
}
