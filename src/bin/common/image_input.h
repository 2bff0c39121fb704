/* image_input.h - what an image is made of, from files: programs and kernels beside ours, folders,
 * archives. For `nitroseal image` and `nitro-local`. */
#ifndef BIN_COMMON_IMAGE_INPUT_H
#define BIN_COMMON_IMAGE_INPUT_H

#include "image/image.h"
#include "image/oci.h"
#include "image/tree.h"

enum { IMAGE_PATH_MAX = 1024 };

enum image_fault_kind {
    IMAGE_FAULT_FILE,     /* cannot be read or written */
    IMAGE_FAULT_CONTENT,  /* is not what it should be */
    IMAGE_FAULT_SETTING,  /* a wish that cannot be met: an option, a program or kernel not found */
    IMAGE_FAULT_INTERNAL, /* memory, cryptography */
};

/* What went wrong with which file, for one line: "SUBJECT: WHAT". */
struct image_fault {
    enum image_fault_kind kind;
    char subject[512];
    char what[512];
};
/* Sets it and returns false, so that a function can end with it. */
bool image_fault_set(struct image_fault *f, enum image_fault_kind kind, const char *subject,
                     const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same from an entry of an archive or a folder. */
bool image_fault_entry(struct image_fault *f, enum err r, const char *subject,
                       const struct tree_why *why);

/* Append a whole file, at most `max` bytes. */
MUST_USE bool image_file(const char *path, size_t max, struct buf *out, struct image_fault *f);

/* What our init would refuse at the start is refused here, by its own parsers (boot/boot.h). */
MUST_USE bool image_boots(const struct image_spec *s, struct image_fault *f);
/* Is there a folder of that name? */
bool image_is_folder(const char *path);
/* Add a folder's content to *t. Owners become 0, modes 0755 and, for files that their owner cannot
 * execute, 0644, so that neither umask nor user of the builder is in the image; links are kept as
 * they are; what is below dev, proc and sys is left out; devices, pipes and sockets are refused. */
MUST_USE bool image_folder(const char *path, struct tree *t, struct image_fault *f);
/* Add one file at `guest`, an absolute path in the image. */
MUST_USE bool image_put(const char *host, const char *guest, struct tree *t, struct image_fault *f);

/* A folder, or a tar archive. *t is finished. */
MUST_USE bool image_rootfs(const char *path, struct tree *t, struct image_fault *f);
/* An OCI layout folder, or an oci-archive. *out has the limits in its tree. */
MUST_USE bool image_oci(const char *path, const char *reference, bool aarch64,
                        struct oci_image *out, struct image_fault *f);

/* A file of ours that goes into an image: a stripped program ("nitroseald", "nitroseal-init") or
 * "amazon-roots.pem". As installed, in PREFIX/libexec or share/nitroseal, or as built, in
 * BUILD/src/bin/enclave. */
MUST_USE bool image_ours(const char *name, char out[static IMAGE_PATH_MAX]);
/* The kernel: NITROSEAL_KERNEL; AWS's in NITRO_CLI_BLOBS or /usr/share/nitro_enclaves/blobs; ours
 * in PREFIX/share/nitroseal or BUILD/kernel. *blobs: it is AWS's, and `folder` its folder. */
MUST_USE bool image_kernel(bool aarch64, char out[static IMAGE_PATH_MAX], bool *blobs,
                           char folder[static IMAGE_PATH_MAX], struct image_fault *f);

#endif
