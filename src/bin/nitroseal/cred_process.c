/* credential_process of the shared files: a command whose output is credentials. */
#include <sys/wait.h>

#include "bin/common/capture.h"
#include "bin/nitroseal/cred_source.h"

enum { PROCESS_S = 60, COMMAND_MAX_BYTES = 16384 };

int cred_from_process(struct span command, const char *profile, struct cli_credentials *out,
                      struct cli_fault *f)
{
    AUTO(buf_clear) struct buf words = BUF_INIT(COMMAND_MAX_BYTES);
    AUTO(buf_clear) struct buf answer = BUF_INIT(AWSCRED_ANSWER_MAX_BYTES);
    AUTO(buf_clear) struct buf text = BUF_INIT(AWSCRED_ANSWER_MAX_BYTES);
    const char *argv[AWSCRED_WORDS_MAX + 1];
    struct why why = { 0 };
    struct awscred c;
    int status = 0;

    if (awscred_words(command, &words, argv, &why) != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("credential_process of profile '%s': %s"), profile,
                             why.what);
    enum err r = capture(argv, PROCESS_S, &answer, &status, &why);
    if (r == ERR_IO)
        return cli_fault_set(f, CLI_SETTINGS,
                             _("credential_process of profile '%s' cannot be started: %s"), profile,
                             why.what);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("credential_process of profile '%s': %s"), profile,
                             why.what);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return cli_fault_set(f, CLI_SETTINGS,
                             _("credential_process of profile '%s' failed with exit status %d"),
                             profile, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    if (awscred_answer_parse(buf_view(&answer), AWSCRED_PROCESS, &text, &c, &why) != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("output of credential_process of profile '%s': %s"),
                             profile, why.what);
    return cred_take_fetched(&c, "credential_process", out, f);
}
