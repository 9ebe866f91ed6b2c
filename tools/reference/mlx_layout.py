"""Writes a tiny random gpt-oss checkpoint in Hugging Face's MXFP4 layout, converts it with mlx-lm's own converter to
MXFP4-Q8 (the recipe of mlx-community/gpt-oss-20b-MXFP4-Q8) and records what came out: the config's quantization and
every tensor's dtype and shape, in the order of the saved files' index.

    python tools/reference/mlx_layout.py test/models/fixtures/mlx_layout.json

Made with mlx 0.32.4, mlx-lm 0.32.2, safetensors 0.8.0, torch 2.15.0; seed 0.
"""

import json
import struct
import sys
import tempfile
from pathlib import Path

import mlx.core as mx
import torch
from mlx.utils import tree_flatten
from mlx_lm.utils import load_model, quantize_model, save_config, save_model
from safetensors.torch import save_file

torch.manual_seed(0)

LAYERS, HIDDEN, INTER, EXPERTS, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 2, 192, 128, 6, 4, 2, 64, 256
CONFIG = {
    "architectures": ["GptOssForCausalLM"],
    "model_type": "gpt_oss",
    "num_hidden_layers": LAYERS,
    "hidden_size": HIDDEN,
    "intermediate_size": INTER,
    "num_local_experts": EXPERTS,
    "num_experts_per_tok": 2,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "vocab_size": VOCAB,
    "sliding_window": 16,
    "rms_norm_eps": 1e-5,
    "rope_theta": 150000,
    "rope_scaling": {
        "rope_type": "yarn",
        "factor": 32.0,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "truncate": False,
        "original_max_position_embeddings": 4096,
    },
    "layer_types": ["sliding_attention", "full_attention"],
    "tie_word_embeddings": False,
    "quantization_config": {
        "quant_method": "mxfp4",
        "modules_to_not_convert": [
            "model.layers.*.self_attn",
            "model.layers.*.mlp.router",
            "model.embed_tokens",
            "lm_head",
        ],
    },
}


def bf16(*shape):
    return (torch.randn(*shape) * 0.05).to(torch.bfloat16)


def blocks(rows, k):
    return torch.randint(0, 256, (EXPERTS, rows, k // 32, 16), dtype=torch.uint8)


def scales(rows, k):
    return torch.randint(118, 123, (EXPERTS, rows, k // 32), dtype=torch.uint8)


def tensors():
    yield "model.embed_tokens.weight", bf16(VOCAB, HIDDEN)
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", bf16(HIDDEN)
        yield prefix + "post_attention_layernorm.weight", bf16(HIDDEN)
        for name, rows, k in [
            ("q", HEADS * HEAD_DIM, HIDDEN),
            ("k", KV_HEADS * HEAD_DIM, HIDDEN),
            ("v", KV_HEADS * HEAD_DIM, HIDDEN),
            ("o", HIDDEN, HEADS * HEAD_DIM),
        ]:
            yield prefix + f"self_attn.{name}_proj.weight", bf16(rows, k)
            yield prefix + f"self_attn.{name}_proj.bias", bf16(rows)
        yield prefix + "self_attn.sinks", bf16(HEADS)
        yield prefix + "mlp.router.weight", bf16(EXPERTS, HIDDEN)
        yield prefix + "mlp.router.bias", bf16(EXPERTS)
        for name, rows, k in [("gate_up_proj", 2 * INTER, HIDDEN), ("down_proj", HIDDEN, INTER)]:
            yield prefix + f"mlp.experts.{name}_blocks", blocks(rows, k)
            yield prefix + f"mlp.experts.{name}_scales", scales(rows, k)
            yield prefix + f"mlp.experts.{name}_bias", bf16(EXPERTS, rows)
    yield "model.norm.weight", bf16(HIDDEN)
    yield "lm_head.weight", bf16(VOCAB, HIDDEN)


def header(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        parsed = json.loads(file.read(length))
    return {name: [t["dtype"], t["shape"]] for name, t in parsed.items() if name != "__metadata__"}


with tempfile.TemporaryDirectory() as folder:
    hf, mlx = Path(folder) / "hf", Path(folder) / "mlx"
    hf.mkdir()
    (hf / "config.json").write_text(json.dumps(CONFIG))
    save_file(dict(tensors()), str(hf / "model.safetensors"), metadata={"format": "pt"})

    model, config = load_model(hf)
    # Experts are mxfp4 already; everything else that can be quantized becomes affine, 8 bits, groups of 64.
    model, config = quantize_model(model, config, group_size=64, bits=8, mode="affine")
    order = [name for name, _ in tree_flatten(model.parameters())]
    save_model(mlx, model)
    save_config(config, mlx / "config.json")
    converted = header(mlx / "model.safetensors")
    assert sorted(order) == sorted(converted)
    written = json.loads((mlx / "config.json").read_text())
    index = json.loads((mlx / "model.safetensors.index.json").read_text())
    result = {
        "config": {key: value for key, value in CONFIG.items() if key != "quantization_config"},
        "hf_quantization_config": CONFIG["quantization_config"],
        "mlx_quantization": written["quantization"],
        "total_size": index["metadata"]["total_size"],
        "hf": header(hf / "model.safetensors"),
        "mlx": {name: converted[name] for name in order},
    }
    Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
    Path(sys.argv[1]).write_text(json.dumps(result, indent=1) + "\n")
    print(len(result["hf"]), len(result["mlx"]), json.dumps(written["quantization"])[:1500], index["metadata"])
