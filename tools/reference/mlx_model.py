"""mlx-lm as a source of truth: a folder loaded for float32 arithmetic, its logits, its greedy continuation, and its
weights dequantized under Hugging Face's names."""

import math
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_map
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model

mx.set_default_device(mx.cpu)


def load_float32(folder: Path):
    """The model with every floating tensor (scales, biases, norms) widened to float32, so that activations are float32
    too. Packed weights stay packed. Returns (model, config)."""
    model, config = load_model(Path(folder), lazy=True)
    widen = lambda x: x.astype(mx.float32) if mx.issubdtype(x.dtype, mx.floating) else x
    model.update(tree_map(widen, model.parameters()))
    mx.eval(model.parameters())
    return model, config


def replace_yarn_frequencies(model, inv_freq: np.ndarray) -> None:
    """mlx-lm ignores `truncate: false` and rounds YaRN's correction range to whole dimensions; this puts other inverse
    frequencies in place."""
    for layer in model.model.layers:
        layer.self_attn.rope._freqs = mx.array((1.0 / inv_freq.astype(np.float64)).astype(np.float32))


def logits(model, tokens) -> np.ndarray:
    """One pass over the whole prompt without a cache, [length, vocab_size] float32."""
    return np.array(model(mx.array([[int(token) for token in tokens]]))[0].astype(mx.float32))


def greedy(model, tokens, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` greedy tokens by prefill and cached steps (full and rotating caches), with the margin between the best
    and the second logit at each step."""
    cache = make_prompt_cache(model)
    out, margins, step = [], [], [int(token) for token in tokens]
    for _ in range(count):
        last = np.array(model(mx.array([step]), cache=cache)[0, -1].astype(mx.float32))
        best, second = np.argsort(-last, kind="stable")[:2]
        out.append(best)
        margins.append(last[best] - last[second])
        step = [int(best)]
    return np.array(out, np.int32), np.array(margins, np.float32)


def dequantized(model) -> dict[str, np.ndarray]:
    """Every weight as float32 under the names and orientation of transformers' GptOssForCausalLM: experts
    [experts, in, out], gate and up interleaved."""
    tensors = {}
    modules = dict(model.named_modules())
    for name, value in tree_flatten(model.parameters()):
        path, leaf = name.rsplit(".", 1)
        module = modules[path]
        if leaf in ("scales", "biases"):
            continue
        if leaf == "weight" and "scales" in module:
            how = {"group_size": module.group_size, "bits": module.bits, "mode": module.mode, "dtype": mx.float32}
            value = mx.dequantize(value, module.scales, module.get("biases"), **how)
        tensors[name] = np.array(value.astype(mx.float32))
    for name in [name for name in tensors if ".experts.gate_proj." in name]:
        gate, up = tensors.pop(name), tensors.pop(name.replace("gate_proj", "up_proj"))
        both = np.stack([gate, up], axis=2).reshape(gate.shape[0], -1, *gate.shape[2:])
        prefix = name.split("gate_proj")[0] + "gate_up_proj"
        tensors[prefix if name.endswith("weight") else prefix + "_bias"] = both
    for name in [name for name in tensors if ".experts.down_proj." in name]:
        prefix = name.rsplit(".", 1)[0]
        tensors[prefix if name.endswith("weight") else prefix + "_bias"] = tensors.pop(name)
    for name, value in tensors.items():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            tensors[name] = np.ascontiguousarray(value.swapaxes(1, 2))
    return tensors


def yarn_inverse_frequencies(head_dim: int, theta: float, scaling: dict) -> np.ndarray:
    """YaRN (https://arxiv.org/abs/2309.00071, section 3.2) in float64, honouring `truncate`."""

    def dimension(rotations):
        length = scaling["original_max_position_embeddings"]
        return head_dim * math.log(length / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low, high = dimension(scaling["beta_fast"]), dimension(scaling["beta_slow"])
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    if low == high:
        high += 0.001
    ramp = np.clip((np.arange(head_dim // 2) - low) / (high - low), 0, 1)
    base = theta ** -(np.arange(0, head_dim, 2) / head_dim)
    return base * (1 - ramp) + base / scaling["factor"] * ramp
