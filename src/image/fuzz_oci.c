/* First byte 'i': the rest is an index; 'm': a manifest, 'c': a configuration, with everything
 * around it in order, so that the digests hold. */
#include <stdlib.h>

#include "image/test_layout.h"
#include "image/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define T "application/vnd.oci.image."

static bool make(struct layout *l, uint8_t what, struct span in)
{
    static char config[512], manifest[2048], descriptor[512], index[1024];
    const char *plain = "{\"architecture\":\"amd64\",\"os\":\"linux\"}";

    if (what == 'i')
        return layout_put(l, "index.json", in);
    if (!layout_blob(l, what == 'c' ? in : span_str(plain), T "config.v1+json", "", config,
                     sizeof config))
        return false;
    snprintf(manifest, sizeof manifest, "{\"schemaVersion\":2,\"config\":%s,\"layers\":[]}",
             config);
    if (!layout_blob(l, what == 'm' ? in : span_str(manifest), T "manifest.v1+json", "", descriptor,
                     sizeof descriptor))
        return false;
    snprintf(index, sizeof index, "{\"manifests\":[%s]}", descriptor);
    return layout_put(l, "index.json", span_str(index));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(layout_clear) struct layout l = { 0 };
    AUTO(oci_image_clear) struct oci_image i = { .root = TREE_INIT(100, LAYOUT_ROOM) };
    const struct oci_options o = {
        .fetch = layout_fetch, .arg = &l, .arch = "amd64", .layer_max = LAYOUT_ROOM
    };
    struct tree_why why = { 0 };

    if (size < 1 || size > LAYOUT_ROOM || !make(&l, data[0], span_of(data + 1, size - 1)))
        return 0;
    enum err r = oci_read(&o, &i, &why);
    if ((r == ERR_OK) == (why.what != NULL))
        abort();
    if (r == ERR_OK && i.cmd.len && i.cmd.ptr[i.cmd.len - 1] != '\n')
        abort();
    return 0;
}
