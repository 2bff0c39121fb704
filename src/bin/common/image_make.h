/* image_make.h - an enclave image from what a user asks for: the whole of `nitroseal image build`
 * and of nitro-local's build-enclave but for options and printing.
 *
 * The same wish over the same files gives the same bytes: the only thing taken from the environment
 * is where a kernel is (image_kernel()) and SOURCE_DATE_EPOCH.
 */
#ifndef BIN_COMMON_IMAGE_MAKE_H
#define BIN_COMMON_IMAGE_MAKE_H

#include "bin/common/image_input.h"
#include "image/image.h"

enum { IMAGE_LIST_MAX = 64 };

struct image_list {
    const char *at[IMAGE_LIST_MAX];
    unsigned n;
};

struct image_wish {
    enum { IMAGE_SERVICE, IMAGE_ROOTFS, IMAGE_OCI } source;
    const char *path, *reference; /* of the root file system; the image's name in it */
    bool aarch64;
    /* NULL: as found or as by default. */
    const char *kernel, *cmdline, *init, *nsm_module, *service, *ca_file;
    const char *kms_key_id, *region, *port; /* of the service */
    const char *name, *version, *metadata_file, *workdir, *user;
    const char *certificate, *private_key; /* both or none */
    struct image_list env, files, command, init_settings;
};

/* Fill *out with the image. */
MUST_USE bool image_make(const struct image_wish *w, struct buf *out, struct attest_pcrs *pcrs,
                         struct image_fault *f);

/* Certificate and private key from files; ARNs of KMS and pkcs11: URIs are refused with what to do
 * instead. */
MUST_USE bool image_signer(const char *certificate, const char *private_key, struct buf *pem,
                           struct signer_key **key, struct image_fault *f);
/* Sign the file at `path` anew and put it in its place, or at `output`. */
MUST_USE bool image_sign_file(const char *path, const char *output, const char *certificate,
                              const char *private_key, struct attest_pcrs *pcrs,
                              struct image_fault *f);
/* A new file for everybody to read: 0644, fsync, rename. */
MUST_USE bool image_write(const char *path, struct span bytes, struct image_fault *f);

#endif
