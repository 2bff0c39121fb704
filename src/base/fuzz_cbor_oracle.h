/* fuzz_cbor_oracle.h - another reader's opinion, in a file of its own because libcbor's names are
 * like ours. */
#ifndef BASE_FUZZ_CBOR_ORACLE_H
#define BASE_FUZZ_CBOR_ORACLE_H

#include "base/span.h"

/* libcbor takes all of `in` for one item. True where libcbor is not installed. */
bool fuzz_cbor_oracle(struct span in);

#endif
