/* user.h - USER of an image's configuration as numbers, from its own etc/passwd and etc/group. */
#ifndef IMAGE_USER_H
#define IMAGE_USER_H

#include "image/tree.h"

enum { USER_GROUPS_MAX = 64 };

/* Append "uid:gid[,gid ...]" for "user", "user:group", "uid" or "uid:gid". A name gets the groups
 * that list it unless a group is given, as container runtimes do; a number that passwd does not
 * know gets group 0. ERR_MALFORMED: an unknown name, a passwd or group that cannot be read;
 * ERR_LIMIT. */
MUST_USE enum err user_resolve(const struct tree *root, struct span user, struct buf *out,
                               const char **what);

#endif
