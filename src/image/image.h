/* image.h - putting an enclave image together: two ramdisks, metadata, signature, file.
 *
 * Source: eif.md sections 5 and 6, enclave-init.md. Pure: what goes in is all that decides what
 * comes out; no clock, no path of the host.
 *
 * Ramdisk 0: `init`, an empty folder `dev`, `nsm.ko` and `init.conf` where given. Ramdisk 1:
 * `rootfs/...` with the mount points that the init needs, and at the top `cmd`, `env`, `workdir`
 * and `user`, which the init reads and removes. PCR0 and PCR1 cover the first, PCR0 and PCR2 the
 * second.
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include "eif/eif.h"
#include "eif/metadata.h"
#include "image/tree.h"

/* enclave-init.md section 5: the command lines of AWS's own kernels. */
#define IMAGE_CMDLINE_X86_64                                                                       \
    "reboot=k panic=30 pci=off nomodules console=ttyS0 i8042.noaux i8042.nomux i8042.nopnp "       \
    "i8042.dumbkbd random.trust_cpu=on"
#define IMAGE_CMDLINE_AARCH64                                                                      \
    "reboot=k panic=30 pci=off nomodules console=ttyS0 random.trust_cpu=on root=/dev/ram0"

enum {
    IMAGE_KERNEL_VERSION_MAX = 64,
    IMAGE_BYTES_MAX = INT32_MAX, /* of a file system, and of an image file: 2 GiB */
};

struct image_spec {
    bool aarch64;
    struct span kernel, cmdline;
    struct span init, nsm_module, init_conf; /* the last two: absent, or their bytes */
    const struct tree *root;                 /* finished */
    struct span cmd, env;                    /* lines */
    struct span workdir, user;               /* without line feed; empty: the file is left out */
    struct eif_metadata_in metadata;
    struct span certificate; /* PEM, with `key` (signer.h); absent: not signed */
    const struct signer_key *key;
};

/* Append the image; *pcrs are its measurements, with PCR8 if it is signed. ERR_MALFORMED: no
 * command, an init that is not an ELF program, what eif_write() refuses; ERR_VERIFY: key and
 * certificate do not belong together; ERR_LIMIT. Outputs as before on failure. */
MUST_USE enum err image_build(const struct image_spec *spec, struct buf *out,
                              struct attest_pcrs *pcrs, struct why *why);

/* Is it a kernel of that machine? x86_64: a bzImage (Linux Documentation/arch/x86/boot.rst);
 * aarch64: an uncompressed Image (arch/arm64/booting.rst). ERR_MALFORMED with what it is not. */
MUST_USE enum err image_kernel_check(struct span kernel, bool aarch64, struct why *why);
/* Append the version that a bzImage names ("6.12.95"), or "Unknown". */
MUST_USE enum err image_kernel_version(struct span kernel, struct buf *out);

/* Sign the image `file` anew: replaces a signature that is there. Appends the whole new file. With
 * `key` NULL `signature` is one that was made elsewhere: eif_signature_attach(). */
MUST_USE enum err image_sign(struct span file, struct span certificate,
                             const struct signer_key *key, struct span signature, struct buf *out,
                             struct attest_pcrs *pcrs, struct why *why);

#endif
