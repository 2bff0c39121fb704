#include "cms/cms.h"
#include "testing/t.h"

#include <stdio.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Messages of our own shape, part by part, so that each can be changed. Whole parts with their
 * heads, in hex. */
struct parts {
    const char *content_type, *version, *info_version, *ski, *key_alg, *recipients_after, *data_oid,
        *content_alg, *content, *after;
};

#define OAEP_HASH "a00f300d06096086480165030402010500"
#define OAEP_MGF  "a11c301a06092a864886f70d010108300d06096086480165030402010500"
#define OAEP      "303c06092a864886f70d010107302f" OAEP_HASH OAEP_MGF
#define SKI_32    "8020000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define IV_16     "0410000102030405060708090a0b0c0d0e0f"
#define BLOCK     "000102030405060708090a0b0c0d0e0f"

static const struct parts good_parts = {
    .content_type = "06092a864886f70d010703",
    .version = "020102",
    .info_version = "020102",
    .ski = SKI_32,
    .key_alg = OAEP,
    .recipients_after = "",
    .data_oid = "06092a864886f70d010701",
    .content_alg = "301d060960864801650304012a" IV_16,
    .content = "a0800410" BLOCK "0000",
    .after = "",
};

static const struct part_row {
    const char *name;
    struct parts change; /* NULL members: as in the good one */
    enum err want;
    const char *what;
    size_t chunks, bytes;
} part_rows[] = {
    { "form A", { 0 }, ERR_OK, NULL, 1, 16 },
    { "form B", { .content = "8010" BLOCK }, ERR_OK, NULL, 1, 16 },
    { "form A of definite length", { .content = "a0120410" BLOCK }, ERR_OK, NULL, 1, 16 },
    { "two chunks that only together are a block",
      { .content = "a0800408000102030405060704080001020304050607 0000" },
      ERR_OK,
      NULL,
      2,
      16 },
    { "length in one more byte than needed",
      { .content = "a080048110" BLOCK "0000" },
      ERR_OK,
      NULL,
      1,
      16 },
    { "length in four bytes", { .content = "808400000010" BLOCK }, ERR_OK, NULL, 1, 16 },
    { "length in five bytes",
      { .content = "80850000000010" BLOCK },
      ERR_MALFORMED,
      "length",
      0,
      0 },
    { "reserved length", { .content = "80ff" BLOCK }, ERR_MALFORMED, "length", 0, 0 },
    { "length past the end", { .content = "807f" BLOCK }, ERR_MALFORMED, "length", 0, 0 },
    { "length of 4 GiB", { .content = "8084ffffffff" BLOCK }, ERR_MALFORMED, "length", 0, 0 },
    { "indefinite length of a primitive string",
      { .content = "8080" BLOCK "0000" },
      ERR_MALFORMED,
      "length",
      0,
      0 },
    { "indefinite length of an inner string",
      { .content = "a0800480" BLOCK "00000000" },
      ERR_MALFORMED,
      "length",
      0,
      0 },
    { "string in a string in a string",
      { .content = "a080248024800410" BLOCK "000000000000" },
      ERR_OK,
      NULL,
      1,
      16 },
    { "strings three deep and a fourth",
      { .content = "a0802480248024800410" BLOCK "0000000000000000" },
      ERR_OK,
      NULL,
      1,
      16 },
    { "strings one deeper than that",
      { .content = "a08024802480248024800410" BLOCK "00000000000000000000" },
      ERR_LIMIT,
      "depth",
      0,
      0 },
    { "something else among the chunks",
      { .content = "a08003020000 0410" BLOCK "0000" },
      ERR_MALFORMED,
      "tag",
      0,
      0 },
    { "no end of contents after the chunks",
      { .content = "a0800410" BLOCK },
      ERR_MALFORMED,
      "end of contents",
      0,
      0 },
    { "no content", { .content = "" }, ERR_MALFORMED, "tag", 0, 0 },
    { "no chunk", { .content = "a0800000" }, ERR_MALFORMED, "encrypted content length", 0, 0 },
    { "empty primitive content",
      { .content = "8000" },
      ERR_MALFORMED,
      "encrypted content length",
      0,
      0 },
    { "15 bytes",
      { .content = "800f000102030405060708090a0b0c0d0e" },
      ERR_MALFORMED,
      "encrypted content length",
      0,
      0 },
    { "IV of 15 bytes",
      { .content_alg = "301c060960864801650304012a040f000102030405060708090a0b0c0d0e" },
      ERR_MALFORMED,
      "IV length",
      0,
      0 },
    { "something after the IV",
      { .content_alg = "301f060960864801650304012a" IV_16 "0500" },
      ERR_MALFORMED,
      "end of contents",
      0,
      0 },
    { "AES-128-CBC",
      { .content_alg = "301d0609608648016503040102" IV_16 },
      ERR_UNSUPPORTED,
      "content encryption algorithm",
      0,
      0 },
    { "content of another type",
      { .data_oid = "06092a864886f70d010702" },
      ERR_UNSUPPORTED,
      "content type",
      0,
      0 },
    { "another outer type",
      { .content_type = "06092a864886f70d010701" },
      ERR_UNSUPPORTED,
      "content type",
      0,
      0 },
    { "version 3", { .version = "020103" }, ERR_UNSUPPORTED, "version", 0, 0 },
    { "version in two bytes", { .version = "02020002" }, ERR_UNSUPPORTED, "version", 0, 0 },
    { "recipient's version 0", { .info_version = "020100" }, ERR_UNSUPPORTED, "version", 0, 0 },
    { "key identifier of 20 bytes",
      { .ski = "8014000102030405060708090a0b0c0d0e0f10111213" },
      ERR_UNSUPPORTED,
      "recipient identifier",
      0,
      0 },
    { "issuer and serial number instead of it",
      { .ski = "3005300002010a" },
      ERR_MALFORMED,
      "tag",
      0,
      0 },
    { "second recipient",
      { .recipients_after = "3000" },
      ERR_UNSUPPORTED,
      "number of recipients",
      0,
      0 },
    { "PKCS#1 v1.5",
      { .key_alg = "300d06092a864886f70d0101010500" },
      ERR_UNSUPPORTED,
      "key encryption algorithm",
      0,
      0 },
    { "OAEP: hash parameters left out",
      { .key_alg = "303806092a864886f70d010107302b"
                   "a00d300b0609608648016503040201"
                   "a11a301806092a864886f70d010108300b0609608648016503040201" },
      ERR_OK,
      NULL,
      1,
      16 },
    { "OAEP: default parameters",
      { .key_alg = "300d06092a864886f70d0101073000" },
      ERR_UNSUPPORTED,
      "OAEP hash",
      0,
      0 },
    { "OAEP: SHA-384",
      { .key_alg = "303c06092a864886f70d010107302f"
                   "a00f300d06096086480165030402020500" OAEP_MGF },
      ERR_UNSUPPORTED,
      "OAEP hash",
      0,
      0 },
    { "OAEP: default mask generation",
      { .key_alg = "301e06092a864886f70d0101073011" OAEP_HASH },
      ERR_UNSUPPORTED,
      "OAEP mask generation",
      0,
      0 },
    { "OAEP: a label, even the empty one",
      { .key_alg = "304d06092a864886f70d0101073040" OAEP_HASH OAEP_MGF
                   "a20f300d06092a864886f70d0101090400" },
      ERR_UNSUPPORTED,
      "OAEP label",
      0,
      0 },
    { "OAEP: NULL that is not empty",
      { .key_alg = "303d06092a864886f70d0101073030"
                   "a010300e0609608648016503040201050100" OAEP_MGF },
      ERR_MALFORMED,
      "length",
      0,
      0 },
    { "attributes after the content", { .after = "a100" }, ERR_MALFORMED, "end of contents", 0, 0 },
};

static void append_hex(struct buf *b, const char *hex)
{
    struct span s = t_unhex(hex);

    assert_int_equal(buf_append(b, s), ERR_OK);
    t_free(s);
}

#define PART(member) (change->member ? change->member : good_parts.member)

static void append_definite(struct buf *b, const char *tag, const struct buf *content)
{
    char head[16];

    snprintf(head, sizeof head, "%s82%04zx", tag, content->len);
    append_hex(b, head);
    assert_int_equal(buf_append(b, buf_view(content)), ERR_OK);
}

static struct span assemble(const struct parts *change)
{
    AUTO(buf_clear)
    struct buf b = BUF_INIT(CMS_MAX_BYTES * 2), set = BUF_INIT(CMS_MAX_BYTES),
               info = BUF_INIT(CMS_MAX_BYTES);

    append_hex(&info, PART(info_version));
    append_hex(&info, PART(ski));
    append_hex(&info, PART(key_alg));
    append_hex(&info, "040401020304");
    append_definite(&set, "30", &info);
    append_hex(&set, PART(recipients_after));
    append_hex(&b, "3080");
    append_hex(&b, PART(content_type));
    append_hex(&b, "a0803080");
    append_hex(&b, PART(version));
    append_definite(&b, "31", &set);
    append_hex(&b, "3080");
    append_hex(&b, PART(data_oid));
    append_hex(&b, PART(content_alg));
    append_hex(&b, PART(content));
    append_hex(&b, "0000");
    append_hex(&b, PART(after));
    append_hex(&b, "000000000000");
    return t_copy(buf_view(&b));
}

static void part_row(void **state)
{
    const struct part_row *row = *state;
    struct span in = assemble(&row->change);
    struct cms_envelope env = { .iv = SPAN_LIT("untouched") };
    struct why why = { 0 };
    size_t bytes = 0;

    assert_int_equal(cms_parse(in, &env, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->what);
        t_assert_span(env.iv, SPAN_LIT("untouched"));
    } else {
        for (size_t i = 0; i < env.n_chunks; i++)
            bytes += env.chunks[i].len;
        assert_int_equal(env.n_chunks, row->chunks);
        assert_int_equal(bytes, row->bytes);
    }
    t_free(in);
}

/* `n` chunks of 16 bytes, and `empty` empty ones. */
static enum err parse_chunks(size_t n, size_t empty)
{
    static char hex[64 * 1024];
    struct cms_envelope env;
    size_t at = (size_t)snprintf(hex, sizeof hex, "a080");

    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(hex + at, sizeof hex - at, "0410" BLOCK);
    for (size_t i = 0; i < empty; i++)
        at += (size_t)snprintf(hex + at, sizeof hex - at, "0400");
    snprintf(hex + at, sizeof hex - at, "0000");
    struct span in = assemble(&(struct parts){ .content = hex });
    enum err r = cms_parse(in, &env, NULL);
    t_free(in);
    return r;
}

static void limits(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf big = BUF_INIT(CMS_MAX_BYTES + 1);
    struct cms_envelope env;
    struct why why = { 0 };
    uint8_t *p;

    assert_int_equal(parse_chunks(CMS_CHUNKS_MAX, 0), ERR_OK);
    assert_int_equal(parse_chunks(CMS_CHUNKS_MAX + 1, 0), ERR_LIMIT);
    assert_int_equal(parse_chunks(1, 255), ERR_OK);
    assert_int_equal(parse_chunks(1, 256), ERR_LIMIT);
    assert_int_equal(buf_reserve(&big, CMS_MAX_BYTES + 1, &p), ERR_OK);
    memset(p, 0, CMS_MAX_BYTES + 1);
    assert_int_equal(cms_parse(span_of(p, CMS_MAX_BYTES + 1), &env, &why), ERR_LIMIT);
    assert_string_equal(why.what, "message length");
    assert_int_equal(cms_parse(span_of(p, CMS_MAX_BYTES), &env, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "tag");
}

static struct CMUnitTest row_test(const char *name, CMUnitTestFunction run, const void *row)
{
    union {
        const void *view;
        void *state;
    } u = { .view = row };

    return (struct CMUnitTest){ name, run, NULL, NULL, u.state };
}

int main(void)
{
    static struct CMUnitTest tests[COUNT(part_rows) + 1];
    size_t n = 0;

    tests[n++] = row_test("limits", limits, NULL);
    for (size_t i = 0; i < COUNT(part_rows); i++)
        tests[n++] = row_test(part_rows[i].name, part_row, &part_rows[i]);
    return _cmocka_run_group_tests("cms_parse", tests, n, NULL, NULL);
}
