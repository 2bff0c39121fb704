/* message_new.c - a message's options, the key that opens it, and words for what goes wrong. */
#include "enclave/message_in.h"

#include <stdlib.h>

const struct esdk_limits message_limits = {
    .pairs = MESSAGE_PAIRS_MAX,
    .context_bytes = CONTEXT_MAX,
    .frame_bytes = MESSAGE_FRAME_MAX,
    .block_bytes = MESSAGE_FRAME_MAX,
};

const char *message_code_of(enum err r)
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

const char *message_title_of(enum err r)
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
        *fault = (struct message_fault){ "message_limit",
                                         "Encryption context has too many pairs",
                                         { "at most 64", 0 } };
        return ERR_LIMIT;
    }
    if (writes && (!suite || !suite->commits)) {
        *fault = (struct message_fault){ "invalid_request",
                                         "Suite is not one that is written here",
                                         { "0x0478 and 0x0578 are", 0 } };
        return ERR_MALFORMED;
    }
    if (writes && o->frame_length > MESSAGE_FRAME_MAX) {
        *fault = (struct message_fault){ "invalid_request",
                                         "Frame length is too large",
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
    const struct esdk_decrypt_options in = { .limits = message_limits, .policy = o->policy };
    r = copy_options(m, o);
    if (r == ERR_OK && opens(m))
        r = esdk_decrypt_new(&in, &m->in);
    if (r != ERR_OK) {
        message_free(m);
        *fault = (struct message_fault){ message_code_of(r), message_title_of(r), { NULL, 0 } };
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

enum err message_choose_key(struct message *m, struct why *why)
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
