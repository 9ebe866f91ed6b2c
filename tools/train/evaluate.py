"""Held-out accuracy per task by greedy decoding, with the weights rounded as the exported file stores them.

    python evaluate.py --checkpoint FOLDER --tokenizer ../../models/minerva-tiny/tokenizer.json --items 500 --out accuracy.json
"""

import argparse
import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer

from conversations import example
from model import load, rounded

# task -> generator; arithmetic is split by operation and number of digits.
TASKS = {**{name: "calculation" for name in ("sum1", "sum2", "sum3", "sum4", "sum_mixed", "difference2", "difference3", "product1", "product2", "product_mixed", "quotient2", "quotient3")},
         **{name: name for name in ("word_problem", "follow_up", "numbers", "units", "dates", "small_talk", "unknown", "echo", "story", "told", "recall", "missing_tool", "missing_argument", "facts")},
         "tool_call": "tool_use", "tool_answer": "tool_use"}
IN_TRAINING = ("facts", "missing_argument", "sum1", "product1")


class Caches:
  """Keys and values of all layers for a batch, written at one index for all rows."""

  def __init__(self, config, batch, length, device):
    shape = (config.num_hidden_layers, batch, config.num_key_value_heads, 1, length, config.head_dim)
    self.keys, self.values = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
    self.all_positions = torch.zeros(batch, length, dtype=torch.long, device=device)
    self.start = self.end = 0

  def extend(self, positions):
    self.start, self.end = self.end, self.end + positions.shape[1]
    self.all_positions[:, self.start:self.end] = positions
    self.positions = self.all_positions[:, :self.end]

  def keep(self, rows):
    self.keys, self.values, self.all_positions = self.keys[:, rows], self.values[:, rows], self.all_positions[rows]

  def layer(self, index):
    def append(k, v):
      self.keys[index][:, :, :, self.start:self.end] = k
      self.values[index][:, :, :, self.start:self.end] = v
      return self.keys[index][:, :, :, :self.end], self.values[index][:, :, :, :self.end]
    return append


@torch.no_grad()
def generate(model, prompts, stops, limit):
  """Greedy continuations (lists of ids, the stop token included) of prompts of any lengths."""
  device = model.lm_head.weight.device
  batch, longest = len(prompts), max(map(len, prompts))
  ids = torch.zeros(batch, longest, dtype=torch.long)
  pad = torch.tensor([longest - len(p) for p in prompts], device=device)
  for row, prompt in enumerate(prompts):
    ids[row, longest - len(prompt):] = torch.tensor(prompt)
  ids = ids.to(device)
  caches = Caches(model.config, batch, longest + limit, device)
  index = torch.arange(longest + limit, device=device)
  stop = torch.zeros(model.config.vocab_size, dtype=torch.bool, device=device)
  stop[list(stops)] = True
  # Rows that have ended leave the batch once they are half of it.
  alive, done = torch.arange(batch, device=device), torch.zeros(batch, dtype=torch.bool, device=device)
  rows = [[] for _ in prompts]
  for step in range(limit):
    first, last = (0, longest) if step == 0 else (longest + step - 1, longest + step)
    positions = (index[None, first:last] - pad[:, None]).clamp(min=0)
    caches.extend(positions)
    seen = (index[None, None, :last] <= index[None, first:last, None]) & (index[None, None, :last] >= pad[:, None, None])
    token = model(ids, positions, seen, caches=caches)[0][:, -1].argmax(-1)
    for row, said, ended in zip(alive.tolist(), token.tolist(), done.tolist()):
      if not ended:
        rows[row].append(said)
    done |= stop[token]
    ids = token[:, None]
    if done.all():
      break
    if done.sum() * 2 > len(done):
      rest = (~done).nonzero().squeeze(1)
      caches.keep(rest)
      alive, done, pad, ids = alive[rest], done[rest], pad[rest], ids[rest]
  return rows


def parse(text):
  """The messages of a completion that follows `<|start|>assistant`: [(header, content, ending)]."""
  messages = []
  for part in text.split("<|start|>assistant"):
    header, separator, rest = part.partition("<|message|>")
    for ending in ("<|end|>", "<|return|>", "<|call|>"):
      if rest.endswith(ending):
        messages.append((header, rest.removesuffix(ending), ending))
        break
    else:
      messages.append((header, rest, "" if separator else "no message"))
  return messages


def is_right(task, made, text):
  messages = parse(text)
  if any(ending != "<|end|>" for _, _, ending in messages[:-1]) or any(header != "<|channel|>analysis" for header, _, _ in messages[:-1]):
    return False
  header, content, ending = messages[-1]
  if task == "tool_call":
    wanted = next(m for m in made.conversation.turn if m.recipient and m.role == "assistant")
    if header != f"<|channel|>commentary to={wanted.recipient} <|constrain|>json" or ending != "<|call|>":
      return False
    try:
      return json.loads(content) == json.loads(wanted.text)
    except ValueError:
      return False
  if header != "<|channel|>final" or ending != "<|return|>":
    return False
  if task == "story":
    return all(word in content for word in made.accepted) and content.count(".") >= 3
  return content in made.accepted


def items_of(task, count, seed):
  """(example, messages of the turn already given) pairs of one task."""
  rng = random.Random(f"{seed}:{task}")
  items = []
  while len(items) < count:
    made = example(rng, task not in IN_TRAINING, TASKS[task])
    if TASKS[task] == "calculation" and made.task != task:
      continue
    turn = made.conversation.turn
    given = 1 + max((i for i, m in enumerate(turn) if m.role == "tool"), default=0) if task == "tool_answer" else 1
    items.append((made, given))
  return items


def batches_of(prompts, most):
  """Indices in batches of similar length, small enough for the attention scores of the longest prompt to fit."""
  chosen = []
  for index in sorted(range(len(prompts)), key=lambda i: len(prompts[i])):
    if chosen and (len(chosen) == most or (len(chosen) + 1) * len(prompts[index]) ** 2 > 1e8):
      yield chosen
      chosen = []
    chosen.append(index)
  if chosen:
    yield chosen


def evaluate(model, tokenizer, items=500, seed=7, batch=512, limit=320, tasks=None, log=print, out=None):
  """{task: {"right", "of", "accuracy", "wrong": a few failures}}, written to `out` after every task."""
  stops = {tokenizer.token_to_id(t) for t in ("<|return|>", "<|call|>")}
  results = {}
  for task in tasks or TASKS:
    examples = items_of(task, items, seed)
    prompts = [tokenizer.encode(made.prompt(given), add_special_tokens=False).ids for made, given in examples]
    right, wrong = 0, []
    for chosen in batches_of(prompts, batch):
      for index, row in zip(chosen, generate(model, [prompts[i] for i in chosen], stops, limit)):
        made, given = examples[index]
        text = tokenizer.decode(row, skip_special_tokens=False)
        if is_right(task, made, text):
          right += 1
        elif len(wrong) < 12:
          wrong.append({"prompt": made.prompt(given)[-400:], "said": text, "wanted": made.accepted[0] if task not in ("tool_call", "story") else " ".join(m.text for m in made.conversation.turn[1:])})
    results[task] = {"right": right, "of": len(examples), "accuracy": right / len(examples), "wrong": wrong}
    if out:
      out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    log(f"{task:18} {right:5} of {len(examples):5}  {right / len(examples):.1%}")
  return results


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--checkpoint", type=Path, required=True)
  parser.add_argument("--tokenizer", type=Path, required=True)
  parser.add_argument("--items", type=int, default=500)
  parser.add_argument("--seed", type=int, default=7)
  parser.add_argument("--batch", type=int, default=512)
  parser.add_argument("--tasks", nargs="*", choices=list(TASKS))
  parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
  parser.add_argument("--out", type=Path)
  parser.add_argument("--truncated-yarn", action="store_true", help="round the YaRN ramp as mlx-lm and llama.cpp do")
  args = parser.parse_args()
  model = load(args.checkpoint)
  model.load_state_dict(rounded(model))
  model.to(args.device).set_yarn(args.truncated_yarn)
  evaluate(model, Tokenizer.from_file(str(args.tokenizer)), args.items, args.seed, args.batch, tasks=args.tasks, out=args.out)


if __name__ == "__main__":
  main()
