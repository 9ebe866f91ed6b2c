"""Held-out questions as data, for evaluating the exported model through Minerva itself.

    python fixtures.py --out fixtures/held_out.json

{"sums": [{"question", "answer"}], "tool_calls": [{"tools" (OpenAI function definitions), "messages", "reasoning_effort", "name", "arguments"}]}
"""

import argparse
import json
import random
from pathlib import Path

from arithmetic import ASK, draw
from conversations import example


def sums(rng, count):
  made = {}
  while len(made) < count:
    a, b = draw(rng, True, "+", 2)
    question = rng.choice(ASK["+"]).format(a=a, b=b)
    made[question] = {"question": question, "answer": str(a + b)}
  return list(made.values())


def tool_calls(rng, count):
  made = []
  while len(made) < count:
    conversation = example(rng, True, "tool_use").conversation
    if conversation.history or conversation.system is None:
      continue
    called = next(m for m in conversation.turn if m.recipient and m.role == "assistant")
    made.append({
      "tools": [{"type": "function", "function": tool} for tool in conversation.tools],
      "messages": ([{"role": "developer", "content": conversation.instructions}] if conversation.instructions else []) + [{"role": "user", "content": conversation.turn[0].text}],
      "reasoning_effort": conversation.system.effort or "medium", "name": called.recipient.removeprefix("functions."), "arguments": json.loads(called.text)})
  return made


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--out", type=Path, required=True)
  parser.add_argument("--seed", type=int, default=99)
  parser.add_argument("--sums", type=int, default=200)
  parser.add_argument("--tool-calls", type=int, default=100)
  args = parser.parse_args()
  args.out.parent.mkdir(parents=True, exist_ok=True)
  rng = random.Random(args.seed)
  data = {"sums": sums(rng, args.sums), "tool_calls": tool_calls(rng, args.tool_calls)}
  lines = ",\n".join(f'  "{key}": [\n' + ",\n".join("    " + json.dumps(item, ensure_ascii=False) for item in items) + "\n  ]" for key, items in data.items())
  args.out.write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
  main()
