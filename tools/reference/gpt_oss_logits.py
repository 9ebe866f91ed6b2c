"""Makes small random gpt-oss checkpoints of awkward shapes with their true logits, for test/models/fixtures/.

    python tools/reference/gpt_oss_logits.py test/models/fixtures

Every shape is written in some of three layouts, holding the same random weights as far as the layout can:

- hf:       unquantized, as transformers saves it (experts input-major); logits from transformers in float32
- hf-mxfp4: as openai/gpt-oss-20b (expert blocks and scales, the rest bf16); logits from transformers in float32 on the
            dequantized weights
- mlx-q8:   MXFP4-Q8, quantized and saved by mlx-lm's own code from the hf-mxfp4 files; logits from transformers in float32 on the
            weights dequantized by mlx (`logits`), and from mlx-lm itself with float32 activations (`mlx_logits`; left out where
  YaRN's `truncate` is false, which mlx-lm 0.32 does not read: it always rounds the ramp's ends)

expected.safetensors holds tokens, logits, greedy_tokens (8 more, greedily) and greedy_margin (first minus second logit at each).
manifest.json holds versions, seeds and how far the two truths are apart. Versions: requirements.txt beside this script.
"""

import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import numpy as np
import torch
from mlx.utils import tree_map
from mlx_lm.utils import load_model, quantize_model, save_config, save_model
from safetensors.torch import save_file
from transformers import GptOssConfig, GptOssForCausalLM

YARN = {"rope_type": "yarn", "rope_theta": 150000.0, "beta_fast": 32.0, "beta_slow": 1.0}
SLIDING, FULL = "sliding_attention", "full_attention"

SHAPES = {
    # 3 of 10 experts; hidden not a power of two; window and YaRN's original context shorter than the prompt
    "three-of-ten": dict(
        layouts=["hf", "hf-mxfp4", "mlx-q8"], prompt=48, dtype=torch.bfloat16, gate_up=1.0,
        num_hidden_layers=3, hidden_size=192, intermediate_size=32, num_local_experts=10, num_experts_per_tok=3,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, sliding_window=8, vocab_size=97,
        layer_types=[SLIDING, FULL, SLIDING],
        rope_parameters={**YARN, "factor": 32.0, "original_max_position_embeddings": 16, "truncate": False},
    ),
    # all experts chosen, eight query heads on one key-value head, no YaRN, window longer than the prompt
    "all-experts": dict(
        layouts=["hf", "mlx-q8"], prompt=60, dtype=torch.bfloat16, gate_up=1.0,
        num_hidden_layers=2, hidden_size=128, intermediate_size=64, num_local_experts=4, num_experts_per_tok=4,
        num_attention_heads=8, num_key_value_heads=1, head_dim=32, sliding_window=200, vocab_size=130,
        layer_types=[SLIDING, FULL],
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    ),
    # five layers, a key-value head per query head, float32 files, gates large enough to be clamped
    "clamped": dict(
        layouts=["hf", "mlx-q8"], prompt=90, dtype=torch.float32, gate_up=4.0,
        num_hidden_layers=5, hidden_size=64, intermediate_size=32, num_local_experts=5, num_experts_per_tok=2,
        num_attention_heads=2, num_key_value_heads=2, head_dim=64, sliding_window=5, vocab_size=101,
        layer_types=[FULL, SLIDING, SLIDING, FULL, SLIDING],
        rope_parameters={**YARN, "factor": 4.0, "original_max_position_embeddings": 32, "truncate": True},
    ),
    # one expert a token, tied embeddings, a truncated YaRN ramp, hidden size no multiple of MLX's group of 64
    "tied": dict(
        layouts=["hf", "hf-mxfp4"], prompt=33, dtype=torch.bfloat16, gate_up=1.0,
        num_hidden_layers=2, hidden_size=96, intermediate_size=32, num_local_experts=6, num_experts_per_tok=1,
        num_attention_heads=4, num_key_value_heads=1, head_dim=32, sliding_window=16, vocab_size=110,
        layer_types=[SLIDING, FULL], tie_word_embeddings=True,
        rope_parameters={**YARN, "factor": 8.0, "original_max_position_embeddings": 64, "truncate": True},
    ),
    # gpt-oss's own head_dim and grouping, a prompt longer than a prefill chunk of the tests
    "wide": dict(
        layouts=["mlx-q8"], prompt=150, dtype=torch.bfloat16, gate_up=1.0,
        num_hidden_layers=2, hidden_size=256, intermediate_size=64, num_local_experts=8, num_experts_per_tok=2,
        num_attention_heads=8, num_key_value_heads=2, head_dim=64, sliding_window=32, vocab_size=128,
        layer_types=[SLIDING, FULL],
        rope_parameters={**YARN, "factor": 32.0, "original_max_position_embeddings": 64, "truncate": True},
    ),
}  # fmt: skip

GREEDY = 8
KEEP_IN_BF16 = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]


def build(shape):
    keys = {k: v for k, v in shape.items() if k not in ("layouts", "prompt", "dtype", "gate_up")}
    config = GptOssConfig(max_position_embeddings=512, swiglu_limit=7.0, **keys)
    config._attn_implementation = "eager"
    return config, GptOssForCausalLM(config).float().eval()


def randomise(model, shape, seed):
    """Weights of unit gain, so that logits spread and routers decide; rounded to the file's dtype."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if "norm" in name:
                value = 1 + 0.2 * noise
            elif "sinks" in name or "embed" in name:
                value = noise
            elif "bias" in name:
                value = 0.3 * noise
            else:
                fan_in = p.shape[-2] if "experts" in name else p.shape[-1]
                value = noise * 1.5 / fan_in**0.5 * (shape["gate_up"] if "gate_up" in name else 1)
            p.copy_(value.to(shape["dtype"]).float())


def run(model, shape, seed):
    """Logits of a random prompt, a greedy continuation, and the narrowest router decision (k-th minus next logit)."""
    margins = []
    k = model.config.num_experts_per_tok

    def watch(router, inputs):
        logits = inputs[0].reshape(-1, inputs[0].shape[-1]) @ router.weight.T + router.bias
        if k < logits.shape[-1]:
            top = logits.topk(k + 1).values
            margins.append((top[:, k - 1] - top[:, k]).min().item())

    hooks = [layer.mlp.router.register_forward_pre_hook(watch) for layer in model.model.layers]
    tokens = torch.randint(0, model.config.vocab_size, (1, shape["prompt"]), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        logits = model(tokens, use_cache=False).logits[0]
        ids, greedy, margin = tokens, [], []
        for _ in range(GREEDY):
            top = model(ids, use_cache=False).logits[0, -1].topk(2)
            greedy.append(top.indices[0].item())
            margin.append((top.values[0] - top.values[1]).item())
            ids = torch.cat([ids, top.indices[:1].reshape(1, 1)], dim=1)
    for hook in hooks:
        hook.remove()
    expected = {
        "tokens": tokens[0].to(torch.int32),
        "logits": logits.contiguous(),
        "greedy_tokens": torch.tensor(greedy, dtype=torch.int32),
        "greedy_margin": torch.tensor(margin),
    }
    return expected, min(margins, default=float("inf"))


def pack(weight):
    """[E, K, N] float -> MXFP4 blocks [E, N, K/32, 16] and scales [E, N, K/32], by mlx's rounding."""
    rows = mx.array(weight.transpose(1, 2).contiguous().numpy())
    packed, scales = mx.quantize(rows, group_size=32, bits=4, mode="mxfp4")
    experts, n, groups = scales.shape
    blocks = np.array(packed.view(mx.uint8)).reshape(experts, n, groups, 16)
    dequantized = mx.dequantize(packed, scales, group_size=32, bits=4, mode="mxfp4").astype(mx.float32)
    return torch.from_numpy(blocks.copy()), torch.from_numpy(np.array(scales)), torch.from_numpy(np.array(dequantized)).transpose(1, 2)


def write_hf(folder, model, config, shape):
    folder.mkdir(parents=True)
    tensors = {k: v.to(shape["dtype"]).contiguous() for k, v in model.state_dict().items()}
    if config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(json.loads(config.to_json_string(use_diff=False)), indent=2) + "\n")


def write_hf_mxfp4(folder, model, config):
    """Also rounds the model's own weights to what the files hold."""
    folder.mkdir(parents=True)
    tensors = {}
    state = model.state_dict()
    for name, value in state.items():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            tensors[f"{name}_blocks"], tensors[f"{name}_scales"], dequantized = pack(value)
            value.copy_(dequantized)
        else:
            tensors[name] = value.to(torch.bfloat16).contiguous()
            value.copy_(tensors[name].float())
    if config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    written = json.loads(config.to_json_string(use_diff=False))
    # The published config.json spells rope as mlx-lm and older transformers read it.
    rope = dict(written.pop("rope_parameters"))
    written["rope_theta"] = rope.pop("rope_theta")
    written["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    written["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": KEEP_IN_BF16}
    (folder / "config.json").write_text(json.dumps(written, indent=2) + "\n")


def dequantized_by_mlx(mlx_model, state):
    """The state dict of transformers with the values of a quantized mlx-lm model."""
    weights = dict(mlx_weights(mlx_model))
    out = {}
    for name in state:
        if name.endswith("gate_up_proj") or name.endswith("gate_up_proj_bias"):
            part = "bias" if name.endswith("bias") else "weight"
            path = name.removesuffix("_bias").removesuffix("gate_up_proj")
            gate, up = (torch.from_numpy(weights[f"{path}{half}_proj.{part}"]) for half in ("gate", "up"))
            both = torch.stack([gate, up], dim=2).flatten(1, 2)
            out[name] = both if part == "bias" else both.transpose(1, 2).contiguous()
        elif name.endswith("experts.down_proj"):
            out[name] = torch.from_numpy(weights[f"{name}.weight"]).transpose(1, 2).contiguous()
        elif name.endswith("experts.down_proj_bias"):
            out[name] = torch.from_numpy(weights[name.replace("_bias", ".bias")])
        else:
            out[name] = torch.from_numpy(weights[name])
    return out


def mlx_weights(model):
    for path, module in model.named_modules():
        for key in ("weight", "bias", "sinks"):
            if key not in module:
                continue
            value = module[key]
            if key == "weight" and "scales" in module:
                value = mx.dequantize(
                    value, module["scales"], module.get("biases"), module.group_size, module.bits, mode=module.mode
                )
            yield f"{path}.{key}", np.array(value.astype(mx.float32))


def write_mlx_q8(folder, source, tokens):
    """Quantizes with mlx-lm what the MXFP4 checkpoint left in bf16. Returns the model, and its logits in float32."""
    model, config = load_model(source)
    model, config = quantize_model(model, config, group_size=64, bits=8)
    save_model(folder, model, donate_model=False)
    save_config(config, folder / "config.json")
    model, _ = load_model(folder)
    floating = lambda p: p.astype(mx.float32) if mx.issubdtype(p.dtype, mx.floating) else p  # noqa: E731
    model.update(tree_map(floating, model.parameters()))
    logits = model(mx.array(tokens.numpy())[None])[0].astype(mx.float32)
    return model, torch.from_numpy(np.array(logits))


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


def main(root):
    packages = ("torch", "transformers", "mlx", "mlx-lm", "safetensors")
    manifest = {"versions": {name: version(name) for name in packages}, "fixtures": {}}
    for name, shape in SHAPES.items():
        shutil.rmtree(root / name, ignore_errors=True)
        for seed in range(100):
            config, model = build(shape)
            randomise(model, shape, seed)
            expected, margin = run(model, shape, seed)
            if margin > 2e-3:
                break
        entry = {"seed": seed, "router_margin": margin, "logits_std": expected["logits"].std().item()}
        if "hf" in shape["layouts"]:
            write_hf(root / name / "hf", model, config, shape)
            save_file(expected, root / name / "hf" / "expected.safetensors")
        source = root / name / "hf-mxfp4"
        write_hf_mxfp4(source, model, config)
        expected, entry["router_margin_mxfp4"] = run(model, shape, seed)
        save_file(expected, source / "expected.safetensors")
        if "mlx-q8" in shape["layouts"]:
            folder = root / name / "mlx-q8"
            (source / "expected.safetensors").rename(source / "expected.kept")
            mlx_model, mlx_logits = write_mlx_q8(folder, source, expected["tokens"])
            (source / "expected.kept").rename(source / "expected.safetensors")
            model.load_state_dict(dequantized_by_mlx(mlx_model, model.state_dict()))
            expected, entry["router_margin_q8"] = run(model, shape, seed)
            entry["mlx_lm_to_transformers"] = relative(mlx_logits, expected["logits"])
            if shape["rope_parameters"].get("truncate", True):
                expected["mlx_logits"] = mlx_logits
            save_file(expected, folder / "expected.safetensors")
            for extra in ("README.md", "model.safetensors.index.json"):
                (folder / extra).unlink(missing_ok=True)
        if "hf-mxfp4" not in shape["layouts"]:
            shutil.rmtree(source)
        manifest["fixtures"][name] = entry
        print(name, entry, flush=True)
    (root / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


main(Path(sys.argv[1]))
