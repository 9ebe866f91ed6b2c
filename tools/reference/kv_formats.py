"""Measures formats of cached keys and values: the ones that Minerva stores beside the ones of other engines.

    python tools/reference/kv_formats.py [--tokens 20000]               prints the table of docs/kv-cache.md
    python tools/reference/kv_formats.py --vectors test/tensor/fixtures/kv_vectors.json

Three measures. Relative error of attention outputs on Gaussian keys and values; the same on those that the embedded model makes
of held-out conversations (tools/train splits by content), its sinks and windows included; and the change of the model's
perplexity on what the assistant says there and on all text, with every key and value read through the format. (The model was trained on
what the assistant says only, and is sure of it: the rest of the text is the harder measure.)

`Minerva` below is a second implementation of src/tensor/kv_format.ts, whose head describes the format.
"""

import argparse
import functools
import json
import math
import random
import sys
import types
from pathlib import Path

import torch
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tools/train"), str(ROOT / "tools/reference")]

from conversations import example  # noqa: E402
from mlx_model import dequantized, load_float32  # noqa: E402
from model import Config, Minerva as Model, packed, rotate  # noqa: E402

HEAD_DIM = 64


def hadamard(size):
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix / math.sqrt(size)


@functools.cache
def lloyd_max(count):
    """The levels of least mean squared error for a standard Gaussian (Lloyd 1957, Max 1960)."""
    grid = torch.linspace(-6, 6, 60001, dtype=torch.float64)
    density = torch.exp(-grid * grid / 2)
    levels = torch.linspace(-2.5, 2.5, count, dtype=torch.float64)
    for _ in range(1000):
        nearest = torch.bucketize(grid, middles(levels))
        sums = torch.zeros(count, dtype=torch.float64).index_add(0, nearest, density * grid)
        levels = sums / torch.zeros(count, dtype=torch.float64).index_add(0, nearest, density)
    return levels.float()


def middles(levels):
    return (levels[1:] + levels[:-1]) / 2


def snap(x, levels):
    return levels[torch.bucketize(x.contiguous(), middles(levels))]


def affine(group, levels):
    """MLX's affine rule but for its stretched scale: `levels` steps from a group's least to its greatest, float16 scale and bias."""

    def through(x):
        parts = x.unflatten(-1, (-1, group))
        low, high = parts.amin(-1, keepdim=True).half().float(), parts.amax(-1, keepdim=True)
        step = ((high - low) / (levels - 1)).half().float().clamp(min=1e-7)
        return (((parts - low) / step).round().clamp(0, levels - 1) * step + low).flatten(-2)

    return through


def symmetric(group, bits):
    """llama.cpp's q4_0 and q8_0: blocks with one float16 scale; at 4 bits the value of largest magnitude becomes -8."""

    def through(x):
        parts = x.unflatten(-1, (-1, group))
        largest = parts.gather(-1, parts.abs().argmax(-1, keepdim=True))
        scale = (largest / -8 if bits == 4 else largest.abs() / 127).half().float()
        codes = torch.where(scale == 0, 0.0, parts / scale).round()
        return (codes.clamp(max=2 ** (bits - 1) - 1) * scale).flatten(-2)

    return through


def gaussian_levels(count):
    """TurboQuant's first stage: the vector's norm in float16, and a Lloyd-Max code for every value."""
    levels = lloyd_max(count)

    def through(x):
        size = x.pow(2).mean(-1, keepdim=True).sqrt().half().float()
        return snap(torch.where(size == 0, 0.0, x / size), levels) * size

    return through


def stolen_bits(x):
    """16 levels but for the last eight values, whose 8 levels leave room for an 8-bit scale."""
    size = scale_of(code_of(x.pow(2).mean(-1, keepdim=True).sqrt(), 112), 112)
    return torch.cat([snap(x[..., :-8] / size, lloyd_max(16)), snap(x[..., -8:] / size, lloyd_max(8))], -1) * size


def code_of(scale, exponent, up=False):
    bits = scale.float().contiguous().view(torch.int32)
    return ((bits + (0xFFFFF if up else 0x80000)) >> 20) - 8 * exponent


def scale_of(code, exponent):
    scale = ((code.int() + 8 * exponent) << 20).view(torch.float32)
    return torch.where(code == 0, 0.0, torch.where(code == 255, math.nan, scale))


class Minerva:
    """int4 and int8 with the scale in the parities of the codes. Called with [vectors, D], gives the same through the format."""

    def __init__(self, bits, candidates=range(-2, 3), levels=None):
        self.bits = bits
        odd = torch.arange(-15.0, 16, 2)
        self.levels = (odd * (450 + odd * odd) if levels is None else levels) if bits == 4 else torch.arange(-127.0, 128)
        self.exponent = 98 if bits == 4 else 105
        self.candidates = candidates

    def encode(self, x):
        """(level indices [vectors, D], scale codes [vectors])."""
        largest = code_of(x.abs().amax(-1) / self.levels[-1], self.exponent, up=True)
        tried = [largest]
        if self.bits == 4:
            typical = code_of(x.pow(2).mean(-1).sqrt() / 4000, self.exponent)
            tried = [typical + k for k in self.candidates] + tried
        tried = [code.clamp(0, 254) for code in tried]
        indices = [self.codes(x, code) for code in tried]
        errors = torch.stack([(self.decode(*made) - x).pow(2).sum(-1) for made in zip(indices, tried)])
        best, row = errors.argmin(0), torch.arange(len(x))
        return torch.stack(indices)[best, row], torch.stack(tried)[best, row]

    def codes(self, x, scale_code):
        scale = scale_of(scale_code, self.exponent)[:, None]
        y = torch.where(scale == 0, 0.0, x / scale)
        index = torch.bucketize(y.contiguous(), middles(self.levels))
        rest = y - self.levels[index]
        last = len(self.levels) - 1
        other = torch.where(rest > 0, index + 1, index - 1)
        other = torch.where(other < 0, 1, torch.where(other > last, last - 1, other))
        cost = (y - self.levels[other]) ** 2 - rest**2
        index, other, cost = (t.unflatten(-1, (-1, 8)) for t in (index, other, cost))
        # An int8 code is its index less 127, so that the parities are the other way round.
        parity = (index + (self.bits == 8)).sum(1) & 1
        wrong = parity != (scale_code[:, None] >> torch.arange(8)) & 1
        cheapest = torch.arange(index.shape[1])[:, None] == cost.argmin(1, keepdim=True)
        return torch.where(wrong[:, None] & cheapest, other, index).flatten(-2)

    def decode(self, index, scale_code):
        return self.levels[index] * scale_of(scale_code, self.exponent)[:, None]

    def __call__(self, x):
        return self.decode(*self.encode(x.flatten(0, -2))).view_as(x)


SIGNS = torch.randint(0, 2, (HEAD_DIM,), generator=torch.Generator().manual_seed(5)) * 2.0 - 1
HADAMARD = hadamard(HEAD_DIM)


def rotated(through, signs=None):
    matrix = HADAMARD if signs is None else signs[:, None] * HADAMARD
    return lambda x: through(x @ matrix) @ matrix.T


def half(x):
    return x.half().float()


def same(x):
    return x


# name, bits a value at head_dim 64, keys, values, whether keys are stored before RoPE
FORMATS = [
    ("float16", 16, half, half),
    ("**int8, Minerva**", 8, rotated(Minerva(8)), rotated(Minerva(8))),
    ("int8, Minerva, not rotated", 8, Minerva(8), Minerva(8)),
    ("q8_0 (llama.cpp), rotated", 8.5, rotated(symmetric(32, 8)), rotated(symmetric(32, 8))),
    ("affine 8 bits, group 64", 8.5, affine(64, 256), affine(64, 256)),
    ("affine 4 bits, group 32", 5, affine(32, 16), affine(32, 16)),
    ("affine 4 bits, group 64", 4.5, affine(64, 16), affine(64, 16)),
    ("affine 4 bits, group 64, rotated", 4.5, rotated(affine(64, 16)), rotated(affine(64, 16))),
    ("q4_0 (llama.cpp), rotated", 4.5, rotated(symmetric(32, 4)), rotated(symmetric(32, 4))),
    ("Lloyd-Max 16 levels, float16 norm (TurboQuant), rotated", 4.25, rotated(gaussian_levels(16)), rotated(gaussian_levels(16))),
    ("the same, keys 5 bits, values 3", 4.25, rotated(gaussian_levels(32)), rotated(gaussian_levels(8))),
    ("the same, keys 3 bits, values 5", 4.25, rotated(gaussian_levels(8)), rotated(gaussian_levels(32))),
    ("affine 11 levels, group 64", 4, affine(64, 11), affine(64, 11)),
    ("affine 11 levels, group 64, rotated", 4, rotated(affine(64, 11)), rotated(affine(64, 11))),
    ("Lloyd-Max, last eight values 3 bits, rotated", 4, rotated(stolen_bits), rotated(stolen_bits)),
    ("**int4, Minerva**", 4, rotated(Minerva(4)), rotated(Minerva(4))),
    ("int4, Minerva, exact Lloyd-Max levels", 4, rotated(Minerva(4, levels=lloyd_max(16) * 4000)), rotated(Minerva(4, levels=lloyd_max(16) * 4000))),
    ("int4, Minerva, scale from RMS alone", 4, rotated(Minerva(4, [0])), rotated(Minerva(4, [0]))),
    ("int4, Minerva, random signs before the rotation", 4, rotated(Minerva(4), SIGNS), rotated(Minerva(4), SIGNS)),
    ("int4, Minerva, not rotated", 4, Minerva(4), Minerva(4)),
    ("int4, Minerva, keys before RoPE", 4, rotated(Minerva(4)), rotated(Minerva(4)), True),
    ("int4, Minerva, keys only", 4, rotated(Minerva(4)), same),
    ("int4, Minerva, values only", 4, same, rotated(Minerva(4))),
]


def attend(q, k, v, mask, sinks):
    """q [.., groups, queries, D], k and v [.., 1, keys, D], sinks [.., groups, 1, 1]: softmax with a sink that has no value."""
    scores = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(~mask, -math.inf)
    peak = torch.maximum(scores.amax(-1, keepdim=True), sinks)
    weights = torch.exp(scores - peak)
    return weights / (weights.sum(-1, keepdim=True) + torch.exp(sinks - peak)) @ v


class Measured:
    """Attention of the embedded model with keys and values read through a format; sums the squared error that this makes."""

    def __init__(self, keys=same, values=same, before_rope=False):
        self.keys, self.values, self.before_rope = keys, values, before_rope
        self.error = self.size = 0.0
        self.exact_downstream = False

    def forward(self, layer, x, rope, mask, mix, cache=None):
        batch, length, _ = x.shape
        heads = lambda y, groups: y.view(batch, length, layer.kv_heads, groups, layer.dim).permute(0, 2, 3, 1, 4)
        q = rotate(heads(layer.q_proj(x, None), layer.heads // layer.kv_heads), *rope)
        k, v = heads(layer.k_proj(x, None), 1), heads(layer.v_proj(x, None), 1)
        sinks = layer.sinks.view(1, layer.kv_heads, -1, 1, 1)
        stored = rotate(self.keys(k), *rope) if self.before_rope else self.keys(rotate(k, *rope))
        out = attend(q, stored, self.values(v), mask, sinks)
        if self.exact_downstream:
            exact = attend(q, rotate(k, *rope), v, mask, sinks)
            # Queries of padding see nothing.
            seen = mask.any(-1, keepdim=True)
            self.error += ((out - exact) * seen).pow(2).sum().item()
            self.size += (exact * seen).pow(2).sum().item()
            out = exact
        out = out.permute(0, 3, 1, 2, 4).reshape(batch, length, layer.heads * layer.dim)
        return layer.o_proj(out, None)


def embedded_model(folder):
    config = json.loads((folder / "config.json").read_text())
    assert config["head_dim"] == HEAD_DIM and not config["rope_scaling"]["truncate"]
    model = Model(Config(**{name: config[name] for name in ("hidden_size", "intermediate_size", "num_local_experts", "sliding_window")}))
    weights = dequantized(load_float32(folder)[0])
    model.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    return model.eval()


def held_out(tokenizer, count, length=512, seed=7):
    """Rows of packed held-out conversations, about `count` tokens: ids, labels (-1: not said by the assistant), documents."""
    rng, rows = random.Random(seed), []
    ids, labels, documents, number = [], [], [], 0
    while len(rows) * length < count:
        said, target = [], []
        for text, is_target in example(rng, True).pieces():
            part = tokenizer.encode(text, add_special_tokens=False).ids
            said, target = said + part, target + [is_target] * len(part)
        if len(said) > length:
            continue
        if len(ids) + len(said) > length:
            padding = length - len(ids)
            rows.append((ids + [0] * padding, labels + [-1] * padding, documents + [-1] * padding))
            ids, labels, documents = [], [], []
        ids, documents, number = ids + said, documents + [number] * len(said), number + 1
        labels = labels + [s if t else -1 for s, t in zip(said[1:], target[1:])] + [-1]
    return [torch.tensor(part) for part in zip(*rows)]


@torch.no_grad()
def run(model, text, measured):
    """Mean negative log-likelihoods: of what the assistant says, and of all text."""
    for layer in model.model.layers:
        layer.self_attn.forward = types.MethodType(measured.forward, layer.self_attn)
    said, every = [], []
    for start in range(0, len(text[0]), 4):
        ids, labels, documents = (part[start : start + 4] for part in text)
        positions, seen = packed(ids, documents)
        logits = model(ids, positions, seen & (documents >= 0)[:, None])[0]
        losses = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(len(ids), -1)
        said.append(losses[labels[:, :-1] >= 0])
        every.append(losses[(documents[:, 1:] >= 0) & (documents[:, 1:] == documents[:, :-1])])
    return torch.cat(said).mean().item(), torch.cat(every).mean().item()


def gaussian_error(keys, values):
    """Relative error of outputs for 64 heads of 512 standard Gaussian keys, values and queries."""
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(64, 1, n, HEAD_DIM, generator=generator) for n in (32, 512, 512))
    mask, sinks = torch.ones(1, dtype=torch.bool), torch.zeros(1)
    exact = attend(q, k, v, mask, sinks)
    return ((attend(q, keys(k), values(v), mask, sinks) - exact).norm() / exact.norm()).item()


def table(tokens):
    folder = ROOT / "models/minerva-tiny"
    model, tokenizer = embedded_model(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = held_out(tokenizer, tokens)
    said, every = run(model, text, Measured())
    counts = (text[1] >= 0).sum().item(), (text[2] >= 0).sum().item()
    print(f"Perplexity in float32: {math.exp(said):.4f} over {counts[0]} tokens of the assistant, {math.exp(every):.4f} over all {counts[1]}.\n")
    print("| format | bits a value | error, Gaussian | error, recorded | perplexity, assistant | perplexity, all |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, bits, keys, values, *before in FORMATS:
        recorder = Measured(keys, values, *before)
        recorder.exact_downstream = True
        run(model, [part[:4] for part in text], recorder)
        recorded = math.sqrt(recorder.error / recorder.size)
        a, b = run(model, text, Measured(keys, values, *before))
        changes = f"{math.expm1(a - said):+.3%} | {math.expm1(b - every):+.3%}"
        print(f"| {name} | {bits:g} | {gaussian_error(keys, values):.2%} | {recorded:.2%} | {changes} |", flush=True)


def vectors():
    """Vectors of several sizes and shapes with their words and what these decode to, all in rotated space."""
    generator = torch.Generator().manual_seed(3)
    cases = []
    for bits in (4, 8):
        for size in (8, 24, 64, 128):
            x = torch.randn(4, size, generator=generator) * torch.tensor([1e-3, 1.0, 7.0, 900.0])[:, None]
            x[2, 1] *= 9
            form = Minerva(bits)
            index, scales = form.encode(x)
            codes = (index if bits == 4 else index - 127) & (15 if bits == 4 else 255)
            per_word = 32 // bits
            words = (codes.view(4, -1, per_word) << (bits * torch.arange(per_word))).sum(-1)
            cases += [
                {"bits": bits, "values": v.tolist(), "words": w.tolist(), "decoded": d.tolist()}
                for v, w, d in zip(x, words, form.decode(index, scales))
            ]
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=20000)
    parser.add_argument("--vectors", type=Path, help="write test vectors there instead")
    args = parser.parse_args()
    if args.vectors:
        lines = ",\n".join(json.dumps(case) for case in vectors())
        args.vectors.write_text(f"[\n{lines}\n]\n")
    else:
        table(args.tokens)


if __name__ == "__main__":
    main()
