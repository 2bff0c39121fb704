/* Images made of blobs in memory: what is read, and each thing that can be wrong with one. */
#include "image/oci.h"

#include "image/test_layout.h"
#include "image/test_tar.h"

#define T "application/vnd.oci.image."

enum { TEXT = 4096 };

static const struct tar_item base_items[] = {
    { .name = "bin/app", .data = "one", .mode = 0755 },
    { .name = "etc/old", .data = "old" },
    { .name = "dev/console", .type = '3' },
    { 0 },
};
static const struct tar_item upper_items[] = {
    { .name = "etc/.wh.old" },
    { .name = "etc/new", .data = "new" },
    { .name = "bin/again", .type = '1', .link = "bin/app" },
    { 0 },
};

#define CONFIG                                                                                     \
    "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Entrypoint\":[\"/bin/"             \
    "app\",\"-x\"],"                                                                               \
    "\"Cmd\":[\"a b\",\"\\u56fe\"],\"Env\":[\"PATH=/bin\",\"A=1=2\"],\"WorkingDir\":\"/etc\","     \
    "\"User\":\"1:2\",\"Labels\":{\"x\":\"y\"}},\"rootfs\":{\"type\":\"layers\"}}"

/* How an image is made; NULL: as it should be. */
struct plan {
    const char *config, *layer_type, *config_type, *manifest_type;
    const char *manifest_more, *manifest_head; /* members of its descriptor; of the manifest */
    const char *extra;                         /* a second descriptor in the index */
    bool nested, nested_twice;
};

static void layer_put(struct layout *l, const struct tar_item *items, const char *type, char *out)
{
    AUTO(buf_clear) struct buf tar = { 0 };

    tar_of(items, &tar);
    assert_true(layout_blob(l, buf_view(&tar), type, "", out, TEXT));
}

static void index_put(struct layout *l, const struct plan *p, const char *manifest)
{
    static char index[3 * TEXT], d[TEXT];

    snprintf(index, sizeof index, "{\"schemaVersion\":2,\"manifests\":[%s%s]}", manifest,
             p->extra ? p->extra : "");
    for (int i = 0; i < (p->nested ? 1 : 0) + (p->nested_twice ? 1 : 0); i++) {
        assert_true(layout_blob(l, span_str(index), T "index.v1+json", "", d, sizeof d));
        snprintf(index, sizeof index, "{\"schemaVersion\":2,\"manifests\":[%s]}", d);
    }
    assert_true(layout_put(l, "index.json", span_str(index)));
}

static void make(struct layout *l, const struct plan *p)
{
    static char config[TEXT], one[TEXT], two[TEXT], manifest[4 * TEXT], descriptor[TEXT];

    *l = (struct layout){ .n = 0 };
    layer_put(l, base_items, T "layer.v1.tar", one);
    layer_put(l, upper_items, p->layer_type ? p->layer_type : T "layer.v1.tar", two);
    assert_true(layout_blob(l, span_str(p->config ? p->config : CONFIG),
                            p->config_type ? p->config_type : T "config.v1+json", "", config,
                            TEXT));
    snprintf(manifest, sizeof manifest, "{%s,\"config\":%s,\"layers\":[%s,%s]}",
             p->manifest_head ? p->manifest_head : "\"schemaVersion\":2", config, one, two);
    assert_true(layout_blob(l, span_str(manifest),
                            p->manifest_type ? p->manifest_type : T "manifest.v1+json",
                            p->manifest_more ? p->manifest_more : "", descriptor, TEXT));
    index_put(l, p, descriptor);
}

static enum err read_it(struct layout *l, const char *reference, struct oci_image *out,
                        struct tree_why *why)
{
    const struct oci_options o = { .fetch = layout_fetch,
                                   .arg = l,
                                   .arch = "amd64",
                                   .reference = reference,
                                   .layer_max = LAYOUT_ROOM };

    *out = (struct oci_image){ .root = TREE_INIT(100, LAYOUT_ROOM) };
    return oci_read(&o, out, why);
}

static void whole(struct plan p, const char *reference)
{
    AUTO(layout_clear) struct layout l;
    AUTO(oci_image_clear) struct oci_image i;

    make(&l, &p);
    assert_int_equal(read_it(&l, reference, &i, NULL), ERR_OK);
    t_assert_buf(&i.cmd, "/bin/app\n-x\na b\n\xe5\x9b\xbe\n");
    t_assert_buf(&i.env, "PATH=/bin\nA=1=2\n");
    t_assert_buf(&i.workdir, "/etc");
    t_assert_buf(&i.user, "1:2");
    assert_int_equal(strlen(i.config_digest), 64);
    assert_int_equal(i.root.n, 5); /* bin, bin/again, bin/app, etc, etc/new */
    assert_null(tree_find(&i.root, SPAN_LIT("etc/old")));
    t_assert_span(tree_node_bytes(tree_find(&i.root, SPAN_LIT("bin/again"))), SPAN_LIT("one"));
}

static void plain(void **state)
{
    (void)state;
    whole((struct plan){ 0 }, NULL);
}

static void for_several_machines(void **state)
{
    static const char arm[] =
        ",{\"mediaType\":\"" T "manifest.v1+json\",\"digest\":\"sha256:x\",\"size\":1,"
        "\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\"}},"
        "{\"mediaType\":\"" T "manifest.v1+json\",\"digest\":\"sha256:x\",\"size\":1,"
        "\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}}";

    (void)state;
    whole((struct plan){ .extra = arm,
                         .nested = true,
                         .manifest_more = ",\"platform\":{\"os\":\"linux\",\"architecture\":"
                                          "\"amd64\"}" },
          NULL);
}

static void by_name(void **state)
{
    static const char other[] =
        ",{\"mediaType\":\"" T "manifest.v1+json\",\"digest\":\"sha256:x\",\"size\":1,"
        "\"annotations\":{\"org.opencontainers.image.ref.name\":\"other\"}}";
    static const struct plan p = {
        .extra = other,
        .manifest_more = ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"this\"}",
    };
    AUTO(layout_clear) struct layout l;
    struct oci_image i;
    struct tree_why why;

    (void)state;
    whole(p, "this");
    make(&l, &p);
    assert_int_equal(read_it(&l, NULL, &i, &why), ERR_UNSUPPORTED);
    assert_string_equal(why.what, "several images: say which one with --ref");
    assert_int_equal(read_it(&l, "third", &i, &why), ERR_UNSUPPORTED);
    assert_string_equal(why.what, "no image of that name, for this machine");
}

static const struct row {
    const char *name;
    struct plan plan;
    enum err want;
    const char *what;
} rows[] = {
    { "another machine",
      { .config = "{\"architecture\":\"arm64\",\"os\":\"linux\"}" },
      ERR_UNSUPPORTED,
      "the image is for another machine or system" },
    { "another system",
      { .config = "{\"architecture\":\"amd64\",\"os\":\"windows\"}" },
      ERR_UNSUPPORTED,
      "the image is for another machine or system" },
    { "config that says nothing",
      { .config = "{}" },
      ERR_UNSUPPORTED,
      "the image is for another machine or system" },
    { "config that is no JSON", { .config = "{" }, ERR_MALFORMED, "end of input" },
    { "a line feed in CMD",
      { .config =
            "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"a\\nb\"]}}" },
      ERR_MALFORMED,
      "a word with a line feed or a NUL cannot be written into the image" },
    { "CMD is a text",
      { .config = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":\"a\"}}" },
      ERR_MALFORMED,
      "type" },
    { "an unknown kind of layer",
      { .layer_type = "application/zip" },
      ERR_UNSUPPORTED,
      "a layer of a media type that we do not know" },
    { "not an image but something else in a registry",
      { .config_type = "application/vnd.cncf.helm.config.v1+json" },
      ERR_UNSUPPORTED,
      "not a container image" },
    { "an unknown kind of manifest",
      { .manifest_type = "application/json" },
      ERR_UNSUPPORTED,
      "no image for this machine" },
    { "schema version 1",
      { .manifest_head = "\"schemaVersion\":1" },
      ERR_UNSUPPORTED,
      "schemaVersion" },
    { "an index in an index in an index",
      { .nested = true, .nested_twice = true },
      ERR_LIMIT,
      "an index in an index in an index" },
};
enum { ROWS = sizeof rows / sizeof rows[0], OTHERS = 6 };

static void refused(void **state)
{
    const struct row *row = *state;
    AUTO(layout_clear) struct layout l;
    struct oci_image i;
    struct tree_why why = { 0 };

    make(&l, &row->plan);
    assert_int_equal(read_it(&l, NULL, &i, &why), row->want);
    assert_string_equal(why.what, row->what);
    assert_int_equal(i.root.n, 0);
}

/* No byte of any blob may change, and none may be added. */
static void digests(void **state)
{
    AUTO(layout_clear) struct layout l;
    struct oci_image i;
    struct tree_why why = { 0 };

    (void)state;
    make(&l, &(struct plan){ 0 });
    for (unsigned k = 0; k + 1 < l.n; k++) { /* the last is index.json */
        l.files[k].bytes.ptr[l.files[k].bytes.len / 2] ^= 1;
        assert_int_equal(read_it(&l, NULL, &i, &why), ERR_VERIFY);
        assert_string_equal(why.what, "the bytes are not those of the digest");
        l.files[k].bytes.ptr[l.files[k].bytes.len / 2] ^= 1;
        l.files[k].bytes.len--;
        assert_int_equal(read_it(&l, NULL, &i, &why), ERR_VERIFY);
        l.files[k].bytes.len++;
    }
    AUTO(oci_image_clear) struct oci_image good;
    assert_int_equal(read_it(&l, NULL, &good, &why), ERR_OK);
}

static void odd_digests(void **state)
{
    static const char *const digests[] = {
        "sha512:0000000000000000000000000000000000000000000000000000000000000000",
        "sha256:../../../../../../../../../../../../../../../../../../etc/passwd0",
        "sha256:000000000000000000000000000000000000000000000000000000000000000",
        "sha256:A000000000000000000000000000000000000000000000000000000000000000",
    };
    struct oci_image i;
    struct tree_why why = { 0 };
    char index[512];

    (void)state;
    for (size_t k = 0; k < sizeof digests / sizeof digests[0]; k++) {
        AUTO(layout_clear) struct layout l = { .n = 0 };
        snprintf(index, sizeof index,
                 "{\"manifests\":[{\"mediaType\":\"" T "manifest.v1+json\",\"digest\":\"%s\","
                 "\"size\":1}]}",
                 digests[k]);
        assert_true(layout_put(&l, "index.json", span_str(index)));
        assert_int_equal(read_it(&l, NULL, &i, &why), ERR_UNSUPPORTED);
        assert_string_equal(why.what, "a digest that is not sha256");
    }
}

static void limits(void **state)
{
    AUTO(layout_clear) struct layout l;
    struct oci_options o = { .fetch = layout_fetch, .arg = &l, .arch = "amd64" };
    struct oci_image i = { .root = TREE_INIT(100, LAYOUT_ROOM) };
    struct tree_why why = { 0 };

    (void)state;
    make(&l, &(struct plan){ 0 });
    o.layer_max = l.files[0].bytes.len - 1;
    assert_int_equal(oci_read(&o, &i, &why), ERR_LIMIT);
    assert_string_equal(why.what, "too large");
    o.layer_max++;
    i.root = TREE_INIT(7, LAYOUT_ROOM); /* 3 and 2 files, a whiteout, 2 folders that nobody named */
    assert_int_equal(oci_read(&o, &i, &why), ERR_OK);
    oci_image_clear(&i);
    i.root = TREE_INIT(4, LAYOUT_ROOM);
    assert_int_equal(oci_read(&o, &i, &why), ERR_LIMIT);
    assert_int_equal(i.root.n, 0);
    layout_clear(&l);
    assert_int_equal(read_it(&l, NULL, &i, &why), ERR_IO);
    assert_true(layout_put(&l, "index.json", SPAN_LIT("{\"manifests\":[]}")));
    assert_int_equal(read_it(&l, NULL, &i, &why), ERR_UNSUPPORTED);
    assert_string_equal(why.what, "no image in it");
}

int main(void)
{
    struct CMUnitTest tests[ROWS + OTHERS] = {
        cmocka_unit_test(plain),       cmocka_unit_test(for_several_machines),
        cmocka_unit_test(by_name),     cmocka_unit_test(digests),
        cmocka_unit_test(odd_digests), cmocka_unit_test(limits),
    };

    T_ROWS(tests + OTHERS, rows, refused);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
