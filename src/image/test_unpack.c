/* Archives written by hand: every kind of entry taken or refused, marks of layers, limits. */
#include "image/unpack.h"

#include "image/test_tar.h"

static const struct row {
    const char *name;
    struct tar_item item;
    bool layer;
    enum err want;
    const char *what; /* when refused */
    const char *path; /* when taken: in the tree; NULL: left out */
    enum tree_kind kind;
} rows[] = {
    { "file", { .name = "./a/b", .data = "1" }, false, ERR_OK, NULL, "a/b", TREE_FILE },
    { "old file type",
      { .name = "a", .data = "1", .type = '\0' },
      false,
      ERR_OK,
      NULL,
      "a",
      TREE_FILE },
    { "folder", { .name = "a/", .type = '5' }, false, ERR_OK, NULL, "a", TREE_DIR },
    { "symbolic link",
      { .name = "a", .type = '2', .link = "/etc" },
      false,
      ERR_OK,
      NULL,
      "a",
      TREE_SYMLINK },
    { "symbolic link upwards",
      { .name = "a", .type = '2', .link = "../../x" },
      false,
      ERR_OK,
      NULL,
      "a",
      TREE_SYMLINK },
    { "hard link",
      { .name = "a", .type = '1', .link = "./b" },
      false,
      ERR_OK,
      NULL,
      "a",
      TREE_HARDLINK },
    { "UTF-8",
      { .name = "\xe5\x9b\xbe/\xe7\x89\x87", .data = "1" },
      false,
      ERR_OK,
      NULL,
      "\xe5\x9b\xbe/\xe7\x89\x87",
      TREE_FILE },
    { "not UTF-8", { .name = "a\xff", .data = "1" }, false, ERR_OK, NULL, "a\xff", TREE_FILE },
    { "root", { .name = "./", .type = '5' }, false, ERR_OK, NULL, NULL, TREE_DIR },
    { "below dev", { .name = "dev/console", .type = '3' }, false, ERR_OK, NULL, NULL, TREE_FILE },
    { "below proc", { .name = "proc/x", .data = "1" }, false, ERR_OK, NULL, NULL, TREE_FILE },
    { "below sys", { .name = "./sys/x", .data = "1" }, false, ERR_OK, NULL, NULL, TREE_FILE },
    { "dev itself", { .name = "dev/", .type = '5' }, false, ERR_OK, NULL, "dev", TREE_DIR },
    { "whiteout where there are no layers",
      { .name = "a/.wh.b" },
      false,
      ERR_OK,
      NULL,
      "a/.wh.b",
      TREE_FILE },
    { "whiteout", { .name = "a/.wh.b" }, true, ERR_OK, NULL, "a/b", TREE_WHITEOUT },
    { "whiteout at the top", { .name = ".wh.b" }, true, ERR_OK, NULL, "b", TREE_WHITEOUT },
    { "opaque", { .name = "a/.wh..wh..opq" }, true, ERR_OK, NULL, "a", TREE_OPAQUE },
    { "aufs's own", { .name = "a/.wh..wh.plnk" }, true, ERR_OK, NULL, NULL, TREE_FILE },
    { "whiteout of nothing",
      { .name = "a/.wh." },
      true,
      ERR_MALFORMED,
      "a whiteout of no name",
      NULL,
      TREE_FILE },
    { "whiteout of the folder above",
      { .name = "a/.wh..." },
      true,
      ERR_MALFORMED,
      "a whiteout of no name",
      NULL,
      TREE_FILE },
    { "whiteout of the folder itself",
      { .name = "a/.wh.." },
      true,
      ERR_MALFORMED,
      "a whiteout of no name",
      NULL,
      TREE_FILE },
    { "absolute",
      { .name = "/etc/passwd", .data = "1" },
      false,
      ERR_MALFORMED,
      "an absolute path",
      NULL,
      TREE_FILE },
    { "dot dot",
      { .name = "a/../../etc/passwd", .data = "1" },
      false,
      ERR_MALFORMED,
      "a path with '..'",
      NULL,
      TREE_FILE },
    { "hard link out",
      { .name = "a", .type = '1', .link = "../etc/passwd" },
      false,
      ERR_MALFORMED,
      "a hard link out of the image",
      NULL,
      TREE_FILE },
    { "absolute hard link",
      { .name = "a", .type = '1', .link = "/etc/passwd" },
      false,
      ERR_MALFORMED,
      "a hard link out of the image",
      NULL,
      TREE_FILE },
    { "character device",
      { .name = "a", .type = '3' },
      false,
      ERR_MALFORMED,
      "a device",
      NULL,
      TREE_FILE },
    { "block device",
      { .name = "a", .type = '4' },
      true,
      ERR_MALFORMED,
      "a device",
      NULL,
      TREE_FILE },
    { "pipe", { .name = "a", .type = '6' }, false, ERR_MALFORMED, "a named pipe", NULL, TREE_FILE },
    { "dev as a device",
      { .name = "dev", .type = '3' },
      false,
      ERR_MALFORMED,
      "a device",
      NULL,
      TREE_FILE },
    { "larger than the limit",
      { .name = "a", .size = "00000100001" },
      false,
      ERR_LIMIT,
      "too many bytes in all",
      NULL,
      TREE_FILE },
    { "shorter than it says",
      { .name = "a", .data = "1", .size = "00000004000" },
      false,
      ERR_MALFORMED,
      "the archive is cut short",
      NULL,
      TREE_FILE },
};
enum { ROWS = sizeof rows / sizeof rows[0], OTHERS = 4, BYTES_MAX = 0100000 };

static void entries(void **state)
{
    const struct row *row = *state;
    const struct tar_item items[] = { row->item, { 0 } };
    AUTO(tree_clear) struct tree t = TREE_INIT(10, BYTES_MAX);
    AUTO(buf_clear) struct buf tar = { 0 };
    struct tree_why why = { 0 };

    tar_of(items, &tar);
    struct span in = t_copy(buf_view(&tar));
    assert_int_equal(unpack_tree(in, row->layer, &t, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->what);
        assert_int_equal(t.n, 0);
    } else if (!row->path) {
        assert_int_equal(t.n, 0);
    } else {
        assert_int_equal(t.n, 1);
        assert_string_equal(t.nodes[0].path, row->path);
        assert_int_equal(t.nodes[0].kind, row->kind);
    }
    t_free(in);
}

static void attributes(void **state)
{
    static const struct tar_item items[] = {
        { .name = "a", .data = "content", .mode = 04711, .uid = 1000, .gid = 65534 },
        { .name = "l", .type = '2', .link = "a" },
        { 0 }
    };
    AUTO(tree_clear) struct tree t = TREE_INIT(10, BYTES_MAX);
    AUTO(buf_clear) struct buf tar = { 0 };

    (void)state;
    tar_of(items, &tar);
    assert_int_equal(unpack_tree(buf_view(&tar), false, &t, NULL), ERR_OK);
    assert_int_equal(t.nodes[0].mode, 04711);
    assert_int_equal(t.nodes[0].uid, 1000);
    assert_int_equal(t.nodes[0].gid, 65534);
    t_assert_span(tree_node_bytes(&t.nodes[0]), SPAN_LIT("content"));
    t_assert_span(tree_node_bytes(&t.nodes[1]), SPAN_LIT("a"));
}

static void not_archives(void **state)
{
    static const struct tar_item items[] = { { .name = "a", .data = "content" }, { 0 } };
    AUTO(tree_clear) struct tree t = TREE_INIT(10, BYTES_MAX);
    AUTO(buf_clear) struct buf tar = { 0 };
    struct tree_why why = { 0 };

    (void)state;
    assert_int_equal(unpack_tree(SPAN_LIT("this is no archive at all, but a text that is long "
                                          "enough to be looked at"),
                                 false, &t, &why),
                     ERR_MALFORMED);
    assert_string_equal(why.what, "not a tar archive (plain, gzip or zstd), or damaged");
    assert_int_equal(unpack_tree(SPAN_EMPTY, false, &t, &why), ERR_OK);
    tar_of(items, &tar);
    for (size_t n = 1; n < TAR_BLOCK + 7; n += 3) {
        struct span in = t_copy(span_sub(buf_view(&tar), 0, n));
        assert_int_not_equal(unpack_tree(in, false, &t, &why), ERR_OK);
        assert_int_equal(t.n, 0);
        t_free(in);
    }
}

static void limits(void **state)
{
    static const struct tar_item items[] = { { .name = "a", .data = "12345" },
                                             { .name = "b", .data = "12345" },
                                             { 0 } };
    AUTO(buf_clear) struct buf tar = { 0 };
    struct tree_why why = { 0 };

    (void)state;
    tar_of(items, &tar);
    AUTO(tree_clear) struct tree fits = TREE_INIT(2, 10);
    assert_int_equal(unpack_tree(buf_view(&tar), false, &fits, &why), ERR_OK);
    AUTO(tree_clear) struct tree bytes = TREE_INIT(2, 9);
    assert_int_equal(unpack_tree(buf_view(&tar), false, &bytes, &why), ERR_LIMIT);
    assert_string_equal(why.path, "b");
    AUTO(tree_clear) struct tree nodes = TREE_INIT(1, 10);
    assert_int_equal(unpack_tree(buf_view(&tar), false, &nodes, &why), ERR_LIMIT);
    assert_string_equal(why.what, "too many files");
}

static void members(void **state)
{
    static const struct tar_item items[] = { { .name = "./index.json", .data = "{}" },
                                             { .name = "blobs/x", .data = "12345" },
                                             { 0 } };
    AUTO(buf_clear) struct buf tar = { 0 };
    AUTO(buf_clear) struct buf out = BUF_INIT(5);
    struct tree_why why = { 0 };

    (void)state;
    tar_of(items, &tar);
    assert_int_equal(unpack_member(buf_view(&tar), "blobs/x", &out, &why), ERR_OK);
    t_assert_buf(&out, "12345");
    buf_reset(&out);
    assert_int_equal(unpack_member(buf_view(&tar), "index.json", &out, &why), ERR_OK);
    t_assert_buf(&out, "{}");
    assert_int_equal(unpack_member(buf_view(&tar), "blobs/x", &out, &why), ERR_LIMIT);
    t_assert_buf(&out, "{}");
    assert_int_equal(unpack_member(buf_view(&tar), "oci-layout", &out, &why), ERR_IO);
    assert_string_equal(why.what, "not in the archive");
}

int main(void)
{
    struct CMUnitTest tests[ROWS + OTHERS] = {
        cmocka_unit_test(attributes),
        cmocka_unit_test(not_archives),
        cmocka_unit_test(limits),
        cmocka_unit_test(members),
    };

    T_ROWS(tests + OTHERS, rows, entries);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
