#include "enclave/message_in.h"

static enum err fail(struct message *m, enum err r, const struct why *why)
{
    m->state = FAILED;
    m->result = r;
    m->fault = (struct message_fault){ .code = message_code_of(r),
                                       .title = message_title_of(r),
                                       .why = *why };
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

/* Its own pairs and those that are required besides go to KMS together. */
static bool fits_kms(struct span pairs)
{
    struct esdk_pair p;
    unsigned n = 0;

    while (n <= MESSAGE_PAIRS_MAX && esdk_pair_next(&pairs, &p))
        n++;
    return n <= MESSAGE_PAIRS_MAX;
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
    r = message_choose_key(m, &why);
    if (r != ERR_OK)
        return fail(m, r, &why);
    r = esdk_context_full(m->header, m->required, m->n_required, &m->full_context, &why);
    if (r != ERR_OK)
        return fail_context(m, r, &why);
    struct span pairs = span_from(buf_view(&m->full_context), CONTEXT_COUNT_BYTES);
    if (!fits_kms(pairs)) {
        why.what = "the encryption context and what is required besides are more than 64 pairs";
        return fail(m, ERR_LIMIT, &why);
    }
    m->ask = (struct enclave_key_ask){
        .arn = m->opened_arn,
        .bytes = m->header->suite->key_bytes,
        .pairs = pairs,
        .ciphertext = m->ask.ciphertext,
        .suite = m->header->suite,
        .policy = m->policy,
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
        .limits = message_limits,
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
        .suite = esdk_encrypt_suite(m->out),
        .policy = m->policy,
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
    enum err r = ERR_OK;

    while (r == ERR_OK)
        r = esdk_encrypt_step_to(m->out, &plain, out, &why);
    return r == ERR_MORE ? ERR_OK : fail(m, r, &why);
}

/* One frame of what is opened. */
static enum err open_frame(struct message *m, struct span *in, struct buf *out)
{
    struct why why = { 0 };
    struct span plain;
    enum err r = seals(m) ? esdk_decrypt_step(m->in, in, &plain, &why)
                          : esdk_decrypt_step_to(m->in, in, out, &why);

    if (r != ERR_OK)
        return r == ERR_MORE ? r : fail(m, r, &why);
    return seals(m) ? seal_all(m, plain, out) : ERR_OK;
}

/* Frames to the end of *in or of patience. */
static enum err open_body(struct message *m, struct span *in, struct buf *out)
{
    enum err r = ERR_OK;

    while (r == ERR_OK && out->len < MESSAGE_OUT_SOFT_MAX)
        r = open_frame(m, in, out);
    return r;
}

static enum err seal_body(struct message *m, struct span *in, struct buf *out)
{
    struct why why = { 0 };

    while (out->len < MESSAGE_OUT_SOFT_MAX) {
        enum err r = esdk_encrypt_step_to(m->out, in, out, &why);
        if (r == ERR_MORE)
            return ERR_MORE;
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
    if (m->header)
        f.opened_suite = m->header->suite->id;
    if (m->out) {
        f.suite = esdk_encrypt_suite(m->out)->id;
        f.pairs = esdk_encrypt_pairs(m->out);
    } else if (m->header && !seals(m)) {
        f.suite = f.opened_suite;
        f.pairs = m->header->context;
    }
    return f;
}
