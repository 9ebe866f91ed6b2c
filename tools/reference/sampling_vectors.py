"""Writes test/engine/sampling/fixtures/sampling.json: what transformers and mlx-lm make of a few seeded logits.

    python tools/reference/sampling_vectors.py

Needs numpy, torch, transformers, mlx and mlx-lm. Every case is a vector of logits, Minerva's parameters, the tokens seen so
far, and the probabilities that the other implementation would sample from.
"""

import json
from pathlib import Path

import mlx.core as mx
import mlx_lm
import numpy as np
import torch
import transformers
from mlx_lm import sample_utils
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

VOCAB = 48
mx.set_default_device(mx.cpu)
rng = np.random.default_rng(20)


def logits(scale):
    return np.round(rng.standard_normal(VOCAB) * scale, 4).astype(np.float32)


def hf(x, params, prompt):
    steps = LogitsProcessorList()
    if "logit_bias" in params:
        steps.append(SequenceBiasLogitsProcessor([[[int(i)], float(b)] for i, b in params["logit_bias"].items()]))
    if "repetition_penalty" in params:
        steps.append(RepetitionPenaltyLogitsProcessor(params["repetition_penalty"]))
    if "temperature" in params:
        steps.append(TemperatureLogitsWarper(params["temperature"]))
    if "top_k" in params:
        steps.append(TopKLogitsWarper(params["top_k"]))
    if "top_p" in params:
        steps.append(TopPLogitsWarper(params["top_p"]))
    if "min_p" in params:
        steps.append(MinPLogitsWarper(params["min_p"]))
    ids = torch.tensor([prompt], dtype=torch.long)
    return torch.softmax(steps(ids, torch.tensor(x)[None]), dim=-1)[0].numpy()


def mlx(x, params, prompt, generated):
    """mlx-lm's penalties and single filters at temperature 1 (its order of filters differs from transformers')."""
    scores = mx.array(x)[None]
    names = ("logit_bias", "repetition_penalty", "frequency_penalty", "presence_penalty")
    penalties = {name: params[name] for name in names if name in params}
    if "logit_bias" in penalties:
        penalties["logit_bias"] = {int(i): b for i, b in penalties["logit_bias"].items()}
    if "repetition_context_size" in params:
        penalties["repetition_context_size"] = params["repetition_context_size"]
    tokens = prompt + generated
    for process in sample_utils.make_logits_processors(**penalties):
        scores = process(mx.array(tokens), scores)
    scores = scores - mx.logsumexp(scores, keepdims=True)
    if "top_p" in params:
        scores = sample_utils.apply_top_p(scores, params["top_p"])
    if "min_p" in params:
        scores = sample_utils.apply_min_p(scores, params["min_p"])
    if "top_k" in params:
        scores = sample_utils.apply_top_k(scores, params["top_k"])
    return np.array(mx.softmax(scores, axis=-1))[0]


def case(source, scale, params, prompt=(), generated=()):
    x = logits(scale)
    prompt, generated = list(prompt), list(generated)
    p = hf(x, params, prompt + generated) if source == "transformers" else mlx(x, params, prompt, generated)
    return {
        "source": source,
        "params": params,
        "prompt": prompt,
        "generated": generated,
        "logits": [round(float(v), 4) for v in x],
        "probabilities": [float(f"{v:.6g}") for v in p],
    }


seen = [int(t) for t in rng.integers(0, VOCAB, 30)]
cases = [case("transformers", scale, params, seen) for scale in (0.3, 2.0, 8.0) for params in (
    {"temperature": 0.7},
    {"temperature": 1.6},
    {"top_k": 1},
    {"top_k": 7},
    {"top_k": VOCAB - 1},
    {"top_p": 0.05},
    {"top_p": 0.5},
    {"top_p": 0.95},
    {"min_p": 0.1},
    {"min_p": 0.6},
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.8},
    {"logit_bias": {"3": 5.0, "11": -100.0, "40": 1.25}},
    {"temperature": 0.8, "top_k": 20, "top_p": 0.9, "min_p": 0.05},
    {"logit_bias": {"5": 2.0}, "repetition_penalty": 1.2, "temperature": 1.3, "top_k": 12, "top_p": 0.8, "min_p": 0.02},
)]
few = [4, 4, 9, 4, 17, 9, 30]
cases += [case("mlx-lm", scale, params, prompt, generated) for scale in (0.5, 3.0) for params, prompt, generated in (
    ({"frequency_penalty": 0.6}, [], few),
    ({"frequency_penalty": -1.5}, [], few),
    ({"presence_penalty": 1.1}, [], few),
    ({"frequency_penalty": 0.4, "presence_penalty": -0.7}, [], few),
    ({"repetition_penalty": 1.4, "repetition_context_size": 3}, few, []),
    ({"repetition_penalty": 1.4, "repetition_context_size": 4}, few, few[::-1]),
    ({"logit_bias": {"2": 3.0, "9": -4.0}, "repetition_penalty": 1.1, "presence_penalty": 0.5}, [], few),
    ({"top_p": 0.3}, [], []),
    ({"top_p": 0.9}, [], []),
    ({"min_p": 0.2}, [], []),
    ({"top_k": 5}, [], []),
)]

x = logits(4.0)
logprobs = torch.log_softmax(torch.tensor(x, dtype=torch.float64), dim=-1)
top = torch.topk(logprobs, 20)
target = Path(__file__).parents[2] / "test/engine/sampling/fixtures/sampling.json"
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(json.dumps({
    "made_by": f"transformers {transformers.__version__}, mlx-lm {mlx_lm.__version__}, seed 20",
    "cases": cases,
    "logprobs": {
        "logits": [round(float(v), 4) for v in x],
        "values": logprobs.tolist(),
        "top": top.indices.tolist(),
    },
}, separators=(",", ":")).replace('{"source"', '\n{"source"') + "\n")
print(f"{len(cases)} cases to {target}")
