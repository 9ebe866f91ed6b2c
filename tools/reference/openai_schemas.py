"""Takes what the server answers with out of OpenAI's OpenAPI document (openai/openai-openapi, MIT), as JSON Schema 2020-12.

    python tools/reference/openai_schemas.py openapi.json test/server/fixtures/openai_schemas.json

Words are left out, and `nullable`, which OpenAPI 3.1 does not know any more but the document has in places, is spelled out.
"""

import json
import sys

NAMES = [
    "CreateChatCompletionResponse",
    "CreateChatCompletionStreamResponse",
    "CreateCompletionResponse",
    "ErrorResponse",
    "ListModelsResponse",
    "Model",
]
REF = "#/components/schemas/"
WORDS = {"description", "title", "example", "examples", "default", "deprecated", "discriminator"}


def schema(value):
    """A schema, or a list of them, without words."""
    if isinstance(value, list):
        return [schema(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {key: part(key, each) for key, each in value.items() if key not in WORDS and not key.startswith("x-")}
    if not kept.pop("nullable", False):
        return kept
    return {"anyOf": [kept, {"type": "null"}]}


def part(key, value):
    if key == "properties":
        return {name: schema(each) for name, each in value.items()}
    if key == "$ref":
        return value.replace(REF, "#/$defs/")
    return value if key in ("enum", "required", "const") else schema(value)


def references(value):
    if isinstance(value, list):
        return [name for each in value for name in references(each)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"].removeprefix("#/$defs/")] if "$ref" in value else []
    return own + [name for each in value.values() for name in references(each)]


def main(source, target, change=lambda document: document):
    with open(source) as file:
        document = change(json.load(file))
    definitions = {}
    names = list(NAMES)
    while names:
        name = names.pop()
        if name in definitions:
            continue
        definitions[name] = schema(document["components"]["schemas"][name])
        names += references(definitions[name])
    with open(target, "w") as file:
        version = document["info"]["version"]
        json.dump({"$id": "openai", "version": version, "$defs": dict(sorted(definitions.items()))}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
