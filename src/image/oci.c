#include "image/oci.h"

#include <stdio.h>

#include "base/hex.h"
#include "base/json.h"
#include "image/unpack.h"
#include "image/words.h"

enum {
    NAME_MAX_BYTES = 256,
    DIGEST_HEX = 2 * SHA256_BYTES,
    INDEX_DEPTH_MAX = 2, /* index.json, and one index inside it: an image for several machines */
    VERSION = 2,
};

#define OCI    "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."

void oci_image_clear(struct oci_image *i)
{
    tree_clear(&i->root);
    buf_clear(&i->cmd);
    buf_clear(&i->env);
    buf_clear(&i->workdir);
    buf_clear(&i->user);
}

MUST_USE static enum err fail(struct tree_why *why, enum err r, const char *what, const char *where)
{
    if (why) {
        why->what = what;
        snprintf(why->path, sizeof why->path, "%s", where);
    }
    return r;
}

/* ---- descriptors and blobs ---- */

struct descriptor {
    struct json_str media_type, digest;
    uint64_t size;
    struct json_str os, arch, reference;
};

static void platform_read(struct json_in *j, struct descriptor *d)
{
    struct json_str key;

    for (json_in_object(j); json_in_member(j, &key);) {
        if (json_str_is(key, "os"))
            d->os = json_in_string(j);
        else if (json_str_is(key, "architecture"))
            d->arch = json_in_string(j);
        else
            json_in_skip(j);
    }
}

static void annotations_read(struct json_in *j, struct descriptor *d)
{
    struct json_str key;

    for (json_in_object(j); json_in_member(j, &key);) {
        if (json_str_is(key, "org.opencontainers.image.ref.name"))
            d->reference = json_in_string(j);
        else
            json_in_skip(j);
    }
}

static struct descriptor descriptor_read(struct json_in *j)
{
    struct descriptor d = { 0 };
    struct json_str key;

    for (json_in_object(j); json_in_member(j, &key);) {
        if (json_str_is(key, "mediaType"))
            d.media_type = json_in_string(j);
        else if (json_str_is(key, "digest"))
            d.digest = json_in_string(j);
        else if (json_str_is(key, "size"))
            d.size = json_in_uint(j, SIZE_MAX);
        else if (json_str_is(key, "platform"))
            platform_read(j, &d);
        else if (json_str_is(key, "annotations") && json_in_peek(j) == JSON_KIND_OBJECT)
            annotations_read(j, &d);
        else
            json_in_skip(j);
    }
    return d;
}

/* "sha256:" and 64 lower-case digits: nothing else, since it becomes a file name. */
static bool digest_hex(struct json_str digest, struct span *hex)
{
    *hex = span_from(digest.raw, 7);
    if (!json_str_is_set(digest) || digest.escaped || !span_starts(digest.raw, "sha256:") ||
        hex->len != DIGEST_HEX)
        return false;
    for (size_t i = 0; i < hex->len; i++)
        if (!strchr("0123456789abcdef", hex->ptr[i]) || !hex->ptr[i])
            return false;
    return true;
}

static enum err blob_fetch(const struct oci_options *o, const struct descriptor *d, size_t max,
                           struct buf *out, struct tree_why *why)
{
    uint8_t sum[SHA256_BYTES];
    char name[128], hex[DIGEST_HEX + 1];
    struct span want;

    if (!digest_hex(d->digest, &want))
        return fail(why, ERR_UNSUPPORTED, "a digest that is not sha256", "");
    snprintf(name, sizeof name, "blobs/sha256/%.*s", (int)want.len, (const char *)want.ptr);
    if (d->size > max)
        return fail(why, ERR_LIMIT, "too large", name);
    *out = BUF_INIT((size_t)d->size);
    enum err r = o->fetch(o->arg, name, out, why);
    if (r != ERR_OK)
        return r;
    sha256(buf_view(out), sum);
    hex_write(SPAN_ARRAY(sum), hex);
    if (out->len != d->size || !span_is(want, hex))
        return fail(why, ERR_VERIFY, "the bytes are not those of the digest", name);
    return ERR_OK;
}

static bool type_is(struct json_str type, const char *oci, const char *docker)
{
    return json_str_is(type, oci) || json_str_is(type, docker);
}

/* ---- index ---- */

static bool is_index(const struct descriptor *d)
{
    return type_is(d->media_type, OCI "index.v1+json", DOCKER "distribution.manifest.list.v2+json");
}

/* Could it be the image that was asked for? Attestations of buildkit are for "unknown" machines. */
static bool fits(const struct oci_options *o, const struct descriptor *d, bool by_name)
{
    if (!is_index(d) &&
        !type_is(d->media_type, OCI "manifest.v1+json", DOCKER "distribution.manifest.v2+json"))
        return false;
    if (by_name && o->reference && !json_str_is(d->reference, o->reference))
        return false;
    if (json_str_is_set(d->arch) && !json_str_is(d->arch, o->arch))
        return false;
    return !json_str_is_set(d->os) || json_str_is(d->os, "linux");
}

static enum err index_choose(const struct oci_options *o, struct span index, bool outer,
                             struct descriptor *out, struct tree_why *why)
{
    struct json_in j = json_in_init(index);
    struct descriptor d;
    struct json_str key;
    unsigned n = 0, seen = 0;

    for (json_in_object(&j); json_in_member(&j, &key);) {
        if (!json_str_is(key, "manifests")) {
            json_in_skip(&j);
            continue;
        }
        for (json_in_array(&j); json_in_element(&j);) {
            d = descriptor_read(&j);
            seen++;
            if (j.err == ERR_OK && fits(o, &d, outer) && n++ == 0)
                *out = d;
        }
    }
    if (json_in_end(&j) != ERR_OK)
        return fail(why, j.err, j.what, "index");
    if (n == 1)
        return ERR_OK;
    if (n > 1)
        return fail(why, ERR_UNSUPPORTED, "several images: say which one with --ref", "index");
    return fail(why, ERR_UNSUPPORTED,
                !seen                   ? "no image in it"
                : outer && o->reference ? "no image of that name, for this machine"
                                        : "no image for this machine",
                "index");
}

/* From index.json down to one manifest, whose bytes are left in *out. */
static enum err manifest_find(const struct oci_options *o, struct buf *out, struct tree_why *why)
{
    AUTO(buf_clear) struct buf index = BUF_INIT(OCI_JSON_MAX);
    struct descriptor d = { 0 };

    enum err r = o->fetch(o->arg, "index.json", &index, why);
    for (unsigned depth = 0; r == ERR_OK; depth++) {
        AUTO(buf_clear) struct buf next = { 0 };
        r = index_choose(o, buf_view(&index), depth == 0, &d, why);
        bool deeper = is_index(&d);
        if (r == ERR_OK && deeper && depth + 1 >= INDEX_DEPTH_MAX)
            r = fail(why, ERR_LIMIT, "an index in an index in an index", "index");
        if (r == ERR_OK)
            r = blob_fetch(o, &d, OCI_JSON_MAX, &next, why);
        if (r != ERR_OK)
            return r;
        if (!deeper) {
            *out = buf_take(&next);
            return ERR_OK;
        }
        buf_clear(&index);
        index = buf_take(&next);
    }
    return r;
}

/* ---- manifest ---- */

static enum err manifest_read(struct span in, struct descriptor *config, struct descriptor *layers,
                              unsigned *n, struct tree_why *why)
{
    struct json_in j = json_in_init(in);
    struct json_str key;

    *n = 0;
    for (json_in_object(&j); json_in_member(&j, &key);) {
        if (json_str_is(key, "schemaVersion")) {
            if (json_in_uint(&j, 1000) != VERSION)
                json_in_fail(&j, ERR_UNSUPPORTED, "schemaVersion");
        } else if (json_str_is(key, "config")) {
            *config = descriptor_read(&j);
        } else if (json_str_is(key, "layers")) {
            for (json_in_array(&j); json_in_element(&j);) {
                if (*n == OCI_LAYERS_MAX)
                    json_in_fail(&j, ERR_LIMIT, "too many layers");
                struct descriptor d = descriptor_read(&j);
                if (j.err == ERR_OK)
                    layers[(*n)++] = d;
            }
        } else {
            json_in_skip(&j);
        }
    }
    if (json_in_end(&j) != ERR_OK)
        return fail(why, j.err, j.what, "manifest");
    if (!type_is(config->media_type, OCI "config.v1+json", DOCKER "container.image.v1+json"))
        return fail(why, ERR_UNSUPPORTED, "not a container image", "manifest");
    return ERR_OK;
}

static bool is_layer(struct json_str type)
{
    static const char *const types[] = {
        OCI "layer.v1.tar",
        OCI "layer.v1.tar+gzip",
        OCI "layer.v1.tar+zstd",
        OCI "layer.nondistributable.v1.tar",
        OCI "layer.nondistributable.v1.tar+gzip",
        OCI "layer.nondistributable.v1.tar+zstd",
        DOCKER "image.rootfs.diff.tar",
        DOCKER "image.rootfs.diff.tar.gzip",
        DOCKER "image.rootfs.foreign.diff.tar.gzip",
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (json_str_is(type, types[i]))
            return true;
    return false;
}

static enum err layer_apply(const struct oci_options *o, const struct descriptor *d,
                            struct tree *root, struct tree_why *why)
{
    AUTO(tree_clear)
    struct tree upper = TREE_INIT(root->nodes_max - root->orders, root->bytes_max - root->bytes);
    AUTO(buf_clear) struct buf blob = { 0 };

    if (!is_layer(d->media_type))
        return fail(why, ERR_UNSUPPORTED, "a layer of a media type that we do not know",
                    "manifest");
    enum err r = blob_fetch(o, d, o->layer_max, &blob, why);
    if (r == ERR_OK)
        r = unpack_tree(buf_view(&blob), true, &upper, why);
    return r == ERR_OK ? tree_merge(root, &upper, why) : r;
}

/* ---- configuration ---- */

/* A list of texts as lines; null is an empty list. */
static void words_read(struct json_in *j, struct buf *out)
{
    if (json_in_peek(j) == JSON_KIND_NULL) {
        json_in_null(j);
        return;
    }
    for (json_in_array(j); json_in_element(j);) {
        AUTO(buf_clear) struct buf scratch = BUF_INIT(OCI_WORDS_MAX);
        struct json_str s = json_in_string(j);
        struct span text = SPAN_EMPTY;
        const char *what = NULL;
        if (j->err != ERR_OK)
            return;
        enum err r = json_str_view(s, &scratch, &text);
        if (r == ERR_OK)
            r = words_add(out, text, &what);
        if (r != ERR_OK)
            json_in_fail(j, r, what ? what : "a text is too long");
    }
}

static void text_read(struct json_in *j, struct buf *out)
{
    if (json_in_peek(j) == JSON_KIND_NULL) {
        json_in_null(j);
        return;
    }
    struct json_str s = json_in_string(j);
    if (j->err == ERR_OK && json_str_decode(s, out) != ERR_OK)
        json_in_fail(j, ERR_LIMIT, "a text is too long");
}

static void config_inner(struct json_in *j, struct oci_image *i, struct buf *entrypoint,
                         struct buf *cmd)
{
    struct json_str key;

    for (json_in_object(j); json_in_member(j, &key);) {
        if (json_str_is(key, "Entrypoint"))
            words_read(j, entrypoint);
        else if (json_str_is(key, "Cmd"))
            words_read(j, cmd);
        else if (json_str_is(key, "Env"))
            words_read(j, &i->env);
        else if (json_str_is(key, "WorkingDir"))
            text_read(j, &i->workdir);
        else if (json_str_is(key, "User"))
            text_read(j, &i->user);
        else
            json_in_skip(j);
    }
}

static enum err config_read(const struct oci_options *o, struct span in, struct oci_image *i,
                            struct tree_why *why)
{
    AUTO(buf_clear) struct buf entrypoint = BUF_INIT(OCI_WORDS_MAX);
    AUTO(buf_clear) struct buf cmd = BUF_INIT(OCI_WORDS_MAX);
    struct json_str key, arch = JSON_STR_NONE, os = JSON_STR_NONE;
    struct json_in j = json_in_init(in);

    for (json_in_object(&j); json_in_member(&j, &key);) {
        if (json_str_is(key, "architecture"))
            arch = json_in_string(&j);
        else if (json_str_is(key, "os"))
            os = json_in_string(&j);
        else if (json_str_is(key, "config") && json_in_peek(&j) == JSON_KIND_OBJECT)
            config_inner(&j, i, &entrypoint, &cmd);
        else
            json_in_skip(&j);
    }
    if (json_in_end(&j) != ERR_OK)
        return fail(why, j.err, j.what, "image configuration");
    if (!json_str_is(os, "linux") || !json_str_is(arch, o->arch))
        return fail(why, ERR_UNSUPPORTED, "the image is for another machine or system",
                    "image configuration");
    if (buf_append(&i->cmd, buf_view(&entrypoint)) != ERR_OK ||
        buf_append(&i->cmd, buf_view(&cmd)) != ERR_OK)
        return fail(why, ERR_LIMIT, "a text is too long", "image configuration");
    return ERR_OK;
}

/* ---- all of it ---- */

static enum err read_all(const struct oci_options *o, struct oci_image *i,
                         struct descriptor *layers, struct tree_why *why)
{
    AUTO(buf_clear) struct buf manifest = { 0 };
    AUTO(buf_clear) struct buf blob = { 0 };
    struct descriptor config = { 0 };
    struct span hex;
    unsigned n = 0;

    enum err r = manifest_find(o, &manifest, why);
    if (r == ERR_OK)
        r = manifest_read(buf_view(&manifest), &config, layers, &n, why);
    if (r == ERR_OK)
        r = blob_fetch(o, &config, OCI_JSON_MAX, &blob, why);
    if (r == ERR_OK)
        r = config_read(o, buf_view(&blob), i, why);
    for (unsigned k = 0; k < n && r == ERR_OK; k++)
        r = layer_apply(o, &layers[k], &i->root, why);
    if (r == ERR_OK && digest_hex(config.digest, &hex))
        snprintf(i->config_digest, sizeof i->config_digest, "%.*s", (int)hex.len,
                 (const char *)hex.ptr);
    return r;
}

enum err oci_read(const struct oci_options *o, struct oci_image *out, struct tree_why *why)
{
    static const struct descriptor none;
    AUTO(buf_clear) struct buf room = BUF_INIT(OCI_LAYERS_MAX * sizeof none);
    AUTO(oci_image_clear)
    struct oci_image i = { .root = TREE_INIT(out->root.nodes_max, out->root.bytes_max),
                           .cmd = BUF_INIT(2 * (size_t)OCI_WORDS_MAX),
                           .env = BUF_INIT(OCI_WORDS_MAX),
                           .workdir = BUF_INIT(TREE_PATH_MAX),
                           .user = BUF_INIT(NAME_MAX_BYTES) };
    uint8_t *layers = NULL;

    enum err r = buf_reserve(&room, room.max, &layers);
    if (r != ERR_OK)
        return fail(why, r, "memory", "");
    r = read_all(o, &i, (struct descriptor *)(void *)layers, why);
    if (r != ERR_OK)
        return r;
    *out = i;
    i = (struct oci_image){ 0 };
    return ERR_OK;
}
