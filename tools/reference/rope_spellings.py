"""Writes what transformers makes of RoPE as configs spell it: frequencies and scale, or the error.

    python tools/reference/rope_spellings.py test/models/fixtures/rope_spellings.json

Every entry is a gpt-oss config of two layers with a head_dim of 32. Made with transformers 5.23.0 and torch 2.15.0.
"""

import copy
import json
import sys

from transformers import GptOssConfig
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRotaryEmbedding

BASE = {"model_type": "gpt_oss", "num_hidden_layers": 2, "head_dim": 32, "max_position_embeddings": 512}
PARTS = {"factor": 8.0, "original_max_position_embeddings": 64, "beta_fast": 16.0, "beta_slow": 2.0, "truncate": False}
YARN = {"rope_type": "yarn", **PARTS}
V5 = {**YARN, "rope_theta": 5000.0}

SPELLINGS = {
    "nothing": {},
    "theta alone": {"rope_theta": 5000.0},
    "v4": {"rope_theta": 5000.0, "rope_scaling": YARN},
    "v4, legacy type": {"rope_theta": 5000.0, "rope_scaling": {"type": "yarn", **PARTS}},
    "v4, both types": {"rope_theta": 5000.0, "rope_scaling": {"type": "yarn", **YARN}},
    "v4 without theta": {"rope_scaling": YARN},
    "v4 default": {"rope_theta": 5000.0, "rope_scaling": {"rope_type": "default"}},
    "v5": {"rope_parameters": V5},
    "v5, theta outside": {"rope_theta": 5000.0, "rope_parameters": YARN},
    "v5, theta in both places": {"rope_theta": 5000.0, "rope_parameters": V5},
    "v5 without theta": {"rope_parameters": YARN},
    "v5 default": {"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}},
    "v5, theta alone": {"rope_parameters": {"rope_theta": 5000.0}},
    "v5 beside null": {"rope_scaling": None, "rope_parameters": V5},
    "v4 and v5 alike": {"rope_theta": 5000.0, "rope_scaling": YARN, "rope_parameters": V5},
    "truncated by default": {"rope_parameters": {k: v for k, v in V5.items() if k != "truncate"}},
    "truncate null": {"rope_parameters": {**V5, "truncate": None}},
    "betas by default": {"rope_parameters": {k: v for k, v in V5.items() if "beta" not in k}},
    "betas null": {"rope_parameters": {**V5, "beta_fast": None, "beta_slow": None}},
    "no original context": {"rope_parameters": {"rope_type": "yarn", "factor": 8.0}},
    "original context outside": {
        "original_max_position_embeddings": 64,
        "rope_parameters": {"rope_type": "yarn", "factor": 8.0},
    },
    "attention_factor": {"rope_parameters": {**V5, "attention_factor": 1.5}},
    "mscale": {"rope_parameters": {**V5, "mscale": 2.0, "mscale_all_dim": 0.5}},
    "mscale alone": {"rope_parameters": {**V5, "mscale": 2.0}},
    "mscale_all_dim 0": {"rope_parameters": {**V5, "mscale": 2.0, "mscale_all_dim": 0.0}},
    "factor below 1": {"rope_parameters": {**V5, "factor": 0.5}},
}  # fmt: skip

result = {}
for name, spelling in SPELLINGS.items():
    rotary = GptOssRotaryEmbedding(GptOssConfig(**copy.deepcopy({**BASE, **spelling})))
    result[name] = {
        "config": {**BASE, **spelling},
        "inv_freq": rotary.inv_freq.tolist(),
        "scale": rotary.attention_scaling,
    }
with open(sys.argv[1], "w") as file:
    file.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in result.items()) + "\n}\n")
