#include "localkms/people.h"

#include <stdlib.h>

#include "localkms/yaml_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever comes out has what a principal needs; what is YAML to us can be written as JSON. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct people_defaults defaults = { "aws", "111122223333" };
    AUTO(principals_clear) struct principals p = { NULL, 0 };
    AUTO(yaml_doc_freep) struct yaml_doc *doc = NULL;
    AUTO(buf_clear) struct buf json = BUF_INIT(1 << 22);
    struct why why = { 0 };

    if (people_parse(span_of(data, size), &defaults, &p, &why) == ERR_OK)
        for (size_t i = 0; i < p.n; i++)
            if (!p.all[i].arn || p.all[i].secret_access_key.len == 0 ||
                principals_find(&p, span_str(p.all[i].access_key_id)) != &p.all[i])
                abort();
    if (yaml_parse(span_of(data, size), &doc, &why) == ERR_OK)
        (void)!yaml_json(yaml_root(doc), &json, &why);
    return 0;
}
