/* The first byte says which file it is. What is accepted is within the limits, and lists of words
 * say the same when they are written and read again. */
#include <stdlib.h>

#include "boot/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void words(struct span in, bool env)
{
    AUTO(boot_words_clear) struct boot_words first = { 0 };
    AUTO(boot_words_clear) struct boot_words second = { 0 };
    AUTO(buf_clear) struct buf file = BUF_INIT(BOOT_FILE_MAX + 1);
    static char path[BOOT_PATH_MAX + 1];

    if ((env ? boot_env_parse : boot_cmd_parse)(in, &first, NULL) != ERR_OK)
        return;
    if (first.n > BOOT_WORDS_MAX || first.ptr[first.n])
        abort();
    for (size_t i = 0; i < first.n; i++)
        if (buf_append_str(&file, first.ptr[i]) || buf_append_byte(&file, '\n'))
            abort();
    if (file.len > BOOT_FILE_MAX)
        return; /* the last line had no LF, and now it does not fit */
    if ((env ? boot_env_parse : boot_cmd_parse)(buf_view(&file), &second, NULL) != ERR_OK ||
        second.n != first.n)
        abort();
    for (size_t i = 0; i < first.n; i++)
        if (strcmp(first.ptr[i], second.ptr[i]) != 0)
            abort();
    for (unsigned i = 0;
         !env && boot_candidate(first.n > 1 ? first.ptr[1] : NULL, first.ptr[0], i, path) == ERR_OK;
         i++)
        if (strlen(path) > BOOT_PATH_MAX || !strchr(path, '/'))
            abort();
    if (env && boot_env_get(&first, "PATH") && !strstr(boot_env_get(&first, "PATH") - 5, "PATH="))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct boot_conf conf;
    struct boot_user user;
    struct boot_cgroups groups;
    static char path[BOOT_PATH_MAX + 1];

    if (size == 0)
        return 0;
    struct span in = span_of(data + 1, size - 1);
    switch (data[0] % 6) {
    case 0:
        words(in, false);
        break;
    case 1:
        words(in, true);
        break;
    case 2:
        if (boot_conf_parse(in, &conf, NULL) == ERR_OK && in.len > 40)
            abort();
        break;
    case 3:
        if (boot_workdir_parse(in, path, NULL) == ERR_OK && path[0] != '/')
            abort();
        break;
    case 4:
        if (boot_user_parse(in, &user, NULL) == ERR_OK && user.n_groups > BOOT_GROUPS_MAX)
            abort();
        break;
    default:
        if (boot_cgroups_parse(in, &groups, NULL) == ERR_OK && groups.n > BOOT_CGROUPS_MAX)
            abort();
    }
    return 0;
}
