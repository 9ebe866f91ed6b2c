"""MLX's two quantizations as differentiable roundings: what training sees is what the exported file holds.

Both are checked bit for bit against mx.dequantize(mx.quantize(w)) by `python quantization.py`.
"""

import torch

E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
# Midpoints between neighbours; a tie goes to the smaller one.
MIDPOINTS = (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)


def mxfp4(weight, group_size=32):
  """Round to e2m1 values under one power-of-two scale per group of the last axis, as mx.quantize(mode="mxfp4") does on bf16 weights."""
  groups = weight.bfloat16().float().unflatten(-1, (-1, group_size))
  peak = groups.abs().amax(-1, keepdim=True)
  exponent = torch.ceil(torch.log2(torch.clamp(peak / 6.0, min=2.0**-127))).clamp(-127, 127)
  scale = torch.exp2(exponent)
  magnitude = (groups / scale).abs()
  value = torch.zeros_like(magnitude)
  for code, midpoint in enumerate(MIDPOINTS):
    value = torch.where(magnitude > midpoint, E2M1[code + 1], value)
  return (value * groups.sign() * scale).flatten(-2)


def affine(weight, group_size=64, bits=8):
  """Round to 2^bits levels with a bf16 scale and bias per group of the last axis, as mx.quantize(mode="affine") does on bf16 weights."""
  levels = 2**bits - 1
  groups = weight.bfloat16().float().unflatten(-1, (-1, group_size))
  low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
  lower_edge = low.abs() > high.abs()
  scale = torch.clamp((high - low) / levels, min=1e-7)
  scale = torch.where(lower_edge, scale, -scale)
  edge = torch.where(lower_edge, low, high)
  steps = torch.round(edge / scale)
  scale = torch.where(steps != 0, edge / torch.where(steps != 0, steps, torch.ones_like(steps)), scale)
  bias = torch.where(steps != 0, edge, torch.zeros_like(edge))
  code = torch.round((groups - bias) / scale).clamp(0, levels)
  return (code * scale.bfloat16().float() + bias.bfloat16().float()).flatten(-2)


def straight_through(weight, rounded, mix):
  """weight + mix * (rounded - weight) in value, weight in gradient."""
  return weight + mix * (rounded - weight).detach()


def _check():
  import mlx.core as mx
  import numpy as np

  generator = torch.Generator().manual_seed(0)
  for spread in (1.0, 0.02, 3e-4):
    weight = (torch.randn(64, 512, generator=generator) * spread).bfloat16()
    weight[0, :64] = 0
    weight[1] = torch.linspace(-6, 6, 512).bfloat16() * spread
    array = mx.array(weight.float().numpy()).astype(mx.bfloat16)
    packed = mx.quantize(array, group_size=32, bits=4, mode="mxfp4")
    theirs = np.array(mx.dequantize(*packed, group_size=32, bits=4, mode="mxfp4", dtype=mx.float32))
    print("mxfp4 ", spread, "differences", int((mxfp4(weight).numpy() != theirs).sum()), "of", theirs.size)
    code, scale, bias = (np.array(x if x.dtype == mx.uint32 else x.astype(mx.float32)) for x in mx.quantize(array, group_size=64, bits=8))
    theirs = code.view(np.uint8).astype(np.float32) * scale.repeat(64, -1) + bias.repeat(64, -1)
    ours = affine(weight).numpy()
    print("affine", spread, "differences", int((ours != theirs).sum()), "of", theirs.size, "largest", float(abs(ours - theirs).max()))


if __name__ == "__main__":
  _check()
