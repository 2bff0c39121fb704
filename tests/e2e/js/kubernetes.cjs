// kubernetes.cjs - Kubernetes's own schemas over objects: a JSON array on stdin, one line of JSON for each: what is wrong, or null.
// argv: folder of node_modules.
"use strict";
const { createRequire } = require("module");

const load = createRequire(process.argv[2] + "/");
const objects = JSON.parse(require("fs").readFileSync(0, "utf8"));
for (const o of objects) {
  const { [o.kind]: Kind } = load(`kubernetes-models/${o.apiVersion}/${o.kind}`);
  let wrong = null;
  try {
    new Kind(o).validate();
  } catch (e) {
    wrong = e.message;
  }
  console.log(JSON.stringify(wrong));
}
