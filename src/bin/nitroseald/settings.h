/* settings.h - what the service can be told: option, environment, default (DESIGN section 8).
 *
 * In an image the environment is part of the ramdisk and so measured; the kernel command line is
 * never read.
 */
#ifndef BIN_NITROSEALD_SETTINGS_H
#define BIN_NITROSEALD_SETTINGS_H

#include "base/buf.h"
#include "enclave/message.h"
#include "io/addr.h"
#include "io/log.h"

enum { /* exit statuses, DESIGN section 9 */
       EXIT_GENERAL = 1,
       EXIT_VERIFY = 5,
       EXIT_CONFIGURATION = 7,
};

struct settings {
    struct addr listen, kms;
    const char *key_id, *region, *nsm;
    const char *root_file; /* NULL: the AWS root */
    const char *ca_file;
    bool unconfined;                        /* no seccomp filter */
    bool nsm_unsigned;                      /* the NSM's documents are not verified here */
    struct buf host_header;                 /* of KMS: name, with :port when not 443 */
    struct buf server_name;                 /* the name alone, NUL-terminated */
    struct span keys[MESSAGE_KEYS_MAX - 1]; /* full ARNs besides key_id, for messages */
    size_t n_keys;
    enum esdk_policy policy;
    uint64_t request_max, connections_max, running_max, streams_max, buffered_max;
    uint64_t workers, kms_connections;
    uint64_t read_ms, write_ms, idle_ms, kms_deadline_ms, kms_try_ms, kms_idle_ms;
    uint64_t cache_age_s, cache_messages, cache_bytes, cache_entries; /* age 0: off */
    uint64_t key_max_age_s, document_max_age_s;
    enum log_level level;
};

/* -1: carry on; else the status to exit with, after a line on stderr (or the help on stdout). */
MUST_USE int settings_parse(int argc, char **argv, struct settings *out);
void settings_clear(struct settings *s);

#endif
