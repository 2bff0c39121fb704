/* A whole image put together twice, taken apart, signed; and what no image is made of. */
#include "image/image.h"

#include "crypto/test_signers.h"
#include "eif/signature.h"
#include "image/cpio.h"
#include "testing/t.h"

enum { ROOM = 1 << 20 };

static uint8_t kernel[0x300];

static void kernel_make(void)
{
    memcpy(kernel + 0x202, "HdrS", 4);
    kernel[0x20e] = 0x80; /* the text is at 0x280 */
    memcpy(kernel + 0x280, "6.12.95 (somebody@somewhere) #1", 31);
}

static void root_make(struct tree *t)
{
    const struct tree_add items[] = {
        { .path = SPAN_LIT("app"), .kind = TREE_FILE, .mode = 0755, .bytes = SPAN_LIT("program") },
        { .path = SPAN_LIT("tmp"), .kind = TREE_DIR, .mode = 01777 },
    };

    *t = TREE_INIT(100, ROOM);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(tree_add(t, &items[i], NULL), ERR_OK);
    assert_int_equal(tree_finish(t, NULL), ERR_OK);
}

static struct image_spec spec_of(const struct tree *root)
{
    return (
        struct image_spec){ .kernel = SPAN_ARRAY(kernel),
                            .cmdline = SPAN_LIT(IMAGE_CMDLINE_X86_64),
                            .init = SPAN_LIT("\x7f"
                                             "ELF init"),
                            .root = root,
                            .cmd = SPAN_LIT("/app\n"),
                            .env = SPAN_LIT("A=1\n"),
                            .metadata = { .image_name = SPAN_LIT("t"),
                                          .image_version = SPAN_LIT("1"),
                                          .build_time = SPAN_LIT("1970-01-01T00:00:00+00:00") } };
}

/* Names and modes of a ramdisk, one a line, with the content of short files. */
static void list(struct span ramdisk, struct buf *out)
{
    struct cpio_in c = cpio_in_init(ramdisk);
    struct cpio_entry e;
    bool end = false;

    assert_int_equal(cpio_next(&c, &e, &end, NULL), ERR_OK);
    while (!end) {
        assert_int_equal(buf_printf(out, "%o %.*s %.*s\n", e.mode, (int)e.name.len,
                                    (const char *)e.name.ptr, (int)e.data.len,
                                    (const char *)e.data.ptr),
                         ERR_OK);
        assert_int_equal(cpio_next(&c, &e, &end, NULL), ERR_OK);
    }
}

static void built(void **state)
{
    AUTO(tree_clear) struct tree root = { 0 };
    AUTO(buf_clear) struct buf a = BUF_INIT(ROOM), b = BUF_INIT(ROOM), text = BUF_INIT(ROOM);
    static struct attest_pcrs pcrs, again;
    struct eif e;

    (void)state;
    root_make(&root);
    struct image_spec s = spec_of(&root);
    s.init_conf = SPAN_LIT("restart=always\n");
    s.user = SPAN_LIT("1:2,3");
    s.workdir = SPAN_LIT("/srv");
    assert_int_equal(image_build(&s, &a, &pcrs, NULL), ERR_OK);
    assert_int_equal(image_build(&s, &b, &again, NULL), ERR_OK);
    t_assert_span(buf_view(&a), buf_view(&b));
    assert_int_equal(eif_parse(buf_view(&a), &e, NULL), ERR_OK);
    assert_int_equal(eif_measure(&e, &again), ERR_OK);
    assert_memory_equal(pcrs.value, again.value, 3 * sizeof pcrs.value[0]);
    assert_int_equal(e.sections[2].type, EIF_METADATA); /* the order of AWS's builder */
    list(eif_ramdisk(&e, 0), &text);
    t_assert_buf(&text, "40755 dev \n100755 init \x7f"
                        "ELF init\n100644 init.conf restart=always\n\n");
    buf_reset(&text);
    list(eif_ramdisk(&e, 1), &text);
    t_assert_buf(&text, "100644 cmd /app\n\n100644 env A=1\n\n40755 rootfs \n"
                        "100755 rootfs/app program\n41777 rootfs/tmp \n40755 rootfs/dev \n"
                        "40755 rootfs/proc \n40755 rootfs/run \n40755 rootfs/sys \n"
                        "100644 user 1:2,3\n\n100644 workdir /srv\n\n");
}

static void signed_and_signed_anew(void **state)
{
    AUTO(tree_clear) struct tree root = { 0 };
    AUTO(buf_clear) struct buf a = BUF_INIT(ROOM), b = BUF_INIT(ROOM);
    AUTO(signer_key_freep) struct signer_key *p384 = NULL, *p256 = NULL;
    AUTO(eif_signature_clear) struct eif_signature sig = EIF_SIGNATURE_NONE;
    static struct attest_pcrs pcrs, anew;
    struct why why = { 0 };
    struct eif e;

    (void)state;
    root_make(&root);
    struct image_spec s = spec_of(&root);
    assert_int_equal(signer_key_parse_pem(span_str(p384_key_pem), &p384, NULL), ERR_OK);
    assert_int_equal(signer_key_parse_pem(span_str(p256_key_pem), &p256, NULL), ERR_OK);
    s.certificate = span_str(p384_cert_pem);
    s.key = p384;
    assert_int_equal(image_build(&s, &a, &pcrs, NULL), ERR_OK);
    assert_int_equal(pcrs.present, 0x107);
    assert_int_equal(
        image_sign(buf_view(&a), span_str(p256_cert_pem), p256, SPAN_EMPTY, &b, &anew, NULL),
        ERR_OK);
    t_assert_span(SPAN_ARRAY(pcrs.value[0]), SPAN_ARRAY(anew.value[0]));
    assert_memory_not_equal(pcrs.value[8], anew.value[8], sizeof pcrs.value[8]);
    assert_int_equal(eif_parse(buf_view(&b), &e, NULL), ERR_OK);
    assert_int_equal(e.n_sections, 6);
    assert_int_equal(eif_signature_parse(eif_find(&e, EIF_SIGNATURE), &sig, NULL), ERR_OK);
    assert_int_equal(eif_signature_verify(&sig, anew.value[0], NULL), ERR_OK);
    buf_reset(&b);
    assert_int_equal(
        image_sign(buf_view(&a), span_str(p384_cert_pem), p256, SPAN_EMPTY, &b, &anew, &why),
        ERR_VERIFY);
    assert_string_equal(why.what, "the key does not belong to the certificate");
    a.ptr[700] ^= 1;
    assert_int_equal(
        image_sign(buf_view(&a), span_str(p256_cert_pem), p256, SPAN_EMPTY, &b, &anew, &why),
        ERR_VERIFY);
    assert_string_equal(why.what, "CRC");
    assert_int_equal(b.len, 0);
}

static void not_built(void **state)
{
    AUTO(tree_clear) struct tree root = { 0 };
    AUTO(buf_clear) struct buf out = BUF_INIT(ROOM);
    static struct attest_pcrs pcrs;
    struct why why = { 0 };

    (void)state;
    root_make(&root);
    struct image_spec s = spec_of(&root);
    s.cmd = SPAN_LIT("\n");
    assert_int_equal(image_build(&s, &out, &pcrs, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "no command: the image has neither ENTRYPOINT nor CMD");
    s = spec_of(&root);
    s.init = SPAN_LIT("#!/bin/sh");
    assert_int_equal(image_build(&s, &out, &pcrs, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "the init is not an ELF program");
    s = spec_of(&root);
    s.workdir = SPAN_LIT("srv");
    assert_int_equal(image_build(&s, &out, &pcrs, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "the working folder is not an absolute path");
    s = spec_of(&root);
    s.aarch64 = true;
    assert_int_equal(image_build(&s, &out, &pcrs, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "not an uncompressed Image for aarch64");
    s = spec_of(&root);
    out.max = 2000;
    assert_int_equal(image_build(&s, &out, &pcrs, &why), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    assert_int_equal(pcrs.present, 0);
}

static void kernels(void **state)
{
    static const struct {
        struct span bytes;
        bool aarch64;
        const char *what;
    } bad[] = {
        { SPAN_INIT("\x7f"
                    "ELF"),
          false, "an ELF file (vmlinux); the boot image is bzImage" },
        { SPAN_INIT("\x7f"
                    "ELF"),
          true, "an ELF file; the boot image is arch/arm64/boot/Image" },
        { SPAN_INIT(""), false, "not a bzImage for x86_64" },
        { SPAN_INIT(""), true, "not an uncompressed Image for aarch64" },
    };
    uint8_t arm[0x40] = { 0 };
    struct why why = { 0 };

    (void)state;
    assert_int_equal(image_kernel_check(SPAN_ARRAY(kernel), false, NULL), ERR_OK);
    memcpy(arm + 0x38, "ARM\x64", 4);
    assert_int_equal(image_kernel_check(SPAN_ARRAY(arm), true, NULL), ERR_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(image_kernel_check(bad[i].bytes, bad[i].aarch64, &why), ERR_MALFORMED);
        assert_string_equal(why.what, bad[i].what);
    }
}

static void kernel_versions(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(256);
    uint8_t odd[sizeof kernel];

    (void)state;
    assert_int_equal(image_kernel_version(SPAN_ARRAY(kernel), &out), ERR_OK);
    t_assert_buf(&out, "6.12.95");
    for (size_t n = 0; n < sizeof kernel; n += 13) { /* the text may be cut anywhere */
        struct span in = t_copy(span_of(kernel, n));
        buf_reset(&out);
        assert_int_equal(image_kernel_version(in, &out), ERR_OK);
        t_assert_buf(&out, n > 0x287 ? "6.12.95" : "Unknown");
        t_free(in);
    }
    memcpy(odd, kernel, sizeof odd);
    odd[0x20e] = odd[0x20f] = 0xff;
    buf_reset(&out);
    assert_int_equal(image_kernel_version(SPAN_ARRAY(odd), &out), ERR_OK);
    t_assert_buf(&out, "Unknown");
}

static int setup(void **state)
{
    (void)state;
    kernel_make();
    return crypto_process_init() == ERR_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built),           cmocka_unit_test(signed_and_signed_anew),
        cmocka_unit_test(not_built),       cmocka_unit_test(kernels),
        cmocka_unit_test(kernel_versions),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
