#include "localkms/audit_chain.h"

#include <stdio.h>
#include <stdlib.h>

#include "testing/t.h"

enum { RECORDS = 8, LINES_MAX = 16 };

/* A log of eight records as lines, to be tampered with, and what is found in it. */
struct log {
    struct buf lines[LINES_MAX];
    unsigned n;
    struct audit_tip head;
    bool has_head;
    char found[1024];
};

static void log_clear(struct log *l)
{
    for (unsigned i = 0; i < LINES_MAX; i++)
        buf_clear(&l->lines[i]);
}

static void add(struct log *l, struct span record)
{
    AUTO(buf_clear) struct buf line = BUF_INIT(AUDIT_LINE_MAX_BYTES);

    assert_int_equal(audit_seal(&l->head, record, &line), ERR_OK);
    buf_truncate(&line, line.len - 1);
    l->lines[l->n] = BUF_INIT(AUDIT_LINE_MAX_BYTES);
    assert_int_equal(buf_append(&l->lines[l->n++], buf_view(&line)), ERR_OK);
}

static void log_make(struct log *l)
{
    memset(l, 0, sizeof *l);
    l->has_head = true;
    for (unsigned i = 0; i < RECORDS; i++)
        add(l, SPAN_LIT("{\"eventName\":\"Decrypt\",\"readOnly\":true}"));
}

static void drop(struct log *l, unsigned at)
{
    buf_clear(&l->lines[at]);
    for (l->n--; at < l->n; at++)
        l->lines[at] = l->lines[at + 1];
    l->lines[l->n] = BUF_INIT(0);
}

static void swap(struct log *l, unsigned a, unsigned b)
{
    struct buf x = l->lines[a];

    l->lines[a] = l->lines[b];
    l->lines[b] = x;
}

/* The first `from` in the line. */
static void edit(struct log *l, unsigned at, const char *from, const char *to)
{
    const char *all = buf_cstr(&l->lines[at]), *hit = all ? strstr(all, from) : NULL;

    assert_non_null(hit);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(l->lines[at].ptr + (hit - all), to, strlen(to));
}

static void found(void *arg, const struct audit_finding *f)
{
    static const char *const names[] = { "edited", "removed",    "reordered",
                                         "cut",    "cut-before", "ahead" };
    struct log *l = arg;
    size_t len = strlen(l->found);

    snprintf(l->found + len, sizeof l->found - len, "%s%s %llu-%llu at %u", len ? "; " : "",
             names[f->fault], (unsigned long long)f->sequence, (unsigned long long)f->last,
             f->line);
}

static struct audit_summary judge(struct log *l)
{
    struct audit_check *a = NULL;

    assert_int_equal(audit_check_new(&a), ERR_OK);
    for (unsigned i = 0; i < l->n; i++)
        assert_int_equal(audit_check_line(a, buf_view(&l->lines[i]), 0, i + 1), ERR_OK);
    l->found[0] = '\0';
    unsigned n = audit_check_end(a, l->has_head ? &l->head : NULL, found, l);
    assert_int_equal(n == 0, l->found[0] == '\0');
    struct audit_summary s = audit_check_summary(a);
    audit_check_free(a);
    return s;
}

#define LOG                                                                                        \
    AUTO(log_clear) struct log l;                                                                  \
    log_make(&l)

static void in_order(void **state)
{
    LOG;
    (void)state;
    struct audit_summary s = judge(&l);
    assert_string_equal(l.found, "");
    assert_int_equal(s.records, RECORDS);
    assert_int_equal(s.first, 1);
    assert_int_equal(s.last, RECORDS);
    l.has_head = false;
    judge(&l);
    assert_string_equal(l.found, "");
}

/* Each record of the log, one by one: found, and named. */
static void each_edited(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RECORDS; i++) {
        LOG;
        char want[64];
        snprintf(want, sizeof want, "edited %u-%u at %u", i + 1, i + 1, i + 1);
        edit(&l, i, "Decrypt", "Encrypt");
        judge(&l);
        assert_string_equal(l.found, want);
    }
}

static void each_link_edited(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RECORDS; i++) {
        LOG;
        char want[64];
        snprintf(want, sizeof want, "edited %u-%u at %u", i + 1, i + 1, i + 1);
        uint8_t *hex = l.lines[i].ptr + l.lines[i].len - 5;
        *hex = *hex == '0' ? '1' : '0';
        judge(&l);
        assert_string_equal(l.found, want);
    }
}

static void each_number_edited(void **state)
{
    (void)state;
    for (unsigned i = 1; i + 1 < RECORDS; i++) {
        LOG;
        char want[64], from[32];
        snprintf(want, sizeof want, "edited %u-%u at %u", i + 1, i + 1, i + 1);
        snprintf(from, sizeof from, "\"sequence\":%u", i + 1);
        edit(&l, i, from, "\"sequence\":9");
        judge(&l);
        assert_string_equal(l.found, want);
    }
}

static void each_removed(void **state)
{
    (void)state;
    for (unsigned i = 1; i + 1 < RECORDS; i++) {
        LOG;
        char want[64];
        snprintf(want, sizeof want, "removed %u-%u at %u", i + 1, i + 1, i + 1);
        drop(&l, i);
        judge(&l);
        assert_string_equal(l.found, want);
    }
}

static void several_removed(void **state)
{
    LOG;
    (void)state;
    drop(&l, 2);
    drop(&l, 2);
    drop(&l, 2);
    judge(&l);
    assert_string_equal(l.found, "removed 3-5 at 3");
}

/* The first file of a rotated log may have been put away: that is for the reader to judge. */
static void first_removed(void **state)
{
    LOG;
    (void)state;
    drop(&l, 0);
    struct audit_summary s = judge(&l);
    assert_string_equal(l.found, "");
    assert_int_equal(s.first, 2);
}

static void each_reordered(void **state)
{
    (void)state;
    for (unsigned i = 1; i + 2 < RECORDS; i++) {
        LOG;
        char want[128];
        snprintf(want, sizeof want, "reordered %u-%u at %u; reordered %u-%u at %u", i + 2, i + 2,
                 i + 1, i + 1, i + 1, i + 2);
        swap(&l, i, i + 1);
        judge(&l);
        assert_string_equal(l.found, want);
    }
}

static void each_cut(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RECORDS; i++) {
        LOG;
        char want[64];
        snprintf(want, sizeof want, "cut %u-%u at %u", i + 1, RECORDS, i);
        while (l.n > i)
            drop(&l, l.n - 1);
        judge(&l);
        assert_string_equal(l.found, want);
    }
}

static void more_than_the_head(void **state)
{
    LOG;
    struct audit_tip before = l.head;
    (void)state;
    add(&l, SPAN_LIT("{}"));
    l.head = before;
    judge(&l);
    assert_string_equal(l.found, ""); /* ended between line and head */
    l.head.sequence = 0;
    judge(&l);
    assert_string_equal(l.found, "ahead 1-9 at 9");
}

static void not_a_record(void **state)
{
    LOG;
    (void)state;
    edit(&l, 3, "{\"event", "xxxxxxx");
    judge(&l);
    assert_string_equal(l.found, "edited 4-4 at 4");
}

static void inserted(void **state)
{
    LOG;
    (void)state;
    l.lines[l.n] = BUF_INIT(AUDIT_LINE_MAX_BYTES);
    assert_int_equal(buf_append(&l.lines[l.n++], buf_view(&l.lines[3])), ERR_OK);
    judge(&l);
    assert_non_null(strstr(l.found, "reordered 4-4 at 9"));
}

static void own_records(void **state)
{
    LOG;
    (void)state;
    add(&l, SPAN_LIT("{\"eventName\":\"AuditRepaired\",\"eventType\":\"NitrosealAudit\"}"));
    struct audit_summary s = judge(&l);
    assert_string_equal(l.found, "");
    assert_int_equal(s.repairs, 1);
    add(&l, SPAN_LIT("{\"eventName\":\"AuditRecordsMissing\",\"eventType\":\"NitrosealAudit\"}"));
    judge(&l);
    assert_string_equal(l.found, "cut-before 10-10 at 10");
}

static void heads(void **state)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(AUDIT_HEAD_MAX_BYTES);
    struct audit_tip tip = { .sequence = UINT64_MAX - 1, .digest = { 1, 2, 3 } }, back;

    (void)state;
    assert_int_equal(audit_head_write(&tip, &text), ERR_OK);
    assert_int_equal(audit_head_parse(buf_view(&text), &back), ERR_OK);
    assert_memory_equal(&back, &tip, sizeof tip);
    for (size_t n = 0; n < text.len; n++)
        assert_int_equal(audit_head_parse(span_sub(buf_view(&text), 0, n), &back), ERR_MALFORMED);
    assert_int_equal(buf_append_byte(&text, '\n'), ERR_OK);
    assert_int_equal(audit_head_parse(buf_view(&text), &back), ERR_MALFORMED);
}

static void seal_refuses(void **state)
{
    static const char *const bad[] = { "", "{", "[]", "{}\n", "{\n}", "{} " };
    AUTO(buf_clear) struct buf out = BUF_INIT(16), big = BUF_INIT(4096);
    struct audit_tip tip = { .sequence = 0 };

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(audit_seal(&tip, span_str(bad[i]), &big), ERR_MALFORMED);
    assert_int_equal(audit_seal(&tip, SPAN_LIT("{}"), &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    assert_int_equal(tip.sequence, 0);
    assert_int_equal(audit_seal(&tip, SPAN_LIT("{}"), &big), ERR_OK);
    assert_int_equal(big.ptr[1], '"');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),         cmocka_unit_test(each_edited),
        cmocka_unit_test(each_link_edited), cmocka_unit_test(each_number_edited),
        cmocka_unit_test(each_removed),     cmocka_unit_test(several_removed),
        cmocka_unit_test(first_removed),    cmocka_unit_test(each_reordered),
        cmocka_unit_test(each_cut),         cmocka_unit_test(more_than_the_head),
        cmocka_unit_test(not_a_record),     cmocka_unit_test(inserted),
        cmocka_unit_test(own_records),      cmocka_unit_test(heads),
        cmocka_unit_test(seal_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
