#include "bin/common/image_make.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rfc3339.h"
#include "eif/signature.h"
#include "image/user.h"
#include "image/words.h"
#include "io/sys.h"

enum {
    KERNEL_MAX = 256 << 20,
    PROGRAM_MAX = 256 << 20,
    TEXT_MAX = 1 << 17,
    PEM_MAX = 1 << 20,
    TIME_BYTES = 40,
};

#define SERVICE_PATH "bin/nitroseald"
#define CA_PATH      "etc/ssl/certs/ca-certificates.crt"

/* Everything that an image_spec points into. */
struct parts {
    struct buf kernel, cmdline, init, module, conf, custom, certificate;
    struct buf env, user, version;
    struct oci_image image; /* root, cmd, env, workdir, user: also where no OCI image is */
    struct signer_key *key;
    char build_time[TIME_BYTES];
};

static void parts_freep(struct parts **parts)
{
    struct parts *p = *parts;
    if (!p)
        return;
    struct buf *const all[] = { &p->kernel, &p->cmdline,     &p->init, &p->module, &p->conf,
                                &p->custom, &p->certificate, &p->env,  &p->user,   &p->version };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        buf_clear(all[i]);
    oci_image_clear(&p->image);
    signer_key_free(p->key);
    free(p);
}

static struct parts *parts_new(void)
{
    struct parts *p = calloc(1, sizeof *p);

    if (p)
        *p = (struct parts){ .conf = BUF_INIT(TEXT_MAX),
                             .user = BUF_INIT(TEXT_MAX),
                             .version = BUF_INIT(IMAGE_KERNEL_VERSION_MAX),
                             .image = { .root = TREE_INIT(TREE_NODES_DEFAULT, IMAGE_BYTES_MAX),
                                        .cmd = BUF_INIT(OCI_WORDS_MAX),
                                        .env = BUF_INIT(OCI_WORDS_MAX) } };
    return p;
}

/* ---- kernel and first ramdisk ---- */

static bool take_kernel(const struct image_wish *w, struct parts *p, struct image_fault *f)
{
    char path[IMAGE_PATH_MAX], folder[IMAGE_PATH_MAX], more[IMAGE_PATH_MAX + 16];
    bool blobs = false;
    struct why why = { 0 };

    snprintf(path, sizeof path, "%s", w->kernel ? w->kernel : "");
    if (!w->kernel && !image_kernel(w->aarch64, path, &blobs, folder, f))
        return false;
    if (!image_file(path, KERNEL_MAX, &p->kernel, f))
        return false;
    if (image_kernel_check(buf_view(&p->kernel), w->aarch64, &why) != ERR_OK)
        return image_fault_set(f, IMAGE_FAULT_CONTENT, path, "%s", why.what);
    if (image_kernel_version(buf_view(&p->kernel), &p->version) != ERR_OK)
        return image_fault_set(f, IMAGE_FAULT_INTERNAL, path, "no memory");
    if (!blobs)
        return !w->nsm_module || image_file(w->nsm_module, PROGRAM_MAX, &p->module, f);
    /* AWS's kernel has its NSM driver as a module, and may have a command line of its own. */
    snprintf(more, sizeof more, "%s/nsm.ko", folder);
    if (!image_file(w->nsm_module ? w->nsm_module : more, PROGRAM_MAX, &p->module, f))
        return false;
    snprintf(more, sizeof more, "%s/cmdline", folder);
    return w->cmdline || image_file(more, TEXT_MAX, &p->cmdline, f);
}

/* As nitro-cli does: without white space around it. */
static struct span trimmed(struct span s)
{
    while (s.len && (s.ptr[s.len - 1] <= ' '))
        s.len--;
    while (s.len && s.ptr[0] <= ' ')
        s = span_from(s, 1);
    return s;
}

static bool take_init(const struct image_wish *w, struct parts *p, struct image_fault *f)
{
    char path[IMAGE_PATH_MAX];
    const char *what = NULL;

    if (!w->init && !image_ours("nitroseal-init", path))
        return image_fault_set(
            f, IMAGE_FAULT_SETTING, "nitroseal-init",
            "neither installed in libexec/nitroseal nor built; give --init FILE");
    for (unsigned i = 0; i < w->init_settings.n; i++)
        if (words_set(&p->conf, span_str(w->init_settings.at[i]), &what) != ERR_OK)
            return image_fault_set(f, IMAGE_FAULT_SETTING, w->init_settings.at[i], "%s", what);
    return image_file(w->init ? w->init : path, PROGRAM_MAX, &p->init, f);
}

/* ---- the service's own file system ---- */

static bool region_of(const struct image_wish *w, char *out, size_t size, struct image_fault *f)
{
    struct span rest = span_str(w->kms_key_id), region = SPAN_EMPTY;

    if (span_starts(rest, "arn:")) {
        (void)span_cut(&rest, ':'); /* arn:PARTITION:kms:REGION:ACCOUNT:key/ID */
        (void)span_cut(&rest, ':');
        (void)span_cut(&rest, ':');
        region = span_cut(&rest, ':');
    }
    if (region.len && w->region && !span_is(region, w->region))
        return image_fault_set(f, IMAGE_FAULT_SETTING, w->region,
                               "the key is of another region: %.*s", (int)region.len,
                               (const char *)region.ptr);
    if (region.len)
        snprintf(out, size, "%.*s", (int)region.len, (const char *)region.ptr);
    else
        snprintf(out, size, "%s", w->region ? w->region : "us-east-1");
    return true;
}

static bool set_env(struct parts *p, const char *name, const char *value, struct image_fault *f)
{
    AUTO(buf_clear) struct buf line = BUF_INIT(TEXT_MAX);
    const char *what = NULL;

    if (buf_printf(&line, "%s=%s", name, value) == ERR_OK &&
        words_set(&p->image.env, buf_view(&line), &what) == ERR_OK)
        return true;
    return image_fault_set(f, IMAGE_FAULT_SETTING, name, "%s", what ? what : "too long");
}

static bool take_service(const struct image_wish *w, struct parts *p, struct image_fault *f)
{
    char path[IMAGE_PATH_MAX], ca[IMAGE_PATH_MAX], region[64];
    const char *what = NULL;
    struct tree_why why = { 0 };

    if (!w->service && !image_ours("nitroseald", path))
        return image_fault_set(
            f, IMAGE_FAULT_SETTING, "nitroseald",
            "neither installed in libexec/nitroseal nor built; give --service-program FILE");
    if (!w->ca_file && !image_ours("amazon-roots.pem", ca))
        return image_fault_set(
            f, IMAGE_FAULT_SETTING, "amazon-roots.pem",
            "neither installed in share/nitroseal nor built; give --ca-file FILE");
    if (!w->kms_key_id)
        return image_fault_set(f, IMAGE_FAULT_SETTING, "no KMS key",
                               "the service needs --kms-key-id with the key's ARN");
    if (!region_of(w, region, sizeof region, f) || !set_env(p, "KMS_KEY_ID", w->kms_key_id, f) ||
        !set_env(p, "AWS_REGION", region, f) ||
        !set_env(p, "VSOCK_PORT", w->port ? w->port : "5000", f))
        return false;
    if (!image_put(w->service ? w->service : path, "/" SERVICE_PATH, &p->image.root, f) ||
        !image_put(w->ca_file ? w->ca_file : ca, "/" CA_PATH, &p->image.root, f))
        return false;
    enum err r = tree_finish(&p->image.root, &why);
    if (r != ERR_OK)
        return image_fault_entry(f, r, "image", &why);
    return words_add(&p->image.cmd, SPAN_LIT("/" SERVICE_PATH), &what) == ERR_OK;
}

/* ---- second ramdisk ---- */

static bool take_root(const struct image_wish *w, struct parts *p, struct image_fault *f)
{
    switch (w->source) {
    case IMAGE_SERVICE:
        return take_service(w, p, f);
    case IMAGE_ROOTFS:
        return image_rootfs(w->path, &p->image.root, f);
    case IMAGE_OCI:
        return image_oci(w->path, w->reference, w->aarch64, &p->image, f);
    }
    return false;
}

/* HOST:GUEST; the guest's path has no colon, so the last one is it. */
static bool take_files(const struct image_wish *w, struct parts *p, struct image_fault *f)
{
    AUTO(tree_clear)
    struct tree upper = TREE_INIT(p->image.root.nodes_max - p->image.root.orders,
                                  p->image.root.bytes_max - p->image.root.bytes);
    struct tree_why why = { 0 };

    for (unsigned i = 0; i < w->files.n; i++) {
        const char *colon = strrchr(w->files.at[i], ':');
        char host[IMAGE_PATH_MAX];
        if (!colon || colon == w->files.at[i] || colon - w->files.at[i] >= IMAGE_PATH_MAX)
            return image_fault_set(f, IMAGE_FAULT_SETTING, w->files.at[i], "not HOST:GUEST");
        snprintf(host, sizeof host, "%.*s", (int)(colon - w->files.at[i]), w->files.at[i]);
        if (!image_put(host, colon + 1, &upper, f))
            return false;
    }
    enum err r = w->files.n ? tree_merge(&p->image.root, &upper, &why) : ERR_OK;
    return r == ERR_OK || image_fault_entry(f, r, "--file", &why);
}

static bool take_words(const struct image_wish *w, struct parts *p, struct image_fault *f)
{
    const char *what = NULL;

    if (w->command.n)
        buf_reset(&p->image.cmd);
    for (unsigned i = 0; i < w->command.n; i++)
        if (words_add(&p->image.cmd, span_str(w->command.at[i]), &what) != ERR_OK)
            return image_fault_set(f, IMAGE_FAULT_SETTING, w->command.at[i], "%s", what);
    for (unsigned i = 0; i < w->env.n; i++)
        if (words_set(&p->image.env, span_str(w->env.at[i]), &what) != ERR_OK)
            return image_fault_set(f, IMAGE_FAULT_SETTING, w->env.at[i], "%s", what);
    if (p->image.cmd.len < 2)
        return image_fault_set(f, IMAGE_FAULT_SETTING, "no command",
                               "the image has neither ENTRYPOINT nor CMD: give --entrypoint WORD, "
                               "once for each word");
    return true;
}

static bool take_user(const struct image_wish *w, struct parts *p, struct image_fault *f)
{
    struct span user = w->user ? span_str(w->user) : buf_view(&p->image.user);
    const char *what = NULL;

    if (user.len == 0 || user_resolve(&p->image.root, user, &p->user, &what) == ERR_OK)
        return true;
    return image_fault_set(f, IMAGE_FAULT_CONTENT, w->user ? w->user : "image", "%s", what);
}

/* ---- metadata and signature ---- */

/* RFC 3339 from SOURCE_DATE_EPOCH (reproducible-builds.org), or the epoch itself. */
static bool take_time(struct parts *p, struct image_fault *f)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");
    uint64_t seconds = 0;
    char utc[RFC3339_BYTES];

    if (text && text[0] && span_to_u64(span_str(text), RFC3339_LAST_S, &seconds) != ERR_OK)
        return image_fault_set(f, IMAGE_FAULT_SETTING, "SOURCE_DATE_EPOCH",
                               "not a number of seconds");
    rfc3339_write((int64_t)seconds, utc);
    snprintf(p->build_time, sizeof p->build_time, "%.19s+00:00", utc); /* as nitro-cli has it */
    return true;
}

static struct span metadata_name(const struct image_wish *w)
{
    return w->name                      ? span_str(w->name)
           : w->source == IMAGE_SERVICE ? SPAN_LIT("nitroseal")
                                        : SPAN_LIT("image");
}

static struct span metadata_version(const struct image_wish *w, const struct parts *p)
{
    return w->version                   ? span_str(w->version)
           : p->image.config_digest[0]  ? span_str(p->image.config_digest)
           : w->source == IMAGE_SERVICE ? SPAN_LIT(NITROSEAL_VERSION)
                                        : SPAN_LIT("0");
}

bool image_signer(const char *certificate, const char *private_key, struct buf *pem,
                  struct signer_key **key, struct image_fault *f)
{
    AUTO(buf_clear) struct buf bytes = { 0 };
    struct why why = { 0 };

    if (strncmp(private_key, "pkcs11:", 7) == 0 || strncmp(private_key, "arn:", 4) == 0)
        return image_fault_set(f, IMAGE_FAULT_SETTING, private_key,
                               "a key that stays in a token or in KMS cannot be used here: sign "
                               "what `nitroseal image sign --to-be-signed` writes, and hand in "
                               "the signature with --signature");
    if (!image_file(certificate, PEM_MAX, pem, f) || !image_file(private_key, PEM_MAX, &bytes, f))
        return false;
    if (signer_key_parse_pem(buf_view(&bytes), key, &why) == ERR_OK)
        return true;
    return image_fault_set(f, IMAGE_FAULT_CONTENT, private_key, "%s", why.what);
}

static bool take_rest(const struct image_wish *w, struct parts *p, struct image_fault *f)
{
    if (!take_time(p, f))
        return false;
    if (w->metadata_file && !image_file(w->metadata_file, EIF_CUSTOM_MAX, &p->custom, f))
        return false;
    return !w->certificate ||
           image_signer(w->certificate, w->private_key, &p->certificate, &p->key, f);
}

/* ---- all of it ---- */

static struct image_spec spec_of(const struct image_wish *w, struct parts *p)
{
    struct span workdir = w->workdir ? span_str(w->workdir) : buf_view(&p->image.workdir);

    return (struct image_spec){
        .aarch64 = w->aarch64,
        .kernel = buf_view(&p->kernel),
        .cmdline = w->cmdline       ? span_str(w->cmdline)
                   : p->cmdline.len ? trimmed(buf_view(&p->cmdline))
                   : w->aarch64     ? SPAN_LIT(IMAGE_CMDLINE_AARCH64)
                                    : SPAN_LIT(IMAGE_CMDLINE_X86_64),
        .init = buf_view(&p->init),
        .nsm_module = buf_view(&p->module),
        .init_conf = buf_view(&p->conf),
        .root = &p->image.root,
        .cmd = buf_view(&p->image.cmd),
        .env = buf_view(&p->image.env),
        .workdir = span_is(workdir, "/") ? SPAN_EMPTY : workdir,
        .user = buf_view(&p->user),
        .metadata = { .image_name = metadata_name(w),
                      .image_version = metadata_version(w, p),
                      .build_time = span_str(p->build_time),
                      .build_tool = SPAN_LIT("nitroseal"),
                      .build_tool_version = SPAN_LIT(NITROSEAL_VERSION),
                      .operating_system = SPAN_LIT("Linux"),
                      .kernel_version = buf_view(&p->version),
                      .custom = buf_view(&p->custom) },
        .certificate = buf_view(&p->certificate),
        .key = p->key,
    };
}

bool image_make(const struct image_wish *w, struct buf *out, struct attest_pcrs *pcrs,
                struct image_fault *f)
{
    AUTO(parts_freep) struct parts *p = parts_new();
    struct why why = { 0 };

    if (!p)
        return image_fault_set(f, IMAGE_FAULT_INTERNAL, "image", "no memory");
    if (!take_kernel(w, p, f) || !take_init(w, p, f) || !take_root(w, p, f) ||
        !take_files(w, p, f) || !take_words(w, p, f) || !take_user(w, p, f) || !take_rest(w, p, f))
        return false;
    const struct image_spec s = spec_of(w, p);
    if (!w->init && !image_boots(&s, f))
        return false;
    *out = BUF_INIT(IMAGE_BYTES_MAX);
    enum err r = image_build(&s, out, pcrs, &why);
    if (r == ERR_OK)
        return true;
    return image_fault_set(
        f, r == ERR_NOMEM || r == ERR_CRYPTO ? IMAGE_FAULT_INTERNAL : IMAGE_FAULT_CONTENT, "image",
        "%s", why.what ? why.what : err_name(r));
}

bool image_write(const char *path, struct span bytes, struct image_fault *f)
{
    struct why why = { 0 };

    return file_write(path, bytes, 0644, &why) == ERR_OK ||
           image_fault_set(f, IMAGE_FAULT_FILE, path, "%s", why.what);
}

bool image_sign_file(const char *path, const char *output, const char *certificate,
                     const char *private_key, struct attest_pcrs *pcrs, struct image_fault *f)
{
    AUTO(buf_clear) struct buf file = { 0 }, pem = { 0 }, out = BUF_INIT(IMAGE_BYTES_MAX);
    AUTO(signer_key_freep) struct signer_key *key = NULL;
    struct why why = { 0 };

    if (!image_signer(certificate, private_key, &pem, &key, f) ||
        !image_file(path, IMAGE_BYTES_MAX, &file, f))
        return false;
    enum err r = image_sign(buf_view(&file), buf_view(&pem), key, SPAN_EMPTY, &out, pcrs, &why);
    if (r != ERR_OK)
        return image_fault_set(f, IMAGE_FAULT_CONTENT, path, "%s",
                               why.what ? why.what : err_name(r));
    return image_write(output ? output : path, buf_view(&out), f);
}
