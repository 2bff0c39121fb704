#include "awscred/awscred.h"
#include "http1/http1.h"

enum {
    CONTAINER_TRIES = 3, /* of each question */
    IMDS_TRIES = 2,      /* where there is none, a user waits for it */
    CONTAINER_TIMEOUT_MS = 2000,
    CONTAINER_WAIT_MS = 1000,
    IMDS_TIMEOUT_MS = 1000,
    IMDS_WAIT_MS = 100,
    REQUEST_MAX_BYTES = 32768,
    SECRET_TEXT_MAX_BYTES = 16384,
    ROLE_MAX_BYTES = 256,
};

#define IMDS_TTL_S "21600"
#define ROLES      "/latest/meta-data/iam/security-credentials/"

enum { ASK_CONTAINER, ASK_TOKEN, ASK_ROLE, ASK_CREDENTIALS };

void awscred_talk_clear(struct awscred_talk *t)
{
    buf_clear(&t->authorization);
    buf_clear(&t->token);
    buf_clear(&t->role);
}

enum err awscred_talk_container(struct awscred_talk *t, const struct awscred_place *at,
                                struct span authorization, struct why *why)
{
    struct awscred_talk made = {
        .form = AWSCRED_CONTAINER,
        .at = *at,
        .authorization = BUF_INIT(SECRET_TEXT_MAX_BYTES),
        .state = ASK_CONTAINER,
    };

    for (size_t i = 0; i < authorization.len; i++)
        if (authorization.ptr[i] < 0x20 || authorization.ptr[i] == 0x7f)
            return why_fail(why, ERR_MALFORMED, "the authorization token has a control character",
                            i);
    enum err r = buf_append(&made.authorization, authorization);
    if (r != ERR_OK)
        return why_fail(why, r, "the authorization token is too long", 0);
    *t = made;
    return ERR_OK;
}

void awscred_talk_imds(struct awscred_talk *t, const struct awscred_place *at)
{
    *t = (struct awscred_talk){
        .form = AWSCRED_IMDS,
        .at = *at,
        .token = BUF_INIT(SECRET_TEXT_MAX_BYTES),
        .role = BUF_INIT(ROLE_MAX_BYTES),
        .state = ASK_TOKEN,
    };
}

/* The path of the question, below what the endpoint's own URL ends with. */
static enum err path_write(const struct awscred_talk *t, struct buf *out)
{
    struct span base = t->at.path;
    enum err r;

    if (t->state == ASK_CONTAINER)
        return buf_append(out, base);
    while (base.len && base.ptr[base.len - 1] == '/')
        base.len--;
    r = buf_append(out, base);
    if (r == ERR_OK)
        r = buf_append_str(out, t->state == ASK_TOKEN ? "/latest/api/token" : ROLES);
    return r == ERR_OK && t->state == ASK_CREDENTIALS ? buf_append(out, buf_view(&t->role)) : r;
}

enum err awscred_talk_request(const struct awscred_talk *t, struct awscred_request *out)
{
    AUTO(buf_clear) struct buf host = BUF_INIT(2 * AWSCRED_HOST_BYTES);
    AUTO(buf_clear) struct buf path = BUF_INIT(REQUEST_MAX_BYTES);
    AUTO(buf_clear) struct buf bytes = BUF_INIT(REQUEST_MAX_BYTES);
    bool imds = t->form == AWSCRED_IMDS;
    struct http1_header h[5] = {
        { SPAN_LIT("host"), SPAN_EMPTY },
        { SPAN_LIT("accept"), SPAN_LIT("application/json") },
        { SPAN_LIT("connection"), SPAN_LIT("close") },
        { SPAN_LIT("user-agent"), SPAN_LIT("nitroseal/" NITROSEAL_VERSION) },
    };
    size_t n = 4;

    enum err r = awscred_place_host(&t->at, &host);
    if (r == ERR_OK)
        r = path_write(t, &path);
    if (r != ERR_OK)
        return r;
    h[0].value = buf_view(&host);
    if (t->state == ASK_TOKEN)
        h[n++] = (struct http1_header){ SPAN_LIT("x-aws-ec2-metadata-token-ttl-seconds"),
                                        SPAN_LIT(IMDS_TTL_S) };
    else if (imds)
        h[n++] = (struct http1_header){ SPAN_LIT("x-aws-ec2-metadata-token"), buf_view(&t->token) };
    else if (t->authorization.len)
        h[n++] = (struct http1_header){ SPAN_LIT("authorization"), buf_view(&t->authorization) };
    struct span method = t->state == ASK_TOKEN ? SPAN_LIT("PUT") : SPAN_LIT("GET");
    r = http1_request_write(&bytes, method, buf_view(&path), h, n, SPAN_EMPTY);
    if (r != ERR_OK)
        return r;
    out->bytes = buf_take(&bytes);
    out->timeout_ms = imds ? IMDS_TIMEOUT_MS : CONTAINER_TIMEOUT_MS;
    out->wait_ms = t->tries == 0 ? 0 : imds ? IMDS_WAIT_MS : CONTAINER_WAIT_MS;
    return ERR_OK;
}

static enum err again(struct awscred_talk *t, enum err r, const char *what, struct why *why)
{
    unsigned most = t->form == AWSCRED_IMDS ? IMDS_TRIES : CONTAINER_TRIES;

    return ++t->tries < most ? ERR_MORE : why_fail(why, r, what, 0);
}

static enum err next_question(struct awscred_talk *t, unsigned state)
{
    t->state = state;
    t->tries = 0;
    return ERR_MORE;
}

/* One line of printable characters, as a token and a role's name are. */
static bool one_line(struct span body, struct buf *out)
{
    struct span rest = body, line = span_trim(span_cut(&rest, '\n'));

    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] <= 0x20 || line.ptr[i] >= 0x7f)
            return false;
    buf_reset(out);
    return line.len > 0 && buf_append(out, line) == ERR_OK;
}

static enum err refused_status(struct awscred_talk *t, unsigned status, struct why *why)
{
    if (status == 429 || status >= 500)
        return again(t, ERR_IO, "the endpoint keeps failing", why);
    if (t->state == ASK_TOKEN)
        return why_fail(why, ERR_DENIED, "IMDSv2 gave no token", 0);
    if (status == 401 && t->form == AWSCRED_IMDS && !t->renewed) {
        t->renewed = true; /* the token has expired: once more from the beginning */
        return next_question(t, ASK_TOKEN);
    }
    if (status == 404 && t->state == ASK_ROLE)
        return why_fail(why, ERR_DENIED, "the instance has no role", 0);
    return why_fail(why, ERR_DENIED, "the endpoint refused", 0);
}

enum err awscred_talk_answer(struct awscred_talk *t, enum err r, unsigned status, struct span body,
                             struct buf *text, struct awscred *out, struct why *why)
{
    if (r != ERR_OK)
        return again(t, r, r == ERR_TIMEOUT ? "no answer in time" : "could not be asked", why);
    if (status != 200)
        return refused_status(t, status, why);
    switch (t->state) {
    case ASK_TOKEN:
        return one_line(body, &t->token)
                   ? next_question(t, t->role.len ? ASK_CREDENTIALS : ASK_ROLE)
                   : why_fail(why, ERR_MALFORMED, "IMDS token", 0);
    case ASK_ROLE:
        return one_line(body, &t->role) ? next_question(t, ASK_CREDENTIALS)
                                        : why_fail(why, ERR_MALFORMED, "role's name", 0);
    default:
        break;
    }
    enum err parsed = awscred_answer_parse(body, t->form, text, out, why);
    return parsed == ERR_MALFORMED ? again(t, parsed, "not the JSON of credentials", why) : parsed;
}
