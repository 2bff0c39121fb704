/* oci.h - an OCI image (image specification 1.1) as a tree and the words that start it.
 *
 * The caller says where the files are: a layout folder or an oci-archive. Every blob is compared
 * with its digest and size before it is looked at. Layers: tar, plain, gzip or zstd.
 */
#ifndef IMAGE_OCI_H
#define IMAGE_OCI_H

#include "crypto/hash.h"
#include "image/tree.h"

enum {
    OCI_JSON_MAX = 4 << 20, /* bytes of an index, a manifest, a configuration */
    OCI_LAYERS_MAX = 256,
    OCI_WORDS_MAX = 1 << 17, /* bytes of cmd, and of env: what exec takes for one argument */
};

/* Append the file `name` ("index.json", "blobs/sha256/...") of the layout. `out` bounds it. */
typedef enum err oci_fetch(void *arg, const char *name, struct buf *out, struct tree_why *why);

struct oci_options {
    oci_fetch *fetch;
    void *arg;
    const char *arch;      /* "amd64" or "arm64" */
    const char *reference; /* org.opencontainers.image.ref.name to choose, or NULL */
    size_t layer_max;      /* bytes of one layer as it is stored */
};

struct oci_image {
    struct tree root;         /* finished; limits given by the caller beforehand */
    struct buf cmd, env;      /* lines: ENTRYPOINT and CMD, Env */
    struct buf workdir, user; /* as the configuration says; empty: not given */
    char config_digest[2 * SHA256_BYTES + 1];
};
void oci_image_clear(struct oci_image *i);

/* ERR_MALFORMED, ERR_LIMIT, ERR_UNSUPPORTED (an architecture or kind of image that is not there, a
 * media type that we do not know), ERR_VERIFY (a digest), and what `fetch` says. */
MUST_USE enum err oci_read(const struct oci_options *o, struct oci_image *out,
                           struct tree_why *why);

#endif
