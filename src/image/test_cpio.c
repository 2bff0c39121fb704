/* Written and read back; the bytes of a small archive; hard links; everything cut or bent. */
#include "image/cpio.h"

#include "testing/t.h"

enum { ROOM = 65536 };

static void add(struct tree *t, const char *path, enum tree_kind kind, unsigned mode,
                const char *bytes)
{
    struct tree_add a = { .path = span_str(path),
                          .kind = kind,
                          .mode = mode,
                          .uid = 7,
                          .gid = 0xfffffffe,
                          .bytes = span_str(bytes) };

    assert_int_equal(tree_add(t, &a, NULL), ERR_OK);
}

static void small(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(ROOM);
    struct cpio_out w = cpio_out_init(&out);

    (void)state;
    cpio_out_dir(&w, "dev", 0755);
    cpio_out_file(&w, "init", 0755, SPAN_LIT("12345"));
    assert_int_equal(cpio_out_end(&w), ERR_OK);
    assert_int_equal(out.len % 4, 0);
    t_assert_span(buf_view(&out),
                  SPAN_LIT("07070100000001000041ED0000000000000000000000020000000000000000"
                           "000000000000000000000000000000000000000400000000"
                           "dev\0\0\0"
                           "07070100000002000081ED0000000000000000000000010000000000000005"
                           "000000000000000000000000000000000000000500000000"
                           "init\0\0"
                           "12345\0\0\0"
                           "07070100000000000000000000000000000000000000010000000000000000"
                           "000000000000000000000000000000000000000B00000000"
                           "TRAILER!!!\0\0\0\0"));
}

static struct tree sample(void)
{
    struct tree t = TREE_INIT(100, ROOM);

    add(&t, "bin", TREE_DIR, 0755, "");
    add(&t, "bin/b", TREE_FILE, 04755, "program");
    add(&t, "bin/a", TREE_HARDLINK, 0, "bin/b");
    add(&t, "l", TREE_SYMLINK, 0, "/bin/b");
    add(&t, "empty", TREE_FILE, 0600, "");
    assert_int_equal(tree_finish(&t, NULL), ERR_OK);
    return t;
}

static void read_back(void **state)
{
    static const struct cpio_entry want[] = {
        { SPAN_INIT("p/bin"), 1, 0040755, 7, 0xfffffffe, 2, 0, SPAN_INIT("") },
        { SPAN_INIT("p/bin/a"), 2, 0104755, 7, 0xfffffffe, 2, 0, SPAN_INIT("program") },
        { SPAN_INIT("p/bin/b"), 2, 0104755, 7, 0xfffffffe, 2, 0, SPAN_INIT("") },
        { SPAN_INIT("p/empty"), 3, 0100600, 7, 0xfffffffe, 1, 0, SPAN_INIT("") },
        { SPAN_INIT("p/l"), 4, 0120777, 7, 0xfffffffe, 1, 0, SPAN_INIT("/bin/b") },
    };
    AUTO(buf_clear) struct buf out = BUF_INIT(ROOM);
    AUTO(tree_clear) struct tree t = sample();
    struct cpio_out w = cpio_out_init(&out);
    bool end = false;

    (void)state;
    cpio_out_tree(&w, &t, "p");
    assert_int_equal(cpio_out_end(&w), ERR_OK);
    struct cpio_in c = cpio_in_init(buf_view(&out));
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct cpio_entry e = { 0 };
        assert_int_equal(cpio_next(&c, &e, &end, NULL), ERR_OK);
        assert_false(end);
        t_assert_span(e.name, want[i].name);
        t_assert_span(e.data, want[i].data);
        assert_int_equal(e.inode, want[i].inode);
        assert_int_equal(e.mode, want[i].mode);
        assert_int_equal(e.uid, want[i].uid);
        assert_int_equal(e.gid, want[i].gid);
        assert_int_equal(e.nlink, want[i].nlink);
        assert_int_equal(e.mtime, 0);
    }
    struct cpio_entry e = { 0 };
    assert_int_equal(cpio_next(&c, &e, &end, NULL), ERR_OK);
    assert_true(end);
}

static enum err read_all(struct span in, struct why *why)
{
    struct cpio_in c = cpio_in_init(in);
    struct cpio_entry e;
    bool end = false;
    enum err r = ERR_OK;

    while (r == ERR_OK && !end)
        r = cpio_next(&c, &e, &end, why);
    return r;
}

static void cut_short(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(ROOM);
    AUTO(tree_clear) struct tree t = sample();
    struct cpio_out w = cpio_out_init(&out);
    struct why why = { 0 };

    (void)state;
    cpio_out_tree(&w, &t, "");
    assert_int_equal(cpio_out_end(&w), ERR_OK);
    size_t end = out.len - 1; /* the last bytes are padding of the trailer, which may be missing */
    while (out.ptr[end] == 0)
        end--;
    for (size_t n = 0; n < end + 2; n++) {
        struct span in = t_copy(span_sub(buf_view(&out), 0, n));
        assert_int_equal(read_all(in, NULL), ERR_MALFORMED);
        t_free(in);
    }
    assert_int_equal(read_all(buf_view(&out), NULL), ERR_OK);
    assert_int_equal(buf_append(&out, SPAN_LIT("\0\0\0\0")), ERR_OK);
    assert_int_equal(read_all(buf_view(&out), NULL), ERR_OK);
    assert_int_equal(buf_append(&out, SPAN_LIT("\1")), ERR_OK);
    assert_int_equal(read_all(buf_view(&out), &why), ERR_MALFORMED);
    assert_string_equal(why.what, "bytes after the trailer");
}

static void bad_names(void **state)
{
    static const char *const names[] = { "", "/etc", "..", "a/../b", "../a" };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(ROOM);
        struct cpio_out w = cpio_out_init(&out);
        cpio_out_file(&w, names[i], 0644, SPAN_EMPTY);
        assert_int_equal(cpio_out_end(&w), ERR_OK);
        assert_int_equal(read_all(buf_view(&out), NULL), ERR_MALFORMED);
    }
}

static void room(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(247);
    static char name[CPIO_NAME_MAX + 1];
    struct cpio_out w = cpio_out_init(&out);

    (void)state;
    cpio_out_file(&w, "init", 0755, SPAN_LIT("12345"));
    assert_int_equal(cpio_out_end(&w), ERR_LIMIT);
    buf_clear(&out);
    out.max = ROOM;
    memset(name, 'n', sizeof name - 2);
    w = cpio_out_init(&out);
    cpio_out_file(&w, name, 0644, SPAN_EMPTY); /* 4,096 with its NUL */
    assert_int_equal(cpio_out_end(&w), ERR_OK);
    assert_int_equal(read_all(buf_view(&out), NULL), ERR_OK);
    name[sizeof name - 2] = 'n';
    w = cpio_out_init(&out);
    cpio_out_file(&w, name, 0644, SPAN_EMPTY);
    assert_int_equal(cpio_out_end(&w), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small),     cmocka_unit_test(read_back), cmocka_unit_test(cut_short),
        cmocka_unit_test(bad_names), cmocka_unit_test(room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
