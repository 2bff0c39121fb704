/* The image of eif.md section 3 (its numbers were computed with zlib and SHA-384 alone), each rule
 * of the layout broken in turn, all truncations and all single-bit flips. */
#include "eif/eif.h"

#include "base/hex.h"
#include "crypto/hash.h"
#include "testing/t.h"

#define METADATA                                                                                   \
    "{\"ImageName\":\"t\",\"ImageVersion\":\"1\",\"BuildMetadata\":{\"BuildTime\":\"1970-01-"      \
    "01T00:00:00+00:00\",\"BuildTool\":\"t\",\"BuildToolVersion\":\"0\",\"OperatingSystem\":"      \
    "\"Linux\",\"KernelVersion\":\"0\"},\"DockerInfo\":null,\"CustomMetadata\":null}"

enum { FILE_BYTES = 863, ROOM = 65536 };

static struct eif image(void)
{
    struct eif e = eif_new(false);

    assert_int_equal(eif_add(&e, EIF_KERNEL, SPAN_LIT("KERNEL\n")), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_CMDLINE, SPAN_LIT("console=ttyS0")), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_METADATA, SPAN_LIT(METADATA)), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_RAMDISK, SPAN_LIT("RAMDISK0")), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_RAMDISK, SPAN_LIT("RAMDISK1")), ERR_OK);
    return e;
}

static void assert_hex(struct span got, const char *want)
{
    AUTO(buf_clear) struct buf hex = BUF_INIT(256);

    assert_int_equal(hex_append(&hex, got), ERR_OK);
    t_assert_buf(&hex, want);
}

static void published(void **state)
{
    static const size_t offsets[] = { 548, 567, 592, 823, 843 };
    const struct eif e = image();
    AUTO(buf_clear) struct buf file = BUF_INIT(ROOM);
    static struct attest_pcrs pcrs;
    uint8_t sum[SHA256_BYTES];
    struct eif back;

    (void)state;
    assert_int_equal(eif_write(&e, &file, NULL), ERR_OK);
    assert_int_equal(file.len, FILE_BYTES);
    assert_int_equal(eif_size(&e), FILE_BYTES);
    sha256(buf_view(&file), sum);
    assert_hex(SPAN_ARRAY(sum), "bbbdb77cc6e43f348b656a58a9f03a23ce07b5e49aba35e3e89515365e18724d");
    assert_int_equal(eif_parse(buf_view(&file), &back, NULL), ERR_OK);
    assert_int_equal(back.crc, 0xbd4c15f9);
    assert_int_equal(back.n_sections, 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(back.sections[i].offset, offsets[i]);
        assert_int_equal(back.sections[i].type, e.sections[i].type);
        t_assert_span(back.sections[i].data, e.sections[i].data);
    }
    assert_int_equal(eif_measure(&back, &pcrs), ERR_OK);
    assert_int_equal(pcrs.present, 7);
    assert_hex(
        SPAN_ARRAY(pcrs.value[0]),
        "e24c6a3d9fbf75251e2caa7b10c85efb1d59826986e1b34c7eef9f0ff51522abcd957aa77d489dda05c1ba"
        "770c70142e");
    assert_hex(
        SPAN_ARRAY(pcrs.value[1]),
        "47dbebde20e6e3a6d6b3a0ff49b607dd3802f34b821fefb347cb3a21c9bc278f87b978606a68056e7d383d"
        "a8eacf5752");
    assert_hex(
        SPAN_ARRAY(pcrs.value[2]),
        "5f699ae4300525c628f5c96fc521729dd6ca1a2c07cb07b69e7ae9e3fa935cfd7cc83b3e26d89201a486d9"
        "db2405c562");
}

static void one_ramdisk(void **state)
{
    struct eif e = image();
    static struct attest_pcrs pcrs;

    (void)state;
    e.n_sections = 4;
    assert_int_equal(eif_measure(&e, &pcrs), ERR_OK);
    assert_hex(
        SPAN_ARRAY(pcrs.value[2]),
        "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7"
        "b964fc500a");
    t_assert_span(SPAN_ARRAY(pcrs.value[0]), SPAN_ARRAY(pcrs.value[1]));
    e.n_sections = 3;
    pcrs.present = 0;
    assert_int_equal(eif_measure(&e, &pcrs), ERR_MALFORMED);
    assert_int_equal(pcrs.present, 0);
}

/* ---- one byte of the file set to something else ---- */

static const struct row {
    const char *name;
    size_t at;
    uint8_t value;
    enum err want;
    const char *what;
} rows[] = {
    { "magic", 0, 'E', ERR_MALFORMED, "not an enclave image" },
    { "version 0", 5, 0, ERR_UNSUPPORTED, "version" },
    { "version 1", 5, 1, ERR_UNSUPPORTED, "version" },
    { "version 5", 5, 5, ERR_UNSUPPORTED, "version" },
    { "flags: bit 1", 7, 2, ERR_UNSUPPORTED, "unknown flags" },
    { "flags: bit 15", 6, 0x80, ERR_UNSUPPORTED, "unknown flags" },
    { "reserved", 0x18, 1, ERR_UNSUPPORTED, "a reserved field is not zero" },
    { "unused", 0x21f, 1, ERR_UNSUPPORTED, "a reserved field is not zero" },
    { "no sections", 0x1b, 0, ERR_MALFORMED, "the table has more entries than sections" },
    { "fewer sections", 0x1b, 4, ERR_MALFORMED, "the table has more entries than sections" },
    { "more sections", 0x1b, 6, ERR_MALFORMED,
      "a section does not begin where the one before it ends" },
    { "33 sections", 0x1b, 33, ERR_LIMIT, "too many sections" },
    { "first offset", 0x1c + 7, 0, ERR_MALFORMED,
      "a section does not begin where the one before it ends" },
    { "an offset of 2^63", 0x1c + 8, 0x80, ERR_MALFORMED,
      "a section does not begin where the one before it ends" },
    { "size in the table", 0x11c + 7, 8, ERR_MALFORMED,
      "a section's size differs from the table's" },
    { "size past one that is used", 0x11c + 5 * 8, 1, ERR_MALFORMED,
      "the table has more entries than sections" },
    { "section type 0", 549, 0, ERR_UNSUPPORTED, "section type" },
    { "section type 6", 549, 6, ERR_UNSUPPORTED, "section type" },
    { "section type 256", 548, 1, ERR_UNSUPPORTED, "section type" },
    { "section flags", 551, 1, ERR_UNSUPPORTED, "section flags" },
    { "size in the section", 559, 8, ERR_MALFORMED, "a section's size differs from the table's" },
    { "a ramdisk first", 549, EIF_RAMDISK, ERR_MALFORMED, "a ramdisk stands before the kernel" },
    { "two kernels", 568, EIF_KERNEL, ERR_MALFORMED, "not exactly one kernel" },
    { "two command lines", 593, EIF_CMDLINE, ERR_MALFORMED, "not exactly one command line" },
    { "no metadata", 593, EIF_RAMDISK, ERR_MALFORMED, "no metadata" },
    { "two metadata sections", 824, EIF_METADATA, ERR_MALFORMED, "more than one metadata section" },
    { "data", 560, 'k', ERR_VERIFY, "CRC" },
    { "memory", 8, 1, ERR_VERIFY, "CRC" },
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void refused(void **state)
{
    const struct row *row = *state;
    const struct eif e = image();
    AUTO(buf_clear) struct buf file = BUF_INIT(ROOM);
    struct eif out = { .n_sections = 77 };
    struct why why = { 0 };

    assert_int_equal(eif_write(&e, &file, NULL), ERR_OK);
    file.ptr[row->at] = row->value;
    struct span in = t_copy(buf_view(&file));
    assert_int_equal(eif_parse(in, &out, &why), row->want);
    assert_string_equal(why.what, row->what);
    assert_int_equal(out.n_sections, 77);
    if (row->want == ERR_VERIFY) {
        assert_int_equal(eif_split(in, &out, &why), ERR_OK);
        assert_int_not_equal(out.crc, out.crc_computed);
    }
    t_free(in);
}

static void truncated_and_flipped(void **state)
{
    const struct eif e = image();
    AUTO(buf_clear) struct buf file = BUF_INIT(ROOM);
    struct eif out;

    (void)state;
    assert_int_equal(eif_write(&e, &file, NULL), ERR_OK);
    for (size_t n = 0; n < file.len; n++) {
        struct span in = t_copy(span_sub(buf_view(&file), 0, n));
        assert_int_not_equal(eif_parse(in, &out, NULL), ERR_OK);
        t_free(in);
    }
    for (size_t bit = 0; bit < 8 * file.len; bit++) {
        file.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(eif_parse(buf_view(&file), &out, NULL), ERR_OK);
        file.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(buf_append_byte(&file, 0), ERR_OK);
    struct why why = { 0 };
    assert_int_equal(eif_parse(buf_view(&file), &out, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "bytes after the last section");
}

/* ---- writing ---- */

static void write_fails(struct eif *e, enum err want, const char *what)
{
    AUTO(buf_clear) struct buf file = BUF_INIT(ROOM);
    struct why why = { 0 };

    assert_int_equal(eif_write(e, &file, &why), want);
    assert_string_equal(why.what, what);
    assert_int_equal(file.len, 0);
}

static void unfit(void **state)
{
    static char line[EIF_CMDLINE_MAX];
    const struct {
        unsigned section;
        struct span data;
        enum err want;
        const char *what;
    } unfits[] = {
        { 0, SPAN_LIT(""), ERR_MALFORMED, "the kernel is empty" },
        { 1, SPAN_LIT("quiet\n"), ERR_MALFORMED, "a control character in the command line" },
        { 1, SPAN_LIT("\x7f"), ERR_MALFORMED, "a control character in the command line" },
        { 1, SPAN_ARRAY(line), ERR_LIMIT, "the command line is too long" },
    };

    (void)state;
    memset(line, 'a', sizeof line);
    for (size_t i = 0; i < sizeof unfits / sizeof unfits[0]; i++) {
        struct eif e = image();
        e.sections[unfits[i].section].data = unfits[i].data;
        write_fails(&e, unfits[i].want, unfits[i].what);
    }
}

static void just_fits(void **state)
{
    static char line[EIF_CMDLINE_MAX - 1];
    struct eif e = image();
    struct why why = { 0 };

    (void)state;
    memset(line, 'a', sizeof line);
    e.sections[1].data = SPAN_ARRAY(line);
    AUTO(buf_clear) struct buf file = BUF_INIT(eif_size(&e));
    assert_int_equal(eif_write(&e, &file, NULL), ERR_OK);
    buf_clear(&file);
    file.max--;
    assert_int_equal(eif_write(&e, &file, &why), ERR_LIMIT);
    assert_string_equal(why.what, "the image is too large");
}

static void unfit_as_a_whole(void **state)
{
    struct eif e = image();

    (void)state;
    e.version = 5;
    write_fails(&e, ERR_UNSUPPORTED, "version");
    e = image();
    e.n_sections = 3;
    write_fails(&e, ERR_MALFORMED, "no ramdisk");
}

static void table_full(void **state)
{
    AUTO(buf_clear) struct buf file = BUF_INIT(ROOM);
    struct eif e = image(), back;

    (void)state;
    while (e.n_sections < EIF_SECTIONS_MAX)
        assert_int_equal(eif_add(&e, EIF_RAMDISK, SPAN_LIT("r")), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_RAMDISK, SPAN_LIT("r")), ERR_LIMIT);
    assert_int_equal(eif_set_signature(&e, SPAN_LIT("s")), ERR_LIMIT);
    assert_int_equal(eif_write(&e, &file, NULL), ERR_OK);
    assert_int_equal(eif_parse(buf_view(&file), &back, NULL), ERR_OK);
    assert_int_equal(eif_ramdisks(&back), EIF_SECTIONS_MAX - 3);
    t_assert_span(eif_ramdisk(&back, 0), SPAN_LIT("RAMDISK0"));
    t_assert_span(eif_ramdisk(&back, EIF_SECTIONS_MAX - 4), SPAN_LIT("r"));
    assert_null(eif_ramdisk(&back, EIF_SECTIONS_MAX - 3).ptr);
}

static void signature_section(void **state)
{
    static uint8_t longest[EIF_SIGNATURE_MAX + 1];
    AUTO(buf_clear) struct buf file = BUF_INIT(2 * ROOM);
    AUTO(buf_clear) struct buf plain = BUF_INIT(ROOM);
    static struct eif e, back;
    static struct attest_pcrs before, after;

    (void)state;
    e = image();
    assert_int_equal(eif_write(&e, &plain, NULL), ERR_OK);
    assert_int_equal(eif_measure(&e, &before), ERR_OK);
    assert_int_equal(eif_set_signature(&e, SPAN_LIT("one")), ERR_OK);
    assert_int_equal(eif_set_signature(&e, span_of(longest, EIF_SIGNATURE_MAX)), ERR_OK);
    assert_int_equal(e.n_sections, 6); /* replaced */
    assert_int_equal(eif_write(&e, &file, NULL), ERR_OK);
    assert_int_equal(eif_parse(buf_view(&file), &back, NULL), ERR_OK);
    assert_int_equal(eif_find(&back, EIF_SIGNATURE).len, EIF_SIGNATURE_MAX);
    assert_int_equal(eif_measure(&back, &after), ERR_OK);
    assert_memory_equal(&before, &after, sizeof before); /* a signature is not measured */
    assert_int_equal(eif_set_signature(&e, SPAN_ARRAY(longest)), ERR_OK);
    write_fails(&e, ERR_LIMIT, "the signature section is too long");

    assert_int_equal(eif_set_signature(&back, SPAN_EMPTY), ERR_OK);
    buf_reset(&file);
    AUTO(buf_clear) struct buf again = BUF_INIT(ROOM);
    assert_int_equal(eif_write(&e, &again, NULL), ERR_LIMIT);
    e = image();
    assert_int_equal(eif_set_signature(&e, SPAN_EMPTY), ERR_OK);
    assert_int_equal(eif_write(&e, &again, NULL), ERR_OK);
    t_assert_span(buf_view(&again), buf_view(&plain));
    e.version = 2;
    assert_int_equal(eif_set_signature(&e, SPAN_LIT("s")), ERR_OK);
    assert_int_equal(e.version, 3);
    e.version = 2;
    write_fails(&e, ERR_MALFORMED, "too many signature sections");
    e.version = 4;
    assert_int_equal(eif_add(&e, EIF_SIGNATURE, SPAN_LIT("t")), ERR_OK);
    write_fails(&e, ERR_MALFORMED, "too many signature sections");
}

/* The order of sections counts: PCRs are measured in file order. */
static void other_order(void **state)
{
    struct eif e = image();
    static struct attest_pcrs p, want;
    const struct span in_order[] = { e.sections[1].data, e.sections[0].data, e.sections[3].data };
    struct eif_section kernel = e.sections[0];

    (void)state;
    e.sections[0] = e.sections[1];
    e.sections[1] = kernel;
    assert_int_equal(eif_measure(&e, &p), ERR_OK);
    attest_pcr_measure(in_order, 3, want.value[1]);
    t_assert_span(SPAN_ARRAY(p.value[1]), SPAN_ARRAY(want.value[1]));
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(eif_type_name(EIF_KERNEL), "kernel");
    assert_string_equal(eif_type_name(EIF_CMDLINE), "cmdline");
    assert_string_equal(eif_type_name(EIF_RAMDISK), "ramdisk");
    assert_string_equal(eif_type_name(EIF_SIGNATURE), "signature");
    assert_string_equal(eif_type_name(EIF_METADATA), "metadata");
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 10] = {
        cmocka_unit_test(published),
        cmocka_unit_test(one_ramdisk),
        cmocka_unit_test(unfit),
        cmocka_unit_test(just_fits),
        cmocka_unit_test(unfit_as_a_whole),
        cmocka_unit_test(truncated_and_flipped),
        cmocka_unit_test(table_full),
        cmocka_unit_test(signature_section),
        cmocka_unit_test(other_order),
        cmocka_unit_test(names),
    };

    T_ROWS(tests + 10, rows, refused);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
