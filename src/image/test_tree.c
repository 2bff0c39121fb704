/* Layers on each other, by name: what is left, what is refused; paths; limits at and one past. */
#include "image/tree.h"

#include "testing/t.h"

enum { MANY = 100, BYTES = 1000 };

/* "d etc 755", "f etc/a text", "s link target", "h name file", "w gone", "o dir", one a line. */
static enum err fill(struct tree *t, const char *lines)
{
    struct span rest = span_str(lines);
    enum err r = ERR_OK;

    while (rest.len && r == ERR_OK) {
        struct span line = span_cut(&rest, '\n');
        struct tree_add a = { .mode = 0644 };
        uint8_t kind = line.len ? line.ptr[0] : 0;
        (void)span_cut(&line, ' ');
        a.path = span_cut(&line, ' ');
        a.bytes = line;
        a.kind = kind == 'd'   ? TREE_DIR
                 : kind == 's' ? TREE_SYMLINK
                 : kind == 'h' ? TREE_HARDLINK
                 : kind == 'w' ? TREE_WHITEOUT
                 : kind == 'o' ? TREE_OPAQUE
                               : TREE_FILE;
        if (kind == 'd')
            a.mode = 0750;
        r = tree_add(t, &a, NULL);
    }
    return r;
}

/* The same way, in order. */
static void show(const struct tree *t, struct buf *out)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct tree_node *n = &t->nodes[i];
        struct span b = tree_node_bytes(n);
        assert_int_equal(buf_printf(out, "%c %s%s%.*s\n",
                                    n->kind == TREE_DIR       ? n->mode == 0755 ? 'D' : 'd'
                                    : n->kind == TREE_SYMLINK ? 's'
                                    : n->bytes->refs > 1      ? 'h'
                                                              : 'f',
                                    n->path, b.len ? " " : "", (int)b.len,
                                    b.ptr ? (const char *)b.ptr : ""),
                         ERR_OK);
    }
}

static const struct row {
    const char *name, *lower, *upper, *want;
    enum err err; /* else: what and path */
    const char *what, *path;
} rows[] = {
    { "sorted, folders first", "f b 1\nf a/x 2\nf a-b 3\nd a\n", "",
      "d a\nf a/x 2\nf a-b 3\nf b 1\n", ERR_OK, NULL, NULL },
    { "parents that nobody named", "f a/b/c 1\n", "f a/d/e 2\n",
      "D a\nD a/b\nf a/b/c 1\nD a/d\nf a/d/e 2\n", ERR_OK, NULL, NULL },
    { "the last of the same name", "f a 1\nf a 2\n", "", "f a 2\n", ERR_OK, NULL, NULL },
    { "a file replaced", "f a 1\n", "f a 2\n", "f a 2\n", ERR_OK, NULL, NULL },
    { "a folder keeps what is in it", "d a\nf a/x 1\n", "d a\nf a/y 2\n", "d a\nf a/x 1\nf a/y 2\n",
      ERR_OK, NULL, NULL },
    { "a folder becomes a file", "d a\nf a/x 1\n", "f a 2\n", "f a 2\n", ERR_OK, NULL, NULL },
    { "a folder becomes a link", "d a\nf a/x 1\n", "s a b\n", "s a b\n", ERR_OK, NULL, NULL },
    { "a link becomes a folder", "s a b\n", "d a\nf a/x 1\n", "d a\nf a/x 1\n", ERR_OK, NULL,
      NULL },
    { "whiteout of a file", "f a 1\nf ab 2\n", "w a\n", "f ab 2\n", ERR_OK, NULL, NULL },
    { "whiteout of a folder", "d a\nd a/b\nf a/b/c 1\nf a-b 2\n", "w a\n", "f a-b 2\n", ERR_OK,
      NULL, NULL },
    { "whiteout of what is not there", "f a 1\n", "w b\n", "f a 1\n", ERR_OK, NULL, NULL },
    { "a whiteout does not touch its own layer", "d a\nf a/x 1\n", "d a\nf a/y 2\nw a\n",
      "d a\nf a/y 2\n", ERR_OK, NULL, NULL },
    { "the same, the mark first", "d a\nf a/x 1\n", "w a\nd a\nf a/y 2\n", "d a\nf a/y 2\n", ERR_OK,
      NULL, NULL },
    { "opaque", "d a\nf a/x 1\nd a/b\nf a/b/z 3\nf c 4\n", "d a\no a\nf a/y 2\n",
      "d a\nf a/y 2\nf c 4\n", ERR_OK, NULL, NULL },
    { "opaque keeps the folder", "d a\nf a/x 1\n", "o a\n", "d a\n", ERR_OK, NULL, NULL },
    { "opaque root", "d a\nf a/x 1\n", "o \nf b 2\n", "f b 2\n", ERR_OK, NULL, NULL },
    { "whiteouts one in the other", "d a\nd a/b\nf a/b/c 1\nf a/d 2\nf e 3\n", "w a/b\nw a\n",
      "f e 3\n", ERR_OK, NULL, NULL },
    { "a hard link", "f a 1\nh b a\n", "", "h a 1\nh b 1\n", ERR_OK, NULL, NULL },
    { "a hard link to one", "h c b\nf a 1\nh b a\n", "", NULL, ERR_MALFORMED,
      "a hard link to what is not a file of the image", "c" },
    { "a chain of hard links", "f a 1\nh b a\nh c b\n", "", "h a 1\nh b 1\nh c 1\n", ERR_OK, NULL,
      NULL },
    { "a hard link into the layer below", "f a 1\n", "h b a\n", "h a 1\nh b 1\n", ERR_OK, NULL,
      NULL },
    { "a hard link to what a whiteout takes", "f a 1\n", "w a\nh b a\n", "f b 1\n", ERR_OK, NULL,
      NULL },
    { "a hard link to a link", "s a x\nh b a\n", "", "s a x\ns b x\n", ERR_OK, NULL, NULL },
    { "a hard link to itself", "h a a\n", "", NULL, ERR_MALFORMED,
      "a hard link to what is not a file of the image", "a" },
    { "a hard link to nothing", "h a b\n", "", NULL, ERR_MALFORMED,
      "a hard link to what is not a file of the image", "a" },
    { "a hard link to a folder", "d a\nh b a\n", "", NULL, ERR_MALFORMED,
      "a hard link to what is not a file of the image", "b" },
    { "through a symbolic link", "s a /etc\nf a/passwd 1\n", "", NULL, ERR_MALFORMED,
      "the path goes through a symbolic link", "a/passwd" },
    { "through a link of the layer below", "s a /etc\n", "f a/passwd 1\n", NULL, ERR_MALFORMED,
      "the path goes through a symbolic link", "a/passwd" },
    { "deep through a link", "s a /etc\nf a/b/c/d 1\n", "", NULL, ERR_MALFORMED,
      "the path goes through a symbolic link", "a/b/c/d" },
    { "through a file", "f a 1\nf a/b 1\n", "", NULL, ERR_MALFORMED, "the path goes through a file",
      "a/b" },
    { "below a file of the layer below", "f a 1\n", "f a/b 1\n", NULL, ERR_MALFORMED,
      "the path goes through a file", "a/b" },
};
enum { ROWS = sizeof rows / sizeof rows[0], OTHERS = 4 };

static void layered(void **state)
{
    const struct row *row = *state;
    struct tree lower = TREE_INIT(MANY, BYTES), upper = TREE_INIT(MANY, BYTES);
    AUTO(buf_clear) struct buf out = BUF_INIT(4096);
    struct tree_why why = { 0 };

    assert_int_equal(fill(&lower, row->lower), ERR_OK);
    assert_int_equal(fill(&upper, row->upper), ERR_OK);
    enum err r = tree_finish(&lower, &why);
    if (r == ERR_OK)
        r = tree_merge(&lower, &upper, &why);
    assert_int_equal(r, row->err);
    if (r == ERR_OK) {
        show(&lower, &out);
        t_assert_buf(&out, row->want);
    } else {
        assert_string_equal(why.what, row->what);
        assert_string_equal(why.path, row->path);
    }
    tree_clear(&lower);
    tree_clear(&upper);
}

static void paths(void **state)
{
    static const struct {
        const char *raw, *want;
    } good[] = { { "a", "a" }, { "./a/b/", "a/b" },  { "a//./b", "a/b" }, { ".", "" },
                 { "", "" },   { "a/..b", "a/..b" }, { "a/...", "a/..." } },
      bad[] = { { "/a", "an absolute path" },     { "//", "an absolute path" },
                { "..", "a path with '..'" },     { "a/../b", "a path with '..'" },
                { "./../b", "a path with '..'" }, { "a/..", "a path with '..'" } };
    const char *what = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(TREE_PATH_MAX);
        assert_int_equal(tree_path_clean(span_str(good[i].raw), &out, &what), ERR_OK);
        t_assert_buf(&out, good[i].want);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(TREE_PATH_MAX);
        assert_int_equal(tree_path_clean(span_str(bad[i].raw), &out, &what), ERR_MALFORMED);
        assert_string_equal(what, bad[i].want);
    }
    AUTO(buf_clear) struct buf out = BUF_INIT(TREE_PATH_MAX);
    assert_int_equal(tree_path_clean(SPAN_LIT("a\0b"), &out, &what), ERR_MALFORMED);
    assert_string_equal(what, "a NUL in the path");
}

static void long_paths(void **state)
{
    AUTO(buf_clear) struct buf raw = BUF_INIT(2 * TREE_PATH_MAX);
    AUTO(buf_clear) struct buf out = BUF_INIT(TREE_PATH_MAX);
    const char *what = NULL;

    (void)state;
    for (int i = 0; i < TREE_NAME_MAX; i++)
        assert_int_equal(buf_append_byte(&raw, 'n'), ERR_OK);
    assert_int_equal(tree_path_clean(buf_view(&raw), &out, &what), ERR_OK);
    assert_int_equal(buf_append_byte(&raw, 'n'), ERR_OK);
    buf_reset(&out);
    assert_int_equal(tree_path_clean(buf_view(&raw), &out, &what), ERR_LIMIT);
    buf_reset(&raw);
    buf_reset(&out);
    while (raw.len + 1 < TREE_PATH_MAX) /* "n/n/.../nn": one below the longest */
        assert_int_equal(buf_append_str(&raw, "n/"), ERR_OK);
    assert_int_equal(buf_append_str(&raw, ""), ERR_OK);
    assert_int_equal(tree_path_clean(buf_view(&raw), &out, &what), ERR_OK);
    assert_int_equal(out.len, TREE_PATH_MAX - 1);
    assert_int_equal(buf_append_str(&raw, "n"), ERR_OK);
    buf_reset(&out);
    assert_int_equal(tree_path_clean(buf_view(&raw), &out, &what), ERR_LIMIT);
}

static void limits(void **state)
{
    static char target[TREE_TARGET_MAX + 1];
    struct tree t = TREE_INIT(3, 10);
    struct tree_why why = { 0 };

    (void)state;
    assert_int_equal(fill(&t, "f a 12345\nf b 12345\n"), ERR_OK);
    assert_int_equal(
        tree_add(
            &t,
            &(struct tree_add){ .path = SPAN_LIT("c"), .kind = TREE_FILE, .bytes = SPAN_LIT("1") },
            &why),
        ERR_LIMIT);
    assert_string_equal(why.what, "too many bytes in all");
    assert_int_equal(fill(&t, "d c\n"), ERR_OK);
    assert_int_equal(
        tree_add(&t, &(struct tree_add){ .path = SPAN_LIT("d"), .kind = TREE_DIR }, &why),
        ERR_LIMIT);
    assert_string_equal(why.what, "too many files");
    assert_int_equal(tree_finish(&t, &why), ERR_OK);
    assert_non_null(tree_find(&t, SPAN_LIT("c")));
    assert_null(tree_find(&t, SPAN_LIT("d")));

    struct tree upper = TREE_INIT(3, 10); /* a limit holds for all layers together */
    assert_int_equal(fill(&upper, "f e \n"), ERR_OK);
    assert_int_equal(tree_merge(&t, &upper, &why), ERR_LIMIT);
    tree_clear(&t);

    t = TREE_INIT(2, 10); /* the folder that nobody named counts too */
    assert_int_equal(fill(&t, "f a/b 1\nf c 1\n"), ERR_OK);
    assert_int_equal(tree_finish(&t, &why), ERR_LIMIT);
    tree_clear(&t);

    memset(target, 'x', sizeof target);
    t = TREE_INIT(3, 2 * sizeof target);
    struct tree_add a = { .path = SPAN_LIT("l"),
                          .kind = TREE_SYMLINK,
                          .bytes = span_of(target, TREE_TARGET_MAX) };
    assert_int_equal(tree_add(&t, &a, &why), ERR_OK);
    a.bytes.len++;
    assert_int_equal(tree_add(&t, &a, &why), ERR_LIMIT);
    a.bytes.len = 0;
    assert_int_equal(tree_add(&t, &a, &why), ERR_MALFORMED);
    tree_clear(&t);
}

static void nothing(void **state)
{
    struct tree t = TREE_INIT(0, 0);

    (void)state;
    assert_int_equal(tree_finish(&t, NULL), ERR_OK);
    assert_int_equal(t.n, 0);
    assert_int_equal(fill(&t, "d a\n"), ERR_LIMIT);
    tree_clear(&t);
}

int main(void)
{
    struct CMUnitTest tests[ROWS + OTHERS] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(long_paths),
        cmocka_unit_test(limits),
        cmocka_unit_test(nothing),
    };

    T_ROWS(tests + OTHERS, rows, layered);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
