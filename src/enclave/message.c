#include "enclave/message.h"

#include <stdlib.h>

enum {
    COPIES_MAX = 262144, /* of ARNs and contexts */
    ARN_MAX = 2048,
    BLOB_MAX = 6144,
    CONTEXT_COUNT_BYTES = 2,
    CONTEXT_MAX = 8192, /* bytes of a serialised context; KMS takes about as much */
};

enum state {
    OPEN_HEADER,  /* reading the header of the message to be opened */
    OPEN_KEY,     /* its data key is wanted */
    OPEN_START,   /* its data key is here */
    SEAL_NEW,     /* the context to seal under is known */
    SEAL_KEY,     /* a new data key is wanted */
    SEAL_START,   /* it is here */
    BODY,
    DONE,
    FAILED,
};

struct message {
    enum state state;
    enum message_op op;
    enum esdk_policy policy;
    unsigned suite;
    uint32_t frame_length;
    bool keeps_context;
    struct buf copies; /* what the spans below point into */
    struct span seal_arn, arns[MESSAGE_KEYS_MAX];
    size_t n_arns;
    struct esdk_pair context[MESSAGE_PAIRS_MAX], required[MESSAGE_PAIRS_MAX];
    size_t n_context, n_required;

    struct esdk_decrypt *in;
    const struct esdk_header *header;
    struct buf full_context;
    struct span opened_arn;
    struct esdk_encrypt *out;
    struct secret key;
    struct buf blob;
    struct enclave_key_ask ask;
    struct message_fault fault;
    enum err result;
};

static const struct esdk_limits limits = {
    .pairs = MESSAGE_PAIRS_MAX,
    .context_bytes = CONTEXT_MAX,
    .frame_bytes = MESSAGE_FRAME_MAX,
    .block_bytes = MESSAGE_FRAME_MAX,
};

static bool opens(const struct message *m)
{
    return m->op != MESSAGE_ENCRYPT;
}

static bool seals(const struct message *m)
{
    return m->op != MESSAGE_DECRYPT;
}

/* --- what goes wrong --- */

static const char *code_of(enum err r)
{
    switch (r) {
    case ERR_MALFORMED:
    case ERR_MORE:
        return "message_malformed";
    case ERR_UNSUPPORTED:
        return "message_unsupported";
    case ERR_LIMIT:
        return "message_limit";
    case ERR_VERIFY:
        return "message_not_authentic";
    case ERR_DENIED:
        return "no_key";
    case ERR_NOMEM:
        return "busy";
    case ERR_OK:
    case ERR_CRYPTO:
    case ERR_IO:
    case ERR_TIMEOUT:
    case ERR_INTERNAL:
        break;
    }
    return "internal";
}

static const char *title_of(enum err r)
{
    switch (r) {
    case ERR_MALFORMED:
    case ERR_MORE:
        return "Not a whole message of the AWS Encryption SDK";
    case ERR_UNSUPPORTED:
        return "Message of a kind that is not accepted here";
    case ERR_LIMIT:
        return "Message exceeds a limit";
    case ERR_VERIFY:
        return "Message is not authentic";
    case ERR_DENIED:
        return "No encrypted data key of the message is under a key of this service";
    case ERR_NOMEM:
        return "Service is out of memory";
    case ERR_OK:
    case ERR_CRYPTO:
    case ERR_IO:
    case ERR_TIMEOUT:
    case ERR_INTERNAL:
        break;
    }
    return "Internal error";
}

static enum err fail(struct message *m, enum err r, const struct why *why)
{
    m->state = FAILED;
    m->result = r;
    m->fault = (struct message_fault){ .code = code_of(r), .title = title_of(r), .why = *why };
    return r;
}

static enum err fail_context(struct message *m, enum err r, const struct why *why)
{
    (void)fail(m, r, why);
    if (r == ERR_VERIFY) {
        m->fault.code = "context_mismatch";
        m->fault.title = "Message has another encryption context than is required";
    }
    return r;
}

/* --- options --- */

static bool copy(struct message *m, struct span *s)
{
    size_t at = m->copies.len;

    if (buf_append(&m->copies, *s) != ERR_OK)
        return false;
    *s = span_from(buf_view(&m->copies), at);
    return true;
}

static bool copy_pairs(struct message *m, const struct esdk_pair *from, size_t n,
                       struct esdk_pair *to)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i];
        if (!copy(m, &to[i].key) || !copy(m, &to[i].value))
            return false;
    }
    return true;
}

static size_t pairs_bytes(const struct esdk_pair *p, size_t n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += p[i].key.len + p[i].value.len;
    return sum;
}

/* Reserved in one piece, so that no span moves. */
static enum err copy_options(struct message *m, const struct message_options *o)
{
    size_t sum = o->seal_arn.len + pairs_bytes(o->context, o->n_context) +
                 pairs_bytes(o->required, o->n_required) + 1;
    uint8_t *room;

    for (size_t i = 0; i < o->n_arns; i++)
        sum += o->arns[i].len;
    enum err r = buf_reserve(&m->copies, sum, &room);
    if (r != ERR_OK)
        return r;
    m->seal_arn = o->seal_arn;
    bool ok = copy(m, &m->seal_arn) && copy_pairs(m, o->context, o->n_context, m->context) &&
              copy_pairs(m, o->required, o->n_required, m->required);
    for (size_t i = 0; i < o->n_arns && ok; i++) {
        m->arns[i] = o->arns[i];
        ok = copy(m, &m->arns[i]);
    }
    m->n_arns = o->n_arns;
    m->n_context = o->n_context;
    m->n_required = o->n_required;
    return ok ? ERR_OK : ERR_INTERNAL;
}

static enum err check_options(const struct message_options *o, struct message_fault *fault)
{
    const struct esdk_suite *suite = esdk_suite_find(o->suite ? o->suite : ESDK_SUITE_COMMITTING);
    bool writes = o->op != MESSAGE_DECRYPT;

    if (o->n_context > MESSAGE_PAIRS_MAX || o->n_required > MESSAGE_PAIRS_MAX ||
        o->n_arns > MESSAGE_KEYS_MAX) {
        *fault = (struct message_fault){ "message_limit", "Encryption context has too many pairs",
                                         { "at most 64", 0 } };
        return ERR_LIMIT;
    }
    if (writes && (!suite || !suite->commits)) {
        *fault = (struct message_fault){ "invalid_request", "Suite is not one that is written here",
                                         { "0x0478 and 0x0578 are", 0 } };
        return ERR_MALFORMED;
    }
    if (writes && o->frame_length > MESSAGE_FRAME_MAX) {
        *fault = (struct message_fault){ "invalid_request", "Frame length is too large",
                                         { "at most 1048576", 0 } };
        return ERR_MALFORMED;
    }
    return ERR_OK;
}

enum err message_new(const struct message_options *o, struct message **out,
                     struct message_fault *fault)
{
    enum err r = check_options(o, fault);

    if (r != ERR_OK)
        return r;
    struct message *m = calloc(1, sizeof *m);
    if (!m)
        return ERR_NOMEM;
    m->op = o->op;
    m->policy = o->policy;
    m->suite = o->suite ? o->suite : ESDK_SUITE_COMMITTING;
    m->frame_length = o->frame_length ? o->frame_length : MESSAGE_FRAME_DEFAULT;
    m->keeps_context = o->keeps_context;
    m->copies = BUF_INIT(COPIES_MAX);
    m->full_context = BUF_INIT(2 * CONTEXT_MAX);
    m->blob = BUF_INIT(BLOB_MAX);
    m->state = opens(m) ? OPEN_HEADER : SEAL_NEW;
    const struct esdk_decrypt_options in = { .limits = limits, .policy = o->policy };
    r = copy_options(m, o);
    if (r == ERR_OK && opens(m))
        r = esdk_decrypt_new(&in, &m->in);
    if (r != ERR_OK) {
        message_free(m);
        *fault = (struct message_fault){ code_of(r), title_of(r), { NULL, 0 } };
        return r;
    }
    *out = m;
    return ERR_OK;
}

void message_free(struct message *m)
{
    if (!m)
        return;
    esdk_decrypt_free(m->in);
    esdk_encrypt_free(m->out);
    secret_clear(&m->key);
    buf_clear(&m->copies);
    buf_clear(&m->full_context);
    buf_clear(&m->blob);
    wipe(m, sizeof *m);
    free(m);
}

/* --- which key --- */

/* arn:PARTITION:kms:REGION:ACCOUNT:key/ID, without the region. */
struct arn_parts {
    struct span partition, service, account, resource;
};

static struct arn_parts parts_of(struct span arn)
{
    struct arn_parts p;

    (void)span_cut(&arn, ':');
    p.partition = span_cut(&arn, ':');
    p.service = span_cut(&arn, ':');
    (void)span_cut(&arn, ':');
    p.account = span_cut(&arn, ':');
    p.resource = arn;
    return p;
}

/* A multi-Region key's replicas differ in their Region only. */
static bool is_same_key(struct span ours, struct span theirs)
{
    struct arn_parts a = parts_of(ours), b = parts_of(theirs);

    if (span_eq(ours, theirs))
        return true;
    return span_starts(a.resource, "key/mrk-") && span_eq(a.resource, b.resource) &&
           span_eq(a.partition, b.partition) && span_eq(a.service, b.service) &&
           span_eq(a.account, b.account);
}

static bool is_alias_arn(struct span arn)
{
    struct arn_parts p = parts_of(arn);

    return span_starts(arn, "arn:") && p.partition.len && span_is(p.service, "kms") &&
           p.account.len && span_starts(p.resource, "alias/") && p.resource.len > 6;
}

/* The first encrypted data key under one of our ARNs; the one asked for is ours, not the message's.
 * What claims to be of KMS and has no ARN of KMS is damaged, or worse. */
static enum err choose_key(struct message *m, struct why *why)
{
    struct span rest = m->header->keys;
    struct esdk_key k;
    bool found = false;

    while (esdk_key_next(&rest, &k)) {
        if (!span_is(k.provider, "aws-kms"))
            continue;
        if (!kms_is_key_arn(k.info) && !is_alias_arn(k.info))
            return why_fail(why, ERR_MALFORMED, "an encrypted data key of KMS names no key ARN", 0);
        for (size_t i = 0; i < m->n_arns && !found; i++) {
            if (!is_same_key(m->arns[i], k.info))
                continue;
            m->opened_arn = m->arns[i];
            m->ask.ciphertext = k.ciphertext;
            found = true;
        }
    }
    return found ? ERR_OK : why_fail(why, ERR_DENIED, "none of its keys is on the list", 0);
}

/* --- steps: each leaves the state that comes next --- */

static enum err read_header(struct message *m, struct crypto *cx, struct span *in, bool is_last)
{
    struct why why = { 0 };
    enum err r = esdk_decrypt_header(m->in, cx, in, &m->header, &why);

    if (r == ERR_MORE && !is_last)
        return ERR_MORE;
    if (r == ERR_MORE)
        why.what = "it ends inside its header";
    if (r != ERR_OK)
        return fail(m, r, &why);
    r = choose_key(m, &why);
    if (r != ERR_OK)
        return fail(m, r, &why);
    r = esdk_context_full(m->header, m->required, m->n_required, &m->full_context, &why);
    if (r != ERR_OK)
        return fail_context(m, r, &why);
    m->ask = (struct enclave_key_ask){
        .arn = m->opened_arn,
        .bytes = m->header->suite->key_bytes,
        .pairs = span_from(buf_view(&m->full_context), CONTEXT_COUNT_BYTES),
        .ciphertext = m->ask.ciphertext,
    };
    m->state = OPEN_KEY;
    return ERR_OK;
}

static enum err start_open(struct message *m, struct crypto *cx)
{
    struct why why = { 0 };
    enum err r = esdk_decrypt_start(m->in, cx, &m->key, m->required, m->n_required, &why);

    secret_clear(&m->key);
    if (r != ERR_OK)
        return fail(m, r, &why);
    m->state = seals(m) ? SEAL_NEW : BODY;
    return ERR_OK;
}

/* The message's own pairs but those that are written by the format itself. */
static size_t kept_pairs(const struct message *m, struct esdk_pair *out)
{
    struct span rest = m->header->context;
    struct esdk_pair p;
    size_t n = 0;

    while (n < MESSAGE_PAIRS_MAX && esdk_pair_next(&rest, &p))
        if (!span_starts(p.key, "aws-crypto-"))
            out[n++] = p;
    return n;
}

static enum err new_seal(struct message *m, struct crypto *cx)
{
    struct esdk_pair kept[MESSAGE_PAIRS_MAX];
    struct why why = { 0 };
    struct esdk_encrypt_options o = {
        .suite = m->suite,
        .frame_length = m->frame_length,
        .policy = m->policy,
        .limits = limits,
        .context = m->context,
        .n_pairs = m->n_context,
    };

    if (opens(m) && m->keeps_context) {
        o.context = kept;
        o.n_pairs = kept_pairs(m, kept);
    }
    enum err r = esdk_encrypt_new(cx, &o, &m->out, &why);
    if (r != ERR_OK)
        return fail(m, r, &why);
    m->ask = (struct enclave_key_ask){
        .is_new = true,
        .arn = m->seal_arn,
        .bytes = esdk_encrypt_suite(m->out)->key_bytes,
        .pairs = esdk_encrypt_pairs(m->out),
    };
    m->state = SEAL_KEY;
    return ERR_OK;
}

static enum err start_seal(struct message *m, struct crypto *cx, struct buf *out)
{
    const struct esdk_key key = {
        .provider = SPAN_LIT("aws-kms"),
        .info = m->seal_arn,
        .ciphertext = buf_view(&m->blob),
    };
    struct why why = { 0 };
    struct span header;
    enum err r = esdk_encrypt_start(m->out, cx, &m->key, &key, 1, &header, &why);

    secret_clear(&m->key);
    if (r == ERR_OK)
        r = buf_append(out, header);
    if (r != ERR_OK)
        return fail(m, r, &why);
    m->state = BODY;
    return ERR_OK;
}

/* All of `plain` into frames. */
static enum err seal_all(struct message *m, struct span plain, struct buf *out)
{
    struct why why = { 0 };
    struct span frame;
    enum err r = ERR_OK;

    while (r == ERR_OK) {
        r = esdk_encrypt_step(m->out, &plain, &frame, &why);
        if (r == ERR_OK)
            r = buf_append(out, frame);
    }
    return r == ERR_MORE ? ERR_OK : fail(m, r, &why);
}

/* Frames of what is opened, to the end of *in or of patience. */
static enum err open_body(struct message *m, struct span *in, struct buf *out)
{
    struct why why = { 0 };
    struct span plain;

    while (out->len < MESSAGE_OUT_SOFT_MAX) {
        enum err r = esdk_decrypt_step(m->in, in, &plain, &why);
        if (r == ERR_MORE)
            return ERR_MORE;
        if (r != ERR_OK)
            return fail(m, r, &why);
        r = seals(m) ? seal_all(m, plain, out) : buf_append(out, plain);
        if (r != ERR_OK)
            return m->state == FAILED ? r : fail(m, r, &why);
    }
    return ERR_OK;
}

static enum err seal_body(struct message *m, struct span *in, struct buf *out)
{
    struct why why = { 0 };
    struct span frame;

    while (out->len < MESSAGE_OUT_SOFT_MAX) {
        enum err r = esdk_encrypt_step(m->out, in, &frame, &why);
        if (r == ERR_MORE)
            return ERR_MORE;
        if (r == ERR_OK)
            r = buf_append(out, frame);
        if (r != ERR_OK)
            return fail(m, r, &why);
    }
    return ERR_OK;
}

static enum err finish(struct message *m, struct buf *out)
{
    struct why why = { 0 };
    struct span rest;
    enum err r = opens(m) ? esdk_decrypt_end(m->in, &why) : ERR_OK;

    if (r == ERR_OK && seals(m)) {
        r = esdk_encrypt_end(m->out, &rest, &why);
        if (r == ERR_OK)
            r = buf_append(out, rest);
    }
    if (r != ERR_OK)
        return fail(m, r, &why);
    m->state = DONE;
    return ERR_OK;
}

static enum err body(struct message *m, struct span *in, bool is_last, struct buf *out)
{
    enum err r = opens(m) ? open_body(m, in, out) : seal_body(m, in, out);

    if (r != ERR_MORE)
        return r;
    return is_last ? finish(m, out) : ERR_MORE;
}

enum err message_step(struct message *m, struct crypto *cx, struct span *in, bool is_last,
                      struct buf *out)
{
    enum err r = ERR_OK;

    while (r == ERR_OK && out->len < MESSAGE_OUT_SOFT_MAX) {
        switch (m->state) {
        case OPEN_HEADER:
            r = read_header(m, cx, in, is_last);
            break;
        case OPEN_START:
            r = start_open(m, cx);
            break;
        case SEAL_NEW:
            r = new_seal(m, cx);
            break;
        case SEAL_START:
            r = start_seal(m, cx, out);
            break;
        case BODY:
            r = body(m, in, is_last, out);
            break;
        case OPEN_KEY:
        case SEAL_KEY:
        case DONE:
            return ERR_OK;
        case FAILED:
            return m->result;
        }
    }
    return r == ERR_MORE ? ERR_OK : r;
}

bool message_wants_key(const struct message *m)
{
    return m->state == OPEN_KEY || m->state == SEAL_KEY;
}

bool message_is_done(const struct message *m)
{
    return m->state == DONE;
}

const struct message_fault *message_fault(const struct message *m)
{
    return &m->fault;
}

const struct enclave_key_ask *message_key_ask(struct message *m)
{
    return &m->ask;
}

enum err message_key_give(struct message *m, struct secret *key, struct span blob)
{
    buf_reset(&m->blob);
    enum err r = m->state == SEAL_KEY ? buf_append(&m->blob, blob) : ERR_OK;

    if (r != ERR_OK)
        return r;
    secret_clear(&m->key);
    m->key = secret_take(key);
    m->state = m->state == SEAL_KEY ? SEAL_START : OPEN_START;
    return ERR_OK;
}

struct message_facts message_facts(const struct message *m)
{
    struct message_facts f = { .opened_arn = m->opened_arn };

    if (seals(m))
        f.sealed_arn = m->seal_arn;
    if (m->header) {
        f.suite = m->header->suite->id;
        f.pairs = m->header->context;
    } else if (m->out) {
        f.suite = esdk_encrypt_suite(m->out)->id;
        f.pairs = esdk_encrypt_pairs(m->out);
    }
    return f;
}
