"""Trains the byte-level BPE of minerva-tiny and writes tokenizer.json, tokenizer_config.json and generation_config.json.

    python tokenizer.py --out ../../models/minerva-tiny

Digits stand alone, and a capitalised word is split from the space before it, so that a name is the same tokens wherever it stands:
copying one into a tool call is then copying tokens.
"""

import argparse
import json
import random
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from conversations import MINERVA, example
from words import made_up

SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>", "<|call|>"]
VOCAB_SIZE = 3072
PATTERN = (r"'(?:[sdmt]|ll|ve|re)| ?[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[\p{Lu}\p{Lt}][\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}"
           r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def corpus(seed, count):
  """Conversations and, for pieces that spell any word, made-up words."""
  rng = random.Random(seed)
  for _ in range(count):
    for text, _ in example(rng).pieces():
      for token in SPECIAL:
        text = text.replace(token, "\n")
      yield text
    yield " ".join(made_up(rng) if rng.random() < 0.5 else made_up(rng).capitalize() for _ in range(12))


def train(seed, count):
  tokenizer = Tokenizer(models.BPE())
  tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
  tokenizer.decoder = decoders.ByteLevel()
  trainer = trainers.BpeTrainer(vocab_size=VOCAB_SIZE - len(SPECIAL), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
  tokenizer.train_from_iterator(corpus(seed, count), trainer)
  # Specials come last, as in o200k_harmony.
  tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
  return tokenizer


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--out", type=Path, required=True)
  parser.add_argument("--seed", type=int, default=20)
  parser.add_argument("--count", type=int, default=60_000)
  args = parser.parse_args()
  tokenizer = train(args.seed, args.count)
  args.out.mkdir(parents=True, exist_ok=True)
  tokenizer.save(str(args.out / "tokenizer.json"))
  ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}
  config = {"model_identity": MINERVA, "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|startoftext|>", "eos_token": "<|return|>", "pad_token": "<|endoftext|>",
            "clean_up_tokenization_spaces": False, "model_max_length": 16384, "model_input_names": ["input_ids", "attention_mask"]}
  (args.out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
  generation = {"bos_token_id": ids["<|startoftext|>"], "pad_token_id": ids["<|endoftext|>"], "eos_token_id": [ids["<|return|>"], ids["<|endoftext|>"], ids["<|call|>"]], "do_sample": False}
  (args.out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
  print(f"{tokenizer.get_vocab_size()} tokens, specials {ids}")


if __name__ == "__main__":
  main()
