#include "image/user.h"

struct person {
    struct span name;
    uint32_t uid, gid;
    bool found;
};

static bool number(struct span s, uint32_t *out)
{
    uint64_t v;

    if (span_to_u64(s, UINT32_MAX - 1, &v) != ERR_OK)
        return false;
    *out = (uint32_t)v;
    return true;
}

static struct span file_of(const struct tree *root, const char *path)
{
    const struct tree_node *n = tree_find(root, span_str(path));

    return n && n->kind == TREE_FILE ? tree_node_bytes(n) : SPAN_EMPTY;
}

/* passwd: name:password:uid:gid:... Lines that are not of that form are passed over. */
static struct person person_find(struct span passwd, struct span who, bool by_number, uint32_t uid)
{
    while (passwd.len) {
        struct span line = span_cut(&passwd, '\n');
        struct person p = { .name = span_cut(&line, ':'), .found = true };
        (void)span_cut(&line, ':');
        bool fine = number(span_cut(&line, ':'), &p.uid) && number(span_cut(&line, ':'), &p.gid);
        if (fine && p.name.len && (by_number ? p.uid == uid : span_eq(p.name, who)))
            return p;
    }
    return (struct person){ .uid = uid };
}

/* group: name:password:gid:member,member,... */
static bool group_find(struct span group, struct span who, uint32_t *gid)
{
    while (group.len) {
        struct span line = span_cut(&group, '\n'), name = span_cut(&line, ':');
        (void)span_cut(&line, ':');
        if (span_eq(name, who) && name.len && number(span_cut(&line, ':'), gid))
            return true;
    }
    return false;
}

static bool lists(struct span members, struct span name)
{
    while (members.len)
        if (span_eq(span_cut(&members, ','), name))
            return true;
    return false;
}

static enum err groups_append(struct span group, const struct person *p, struct buf *out)
{
    enum err r = ERR_OK;
    unsigned n = 0;

    while (group.len && r == ERR_OK) {
        struct span line = span_cut(&group, '\n');
        uint32_t gid;
        (void)span_cut(&line, ':');
        (void)span_cut(&line, ':');
        if (!number(span_cut(&line, ':'), &gid) || gid == p->gid || !lists(line, p->name))
            continue;
        r = ++n > USER_GROUPS_MAX ? ERR_LIMIT : buf_printf(out, ",%u", gid);
    }
    return r;
}

enum err user_resolve(const struct tree *root, struct span user, struct buf *out, const char **what)
{
    struct span group = user, who = span_cut(&group, ':');
    struct span groups = file_of(root, "etc/group");
    size_t before = out->len;
    uint32_t uid = 0;

    bool numeric = number(who, &uid);
    struct person p = person_find(file_of(root, "etc/passwd"), who, numeric, uid);
    if (who.len == 0 || (!p.found && !numeric)) {
        *what = "USER is not in the image's etc/passwd";
        return ERR_MALFORMED;
    }
    bool given = group.ptr != NULL;
    if (given && !number(group, &p.gid) && !group_find(groups, group, &p.gid)) {
        *what = "the group of USER is not in the image's etc/group";
        return ERR_MALFORMED;
    }
    enum err r = buf_printf(out, "%u:%u", p.uid, p.gid);
    if (r == ERR_OK && p.found && !given)
        r = groups_append(groups, &p, out);
    if (r != ERR_OK) {
        buf_truncate(out, before);
        *what = "USER is in too many groups";
    }
    return r;
}
