"""Records what transformers, torch and MLX make of small inputs to every kernel, for the tests of src/backends.

    python tools/reference/kernel_vectors.py test/backends/conformance/fixtures/kernel_vectors.json

A case is an operation as src/ir/operations.ts has it, its operands in the order of its description and its result, as raw bytes. The parts of gpt-oss
are transformers' own functions (attention with sinks, masks, YaRN's frequencies, router, experts' gate, RMSNorm), quantized
weights are MLX's, the rest is torch or numpy. Computed in float64 unless a case says what float32 costs it.
Made with torch 2.15.0, transformers 5.23.0, mlx 0.32.4, numpy 2.4.6; seed 11.
"""

import base64
import json
import sys
from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import torch
import torch.nn.functional as F
from transformers import (
    GptOssConfig,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.masking_utils import causal_mask_function, sliding_window_causal_mask_function
from transformers.models.gpt_oss import modeling_gpt_oss as gpt_oss

mx.set_default_device(mx.cpu)
torch.manual_seed(11)
rng = np.random.default_rng(11)
cases = []

TORCH = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def normal(*shape, scale=1.0):
    return torch.tensor(rng.standard_normal(shape) * scale, dtype=torch.float32)


def integers(below, *shape):
    return rng.integers(0, below, shape).astype(np.uint32)


def operand(array, **extra):
    """An array of torch, numpy or MLX with its dtype, shape and bytes."""
    if isinstance(array, torch.Tensor):
        dtype, shape = str(array.dtype).removeprefix("torch."), array.shape
        data = array.detach().contiguous().view(torch.uint8).numpy().tobytes() if array.ndim else bytes(array)
    elif isinstance(array, mx.array):
        dtype, shape = str(array.dtype).removeprefix("mlx.core."), array.shape
        data = np.array(array.view(mx.uint8)).tobytes()
    else:
        dtype, shape, data = str(array.dtype), array.shape, np.ascontiguousarray(array).tobytes()
    return {"dtype": dtype, "shape": list(shape), "bytes": base64.b64encode(data).decode(), **extra}


def case(name, op, operands, result, tolerance=None):
    """`tolerance`: what the truth itself may be off by, where it was computed in float32."""
    if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
        result = result.float()
    record = {
        "name": name,
        "op": op,
        "operands": [x if isinstance(x, dict) else operand(x) for x in operands],
        "result": operand(result),
    }
    cases.append({**record, "tolerance": tolerance} if tolerance else record)


# Elementwise

x = torch.cat([normal(40, scale=9), torch.tensor([0.0, -0.0, 1e-7, 65504.0, 65520.0, 3.4e38, -1e-8, 1 + 2**-8])])
steps = torch.arange(-9, 10, dtype=torch.float32)
ties = torch.cat([1 + steps * 2**-8, 1 + steps * 2**-11, steps * 2**-25, 2**-14 + steps * 2**-25, 65504 + steps * 4])
for dtype in TORCH:
    case(f"to {dtype}", {"kind": "copy"}, [x], x.to(TORCH[dtype]))
    case(f"ties to {dtype}", {"kind": "copy"}, [ties], ties.to(TORCH[dtype]))
    if dtype != "float32":
        case(f"from {dtype}", {"kind": "copy"}, [x[:40].to(TORCH[dtype])], x[:40].to(TORCH[dtype]).float())

INTEGERS = {
    "int32": torch.tensor([-(2**31), -70000, -1, 0, 7, 2**31 - 1], dtype=torch.int32),
    "uint32": torch.tensor([0, 1, 255, 70001, 2**31, 2**32 - 1], dtype=torch.uint32),
    "uint8": torch.tensor([0, 1, 127, 128, 200, 255], dtype=torch.uint8),
}
for dtype, x in INTEGERS.items():
    case(f"{dtype} to float32", {"kind": "copy"}, [x], x.float())
    case(f"{dtype} to {dtype}", {"kind": "copy"}, [x], x)
    small = torch.tensor([0.0, 0.75, 1.5, 99.99, 254.5] + ([-0.9, -3.7] if dtype == "int32" else []))
    case(f"float32 to {dtype}", {"kind": "copy"}, [small], small.to(x.dtype))
case("uint8 to int32", {"kind": "copy"}, [INTEGERS["uint8"]], INTEGERS["uint8"].int())

UNARY = {
    "neg": torch.neg, "abs": torch.abs, "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt,
    "sigmoid": torch.sigmoid, "silu": F.silu,
}
for fn, f in UNARY.items():
    x = normal(5, 7, scale=6)
    if fn in ("log", "sqrt", "rsqrt"):
        x = x.abs()
    case(fn, {"kind": "unary", "fn": fn}, [x], f(x.double()))

BINARY = {
    "add": torch.add, "subtract": torch.sub, "multiply": torch.mul, "divide": torch.div, "maximum": torch.maximum,
    "minimum": torch.minimum,
}
for fn, f in BINARY.items():
    for a, b in (((3, 5), (3, 5)), ((2, 1, 5), (3, 1)), ((4,), (2, 4)), ((1,), (3, 2))):
        a, b = normal(*a), normal(*b)
        case(f"{fn} {list(a.shape)} {list(b.shape)}", {"kind": "binary", "fn": fn}, [a, b], f(a.double(), b.double()))

# Over the last axis

for fn, f in {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}.items():
    x = normal(2, 3, 17, scale=3)
    case(fn, {"kind": "reduce", "fn": fn}, [x], f(x.double(), dim=-1))

masked = normal(4, 19, scale=12)
masked[0, 3:9] = -torch.inf
masked[1, :18] = -torch.inf
masked[2] += 200
case("some masked", {"kind": "softmax"}, [masked], masked.double().softmax(-1))

ties = torch.tensor(rng.integers(-1, 2, (4, 19)), dtype=torch.float32)
for name, x in (("some masked", masked[[0, 2, 3]]), ("with ties", ties), ("negative", -normal(3, 8).abs())):
    case(name, {"kind": "argmax"}, [x], np.argmax(x.numpy(), -1).astype(np.uint32))
    order = torch.argsort(x, dim=-1, descending=True, stable=True)
    for k in (1, 4, 8):
        case(f"{k}, {name}", {"kind": "top_k", "k": k}, [x], order[:, :k].numpy().astype(np.uint32))

x, indices = normal(2, 3, 9), integers(9, 2, 3, 4)
case("[2, 3, 9]", {"kind": "take_along_axis"}, [x, indices], np.take_along_axis(x.numpy(), indices.astype(int), -1))

for temperature in (0.3, 1.0, 2.5):
    logits = normal(24, 19, scale=4)
    logits[::5, :7] = -torch.inf
    t = np.full(24, temperature, np.float32)
    u = torch.tensor(rng.random(24), dtype=torch.float32)
    cumulative = (logits.double() / float(t[0])).softmax(-1).cumsum(-1)
    drawn = torch.searchsorted(cumulative, u.double()[:, None], right=True)[:, 0].clamp(max=18)
    top_k, top_p, min_p = np.zeros(24, np.uint32), np.ones(24, np.float32), np.zeros(24, np.float32)
    case(f"temperature {temperature}", {"kind": "sample"}, [logits, t, top_k, top_p, min_p, u], drawn.numpy().astype(np.uint32))

# Products

FORMATS = [("affine", bits, group) for bits in (2, 3, 4, 6, 8) for group in (32, 64, 128)]
FORMATS += [("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)]


def quantized(mode, bits, group, dtype, *shape):
    """Operands as stored, and the values they stand for."""
    w = mx.array(normal(*shape, scale=0.3).numpy()).astype(getattr(mx, dtype))
    parts = list(mx.quantize(w, group_size=group, bits=bits, mode=mode))
    wide = [parts[0]] + [p if p.dtype == mx.uint8 else p.astype(mx.float32) for p in parts[1:]]
    values = mx.dequantize(*wide, group_size=group, bits=bits, mode=mode, dtype=mx.float32)
    return parts, torch.tensor(np.array(values)).double()


def weight_format(mode, bits, group, bias):
    return {"quantization": {"mode": mode, "bits": bits, "group_size": group}, "bias": bias}


def products(i, mode, bits, group):
    name = f"{mode} {bits}/{group}"
    dtype = ("bfloat16", "float16", "float32")[i % 3]
    K = group * (3 if group < 128 else 1)
    # MLX packs nvfp4 only where the elements are a multiple of 32: an even number of rows.
    parts, values = quantized(mode, bits, group, dtype, 6, K)
    bias = normal(6).to(TORCH[dtype])
    x = normal(3, K)
    product = x.double() @ values.T
    case(name, {"kind": "matmul", "format": weight_format(mode, bits, group, True), "residual": False},
         [x, *parts, bias], product + bias.double())
    ids = np.array([5, 0, 2], np.uint32)
    case(name, {"kind": "embedding", "format": weight_format(mode, bits, group, False)}, [ids, *parts], values[ids.astype(int)])
    if group == 32 or mode == "nvfp4":
        parts, values = quantized(mode, bits, group, dtype, 3, 4, group)
        experts = np.array([[2, 0], [1, 2]], np.uint32)
        for shape in ((2, group), (2, 2, group)):
            x = normal(*shape)
            rows = x.double() if x.ndim == 3 else x.double()[:, None].expand(2, 2, group)
            product = torch.einsum("lsk,lsnk->lsn", rows, values[torch.tensor(experts.astype(int))])
            case(f"{name}, x {list(shape)}", {"kind": "gather_matmul", "format": weight_format(mode, bits, group, False)},
                 [x, experts, *parts], product)


for i, parameters in enumerate(FORMATS):
    products(i, *parameters)

for dtype in TORCH:
    x, w, bias, residual = normal(3, 7), normal(4, 7).to(TORCH[dtype]), normal(4).to(TORCH[dtype]), normal(3, 4)
    product = F.linear(x.double(), w.double(), bias.double())
    dense = {"quantization": None, "bias": True}
    case(f"dense {dtype}", {"kind": "matmul", "format": dense, "residual": False}, [x, w, bias], product)
    case(f"dense {dtype} and residual", {"kind": "matmul", "format": dense, "residual": True}, [x, w, bias, residual],
         product + residual.double())
    ids = np.array([3, 3, 0], np.uint32)
    case(f"dense {dtype}", {"kind": "embedding", "format": {"quantization": None, "bias": False}}, [ids, w],
         F.embedding(torch.tensor(ids.astype(int)), w.double()))

# The mixture of experts

config = GptOssConfig(
    hidden_size=6, intermediate_size=5, num_local_experts=4, num_experts_per_tok=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, swiglu_limit=1.5,
)
clamped = {"fn": "clamped_swiglu", "alpha": config.swiglu_alpha, "limit": config.swiglu_limit, "offset": 1}
config._experts_implementation = "eager"
experts = gpt_oss.GptOssExperts(config).double()
router = gpt_oss.GptOssTopKRouter(config).double()
with torch.no_grad():
    for parameter in [*experts.parameters(), *router.parameters()]:
        parameter.copy_(normal(*parameter.shape).double())

    gate_up = normal(4, 10, scale=2)
    halves = [{**operand(gate_up), "slice": {"start": [0, first], "step": [1, 2]}} for first in (0, 1)]
    case("interleaved", {"kind": "glu", "activation": clamped}, halves, experts._apply_gate(gate_up.double()))

    x = normal(5, 6)
    logits, scores, indices = router(x.double())
    ids = indices.numpy().astype(np.uint32)
    case("router", {"kind": "matmul", "format": {"quantization": None, "bias": True}, "residual": False},
         [x, router.weight.float(), router.bias.float()], logits)
    case("router", {"kind": "top_k", "k": 2}, [logits.float()], ids)
    case("router", {"kind": "softmax"}, [logits.gather(1, indices).float()], scores)

    dense = {"quantization": None, "bias": True}
    up_rows = experts.gate_up_proj.transpose(1, 2).float()
    operands = []
    for first in (0, 1):
        operands.append({**operand(up_rows), "slice": {"start": [0, first, 0], "step": [1, 2, 1]}})
        operands.append({**operand(experts.gate_up_proj_bias.float()), "slice": {"start": [0, first], "step": [1, 2]}})
    gated = torch.stack([
        experts._apply_gate(row.double() @ experts.gate_up_proj[e] + experts.gate_up_proj_bias[e])
        for row, chosen in zip(x, indices) for e in chosen
    ]).view(5, 2, 5)
    case("experts, interleaved", {"kind": "gather_glu", "gate": dense, "up": dense, "activation": clamped},
         [x, ids, *operands], gated)

    gated32 = gated.float()
    down = torch.einsum("lsk,lskn->lsn", gated32.double(), experts.down_proj[indices]) + experts.down_proj_bias[indices]
    case("experts", {"kind": "gather_matmul", "format": dense},
         [gated32, ids, experts.down_proj.transpose(1, 2).float(), experts.down_proj_bias.float()], down)
    # The whole block of transformers, whose parts are the cases above.
    case("experts", {"kind": "weighted_sum"}, [down.float(), scores.float()], experts(x.double(), indices, scores), 1e-6)

# Norm, positions, attention

for n, dtype in ((9, "float32"), (32, "bfloat16"), (5, "float16")):
    norm = gpt_oss.GptOssRMSNorm(n, 1e-5)
    x, w = normal(4, n, scale=3), normal(n).to(TORCH[dtype])
    x[0] *= 1e-3
    norm.weight.data = w.float()
    case(f"{n}, {dtype}", {"kind": "rms_norm", "eps": 1e-5}, [x, w], norm(x), 1e-6)

rotary = gpt_oss.GptOssRotaryEmbedding(config)
for positions in ([0], [5, 6, 7], [0, 1, 30, 31]):
    x = normal(len(positions), 3, 8)
    cos, sin = rotary(x[None], torch.tensor([positions]))
    rotated, _ = gpt_oss.apply_rotary_pos_emb(x.transpose(0, 1)[None], x.transpose(0, 1)[None], cos, sin)
    case(f"positions {positions}", {"kind": "rope", "scale": rotary.attention_scaling},
         [x, np.array(positions, np.uint32), rotary.inv_freq], rotated[0].transpose(0, 1), 1e-5)
positions = np.array([4095, 100000, 131071], np.uint32)
x = normal(3, 2, 8)
# As complex numbers turned by exp(i angle): transformers takes the angle in float32, too coarse here.
turn = torch.polar(torch.tensor(1.5).double(), torch.tensor(positions.astype(float))[:, None] * rotary.inv_freq.double())
turned = torch.complex(*x.double().chunk(2, -1)) * turn[:, None]
case("far positions", {"kind": "rope", "scale": 1.5}, [x, positions, rotary.inv_freq], torch.cat([turned.real, turned.imag], -1))

cache = normal(5, 2, 3)
for positions in ([0], [3, 4], [4, 5, 6], [12]):
    x = normal(len(positions), 2, 3)
    after = cache.clone()
    slots = np.array(positions, np.uint32) % 5
    after[slots.astype(int)] = x
    case(f"slots {list(slots)}", {"kind": "kv_append"}, [cache, x, slots], after)


def attend(name, rows, length, capacity, heads, kv_heads, head_dim, window, sinks, sink_scale=2.0):
    """The last `rows` of `length` positions over `capacity` pages of one position, used in turn; what was never written is 100."""
    q, k, v = normal(rows, heads, head_dim, scale=2), normal(length, kv_heads, head_dim), normal(length, kv_heads, head_dim)
    positions = np.arange(length - rows, length)
    ring = [torch.full((capacity, kv_heads, head_dim), 100.0) for _ in range(2)]
    for p in range(max(0, length - capacity), length):
        ring[0][p % capacity], ring[1][p % capacity] = k[p], v[p]
    visible = sliding_window_causal_mask_function(window) if window else causal_mask_function
    seen = torch.tensor([[bool(visible(0, 0, torch.tensor(p), torch.tensor(j))) for j in range(length)] for p in positions])
    mask = torch.zeros(rows, length, dtype=torch.float64).masked_fill(~seen, -torch.inf)
    sink = normal(heads, scale=sink_scale).to(TORCH[sinks]) if sinks else None
    module = SimpleNamespace(
        num_key_value_groups=heads // kv_heads, training=False,
        sinks=sink.double() if sinks else torch.full((heads,), -torch.inf, dtype=torch.float64),
    )
    scale = head_dim**-0.5
    batched = [t.double().transpose(0, 1)[None] for t in (q, k, v)]
    attended, _ = gpt_oss.eager_attention_forward(module, *batched, mask[None, None], scaling=scale)
    case(name, {"kind": "attention", "scale": scale, "window": window, "page_size": 1, "sinks": bool(sinks)},
         [q, *ring, positions.astype(np.uint32), np.zeros(rows, np.uint32), np.arange(length, dtype=np.uint32)[None] % capacity,
          *([sink] if sinks else [])], attended[0])


attend("one token", 1, 1, 4, 4, 2, 8, None, "float32")
attend("decode", 1, 13, 16, 4, 2, 8, None, "bfloat16")
attend("prefill", 7, 7, 7, 6, 2, 4, None, "float16")
attend("second chunk", 5, 11, 20, 4, 4, 8, None, None)
attend("decode in a window", 1, 23, 6, 4, 1, 8, 6, "float32")
attend("window longer than the text", 3, 5, 12, 4, 2, 8, 10, "bfloat16")
attend("prefill in a window", 9, 9, 9, 2, 1, 8, 4, "float32")
attend("chunk in a full ring", 4, 29, 8, 4, 2, 8, 5, "bfloat16")
attend("only itself", 3, 8, 3, 2, 2, 4, 1, "float32")
attend("sinks that take nearly all", 2, 6, 6, 2, 1, 8, None, "float32", sink_scale=60.0)

# Drawn last: what was recorded before MLX knew 5 bits stays as it is.
for i, group in enumerate((32, 64, 128)):
    products(i, "affine", 5, group)

x, indices = normal(7, 2, 3), integers(7, 5)
case("[7, 2, 3]", {"kind": "take"}, [x, indices], np.take(x.numpy(), indices.astype(int), 0))

GATED = {"silu": F.silu, "gelu_tanh": lambda gate: F.gelu(gate, approximate="tanh")}
for fn, f in GATED.items():
    activation = {"fn": fn}
    gate, up = normal(5, 9, scale=4), normal(5, 9, scale=2)
    case(fn, {"kind": "glu", "activation": activation}, [gate, up], f(gate.double()) * up.double())
    x, ids = normal(4, 32), integers(3, 4, 2)
    op = {"kind": "gather_glu", "activation": activation}
    # Without a bias, dense; with one, quantized.
    weights = [normal(3, 7, 32) for _ in range(2)]
    gate, up = (torch.einsum("lk,lsnk->lsn", x.double(), w.double()[ids.astype(int)]) for w in weights)
    plain = {"quantization": None, "bias": False}
    case(f"{fn}, dense", {**op, "gate": plain, "up": plain}, [x, ids, *weights], f(gate) * up)
    halves, operands = [], []
    for _ in range(2):
        parts, values = quantized("affine", 8, 32, "float32", 3, 6, 32)
        bias = normal(3, 6)
        halves.append(torch.einsum("lk,lsnk->lsn", x.double(), values[ids.astype(int)]) + bias.double()[ids.astype(int)])
        operands += [*parts, bias]
    gate, up = halves
    biased = weight_format("affine", 8, 32, True)
    case(f"{fn}, affine 8/32", {**op, "gate": biased, "up": biased}, [x, ids, *operands], f(gate) * up)

# Rows put into a state, and tokens

for shape, rows in (((7, 2, 3), [5, 0, 6]), ((4,), [3, 1])):
    state, x = normal(*shape), normal(len(rows), *shape[1:])
    after = state.clone()
    after[rows] = x
    case(f"{len(rows)} into {list(shape)}", {"kind": "put"}, [state, x, np.array(rows, np.uint32)], after)
    # As by a mask: the row without an index goes nowhere.
    skipped = np.array([*rows[:-1], 2**32 - 1], np.uint32)
    after = state.clone()
    after[rows[:-1]] = x[:-1]
    case(f"{len(rows)} into {list(shape)}, one left out", {"kind": "put"}, [state, x, skipped], after)

logits, seen, penalty, added, counts = normal(3, 11, scale=4), [[4, 9], [0], [10, 3]], 1.25, 0.75, [[1, 3], [2], [4, 1]]
places = [(row, token) for row, tokens in enumerate(seen) for token in tokens]
rows, ids = (np.array(column, np.uint32) for column in zip(*places))
biased = SequenceBiasLogitsProcessor([[[token], added] for token in range(11)])(torch.zeros(3, 1), logits)
penalised = logits.clone()
for row, tokens in enumerate(seen):
    # Of a biased token, what the processor makes of its logit; the bias reaches no other.
    penalised[row, tokens] = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([tokens]), biased[row][None])[0, tokens]
shift = np.array([-0.5 * count for row in counts for count in row], np.float32)
penalised[rows.astype(int), ids.astype(int)] += torch.tensor(shift)
constant = lambda value: np.full(len(places), value, np.float32)
case("bias, repetition, counts", {"kind": "adjust_logits"},
     [logits, rows, ids, constant(added), constant(penalty), shift], penalised)


def sampled(name, masked, params):
    """Rows that each choose in their own way. Where rounding might decide, another uniform number is drawn."""
    V, W = 70, len(params)
    logits, mask = normal(W, V, scale=3), rng.random((W, V)) < 0.6
    allowed = logits.double().masked_fill(torch.tensor(~mask), -torch.inf) if masked else logits.double()
    uniform, drawn = [], []
    for row, (temperature, top_k, top_p, min_p) in zip(allowed, params, strict=True):
        steps = LogitsProcessorList()
        if temperature > 0:
            steps.append(TemperatureLogitsWarper(temperature))
        if top_k > 0:
            steps.append(TopKLogitsWarper(top_k))
        if top_p < 1:
            steps.append(TopPLogitsWarper(top_p))
        if min_p > 0:
            steps.append(MinPLogitsWarper(min_p))
        cumulative = steps(torch.zeros(1, 1), row[None])[0].softmax(-1).cumsum(-1)
        u = np.float32(rng.random() * 0.999)
        while (cumulative - float(u)).abs().min() < 1e-4:
            u = np.float32(rng.random() * 0.999)
        uniform.append(u)
        drawn.append(int(row.argmax()) if temperature == 0 else int((cumulative > float(u)).nonzero()[0]))
    numbers = [np.array(column, np.float32) for column in zip(*params)]
    words = np.packbits(np.pad(mask, ((0, 0), (0, -V % 32))), axis=-1, bitorder="little").view(np.uint32)
    case(name, {"kind": "sample"},
         [logits, numbers[0], numbers[1].astype(np.uint32), *numbers[2:], np.array(uniform, np.float32),
          *([words] if masked else [])], np.array(drawn, np.uint32))


choices = [
    (0.0, 0, 1.0, 0.0), (1.0, 0, 1.0, 0.0), (0.5, 5, 1.0, 0.0), (1.5, 0, 0.7, 0.0),
    (1.0, 0, 1.0, 0.125), (1.0, 20, 0.9, 0.0625), (2.0, 40, 0.5, 0.25), (1.0, 1, 1.0, 0.0),
]
sampled("each row in its own way", False, choices * 4)
sampled("under a mask", True, choices * 4)

with open(sys.argv[1], "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
print(f"{len(cases)} cases of {len({c['op']['kind'] for c in cases})} kernels")
