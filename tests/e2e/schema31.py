"""The part of JSON Schema 2020-12, and of OpenAPI 3.1 around it, that doc/openapi.yaml uses. A keyword that is not known here is an error, so that nothing
passes because nobody looked."""
import base64, binascii, json, re

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "integer": int, "number": (int, float)}
NOTES = {"description", "title", "default", "examples", "contentMediaType"}  # contentMediaType: the caller's bytes are checked by length


def is_type(value, name):
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, TYPES[name]) or (name == "string" and isinstance(value, bytes))


def is_base64(text):
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except (binascii.Error, ValueError):
        return False


class Schemas:
    def __init__(self, document):
        self.document = document

    def at(self, ref):
        if not ref.startswith("#/"):
            raise ValueError(f"reference to elsewhere: {ref}")
        node = self.document
        for part in ref[2:].split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
        return node

    def get(self, node):
        """A node, or what it refers to."""
        seen = 0
        while "$ref" in node:
            node, seen = self.at(node["$ref"]), seen + 1
            if seen > 10:
                raise ValueError("references in a circle")
        return node

    def faults(self, schema, value, where="$"):
        """Why the value is not of the schema; empty: it is."""
        out = []
        for keyword, arg in schema.items():
            if keyword in NOTES:
                continue
            rule = getattr(self, "rule_" + keyword.replace("$", ""), None)
            if not rule:
                raise ValueError(f"{where}: keyword {keyword} is not known to this checker")
            out += rule(arg, value, where, schema)
        return out

    def rule_ref(self, arg, value, where, _):
        return self.faults(self.at(arg), value, where)

    def rule_type(self, arg, value, where, _):
        names = arg if isinstance(arg, list) else [arg]
        return [] if any(is_type(value, n) for n in names) else [f"{where}: {value!r:.60} is not {names}"]

    def rule_const(self, arg, value, where, _):
        return [] if json.dumps(value) == json.dumps(arg) else [f"{where}: {value!r:.60} is not {arg!r}"]

    def rule_enum(self, arg, value, where, _):
        return [] if value in arg else [f"{where}: {value!r:.60} is none of {arg}"]

    def rule_pattern(self, arg, value, where, _):
        return [] if not isinstance(value, str) or re.search(arg, value) else [f"{where}: {value!r:.60} does not match {arg}"]

    def rule_contentEncoding(self, arg, value, where, _):
        if arg != "base64":
            raise ValueError(f"{where}: contentEncoding {arg}")
        return [] if not isinstance(value, str) or is_base64(value) else [f"{where}: {value!r:.60} is not base64"]

    def rule_minLength(self, arg, value, where, _):
        return [] if not isinstance(value, (str, bytes)) or len(value) >= arg else [f"{where}: shorter than {arg}"]

    def rule_maxLength(self, arg, value, where, _):
        return [] if not isinstance(value, (str, bytes)) or len(value) <= arg else [f"{where}: longer than {arg}"]

    def rule_minimum(self, arg, value, where, _):
        return [] if not is_type(value, "number") or value >= arg else [f"{where}: {value} is below {arg}"]

    def rule_maximum(self, arg, value, where, _):
        return [] if not is_type(value, "number") or value <= arg else [f"{where}: {value} is above {arg}"]

    def rule_required(self, arg, value, where, _):
        return [f"{where}: no member {n}" for n in arg if isinstance(value, dict) and n not in value]

    def rule_properties(self, arg, value, where, _):
        return [f for n, s in arg.items() if isinstance(value, dict) and n in value for f in self.faults(s, value[n], f"{where}.{n}")]

    def rule_additionalProperties(self, arg, value, where, schema):
        if arg is not False:
            raise ValueError(f"{where}: additionalProperties other than false")
        known = schema.get("properties", {})
        return [f"{where}: member {n} is not described" for n in value if n not in known] if isinstance(value, dict) else []

    def rule_items(self, arg, value, where, _):
        return [f for i, v in enumerate(value) for f in self.faults(arg, v, f"{where}[{i}]")] if isinstance(value, list) else []

    def rule_minItems(self, arg, value, where, _):
        return [] if not isinstance(value, list) or len(value) >= arg else [f"{where}: fewer than {arg} elements"]

    def rule_maxItems(self, arg, value, where, _):
        return [] if not isinstance(value, list) or len(value) <= arg else [f"{where}: more than {arg} elements"]

    def rule_allOf(self, arg, value, where, _):
        return [f for s in arg for f in self.faults(s, value, where)]

    def rule_anyOf(self, arg, value, where, _):
        return [] if any(not self.faults(s, value, where) for s in arg) else [f"{where}: {value!r:.60} is none of the described"]

    def rule_oneOf(self, arg, value, where, _):
        n = sum(not self.faults(s, value, where) for s in arg)
        return [] if n == 1 else [f"{where}: {value!r:.60} is {n} of the described"]

    def judge_file(self):
        """Faults of the file itself: references that lead nowhere, keywords that are not known."""
        out = []

        def walk(node, where):
            if isinstance(node, dict):
                if "$ref" in node:
                    try:
                        self.at(node["$ref"])
                    except (KeyError, ValueError) as e:
                        out.append(f"{where}: {node['$ref']}: {e!r}")
                for k, v in node.items():
                    walk(v, f"{where}/{k}")
                    if k == "schema":
                        self.known(v, f"{where}/{k}", out)
            elif isinstance(node, list):
                for i, v in enumerate(node):
                    walk(v, f"{where}/{i}")

        walk(self.document, "#")
        for name, schema in self.document["components"]["schemas"].items():
            self.known(schema, f"#/components/schemas/{name}", out)
        return out

    def known(self, schema, where, out):
        for k, v in schema.items():
            if k not in NOTES and not hasattr(self, "rule_" + k.replace("$", "")):
                out.append(f"{where}: keyword {k} is not known to this checker")
            below = v.values() if k == "properties" else v if k in ("allOf", "anyOf", "oneOf") else [v] if k == "items" else []
            for s in below:
                self.known(s, f"{where}/{k}", out)
