"""Takes what the server answers with out of OpenAI's OpenAPI document (openai/openai-openapi, MIT), as JSON Schema 2020-12.

    python tools/reference/openai_schemas.py openapi.json test/server/fixtures/openai_schemas.json

Words are left out, and `nullable`, which OpenAPI 3.1 does not know any more but the document has in places, is spelled out.
Kinds of items, tools and events that the server never writes are left out, too, so that whatever takes their shape does not pass.
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
    "Response",
    "ResponseItemList",
    "ResponseErrorEvent",
    "ResponseCreatedEvent",
    "ResponseInProgressEvent",
    "ResponseOutputItemAddedEvent",
    "ResponseOutputItemDoneEvent",
    "ResponseContentPartAddedEvent",
    "ResponseContentPartDoneEvent",
    "ResponseReasoningTextDeltaEvent",
    "ResponseReasoningTextDoneEvent",
    "ResponseTextDeltaEvent",
    "ResponseTextDoneEvent",
    "ResponseFunctionCallArgumentsDeltaEvent",
    "ResponseFunctionCallArgumentsDoneEvent",
    "ResponseCustomToolCallInputDeltaEvent",
    "ResponseCustomToolCallInputDoneEvent",
    "ResponseCompletedEvent",
    "ResponseIncompleteEvent",
    "ResponseFailedEvent",
    "TokenCountsResource",
]
KEPT = {
    "OutputItem": {"OutputMessage", "FunctionToolCall", "ReasoningItem", "CustomToolCall"},
    "ItemResource": {
        "InputMessageResource",
        "OutputMessage",
        "FunctionToolCallResource",
        "FunctionToolCallOutputResource",
        "ReasoningItem",
        "CustomToolCallResource",
        "CustomToolCallOutputResource",
    },
    "Tool": {"FunctionTool", "CustomToolParam"},
    "ToolChoiceParam": {"ToolChoiceOptions", "ToolChoiceAllowed", "ToolChoiceFunction", "ToolChoiceCustom"},
    "Annotation": set(),
}
LEFT_OUT = {"InputItem", "Moderation", "Prompt", "PromptCacheOptions"}
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


def without_others(document):
    schemas = document["components"]["schemas"]
    for name, kept in KEPT.items():
        variants = [each for each in schemas[name]["oneOf"] if each.get("$ref", "").split("/")[-1] in kept]
        assert len(variants) == len(kept), name
        schemas[name] = {"oneOf": variants} if variants else {"not": {}}
    for name in LEFT_OUT:
        schemas[name] = {"not": {}}
    return document


def main(source, target):
    with open(source) as file:
        document = without_others(json.load(file))
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
