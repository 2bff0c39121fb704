#include "bin/nitroseal-kms/audit_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/sys.h"
#include "testing/t.h"

#define RECORD "{\"eventName\":\"Decrypt\"}"

struct place {
    char dir[32], path[64], head[AUDIT_PATH_BYTES];
    struct audit_log *log;
    struct audit_opened found;
};

static int place_make(void **state)
{
    struct place *p = calloc(1, sizeof *p);

    strcpy(p->dir, "/tmp/ns-audit.XXXXXX");
    if (!mkdtemp(p->dir))
        return -1;
    snprintf(p->path, sizeof p->path, "%s/audit.log", p->dir);
    *state = p;
    return audit_head_path(p->path, p->head) == ERR_OK ? 0 : -1;
}

static int place_drop(void **state)
{
    struct place *p = *state;
    char command[64];

    audit_log_close(p->log);
    snprintf(command, sizeof command, "rm -r %s", p->dir);
    int status = system(command);
    free(p);
    return status;
}

static void reopen(struct place *p, uint64_t max)
{
    struct why why = { 0 };

    audit_log_close(p->log);
    p->log = NULL;
    if (audit_log_open(p->path, max, 1234, &p->log, &p->found, &why) != ERR_OK)
        fail_msg("%s", why.what);
}

static void write_some(struct place *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(audit_log_append(p->log, SPAN_LIT(RECORD), NULL), ERR_OK);
}

static off_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : -1;
}

/* How many findings the given files have, judged with the head. */
static unsigned judge(struct place *p, const char *const *files, unsigned n,
                      struct audit_summary *s)
{
    struct audit_check *a = NULL;
    struct audit_tip head;

    assert_int_equal(audit_check_new(&a), ERR_OK);
    for (unsigned i = 0; i < n; i++) {
        AUTO(buf_clear) struct buf text = BUF_INIT(1 << 20);
        assert_int_equal(file_read(files[i], &text, NULL), ERR_OK);
        struct span rest = buf_view(&text);
        while (rest.len)
            assert_int_equal(audit_check_line(a, span_cut(&rest, '\n'), i, 1), ERR_OK);
    }
    AUTO(buf_clear) struct buf text = BUF_INIT(AUDIT_HEAD_MAX_BYTES);
    assert_int_equal(file_read(p->head, &text, NULL), ERR_OK);
    assert_int_equal(audit_head_parse(buf_view(&text), &head), ERR_OK);
    unsigned findings = audit_check_end(a, &head, NULL, NULL);
    *s = audit_check_summary(a);
    audit_check_free(a);
    return findings;
}

static void goes_on(void **state)
{
    struct place *p = *state;
    struct audit_summary s;
    const char *file = p->path;
    struct stat st;

    reopen(p, 1 << 20);
    assert_int_equal(p->found.sequence, 0);
    write_some(p, 11);
    reopen(p, 1 << 20);
    assert_int_equal(p->found.sequence, 11);
    assert_false(p->found.records_missing);
    write_some(p, 2);
    assert_int_equal(judge(p, &file, 1, &s), 0);
    assert_int_equal(s.last, 13);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void torn(void **state)
{
    struct place *p = *state;
    struct audit_summary s;
    const char *file = p->path;

    reopen(p, 1 << 20);
    write_some(p, 5);
    off_t before = size_of(p->path);
    int fd = open(p->path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, RECORD, 7), 7);
    close(fd);
    reopen(p, 1 << 20);
    assert_int_equal(p->found.dropped_bytes, 7);
    assert_int_equal(p->found.sequence, 6); /* the record that says so */
    assert_true(size_of(p->path) > before);
    assert_int_equal(judge(p, &file, 1, &s), 0);
    assert_int_equal(s.repairs, 1);
}

/* A line of which only a part is left, whatever part: nothing else is lost. */
static void torn_anywhere(void **state)
{
    struct place *p = *state;
    struct audit_summary s;
    const char *file = p->path;

    reopen(p, 1 << 20);
    write_some(p, 3);
    off_t two = size_of(p->path);
    write_some(p, 1);
    off_t three = size_of(p->path);
    for (off_t cut = two + 1; cut < three; cut += 7) {
        audit_log_close(p->log);
        p->log = NULL;
        assert_int_equal(truncate(p->path, two), 0);
        unlink(p->head);
        reopen(p, 1 << 20); /* a head of three records */
        off_t whole = size_of(p->path);
        write_some(p, 1);
        audit_log_close(p->log);
        p->log = NULL;
        assert_int_equal(truncate(p->path, whole + (cut - two)), 0);
        reopen(p, 1 << 20);
        assert_int_equal(p->found.dropped_bytes, cut - two);
        write_some(p, 1);
        (void)judge(p, &file, 1, &s);
        assert_true(s.repairs >= 1);
    }
}

static void missing(void **state)
{
    struct place *p = *state;
    struct audit_summary s;
    const char *file = p->path;

    reopen(p, 1 << 20);
    write_some(p, 3);
    off_t three = size_of(p->path);
    write_some(p, 1);
    off_t four = size_of(p->path);
    write_some(p, 1);
    audit_log_close(p->log);
    p->log = NULL;
    assert_int_equal(truncate(p->path, four), 0); /* the head says five */
    assert_int_equal(judge(p, &file, 1, &s), 1);
    reopen(p, 1 << 20);
    assert_true(p->found.records_missing);
    assert_int_equal(judge(p, &file, 1, &s), 1); /* the log itself says so from now on */
    audit_log_close(p->log);
    p->log = NULL;
    assert_int_equal(truncate(p->path, three), 0);
    reopen(p, 1 << 20);
    assert_true(p->found.records_missing);
}

/* Ended between the line and the head. */
static void head_behind(void **state)
{
    struct place *p = *state;
    AUTO(buf_clear) struct buf before = BUF_INIT(AUDIT_HEAD_MAX_BYTES);
    struct audit_summary s;
    const char *file = p->path;

    reopen(p, 1 << 20);
    write_some(p, 9);
    assert_int_equal(file_read(p->head, &before, NULL), ERR_OK);
    write_some(p, 1);
    audit_log_close(p->log);
    p->log = NULL;
    assert_int_equal(file_write(p->head, buf_view(&before), 0600, NULL), ERR_OK);
    assert_int_equal(judge(p, &file, 1, &s), 0);
    reopen(p, 1 << 20);
    assert_false(p->found.records_missing);
    write_some(p, 1);
    assert_int_equal(judge(p, &file, 1, &s), 0);
    assert_int_equal(s.last, 11);
}

static void rotation(void **state)
{
    struct place *p = *state;
    struct audit_summary s;
    char names[3][96];
    const char *const files[] = { names[0], names[1], names[2], p->path };
    static const unsigned firsts[] = { 1, 5, 9 };

    for (unsigned i = 0; i < 3; i++)
        snprintf(names[i], sizeof names[i], "%s.%012u", p->path, firsts[i]);
    reopen(p, 1);
    write_some(p, 1);
    off_t one = size_of(p->path);
    reopen(p, (uint64_t)one * 4 + 8); /* four fit */
    write_some(p, 12);
    assert_int_equal(judge(p, files, 4, &s), 0);
    assert_int_equal(s.last, 13);
    assert_true(size_of(names[0]) <= one * 4 + 8);
    assert_int_equal(judge(p, files + 1, 3, &s), 0);
    assert_int_equal(s.first, 5);
    assert_true(judge(p, files, 3, &s) > 0); /* the last file is not given */
    /* Ended between the rename and the first line of the new file: the older one says where. */
    audit_log_close(p->log);
    p->log = NULL;
    snprintf(names[2], sizeof names[2], "%s.%012u", p->path, 13);
    assert_int_equal(rename(p->path, names[2]), 0);
    reopen(p, 1 << 20);
    assert_int_equal(p->found.sequence, 13);
    assert_false(p->found.records_missing);
    write_some(p, 1);
    assert_true(size_of(p->path) > 0);
}

static void not_ours(void **state)
{
    struct place *p = *state;
    struct why why = { 0 };

    assert_int_equal(file_write(p->path, SPAN_LIT("hello\n"), 0600, NULL), ERR_OK);
    assert_int_equal(audit_log_open(p->path, 1 << 20, 0, &p->log, &p->found, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "the last line is not a record of ours");
    assert_null(p->log);
    unlink(p->path);
    assert_int_equal(file_write(p->head, SPAN_LIT("hello\n"), 0600, NULL), ERR_OK);
    assert_int_equal(audit_log_open(p->path, 1 << 20, 0, &p->log, &p->found, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "the head is not ours");
}

/* A full disk leaves the log as it was. */
static void full(void **state)
{
    struct place *p = *state;
    struct why why = { 0 };

    if (access("/dev/full", W_OK) != 0)
        skip();
    assert_int_equal(symlink("/dev/full", p->path), 0);
    enum err r = audit_log_open(p->path, 1 << 20, 0, &p->log, &p->found, &why);
    if (r == ERR_OK)
        r = audit_log_append(p->log, SPAN_LIT(RECORD), &why);
    assert_int_equal(r, ERR_IO);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, place_make, place_drop)
    const struct CMUnitTest tests[] = {
        CASE(goes_on),     CASE(torn),     CASE(torn_anywhere), CASE(missing),
        CASE(head_behind), CASE(rotation), CASE(not_ours),      CASE(full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
