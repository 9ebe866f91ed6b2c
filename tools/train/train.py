"""Trains minerva-tiny on conversations generated on the fly: no conversation is seen twice.

    python train.py --tokenizer ../../models/minerva-tiny/tokenizer.json --out RUN --minutes 8      (one GPU)
    python train.py --tokenizer ... --out RUN --steps 4 --batch 2 --length 512 --device cpu --items 4   (smoke test)

Writes RUN/checkpoint-*.safetensors (bf16, what export.py takes), RUN/train.log and RUN/accuracy.json.
"""

import argparse
import json
import math
import os
import random
import time
from dataclasses import asdict
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from conversations import example
from evaluate import evaluate
from model import Config, Minerva, packed, rounded, save, yarn

IGNORED = -100


class Batches(IterableDataset):
  """Endless batches of packed rows: ids, labels (the next token where the assistant says it) and document numbers, each [batch, length]."""

  def __init__(self, tokenizer, seed, batch, length):
    self.tokenizer, self.seed, self.batch, self.length = tokenizer, seed, batch, length

  def documents(self, rng):
    while True:
      many = [example(rng).pieces() for _ in range(64)]
      encoded = iter(self.tokenizer.encode_batch([text for pieces in many for text, _ in pieces], add_special_tokens=False))
      for pieces in many:
        ids, target = [], []
        for _, is_target in pieces:
          part = next(encoded).ids
          ids += part
          target += [is_target] * len(part)
        yield ids, target

  def __iter__(self):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    worker = get_worker_info()
    source = self.documents(random.Random(f"{self.seed}:{worker.id if worker else 0}"))
    while True:
      ids, labels = torch.zeros(self.batch, self.length, dtype=torch.int32), torch.full((self.batch, self.length), IGNORED, dtype=torch.int32)
      documents = torch.full((self.batch, self.length), -1, dtype=torch.int32)
      used, failures, number = [0] * self.batch, 0, 0
      # First fit; the batch is full once several conversations in a row find no room.
      while failures < 8:
        said, target = next(source)
        if len(said) > self.length:
          continue
        row = next((r for r in range(self.batch) if used[r] + len(said) <= self.length), None)
        if row is None:
          failures += 1
          continue
        start, end = used[row], used[row] + len(said)
        ids[row, start:end] = torch.tensor(said, dtype=torch.int32)
        labels[row, start:end - 1] = torch.tensor([s if t else IGNORED for s, t in zip(said[1:], target[1:])], dtype=torch.int32)
        documents[row, start:end] = number
        used[row], number = end, number + 1
      yield ids, labels, documents


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--tokenizer", type=Path, required=True)
  parser.add_argument("--out", type=Path, required=True)
  parser.add_argument("--steps", type=int, help="train for so many steps")
  parser.add_argument("--minutes", type=float, help="or for as many as fit, by the speed of the first ones")
  parser.add_argument("--batch", type=int, default=48)
  parser.add_argument("--length", type=int, default=1024)
  parser.add_argument("--lr", type=float, default=2e-3)
  parser.add_argument("--weight-decay", type=float, default=0.05)
  parser.add_argument("--balance", type=float, default=0.01)
  parser.add_argument("--seed", type=int, default=17)
  parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
  parser.add_argument("--items", type=int, default=500)
  parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
  args = parser.parse_args()
  args.out.mkdir(parents=True, exist_ok=True)
  start = time.time()
  log_file = (args.out / "train.log").open("a")

  def log(text):
    line = f"{time.time() - start:7.1f}s {text}"
    print(line, flush=True)
    print(line, file=log_file, flush=True)

  cuda = args.device.startswith("cuda")
  tokenizer = Tokenizer.from_file(str(args.tokenizer))
  config = Config(vocab_size=tokenizer.get_vocab_size())
  batches = iter(DataLoader(Batches(tokenizer, args.seed, args.batch, args.length), batch_size=None, num_workers=args.workers, pin_memory=cuda, prefetch_factor=4))
  model = Minerva(config).initialize(args.seed).to(args.device)
  log(f"{json.dumps(asdict(config))} {sum(p.numel() for p in model.parameters()):,} parameters, torch {torch.__version__}, {torch.cuda.get_device_name() if cuda else 'cpu'}")
  matrices = [p for n, p in model.named_parameters() if p.dim() >= 2 and not n.endswith("_bias")]
  vectors = [p for n, p in model.named_parameters() if p.dim() < 2 or n.endswith("_bias")]
  optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": args.weight_decay}, {"params": vectors, "weight_decay": 0.0}], lr=args.lr, betas=(0.9, 0.98), eps=1e-9, fused=cuda)
  # A quarter of the steps sees the YaRN ramp as mlx-lm and llama.cpp round it, so that the model answers the same there.
  exact, truncated = yarn(config)[0].to(args.device), yarn(config, truncate=True)[0].to(args.device)

  def loss_of(ids, labels, documents, mix, frequencies):
    logits, balance = model(ids, *packed(ids, documents), mix, None, frequencies)
    return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED), balance

  step_loss = torch.compile(loss_of) if cuda else loss_of
  total, step, losses, mark, saved = args.steps, 0, [], None, time.time()
  mix, warmup, measured = torch.zeros((), device=args.device), 300, (20, 120)
  while total is None or step < total:
    ids, labels, documents = (t.to(args.device, non_blocking=True).long() for t in next(batches))
    done = step / (total or 10**9)
    rate = args.lr * min(1.0, (step + 1) / warmup) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
    for group in optimizer.param_groups:
      group["lr"] = rate
    # Rounding to MXFP4-Q8 fades in between 30% and 50% of the training and stays.
    mix.fill_(min(1.0, max(0.0, (done - 0.3) / 0.2)))
    with torch.autocast(args.device.split(":")[0], torch.bfloat16, enabled=cuda):
      loss, balance = step_loss(ids, labels, documents, mix, truncated if step % 4 == 3 else exact)
    (loss + args.balance * balance).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    losses.append(loss.detach())
    step += 1
    if total is None and step in measured:
      now = losses[-1].item() and time.time()
      if step == measured[1]:
        pace = (now - mark) / (measured[1] - measured[0])
        total = step + int((args.minutes * 60 - (now - start)) / pace)
        log(f"{pace * 1000:.1f} ms a step: {total} steps in all; a row holds {(documents >= 0).float().mean().item():.1%} text, {(labels >= 0).float().mean().item():.1%} targets")
      mark = now
    if step % 200 == 0 or step == total:
      window = torch.stack(losses).mean().item()
      losses = []
      if not math.isfinite(window):
        raise FloatingPointError(f"loss {window} at step {step}")
      log(f"step {step} loss {window:.4f} balance {balance.item():.3f} lr {rate:.2e} mix {mix.item():.2f}" + (f" memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if cuda else ""))
      if time.time() - saved > 100:
        save(model, args.out)
        saved = time.time()
  save(model, args.out)
  log(f"trained {step} steps of {args.batch} x {args.length} tokens")
  del batches
  model.eval().load_state_dict(rounded(model))
  evaluate(model, tokenizer, args.items, log=log, out=args.out / "accuracy.json")


if __name__ == "__main__":
  main()
