#include "image/image.h"

#include "eif/signature.h"
#include "image/cpio.h"

enum {
    DIR_MODE = 0755,
    PROGRAM_MODE = 0755,
    FILE_MODE = 0644,
    METADATA_MAX = 16384,
    BZIMAGE_HDRS = 0x202, /* boot.rst: header magic "HdrS" */
    BZIMAGE_NAME = 0x20e, /* kernel_version: offset of the text, from 0x200 */
    BZIMAGE_NAME_BASE = 0x200,
    ARM64_MAGIC = 0x38, /* booting.rst: "ARM\x64" */
};

/* Where the init mounts. AWS's builder adds var as well, where nothing is mounted. */
static const char *const mount_points[] = { "rootfs/dev", "rootfs/proc", "rootfs/run", "rootfs/sys",
                                            "rootfs/tmp" };

/* ---- kernel ---- */

static bool holds_at(struct span s, size_t at, const char *text)
{
    return span_starts(span_from(s, at), text);
}

enum err image_kernel_check(struct span kernel, bool aarch64, struct why *why)
{
    if (holds_at(kernel, 0,
                 "\x7f"
                 "ELF"))
        return why_fail(why, ERR_MALFORMED,
                        aarch64 ? "an ELF file; the boot image is arch/arm64/boot/Image"
                                : "an ELF file (vmlinux); the boot image is bzImage",
                        0);
    if (!aarch64 && !holds_at(kernel, BZIMAGE_HDRS, "HdrS"))
        return why_fail(why, ERR_MALFORMED, "not a bzImage for x86_64", 0);
    if (aarch64 && !holds_at(kernel, ARM64_MAGIC, "ARM\x64"))
        return why_fail(why, ERR_MALFORMED, "not an uncompressed Image for aarch64", 0);
    return ERR_OK;
}

static bool plain(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_' || c == '+' || c == '~';
}

enum err image_kernel_version(struct span kernel, struct buf *out)
{
    struct span text = SPAN_EMPTY;
    size_t n = 0;

    if (holds_at(kernel, BZIMAGE_HDRS, "HdrS") && kernel.len > BZIMAGE_NAME + 2)
        text = span_sub(kernel,
                        BZIMAGE_NAME_BASE +
                            (size_t)(kernel.ptr[BZIMAGE_NAME] | kernel.ptr[BZIMAGE_NAME + 1] << 8),
                        IMAGE_KERNEL_VERSION_MAX);
    while (n < text.len && plain(text.ptr[n]))
        n++;
    return buf_append(out, n > 0 && n < text.len ? span_sub(text, 0, n) : SPAN_LIT("Unknown"));
}

/* ---- ramdisks ---- */

static enum err first_ramdisk(const struct image_spec *s, struct buf *out)
{
    struct cpio_out w = cpio_out_init(out);

    cpio_out_dir(&w, "dev", DIR_MODE);
    cpio_out_file(&w, "init", PROGRAM_MODE, s->init);
    if (s->init_conf.ptr)
        cpio_out_file(&w, "init.conf", FILE_MODE, s->init_conf);
    if (s->nsm_module.ptr)
        cpio_out_file(&w, "nsm.ko", PROGRAM_MODE, s->nsm_module);
    return cpio_out_end(&w);
}

static void line_file(struct cpio_out *w, const char *name, struct span text)
{
    AUTO(buf_clear) struct buf line = BUF_INIT(text.len + 1);

    if (text.len == 0)
        return;
    if (w->err == ERR_OK)
        w->err = buf_append(&line, text);
    if (w->err == ERR_OK)
        w->err = buf_append_byte(&line, '\n');
    cpio_out_file(w, name, FILE_MODE, buf_view(&line));
}

/* The mount points that the file system lacks. One that is a link or a file stays as it is, and the
 * init will say so. */
static void mounts_add(struct cpio_out *w, const struct tree *root)
{
    for (size_t i = 0; i < sizeof mount_points / sizeof mount_points[0]; i++)
        if (!tree_find(root, span_str(mount_points[i] + strlen("rootfs/"))))
            cpio_out_dir(w, mount_points[i], DIR_MODE);
}

static enum err second_ramdisk(const struct image_spec *s, struct buf *out)
{
    struct cpio_out w = cpio_out_init(out);

    cpio_out_file(&w, "cmd", FILE_MODE, s->cmd);
    cpio_out_file(&w, "env", FILE_MODE, s->env);
    cpio_out_dir(&w, "rootfs", DIR_MODE);
    cpio_out_tree(&w, s->root, "rootfs");
    mounts_add(&w, s->root);
    line_file(&w, "user", s->user);
    line_file(&w, "workdir", s->workdir);
    return cpio_out_end(&w);
}

static enum err spec_check(const struct image_spec *s, struct why *why)
{
    if (s->cmd.len < 2)
        return why_fail(why, ERR_MALFORMED, "no command: the image has neither ENTRYPOINT nor CMD",
                        0);
    if (!holds_at(s->init, 0,
                  "\x7f"
                  "ELF"))
        return why_fail(why, ERR_MALFORMED, "the init is not an ELF program", 0);
    if (s->workdir.len && s->workdir.ptr[0] != '/')
        return why_fail(why, ERR_MALFORMED, "the working folder is not an absolute path", 0);
    return image_kernel_check(s->kernel, s->aarch64, why);
}

/* ---- signature ---- */

/* Sign what `e` measures; `section` keeps the bytes that `e` then points to. */
static enum err sign(struct eif *e, struct span certificate, const struct signer_key *key,
                     struct span signature, struct buf *section, struct attest_pcrs *pcrs,
                     struct why *why)
{
    AUTO(signer_cert_freep) struct signer_cert *cert = NULL;

    enum err r = eif_cert_from_pem(certificate, &cert, why);
    if (r == ERR_OK)
        r = key ? eif_signature_write(certificate, key, pcrs->value[0], section, why)
                : eif_signature_attach(certificate, signature, pcrs->value[0], section, why);
    if (r != ERR_OK)
        return r;
    eif_pcr8(cert, pcrs);
    return eif_set_signature(e, buf_view(section));
}

enum err image_sign(struct span file, struct span certificate, const struct signer_key *key,
                    struct span signature, struct buf *out, struct attest_pcrs *pcrs,
                    struct why *why)
{
    AUTO(buf_clear) struct buf section = BUF_INIT(EIF_SIGNATURE_MAX);
    struct attest_pcrs p = { 0 };
    struct eif e;

    enum err r = eif_parse(file, &e, why);
    if (r == ERR_OK)
        r = eif_measure(&e, &p);
    if (r == ERR_OK)
        r = sign(&e, certificate, key, signature, &section, &p, why);
    if (r == ERR_OK)
        r = eif_write(&e, out, why);
    if (r == ERR_OK)
        *pcrs = p;
    return r;
}

/* ---- building ---- */

static enum err sections_add(struct eif *e, const struct image_spec *s, struct span metadata,
                             struct span first, struct span second)
{
    enum err r = eif_add(e, EIF_KERNEL, s->kernel);

    if (r == ERR_OK)
        r = eif_add(e, EIF_CMDLINE, s->cmdline);
    if (r == ERR_OK)
        r = eif_add(e, EIF_METADATA, metadata);
    if (r == ERR_OK)
        r = eif_add(e, EIF_RAMDISK, first);
    return r == ERR_OK ? eif_add(e, EIF_RAMDISK, second) : r;
}

enum err image_build(const struct image_spec *s, struct buf *out, struct attest_pcrs *pcrs,
                     struct why *why)
{
    AUTO(buf_clear) struct buf metadata = BUF_INIT(METADATA_MAX);
    AUTO(buf_clear) struct buf first = BUF_INIT(IMAGE_BYTES_MAX);
    AUTO(buf_clear) struct buf second = BUF_INIT(IMAGE_BYTES_MAX);
    AUTO(buf_clear) struct buf section = BUF_INIT(EIF_SIGNATURE_MAX);
    struct eif e = eif_new(s->aarch64);
    struct attest_pcrs p = { 0 };

    enum err r = spec_check(s, why);
    if (r == ERR_OK)
        r = eif_metadata_write(&s->metadata, &metadata, why);
    if (r != ERR_OK)
        return r;
    r = first_ramdisk(s, &first);
    if (r == ERR_OK)
        r = second_ramdisk(s, &second);
    if (r == ERR_OK)
        r = sections_add(&e, s, buf_view(&metadata), buf_view(&first), buf_view(&second));
    if (r == ERR_OK)
        r = eif_measure(&e, &p);
    if (r != ERR_OK)
        return why_fail(why, r, r == ERR_LIMIT ? "the file system is too large" : err_name(r), 0);
    if (s->key)
        r = sign(&e, s->certificate, s->key, SPAN_EMPTY, &section, &p, why);
    if (r == ERR_OK)
        r = eif_write(&e, out, why);
    if (r == ERR_OK)
        *pcrs = p;
    return r;
}
