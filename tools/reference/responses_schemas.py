"""Takes what the Responses API answers with out of OpenAI's OpenAPI document (openai/openai-openapi, MIT), as JSON Schema 2020-12.

    python tools/reference/responses_schemas.py openapi.json test/server/responses/fixtures/responses_schemas.json

Kinds of items, tools and events that this server never writes are left out, so that whatever takes their shape does not pass.
"""

import sys

import openai_schemas

openai_schemas.NAMES = [
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


def without_others(document):
    schemas = document["components"]["schemas"]
    for name, kept in KEPT.items():
        variants = [each for each in schemas[name]["oneOf"] if each.get("$ref", "").split("/")[-1] in kept]
        assert len(variants) == len(kept), name
        schemas[name] = {"oneOf": variants} if variants else {"not": {}}
    for name in LEFT_OUT:
        schemas[name] = {"not": {}}
    return document


if __name__ == "__main__":
    openai_schemas.main(*sys.argv[1:], change=without_others)
