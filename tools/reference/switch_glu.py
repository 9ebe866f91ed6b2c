"""Records what mlx-lm makes of small mixtures of experts without gpt-oss's activation, for src/nn/switch_glu.test.ts.

    python tools/reference/switch_glu.py test/nn/fixtures/switch_glu.json

mlx-lm's own SwitchGLU with random float32 weights, in float32. Tensors as {"shape", "values"}, by checkpoint name.
Made with mlx 0.32.4, mlx-lm 0.32.2; seed 12.
"""

import json
import sys

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten
from mlx_lm.models.switch_layers import SwiGLU, SwitchGLU

mx.set_default_device(mx.cpu)
mx.random.seed(12)

ACTIVATIONS = {"silu": SwiGLU(), "gelu_tanh": lambda up, gate: nn.gelu_approx(gate) * up}


def tensor(array):
    return {"shape": array.shape, "values": [float(f"{x:.9g}") for x in array.flatten().tolist()]}


cases = []
for fn, activation in ACTIVATIONS.items():
    for bias in (False, True):
        experts = SwitchGLU(6, 5, 4, activation, bias)
        weights = [(name, mx.random.normal(w.shape)) for name, w in tree_flatten(experts.parameters())]
        experts.load_weights(weights)
        x = mx.random.normal((3, 6))
        ids = mx.array([[3, 0], [1, 3], [2, 2]])
        cases.append({
            "activation": {"fn": fn}, "bias": bias, "weights": {name: tensor(w) for name, w in weights},
            "x": tensor(x), "ids": ids.tolist(), "y": tensor(experts(x, ids)),
        })

with open(sys.argv[1], "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
