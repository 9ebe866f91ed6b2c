"""Writes transformers' float32 logits for a gpt-oss checkpoint in MLX's layout (MXFP4 experts, 8-bit affine or dense for the
rest), as `minerva synth` writes it, of any size: weights are dequantized module by module as the forward pass reaches them.

    python tools/reference/full_logits.py DIR --out truth.safetensors [--lengths 1,17,300,5000] [--device cuda]
    python tools/reference/full_logits.py DIR --check DIR/expected.safetensors

The file holds `logits` [rows, vocab_size] at `positions` [rows] of the one sequence (i * 7919 + 13) % vocab_size. As the
model is causal, a prefix is a prompt: the kept rows are the last eight of each of `lengths`. `router_margin` [rows] is how
far the least certain router of any layer was from choosing another expert there (k-th minus next router logit). `half_error`
[rows] is the relative error of the same forward when what linear layers and experts read is rounded to float16: what is to be
expected of exact sums over float16 activations, where random routers are often undecided. tools/compare-logits.mjs reads it.

The forward is all transformers' own (eager attention, a loop over experts); only the dequantization is written here.
--check holds it against a fixture: logits that transformers computed from weights dequantized by mlx.
Needs torch, transformers and safetensors; with --lengths up to 5000, about 40 GB of GPU memory for gpt-oss-20b.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import GptOssConfig, GptOssForCausalLM
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRotaryEmbedding

KEPT = 8  # rows at the end of each prompt
FP4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]  # OCP MX 1.0, e2m1

started = time.monotonic()


def log(text):
    print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)


class Checkpoint:
    """Float32 weights by transformers' names, read and dequantized on the device when asked for."""

    def __init__(self, folder, device):
        self.device = device
        files = [safe_open(path, framework="pt") for path in sorted(folder.glob("model*.safetensors"))]
        self.files = {name: file for file in files for name in file.keys()}

    def stored(self, name):
        return self.files[name].get_tensor(name).to(self.device)

    def matrix(self, path):
        """[..., N, K], from packed uint32 words if there are scales."""
        weight = self.stored(f"{path}.weight")
        if f"{path}.scales" not in self.files:
            return weight.float()
        codes, scales = weight.view(torch.uint8), self.stored(f"{path}.scales")
        if f"{path}.biases" in self.files:  # affine, 8 bits: a byte a weight
            biases = self.stored(f"{path}.biases").float()
            groups = codes.float().unflatten(-1, (scales.shape[-1], -1))
            return (groups * scales.float().unsqueeze(-1) + biases.unsqueeze(-1)).flatten(-2)
        assert scales.dtype == torch.uint8 and codes.shape[-1] == 16 * scales.shape[-1], f"{path} is not MXFP4"
        table = torch.tensor(FP4, device=self.device)
        pairs = torch.stack([codes & 15, codes >> 4], dim=-1).flatten(-2)  # the low half first
        groups = table[pairs.int()].unflatten(-1, (-1, 32))
        powers = (scales.int() << 23).view(torch.float32)  # 2 ** (scale - 127), by the bits of a float
        return groups.mul_(powers.unsqueeze(-1)).flatten(-2)

    def parameter(self, name):
        path, leaf = name.rsplit(".", 1)
        if leaf in ("down_proj", "gate_up_proj"):  # [E, K, N] in transformers, gate and up columns in turn
            return self.halves(name, self.matrix, lambda x: x.transpose(1, 2)).contiguous()
        if leaf in ("down_proj_bias", "gate_up_proj_bias"):
            return self.halves(name.removesuffix("_bias"), lambda at: self.stored(f"{at}.bias").float(), lambda x: x)
        return self.matrix(path) if leaf == "weight" else self.stored(name).float()

    @staticmethod
    def halves(name, read, turn):
        if not name.endswith("gate_up_proj"):
            return turn(read(name))
        path = name.removesuffix("gate_up_proj")
        return turn(torch.stack([read(f"{path}gate_proj"), read(f"{path}up_proj")], dim=2).flatten(1, 2))


def streaming_model(folder, device):
    """GptOssForCausalLM without weights: each module gets them right before its forward and drops them right after."""
    config = json.loads((folder / "config.json").read_text())
    config.pop("quantization", None), config.pop("quantization_config", None)
    if config.get("rope_scaling", {}) is None:  # where mlx-lm means no scaling, transformers would take its default, YaRN
        config["rope_parameters"] = {"rope_type": "default", "rope_theta": config["rope_theta"]}
    config = GptOssConfig(**config)
    config._attn_implementation = config._experts_implementation = "eager"
    with torch.device("meta"):
        model = GptOssForCausalLM(config).float().eval()
    model.model.rotary_emb = GptOssRotaryEmbedding(config).to(device)
    checkpoint = Checkpoint(folder, device)

    def stream(module, prefix):
        names = [name for name, _ in module.named_parameters()]
        source = "model.embed_tokens" if prefix == "lm_head" and config.tie_word_embeddings else prefix

        def load(*_):
            module.load_state_dict({name: checkpoint.parameter(f"{source}.{name}") for name in names}, assign=True)

        def drop(*_):
            module.to("meta")
            log(prefix)

        module.register_forward_pre_hook(load)
        module.register_forward_hook(drop)

    inner = model.model
    for i, layer in enumerate(inner.layers):
        stream(layer, f"model.layers.{i}")
    for module, prefix in [(inner.embed_tokens, "model.embed_tokens"), (inner.norm, "model.norm"), (model.lm_head, "lm_head")]:
        stream(module, prefix)
    return model


def watch_routers(model, length, device):
    """Each token's narrowest router decision so far, filled in by the forward."""
    margins = torch.full([length], torch.inf, device=device)
    k = model.config.num_experts_per_tok

    def watch(router, inputs):
        logits = inputs[0].reshape(length, -1) @ router.weight.T + router.bias
        if k < logits.shape[-1]:
            top = logits.topk(k + 1).values
            torch.minimum(margins, top[:, k - 1] - top[:, k], out=margins)

    for layer in model.model.layers:
        layer.mlp.router.register_forward_pre_hook(watch)
    return margins


def round_to_half(model):
    def rounded(_module, inputs):
        return inputs[0].half().float(), *inputs[1:]

    for layer in model.model.layers:
        attention = layer.self_attn
        for module in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj, layer.mlp.experts):
            module.register_forward_pre_hook(rounded)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--lengths", default="1,17,300,5000")
    parser.add_argument("--check", type=Path, help="a fixture's expected.safetensors: its tokens are run, its logits compared")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_grad_enabled(False)
    model = streaming_model(args.folder, args.device)
    vocab_size = model.config.vocab_size
    if args.check:
        expected = load_file(args.check)
        tokens = expected["tokens"].long()
        positions = torch.arange(len(tokens))
    else:
        lengths = [int(length) for length in args.lengths.split(",")]
        tokens = (torch.arange(max(lengths)) * 7919 + 13) % vocab_size
        positions = torch.tensor(sorted({p for n in lengths for p in range(max(0, n - KEPT), n)}))
    margins = watch_routers(model, len(tokens), args.device)
    log(f"{args.folder}: {model.config.num_hidden_layers} layers, {len(tokens)} tokens on {args.device}")

    def forward():
        kept = positions.to(args.device)
        return model(tokens[None].to(args.device), use_cache=False, logits_to_keep=kept).logits[0].cpu()

    logits = forward()
    margins = margins.cpu().clone()  # the second forward goes on writing
    log(f"logits {list(logits.shape)}, std {logits.std():.3f}, narrowest router margin {margins.min():.1e}")
    if args.device == "cuda":
        log(f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB of GPU memory at most")
    if args.check:
        error = ((logits - expected["logits"]).norm() / expected["logits"].norm()).item()
        log(f"relative error against {args.check}: {error:.1e}")
        raise SystemExit(0 if error < 1e-5 else 1)
    if args.out:
        result = {"positions": positions.int(), "logits": logits, "router_margin": margins[positions]}
        round_to_half(model)
        result["half_error"] = (forward() - logits).norm(dim=1) / logits.norm(dim=1)
        save_file(result, args.out)
        log(f"wrote {args.out}")


main()
