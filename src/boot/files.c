/* The small files beside /cmd and /env, and /proc/cgroups. */
#include "boot/boot.h"

/* The one line of a file, with or without its LF. */
static enum err one_line(struct span file, struct span *out, struct why *why)
{
    struct span rest = file;
    struct span line = span_cut(&rest, '\n');

    if (rest.len > 0)
        return why_fail(why, ERR_MALFORMED, "more than one line", line.len);
    if (line.len == 0)
        return why_fail(why, ERR_MALFORMED, "empty", 0);
    *out = line;
    return ERR_OK;
}

/* One of two words; the second one is true. */
static enum err either(struct span value, const char *no, const char *yes, bool *out)
{
    if (!span_is(value, no) && !span_is(value, yes))
        return ERR_UNSUPPORTED;
    *out = span_is(value, yes);
    return ERR_OK;
}

enum err boot_conf_parse(struct span file, struct boot_conf *out, struct why *why)
{
    struct boot_conf conf = { 0 };
    bool had_heartbeat = false, had_restart = false;
    struct span rest = file;

    while (rest.len > 0) {
        struct span value = span_cut(&rest, '\n');
        size_t at = (size_t)(value.ptr - file.ptr);
        bool has_value = span_find(value, '=') < value.len;
        struct span name = span_cut(&value, '=');
        bool heartbeat = span_is(name, "heartbeat"), restart = span_is(name, "restart");

        if (!has_value)
            return why_fail(why, ERR_MALFORMED, "a line is not name=value", at);
        if (!heartbeat && !restart)
            return why_fail(why, ERR_UNSUPPORTED,
                            "a setting that this init does not know (heartbeat, restart)", at);
        if (heartbeat ? had_heartbeat : had_restart)
            return why_fail(why, ERR_MALFORMED, "a setting is there twice", at);
        had_heartbeat |= heartbeat;
        had_restart |= restart;
        if (heartbeat && either(value, "late", "early", &conf.heartbeat_early) != ERR_OK)
            return why_fail(why, ERR_UNSUPPORTED, "heartbeat is late or early", at);
        if (restart && either(value, "never", "always", &conf.restart) != ERR_OK)
            return why_fail(why, ERR_UNSUPPORTED, "restart is never or always", at);
    }
    *out = conf;
    return ERR_OK;
}

enum err boot_workdir_parse(struct span file, char out[static BOOT_PATH_MAX + 1], struct why *why)
{
    struct span line;

    enum err r = one_line(file, &line, why);
    if (r != ERR_OK)
        return r;
    if (line.ptr[0] != '/')
        return why_fail(why, ERR_MALFORMED, "not an absolute path", 0);
    if (span_find(line, '\0') != line.len)
        return why_fail(why, ERR_MALFORMED, "a NUL", 0);
    if (line.len > BOOT_PATH_MAX)
        return why_fail(why, ERR_LIMIT, "a path of more than 4095 bytes", 0);
    memcpy(out, line.ptr, line.len);
    out[line.len] = '\0';
    return ERR_OK;
}

/* The last number means "unchanged" to the calls that take one. */
static enum err id_parse(struct span text, uint32_t *out, struct why *why)
{
    uint64_t id;

    enum err r = span_to_u64(text, UINT32_MAX - 1, &id);
    if (r != ERR_OK)
        return why_fail(why, r, "not uid:gid[,gid...] in numbers", 0);
    *out = (uint32_t)id;
    return ERR_OK;
}

enum err boot_user_parse(struct span file, struct boot_user *out, struct why *why)
{
    struct boot_user user = { 0 };
    struct span rest;

    enum err r = one_line(file, &rest, why);
    if (r == ERR_OK)
        r = id_parse(span_cut(&rest, ':'), &user.uid, why);
    if (r != ERR_OK)
        return r;
    r = id_parse(span_cut(&rest, ','), &user.gid, why);
    while (r == ERR_OK && rest.ptr) {
        if (user.n_groups == BOOT_GROUPS_MAX)
            return why_fail(why, ERR_LIMIT, "more than 64 groups", 0);
        r = id_parse(span_cut(&rest, ','), &user.groups[user.n_groups++], why);
    }
    if (r == ERR_OK)
        *out = user;
    return r;
}

static bool name_fits(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!(name.ptr[i] >= 'a' && name.ptr[i] <= 'z') && name.ptr[i] != '_')
            return false;
    return name.len > 0 && name.len <= BOOT_CGROUP_NAME_MAX;
}

/* "name TAB hierarchy TAB groups TAB enabled", after a first line that begins with "#". */
enum err boot_cgroups_parse(struct span file, struct boot_cgroups *out, struct why *why)
{
    struct boot_cgroups groups = { 0 };
    struct span rest = file;

    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');
        size_t at = (size_t)(line.ptr - file.ptr);
        uint64_t hierarchy, count, enabled;

        if (span_starts(line, "#"))
            continue;
        struct span name = span_cut(&line, '\t');
        if (!name_fits(name) || span_to_u64(span_cut(&line, '\t'), UINT32_MAX, &hierarchy) ||
            span_to_u64(span_cut(&line, '\t'), UINT32_MAX, &count) ||
            span_to_u64(line, 1, &enabled))
            return why_fail(why, ERR_MALFORMED, "a line of /proc/cgroups of another form", at);
        if (!enabled)
            continue;
        if (groups.n == BOOT_CGROUPS_MAX)
            return why_fail(why, ERR_LIMIT, "more than 32 controllers", at);
        memcpy(groups.name[groups.n++], name.ptr, name.len);
    }
    *out = groups;
    return ERR_OK;
}
