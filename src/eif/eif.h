/* eif.h - Enclave Image Files: read, write, measure.
 *
 * Source: reference eif.md sections 1 and 3 (aws-nitro-enclaves-image-format, src/defs and README).
 * Pure: over one span that holds the whole file; nothing is copied.
 *
 * An image is a header of 548 bytes and up to 32 sections, each with a header of 12 bytes, back to
 * back. Accepted: versions 2 to 4; exactly one kernel and one command line; at least one ramdisk,
 * and none before the kernel; one metadata section, which version 4 must have, with something in
 * it; one signature section at most, from version 3 on. Refused: gaps, overlaps, trailing bytes, a
 * table that does not agree with the sections, reserved bits and fields that are not zero.
 */
#ifndef EIF_EIF_H
#define EIF_EIF_H

#include "attest/pcrs.h"
#include "base/buf.h"

enum {
    EIF_HEADER_BYTES = 548,
    EIF_SECTION_HEADER_BYTES = 12,
    EIF_SECTIONS_MAX = 32,
    EIF_SIGNATURE_MAX = 32768, /* bytes of its section: SIGNATURE_MAX_SIZE */
    EIF_CMDLINE_MAX = 2048,    /* what we write; x86's COMMAND_LINE_SIZE, with its NUL */
    EIF_VERSION = 4,
    EIF_FLAG_AARCH64 = 1,
};

enum eif_type {
    EIF_KERNEL = 1,
    EIF_CMDLINE,
    EIF_RAMDISK,
    EIF_SIGNATURE,
    EIF_METADATA,
};

struct eif_section {
    enum eif_type type;
    size_t offset;    /* of its header in the file; not looked at by eif_write() */
    struct span data; /* borrowed */
};

/* An image as parsed, or as it is put together for eif_write(). */
struct eif {
    unsigned version;
    bool aarch64;
    uint64_t default_mem, default_cpus; /* nobody looks at them */
    unsigned n_sections;
    struct eif_section sections[EIF_SECTIONS_MAX]; /* in file order */
    uint32_t crc, crc_computed; /* as the file says, and as it is; zero when not parsed */
};

/* Take the file apart; every span of *out points into `in`. On failure *out is untouched and *why
 * names the fault and its offset. ERR_MALFORMED; ERR_UNSUPPORTED: a version, section type, flag or
 * reserved field that we do not know; ERR_LIMIT: too many sections, a signature section past
 * EIF_SIGNATURE_MAX. The CRC is computed and not judged: describe-eif reports it. */
MUST_USE enum err eif_split(struct span in, struct eif *out, struct why *why);
/* The same, and ERR_VERIFY "CRC" if the checksum differs. */
MUST_USE enum err eif_parse(struct span in, struct eif *out, struct why *why);

/* An empty image of the current version with the defaults that AWS's builder writes. */
struct eif eif_new(bool aarch64);
/* Add a section at the end. ERR_LIMIT: EIF_SECTIONS_MAX are there. */
MUST_USE enum err eif_add(struct eif *e, enum eif_type type, struct span data);
/* Put this signature section in the place of the one that is there, or at the end; raises version 2
 * to 3. An empty span takes the section away. ERR_LIMIT. */
MUST_USE enum err eif_set_signature(struct eif *e, struct span data);
/* Append the file. Refuses, with the same errors, what eif_split() would refuse, and besides a
 * kernel without bytes and a command line that is too long or holds a control character. *out is as
 * before on failure; its maximum bounds the file (ERR_LIMIT). */
MUST_USE enum err eif_write(const struct eif *e, struct buf *out, struct why *why);
/* Bytes that eif_write() appends. */
size_t eif_size(const struct eif *e);

/* The first section of that type, absent if there is none. Ramdisk `n` counts from 0. */
struct span eif_find(const struct eif *e, enum eif_type type);
unsigned eif_ramdisks(const struct eif *e);
struct span eif_ramdisk(const struct eif *e, unsigned n);
/* "kernel", "cmdline", "ramdisk", "signature", "metadata". */
const char *eif_type_name(enum eif_type type);

/* PCR0, PCR1 and PCR2 of an image with a kernel, a command line and a ramdisk (ERR_MALFORMED
 * otherwise), in file order as the hypervisor measures; PCR8 is eif_signature_pcr8()'s. */
MUST_USE enum err eif_measure(const struct eif *e, struct attest_pcrs *out);

#endif
