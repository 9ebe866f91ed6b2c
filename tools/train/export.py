"""Writes a checkpoint as MXFP4-Q8 safetensors in MLX's layout, the one of mlx-community/gpt-oss-20b-MXFP4-Q8.

    python export.py --checkpoint RUN --out ../../models/minerva-tiny [--check]

--check loads the result with mlx-lm and compares its logits and a greedy answer with the PyTorch forward on the rounded weights.
"""

import argparse
import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.models.gpt_oss import Model, ModelArgs

from model import load, packed, rounded

MXFP4 = {"group_size": 32, "bits": 4, "mode": "mxfp4"}
Q8 = {"group_size": 64, "bits": 8, "mode": "affine"}


def mlx_weights(state):
  """transformers' names and layout to mlx-lm's: gate and up apart, [expert, out, in]."""
  weights = {}
  for name, tensor in state.items():
    array = mx.array(tensor.numpy()).astype(mx.bfloat16)
    if name.endswith("gate_up_proj"):
      stem = name.removesuffix("gate_up_proj")
      weights[f"{stem}gate_proj.weight"], weights[f"{stem}up_proj.weight"] = array[..., ::2].swapaxes(1, 2), array[..., 1::2].swapaxes(1, 2)
    elif name.endswith("gate_up_proj_bias"):
      stem = name.removesuffix("gate_up_proj_bias")
      weights[f"{stem}gate_proj.bias"], weights[f"{stem}up_proj.bias"] = array[..., ::2], array[..., 1::2]
    elif name.endswith("experts.down_proj"):
      weights[f"{name}.weight"] = array.swapaxes(1, 2)
    elif name.endswith("experts.down_proj_bias"):
      weights[name.replace("_bias", ".bias")] = array
    else:
      weights[name] = array
  return {name: mx.contiguous(array) for name, array in weights.items()}


def export(checkpoint, out):
  source = load(checkpoint)
  config = source.config.to_hf()
  model = Model(ModelArgs.from_dict(config))
  model.load_weights(list(mlx_weights(source.state_dict()).items()))
  quantization = dict(MXFP4)

  def kind(path, module):
    if not hasattr(module, "to_quantized"):
      return False
    if ".experts." in path:
      return MXFP4
    quantization[path] = Q8
    return Q8

  nn.quantize(model, class_predicate=kind)
  weights = dict(tree_flatten(model.parameters()))
  mx.eval(weights)
  out.mkdir(parents=True, exist_ok=True)
  mx.save_safetensors(str(out / "model.safetensors"), weights, metadata={"format": "mlx"})
  generation = json.loads((out / "generation_config.json").read_text())
  config |= {"quantization": quantization, "quantization_config": quantization, "eos_token_id": generation["eos_token_id"][0], "pad_token_id": generation["pad_token_id"]}
  (out / "config.json").write_text(json.dumps(dict(sorted(config.items())), indent=2) + "\n")
  print(f"{len(weights)} tensors, {sum(a.nbytes for a in weights.values()):,} bytes, {sum(p.numel() for p in source.parameters()):,} parameters")


def check(checkpoint, out):
  import torch
  from mlx_lm import generate
  from mlx_lm.utils import load as load_mlx

  model, tokenizer = load_mlx(str(out))
  ours = load(checkpoint)
  ours.load_state_dict(rounded(ours))
  prompt = ("<|start|>system<|message|>You are Minerva, a tiny demonstration model.\nCurrent date: 2026-11-23\n\nReasoning: medium\n\n"
            "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|><|start|>user<|message|>What is 17 + 25?<|end|><|start|>assistant")
  ids = tokenizer.encode(prompt, add_special_tokens=False)
  answer = generate(model, tokenizer, ids, max_tokens=120)
  # Activations follow the parameters: in float32 only the order of additions differs from ours.
  model.set_dtype(mx.float32)
  theirs = np.array(model(mx.array([ids])))
  for truncate in (True, False):
    ours.set_yarn(truncate)
    batch = torch.tensor([ids])
    with torch.no_grad():
      logits = ours(batch, *packed(batch, torch.zeros_like(batch)))[0].numpy()
    error = np.linalg.norm(logits - theirs) / np.linalg.norm(theirs)
    print(f"YaRN ramp {'rounded as in mlx-lm' if truncate else 'as config.json says'}: relative difference to mlx-lm's logits {error:.2e}, same argmax {np.mean(logits.argmax(-1) == theirs.argmax(-1)):.1%}")
  print(answer)


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--checkpoint", type=Path, required=True)
  parser.add_argument("--out", type=Path, required=True)
  parser.add_argument("--check", action="store_true")
  args = parser.parse_args()
  export(args.checkpoint, args.out)
  if args.check:
    check(args.checkpoint, args.out)


if __name__ == "__main__":
  main()
