#include "localkms/audit_chain.h"

#include <stdlib.h>

#include "base/hex.h"
#include "base/json.h"

static const uint8_t zeros[SHA256_BYTES];

enum err audit_seal(struct audit_tip *tip, struct span record, struct buf *out)
{
    size_t before = out->len;
    char previous[2 * SHA256_BYTES + 1];
    struct audit_tip next = { .sequence = tip->sequence + 1 };

    if (record.len < 2 || record.ptr[0] != '{' || record.ptr[record.len - 1] != '}' ||
        span_find(record, '\n') < record.len)
        return ERR_MALFORMED;
    hex_write(SPAN_ARRAY(tip->digest), previous);
    enum err r = buf_append(out, span_sub(record, 0, record.len - 1));
    if (r == ERR_OK)
        r = buf_printf(out, "%s\"chain\":{\"sequence\":%llu,\"previous\":\"%s\"}}",
                       record.len > 2 ? "," : "", (unsigned long long)next.sequence, previous);
    if (r == ERR_OK)
        r = buf_append_byte(out, '\n');
    if (r != ERR_OK) {
        buf_truncate(out, before);
        return r;
    }
    sha256(span_sub(buf_view(out), before, out->len - before - 1), next.digest);
    *tip = next;
    return ERR_OK;
}

enum err audit_head_write(const struct audit_tip *tip, struct buf *out)
{
    char hex[2 * SHA256_BYTES + 1];

    hex_write(SPAN_ARRAY(tip->digest), hex);
    return buf_printf(out, "%llu %s\n", (unsigned long long)tip->sequence, hex);
}

static enum err digest_parse(struct span hex, uint8_t out[static SHA256_BYTES])
{
    AUTO(buf_clear) struct buf raw = BUF_INIT(SHA256_BYTES);

    if (hex.len != (size_t)2 * SHA256_BYTES || hex_parse(hex, &raw) != ERR_OK)
        return ERR_MALFORMED;
    memcpy(out, raw.ptr, SHA256_BYTES);
    return ERR_OK;
}

enum err audit_head_parse(struct span text, struct audit_tip *out)
{
    struct audit_tip tip;
    struct span rest = text;
    struct span line = span_cut(&rest, '\n');
    struct span number = span_cut(&line, ' ');

    if (rest.len || !rest.ptr || span_to_u64(number, UINT64_MAX - 1, &tip.sequence) != ERR_OK ||
        digest_parse(line, tip.digest) != ERR_OK)
        return ERR_MALFORMED;
    *out = tip;
    return ERR_OK;
}

static void chain_parse(struct json_in *j, struct audit_line *out)
{
    struct json_str name, previous = JSON_STR_NONE;
    bool numbered = false;

    for (json_in_object(j); json_in_member(j, &name);) {
        if (json_str_is(name, "sequence")) {
            out->sequence = json_in_uint(j, UINT64_MAX - 1);
            numbered = true;
        } else if (json_str_is(name, "previous")) {
            previous = json_in_string(j);
        } else {
            json_in_fail(j, ERR_MALFORMED, "chain");
        }
    }
    if (!numbered || out->sequence == 0 || digest_parse(previous.raw, out->previous) != ERR_OK)
        json_in_fail(j, ERR_MALFORMED, "chain");
}

enum err audit_line_parse(struct span line, struct audit_line *out)
{
    struct json_in j = json_in_init(line);
    struct json_str name, event = JSON_STR_NONE, type = JSON_STR_NONE;
    bool chained = false;

    *out = (struct audit_line){ .sequence = 0 };
    sha256(line, out->digest);
    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (json_str_is(name, "chain")) {
            chain_parse(&j, out);
            chained = true;
        } else if (json_str_is(name, "eventName") && json_in_peek(&j) == JSON_KIND_STRING) {
            event = json_in_string(&j);
        } else if (json_str_is(name, "eventType") && json_in_peek(&j) == JSON_KIND_STRING) {
            type = json_in_string(&j);
        } else {
            json_in_skip(&j);
        }
    }
    if (json_in_end(&j) != ERR_OK || !chained)
        return ERR_MALFORMED;
    bool own = json_str_is_set(type) && json_str_is(type, "NitrosealAudit");
    out->is_repair = own && json_str_is_set(event) && json_str_is(event, "AuditRepaired");
    out->is_cut = own && json_str_is_set(event) && json_str_is(event, "AuditRecordsMissing");
    return ERR_OK;
}

struct entry {
    struct audit_line said;
    uint64_t number; /* that it has for us: its own, or by its place if that was edited */
    unsigned file, line;
    bool bad; /* not a record, or found out already */
};

struct audit_check {
    struct entry *all;
    size_t n, room;
    struct entry **by_number; /* of the good ones, ascending */
    size_t n_good;
    struct audit_summary summary;
    audit_finding_fn *found;
    void *arg;
    unsigned findings;
};

enum err audit_check_new(struct audit_check **out)
{
    struct audit_check *a = calloc(1, sizeof *a);

    if (!a)
        return ERR_NOMEM;
    *out = a;
    return ERR_OK;
}

void audit_check_free(struct audit_check *a)
{
    if (!a)
        return;
    free(a->by_number);
    free(a->all);
    free(a);
}

enum err audit_check_line(struct audit_check *a, struct span line, unsigned file,
                          unsigned line_number)
{
    if (a->n == AUDIT_RECORDS_MAX)
        return ERR_LIMIT;
    if (a->n == a->room) {
        size_t room = a->room ? 2 * a->room : 1024;
        struct entry *more = realloc(a->all, room * sizeof *more);
        if (!more)
            return ERR_NOMEM;
        a->all = more;
        a->room = room;
    }
    struct entry *e = &a->all[a->n];
    *e = (struct entry){ .file = file, .line = line_number };
    enum err r = audit_line_parse(line, &e->said);
    if (r != ERR_OK && r != ERR_MALFORMED)
        return r;
    e->bad = r != ERR_OK;
    e->number = e->said.sequence;
    a->n++;
    return ERR_OK;
}

static void tell(struct audit_check *a, enum audit_fault fault, uint64_t first, uint64_t last,
                 const struct entry *at)
{
    const struct audit_finding f = { .fault = fault,
                                     .sequence = first,
                                     .last = last,
                                     .file = at ? at->file : 0,
                                     .line = at ? at->line : 0 };

    a->findings++;
    if (a->found)
        a->found(a->arg, &f);
}

static int by_number(const void *x, const void *y)
{
    const struct entry *const *a = x, *const *b = y;

    return ((*a)->number > (*b)->number) - ((*a)->number < (*b)->number);
}

static struct entry *numbered(const struct audit_check *a, uint64_t number)
{
    struct entry key = { .number = number }, *at = &key;
    struct entry **hit = bsearch(&at, a->by_number, a->n_good, sizeof at, by_number);

    return hit ? *hit : NULL;
}

static bool index_make(struct audit_check *a)
{
    a->by_number = calloc(a->n + 1, sizeof *a->by_number);
    if (!a->by_number)
        return false;
    a->n_good = 0;
    for (size_t i = 0; i < a->n; i++)
        if (!a->all[i].bad)
            a->by_number[a->n_good++] = &a->all[i];
    qsort(a->by_number, a->n_good, sizeof *a->by_number, by_number);
    return true;
}

/* A line that is no record, or whose number cannot be its own, counts as the one that belongs
 * there. */
static void judge_numbers(struct audit_check *a)
{
    uint64_t expected = a->n && !a->all[0].bad ? a->all[0].number : 1;

    for (size_t i = 0; i < a->n; i++) {
        struct entry *e = &a->all[i];
        const struct entry *next = i + 1 < a->n && !a->all[i + 1].bad ? e + 1 : NULL;
        bool odd = !e->bad && e->number != expected;
        if (e->bad || (odd && next && next->number == expected + 1)) {
            e->number = expected;
            e->bad = true;
            tell(a, AUDIT_EDITED, expected, expected, e);
        } else if (odd && e->number > expected && !numbered(a, expected)) {
            tell(a, AUDIT_REMOVED, expected, e->number - 1, e);
        } else if (odd) {
            tell(a, AUDIT_REORDERED, e->number, e->number, e);
        }
        expected = e->number >= expected ? e->number + 1 : expected;
    }
}

/* Does anything after it vouch for this record as it is? */
static bool vouched(const struct audit_check *a, const struct entry *e,
                    const struct audit_tip *head)
{
    const struct entry *next = numbered(a, e->number + 1);

    if (next)
        return memcmp(next->said.previous, e->said.digest, SHA256_BYTES) == 0;
    return head && head->sequence == e->number &&
           memcmp(head->digest, e->said.digest, SHA256_BYTES) == 0;
}

static void judge_links(struct audit_check *a, const struct audit_tip *head)
{
    for (size_t i = 0; i < a->n; i++) {
        struct entry *e = &a->all[i];
        if (e->bad)
            continue;
        if (e->said.is_cut)
            tell(a, AUDIT_CUT_BEFORE, e->number, e->number, e);
        struct entry *before = numbered(a, e->number - 1);
        const uint8_t *want = before ? before->said.digest : e->number == 1 ? zeros : NULL;
        if (!want || memcmp(e->said.previous, want, SHA256_BYTES) == 0)
            continue;
        if (before && before->bad)
            continue; /* told already */
        /* One of the two was changed: the one that nobody vouches for. */
        struct entry *which = before && vouched(a, e, head) ? before : e;
        which->bad = true;
        tell(a, AUDIT_EDITED, which->number, which->number, which);
    }
}

static void judge_end(struct audit_check *a, const struct audit_tip *head)
{
    struct entry *last = a->n_good ? a->by_number[a->n_good - 1] : NULL;
    uint64_t at = a->summary.last;

    if (head->sequence > at)
        tell(a, AUDIT_CUT, at + 1, head->sequence, a->n ? &a->all[a->n - 1] : NULL);
    else if (head->sequence + 1 < at) /* one ahead: ended between the two writes */
        tell(a, AUDIT_AHEAD, head->sequence + 1, at, last);
    else if (head->sequence == at && last && last->number == at && !last->bad &&
             memcmp(head->digest, last->said.digest, SHA256_BYTES) != 0)
        tell(a, AUDIT_EDITED, at, at, last);
}

unsigned audit_check_end(struct audit_check *a, const struct audit_tip *head,
                         audit_finding_fn *found, void *arg)
{
    a->found = found;
    a->arg = arg;
    a->findings = 0;
    if (!index_make(a)) {
        tell(a, AUDIT_EDITED, 0, 0, NULL); /* could not tell: treat as not in order */
        return a->findings;
    }
    judge_numbers(a);
    free(a->by_number); /* numbers may have changed */
    if (!index_make(a)) {
        tell(a, AUDIT_EDITED, 0, 0, NULL);
        return a->findings;
    }
    a->summary = (struct audit_summary){ .records = a->n, .first = a->n ? a->all[0].number : 0 };
    for (size_t i = 0; i < a->n; i++) {
        if (a->all[i].number > a->summary.last)
            a->summary.last = a->all[i].number;
        a->summary.repairs += a->all[i].said.is_repair;
    }
    judge_links(a, head);
    if (head)
        judge_end(a, head);
    return a->findings;
}

struct audit_summary audit_check_summary(const struct audit_check *a)
{
    return a->summary;
}
