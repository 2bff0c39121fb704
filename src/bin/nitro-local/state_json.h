/* state_json.h - an enclave in its folder, and in the JSON that the commands print. */
#ifndef BIN_NITRO_LOCAL_STATE_JSON_H
#define BIN_NITRO_LOCAL_STATE_JSON_H

#include "base/json.h"
#include "bin/nitro-local/state.h"

/* STATE/SLOT/state.json; what it holds is checked as if it were a stranger's. */
MUST_USE enum err state_read(const char *slot, struct enclave *out);
/* The members from EnclaveName to MemoryMiB, inside an open object. */
void enclave_members(struct json_out *w, const struct enclave *e);
/* An element of describe-enclaves. */
void enclave_describe(struct json_out *w, const struct enclave *e, bool metadata);
/* Print over several lines on stdout, with a line feed. Returns the exit status (E17). */
MUST_USE int json_print(struct json_out *w, struct fault *f);

#endif
