/* The error codes. */
#include <stddef.h>

#include "bin/nitro-local/errors.h"

static const struct {
    const char *meaning, *advice;
} codes[CODES] = {
    [0] = { "Unspecified error.",
            "Set BACKTRACE=1 and run the command again: it prints where it failed." },
    [1] = { "Missing mandatory argument.", "The configuration of run-enclave needs eif_path, "
                                           "memory_mib, and cpu_count or cpu_ids." },
    [2] = { "Two arguments exclude each other.", "Give cpu_count or cpu_ids, not both." },
    [3] = { "Invalid argument.", "The message names the argument and what it may be." },
    [4] = { "A pair of sockets could not be made.", NULL },
    [5] = { "A process could not be started.",
            "The message names the program. Are memory and processes left?" },
    [6] = { "The enclave's process could not go to the background.", NULL },
    [7] = { "Reading from disk failed.",
            "Is the folder that NITRO_CLI_SOCKETS_PATH names yours, with mode 0700?" },
    [8] = { "The connection cannot be used.", NULL },
    [9] = { "A socket could not be closed.", NULL },
    [10] = { "A time limit could not be set on a connection.", NULL },
    [11] = { "Socket error: no such enclave.",
             "nitro-local describe-enclaves lists the enclaves that run, with their ids." },
    [12] = { "Waiting for events failed.", NULL },
    [13] = { "Watching a folder failed.", NULL },
    [14] = { "An enclave's process was sent a command that it does not know.", NULL },
    [15] = { "A lock could not be taken.", NULL },
    [16] = { "A thread could not be joined.", NULL },
    [17] = { "JSON could not be written or read.", "The message names the file." },
    [18] = { "The log file's permissions could not be set.", NULL },
    [19] = { "A file operation failed.", "The message names the file and the operation." },
    [20] = { "A CPU id was given twice.", "Name each CPU once." },
    [21] = { "A CPU is not in the pool.", "cpu_pool or cpu_count in allocator.yaml makes the pool; "
                                          "without a file it is 1 to 8." },
    [22] = { "The pool has not enough CPUs.",
             "Ask for fewer, or make the pool larger in allocator.yaml." },
    [23] = { "A CPU id is malformed.", NULL },
    [24] = { "An interval of CPU ids is malformed.", NULL },
    [25] = { "A huge page flag is wrong.", NULL },
    [26] = { "The memory asked for is too small for this image.",
             "An enclave needs four times the size of its image; the message names the minimum." },
    [27] = { "Not enough memory is reserved.", "memory_mib in allocator.yaml is for all enclaves "
                                               "together; terminate one, or raise it." },
    [28] = { "The enclave's descriptor is wrong.", NULL },
    [29] = { "The (simulated) driver refused.", "At most four enclaves, at least 64 MiB each; a "
                                                "CID and a CPU belong to one enclave." },
    [30] = { "The place of the image could not be asked for.", NULL },
    [31] = { "A memory region could not be set.", NULL },
    [32] = { "A vCPU could not be added.", NULL },
    [33] = { "The enclave could not be started.", NULL },
    [34] = { "The image does not fit the memory.", NULL },
    [35] = { "The image cannot be parsed.",
             "Is it an EIF? nitro-local describe-eif says what is wrong." },
    [36] = { "The enclave did not boot.", "Its console is in the error log. Without the heartbeat "
                                          "on port 9000 it is ended after the time limit "
                                          "(NITRO_LOCAL_BOOT_SECONDS)." },
    [37] = { "Waiting for the enclave's events failed.", NULL },
    [38] = { "No enclave's process carried the command out.", NULL },
    [39] = { "The enclave's process cannot be reached.",
             "It ended meanwhile: run describe-enclaves, which clears up what it left." },
    [40] = { "A socket's path was not found.", NULL },
    [41] = { "A reply could not be sent.", NULL },
    [42] = { "Memory could not be mapped.", NULL },
    [43] = { "Memory could not be unmapped.", NULL },
    [44] = { "The console cannot be connected to.",
             "Only an enclave that was started with --debug-mode has one." },
    [45] = { "Reading the console failed.", NULL },
    [46] = { "Writing the console's output failed.", NULL },
    [47] = { "A number cannot be parsed.", NULL },
    [48] = { "The image could not be built.", "The message names what is wrong with its parts." },
    [49] = { "Building with Docker failed.", "There is no Docker here: build the image with any "
                                             "tool, save it as an OCI archive, and give "
                                             "--docker-uri oci-archive:PATH." },
    [50] = { "Pulling with Docker failed.",
             "There is no Docker here: give --docker-uri oci-archive:PATH or dir:PATH." },
    [51] = { "The folder for artifacts is not set.", NULL },
    [52] = { "The folder of the blobs is not set.", NULL },
    [53] = { "The clocks differ.", NULL },
    [54] = { "Signals could not be blocked.", NULL },
    [55] = { "Signals could not be unblocked.", NULL },
    [56] = { "The log could not be set up.", NULL },
    [57] = { "A digest could not be computed.", NULL },
    [58] = { "The enclave's name is not right.", "nitro-local describe-enclaves lists names; use "
                                                 "--enclave-id where one is not unique." },
    [59] = { "The image's signature or certificate is not valid.",
             "Sign it again (sign-eif) with a certificate that is valid today." },
    [60] = { "The image could not be signed.", "Is the private key the certificate's, EC on P-256, "
                                               "P-384 or P-521, in an unencrypted PEM file?" },
};

bool code_parse(const char *text, enum code *out)
{
    uint64_t n;
    struct span s = span_str(text);

    if (s.len != 3 || s.ptr[0] != 'E' || span_to_u64(span_from(s, 1), CODES - 1, &n) != ERR_OK)
        return false;
    *out = (enum code)n;
    return true;
}

const char *code_meaning(enum code c)
{
    return codes[c].meaning;
}

const char *code_advice(enum code c)
{
    return codes[c].advice;
}
