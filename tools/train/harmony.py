"""The harmony format as openai/harmony renders it: messages to text, JSON schemas to its TypeScript-like tool section."""

import json
from dataclasses import dataclass, field

BLANK = "\n\n"


@dataclass(slots=True)
class Message:
  """One harmony message. A tool's result has role "tool", `name` "functions.x" and recipient "assistant"."""

  role: str
  text: str
  channel: str | None = None
  recipient: str | None = None
  name: str | None = None


@dataclass(slots=True)
class System:
  """What the system message says. Any part may be absent, as clients differ."""

  identity: str | None = None
  knowledge_cutoff: str | None = None
  current_date: str | None = None
  effort: str | None = "medium"
  channels: bool = True


@dataclass(slots=True)
class Conversation:
  system: System | None
  instructions: str | None = None
  tools: list[dict] = field(default_factory=list)
  history: list[Message] = field(default_factory=list)
  turn: list[Message] = field(default_factory=list)


def user(text):
  return Message("user", text)


def analysis(text):
  return Message("assistant", text, "analysis")


def final(text):
  return Message("assistant", text, "final")


def call(tool, arguments):
  return Message("assistant", json.dumps(arguments, separators=(",", ":"), ensure_ascii=False), "commentary", f"functions.{tool}")


def tool_result(tool, text):
  return Message("tool", text, "commentary", "assistant", f"functions.{tool}")


def typescript(schema, indent=""):
  """The TypeScript-like form of a JSON schema (the part of openai/harmony's rules that the data uses)."""
  kind = schema.get("type")
  if kind == "object":
    required = schema.get("required", [])
    lines = [f"{indent}// {schema['description']}\n"] if "description" in schema else []
    lines.append("{\n")
    for name, value in schema.get("properties", {}).items():
      if "description" in value:
        lines.append(f"{indent}// {value['description']}\n")
      lines.append(f"{indent}{name}{'' if name in required else '?'}: {typescript(value, indent + '    ')},")
      if "default" in value:
        default = value["default"]
        quoted = isinstance(default, str) and "enum" not in value
        lines.append(f" // default: {json.dumps(default) if quoted or not isinstance(default, str) else default}")
      lines.append("\n")
    return "".join(lines) + f"{indent}}}"
  if kind == "string":
    return " | ".join(f'"{v}"' for v in schema["enum"]) if schema.get("enum") else "string"
  if kind == "array":
    return typescript(schema["items"], indent) + "[]" if "items" in schema else "Array<any>"
  return {"integer": "number", "number": "number", "boolean": "boolean"}.get(kind, "any")


def tools_section(tools):
  lines = ["# Tools\n", "## functions\n", "namespace functions {\n"]
  for tool in tools:
    lines += [f"// {line}" for line in tool.get("description", "").splitlines()]
    parameters = tool.get("parameters")
    head = f"(_: {typescript(parameters)})" if parameters else "()"
    lines.append(f"type {tool['name']} = {head} => any;\n")
  return "\n".join(lines + ["} // namespace functions"])


def render_system(system, has_tools):
  top = [system.identity] if system.identity else []
  if system.knowledge_cutoff:
    top.append(f"Knowledge cutoff: {system.knowledge_cutoff}")
  if system.current_date:
    top.append(f"Current date: {system.current_date}")
  sections = ["\n".join(top)] if top else []
  if system.effort:
    sections.append(f"Reasoning: {system.effort}")
  if system.channels:
    line = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
    sections.append(line + ("\nCalls to these tools must go to the commentary channel: 'functions'." if has_tools else ""))
  return f"<|start|>system<|message|>{BLANK.join(sections)}<|end|>"


def render_developer(instructions, tools):
  sections = ["# Instructions", instructions] if instructions else []
  if tools:
    sections.append(tools_section(tools))
  return f"<|start|>developer<|message|>{BLANK.join(sections)}<|end|>"


def render_message(message, recipient_in_role=False, last="<|end|>"):
  """A whole message. The recipient of a call stands in the role part (openai/harmony's renderer) or in the channel part (the model)."""
  if message.role == "assistant" and message.recipient:
    to = f" to={message.recipient}"
    role, channel = (to, "") if recipient_in_role else ("", to)
    return f"<|start|>assistant{role}<|channel|>commentary{channel} <|constrain|>json<|message|>{message.text}<|call|>"
  role = message.name if message.role == "tool" else message.role
  to = f" to={message.recipient}" if message.recipient else ""
  channel = f"<|channel|>{message.channel}" if message.channel else ""
  return f"<|start|>{role}{to}{channel}<|message|>{message.text}{last}"


def render_prompt(conversation, recipient_in_role=False):
  """Everything before the turn to be answered: system, developer, history."""
  parts = []
  if conversation.system:
    parts.append(render_system(conversation.system, bool(conversation.tools)))
  if conversation.instructions or conversation.tools:
    parts.append(render_developer(conversation.instructions, conversation.tools))
  parts += [render_message(m, recipient_in_role) for m in conversation.history]
  return "".join(parts)


def render_turn(turn, recipient_in_role=False):
  """The turn as (text, is_target) pieces: the assistant's words after `<|start|>assistant` are targets, all else is given.

  After a tool call the model stops, so the next assistant message starts from a given `<|start|>assistant` again, and
  the call itself is then history: it is a target in the channel form whichever form history uses.
  """
  pieces = []
  given = True
  for index, message in enumerate(turn):
    if message.role != "assistant":
      pieces.append((render_message(message), False))
      given = True
      continue
    text = render_message(message, last="<|return|>" if index == len(turn) - 1 else "<|end|>")
    head = "<|start|>assistant"
    if given:
      pieces.append((head, False))
      text = text[len(head):]
    pieces.append((text, True))
    given = message.recipient is not None
  return pieces
