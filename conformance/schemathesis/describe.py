"""Writes what the specification's OpenAPI files say of requests as one OpenAPI description.

Usage: describe.py CHECKOUT OUTPUT, with a checkout of the Matrix specification. Only what requests are made of is kept:
methods, paths, parameters, and the names, types and bounds in bodies; no text, no examples, no answers.
"""

import json
import pathlib
import sys

import yaml

METHODS = ("get", "put", "post", "delete")
SCHEMA_WORDS = (
    "type", "enum", "const", "required", "pattern", "minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties",
)


class Files:
    """The files of the specification, each read once."""

    def __init__(self):
        self.read = {}

    def at(self, path):
        path = path.resolve()
        if path not in self.read:
            self.read[path] = yaml.safe_load(path.read_text(encoding="utf-8"))
        return self.read[path]

    def resolve(self, node, path):
        """What a node stands for, and the file it is in."""
        while isinstance(node, dict) and "$ref" in node:
            file, _, pointer = node["$ref"].partition("#")
            path = (path.parent / file).resolve() if file else path
            target = self.at(path)
            for name in filter(None, pointer.split("/")):
                target = target[name.replace("~1", "/").replace("~0", "~")]
            node = target
        return node, path


def merge(into, other):
    """The schema that asks for both."""
    for word, value in other.items():
        if word == "properties":
            properties = into.setdefault("properties", {})
            for name, schema in value.items():
                properties[name] = merge(dict(properties.get(name, {})), schema)
        elif word == "required":
            into["required"] = sorted(set(into.get("required", [])) | set(value))
        else:
            into[word] = value
    return into


def schema(files, node, path, depth=0):
    """A schema without its references, descriptions and examples."""
    if depth > 12:
        return {}
    node, path = files.resolve(node, path)
    if not isinstance(node, dict):
        return node
    sub = lambda inner: schema(files, inner, path, depth + 1)  # noqa: E731
    kept = {word: node[word] for word in SCHEMA_WORDS if word in node}
    # Where a field must be there, it is named; some files say so for the field itself.
    if not isinstance(kept.get("required", []), list):
        del kept["required"]
    for word in ("properties", "patternProperties"):
        if word in node:
            kept[word] = {name: sub(inner) for name, inner in node[word].items()}
    for word in ("items", "additionalProperties"):
        if word in node:
            kept[word] = sub(node[word])
    for word in ("oneOf", "anyOf"):
        if word in node:
            kept[word] = [sub(inner) for inner in node[word]]
    for inner in node.get("allOf", []):
        kept = merge(kept, sub(inner))
    return kept


def parameter(files, node, path):
    node, path = files.resolve(node, path)
    kept = {"name": node["name"], "in": node["in"], "required": node.get("required", False)}
    kept["schema"] = schema(files, node.get("schema", {"type": "string"}), path)
    return kept


def body(files, node, path):
    node, path = files.resolve(node, path)
    content = {kind: {"schema": schema(files, inner.get("schema", {}), path)} for kind, inner in node["content"].items()}
    return {"required": node.get("required", False), "content": content}


def operation(files, node, shared, path):
    kept = {}
    parameters = [parameter(files, inner, path) for inner in shared + node.get("parameters", [])]
    if parameters:
        kept["parameters"] = parameters
    if "requestBody" in node:
        kept["requestBody"] = body(files, node["requestBody"], path)
    kept["responses"] = {"default": {"description": ""}}
    return kept


def paths(checkout):
    files, found = Files(), {}
    for path in sorted((checkout / "data/api/client-server").glob("*.yaml")):
        document = files.at(path)
        base = document.get("servers", [{}])[0].get("variables", {}).get("basePath", {}).get("default", "")
        for name, item in document.get("paths", {}).items():
            # Where two files describe one operation, one of them ends the path with a space.
            place = found.setdefault((base.rstrip("/") + name).rstrip(" "), {})
            for method in METHODS:
                if method in item and method not in place:
                    place[method] = operation(files, item[method], item.get("parameters", []), path.resolve())
    return found


def main():
    checkout, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    found = paths(checkout)
    if not found:
        sys.exit(f"{checkout} is no checkout of the Matrix specification: it has no data/api/client-server")
    info = {
        "title": "Requests of the Matrix client-server API",
        "description": "Derived by describe.py from the OpenAPI files of the Matrix specification, "
        "copyright The Matrix.org Foundation C.I.C. and others, Apache License 2.0.",
        "version": "1.19",
    }
    lines = [f"{json.dumps(name)}:{json.dumps(item, separators=(',', ':'))}" for name, item in sorted(found.items())]
    head = f'{{"openapi":"3.1.0",\n"info":{json.dumps(info)},\n"paths":{{\n'
    output.write_text(head + ",\n".join(lines) + "\n}}\n", encoding="utf-8")


main()
