#include "eif/metadata.h"

static void build_read(struct json_in *j, struct eif_metadata *m)
{
    struct json_str key;

    for (json_in_object(j); json_in_member(j, &key);) {
        struct json_str *into = json_str_is(key, "BuildTime")          ? &m->build_time
                                : json_str_is(key, "BuildTool")        ? &m->build_tool
                                : json_str_is(key, "BuildToolVersion") ? &m->build_tool_version
                                : json_str_is(key, "OperatingSystem")  ? &m->operating_system
                                : json_str_is(key, "KernelVersion")    ? &m->kernel_version
                                                                       : NULL;
        if (into)
            *into = json_in_string(j);
        else
            json_in_skip(j);
    }
}

enum err eif_metadata_parse(struct span in, struct eif_metadata *out, struct why *why)
{
    struct json_in j = json_in_init(in);
    struct eif_metadata m = { 0 };
    struct json_str key;

    for (json_in_object(&j); json_in_member(&j, &key);) {
        if (json_str_is(key, "ImageName"))
            m.image_name = json_in_string(&j);
        else if (json_str_is(key, "ImageVersion"))
            m.image_version = json_in_string(&j);
        else if (json_str_is(key, "BuildMetadata"))
            build_read(&j, &m);
        else if (json_str_is(key, "DockerInfo"))
            m.docker_info = json_in_skip(&j);
        else if (json_str_is(key, "CustomMetadata"))
            m.custom = json_in_skip(&j);
        else
            json_in_skip(&j);
    }
    if (json_in_end(&j) != ERR_OK)
        return why_fail(why, j.err, j.what, j.pos);
    if (!json_str_is_set(m.image_name) || !json_str_is_set(m.image_version))
        return why_fail(why, ERR_MALFORMED, "no ImageName or ImageVersion", 0);
    *out = m;
    return ERR_OK;
}

static bool is_object(struct span json, struct why *why)
{
    struct json_in j = json_in_init(json);
    bool object = json_in_peek(&j) == JSON_KIND_OBJECT;

    json_in_skip(&j);
    if (json_in_end(&j) == ERR_OK && object)
        return true;
    if (why)
        *why = (struct why){ j.err == ERR_OK ? "the custom metadata is not an object" : j.what,
                             j.pos };
    return false;
}

static void member(struct json_out *w, const char *name, struct span text)
{
    json_out_key(w, name);
    json_out_string(w, text);
}

enum err eif_metadata_write(const struct eif_metadata_in *m, struct buf *out, struct why *why)
{
    struct json_out w = json_out_init(out);
    size_t before = out->len;

    if (m->custom.ptr && !is_object(m->custom, why))
        return ERR_MALFORMED;
    if (m->custom.len > EIF_CUSTOM_MAX)
        return why_fail(why, ERR_LIMIT, "the custom metadata is too long", 0);
    json_out_object(&w);
    member(&w, "ImageName", m->image_name);
    member(&w, "ImageVersion", m->image_version);
    json_out_key(&w, "BuildMetadata");
    json_out_object(&w);
    member(&w, "BuildTime", m->build_time);
    member(&w, "BuildTool", m->build_tool);
    member(&w, "BuildToolVersion", m->build_tool_version);
    member(&w, "OperatingSystem", m->operating_system);
    member(&w, "KernelVersion", m->kernel_version);
    json_out_object_end(&w);
    json_out_key(&w, "DockerInfo");
    json_out_null(&w);
    json_out_key(&w, "CustomMetadata");
    if (m->custom.ptr)
        json_out_raw(&w, m->custom);
    else
        json_out_null(&w);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    if (r == ERR_OK)
        return r;
    buf_truncate(out, before);
    return why_fail(why, r, r == ERR_MALFORMED ? "a text is not UTF-8" : "too long", 0);
}
