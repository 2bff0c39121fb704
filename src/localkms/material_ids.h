/* material_ids.h - inside localkms: what the operations on imported material share. */
#ifndef LOCALKMS_MATERIAL_IDS_H
#define LOCALKMS_MATERIAL_IDS_H

#include "localkms/call.h"

/* c->key has to be one for imported material; UnsupportedOperationException. */
MUST_USE enum err import_check_origin(struct call *c);
/* The member KeyMaterialId; absent if it is not there. */
MUST_USE enum err material_id_take(struct call *c, struct span *out);
/* The number of c->key's material of that id; 0: it has none such. */
MUST_USE enum err material_by_id(struct call *c, struct span id, uint32_t *number);

#endif
