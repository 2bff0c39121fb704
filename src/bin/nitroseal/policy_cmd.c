/* nitroseal policy: table of its subcommands. */
#include "bin/nitroseal/policy_cmd.h"

#include "bin/nitroseal/group.h"

static const struct group_command commands[] = {
    { "generate", cmd_policy_generate, "Write the policies that let an image use a key." },
    { "lint", cmd_policy_lint, "Say what is wrong or weak about a policy, and what to do." },
    { "explain", cmd_policy_explain,
      "Say whether a call would be allowed, by which statement, and which PCR differs." },
    { "diff", cmd_policy_diff, "Say what changed from one policy to another." },
    { "canary", cmd_policy_canary, "Ask KMS whether it would let the key be used unattested." },
    { 0 },
};

static const struct group group = {
    .name = "nitroseal policy",
    .intro = "Key policies and identity policies for attested images: the same code as in\n"
             "nitroseal-kms says what they allow.\n",
    .commands = commands,
};

int cmd_policy(int argc, char **argv)
{
    return group_main(&group, argc, argv);
}
