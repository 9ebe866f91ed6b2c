"""Records what MLX quantizes and dequantizes, for the tests of src/tensor.

    python tools/reference/quantize_vectors.py test/tensor/fixtures/quantize_vectors.json

Every case holds the float32 values given to mx.quantize (as raw bytes), its outputs, and mx.dequantize of them in float32.
Also torch's float8 and float16 conversions of a set of hard values.
Made with mlx 0.32.4, torch 2.15.0, numpy 2.4.6; seed 7.
"""

import base64
import json
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import torch

random = np.random.default_rng(7)
K = 128


def raw(array):
    return base64.b64encode(np.ascontiguousarray(np.array(array)).tobytes()).decode()


def rows(dtype):
    gaussian = random.normal(size=(2, K)).astype(np.float32)
    wide = (random.normal(size=(1, K)) * np.exp(random.normal(size=(1, K)) * 4)).astype(np.float32)
    shifted = (random.normal(size=(1, K)) * 0.01 + 3).astype(np.float32)
    ties = (random.integers(-24, 25, size=(1, K)) / 4).astype(np.float32)
    special = np.zeros((1, K), np.float32)
    special[0, 64] = 1e-9
    special[0, 96:] = -2.5
    values = np.concatenate([gaussian, wide, shifted, ties, special])
    return np.array(mx.array(values).astype(dtype).astype(mx.float32))


def case(mode, group_size, bits, dtype=mx.float32):
    values = rows(dtype)
    packed = mx.quantize(mx.array(values).astype(dtype), group_size=group_size, bits=bits, mode=mode)
    weight, scales = packed[0], packed[1]
    # mx.dequantize of MX modes defaults to bfloat16, which every product fits but nvfp4's.
    exact = [weight] + [a.astype(mx.float32) if mode == "affine" else a for a in packed[1:]]
    expanded = mx.dequantize(*exact, group_size=group_size, bits=bits, mode=mode, dtype=mx.float32)
    return {
        "mode": mode,
        "group_size": group_size,
        "bits": bits,
        "dtype": str(dtype).removeprefix("mlx.core."),
        "K": K,
        "values": raw(values),
        "weight": raw(weight),
        "scales": raw(exact[1]),
        "biases": raw(exact[2]) if mode == "affine" else None,
        "expanded": raw(expanded),
    }


cases = [case("affine", g, b) for b in (2, 3, 4, 6, 8) for g in (32, 64, 128)]
cases += [case("affine", 64, 8, mx.bfloat16)]
cases += [case("mxfp4", 32, 4), case("mxfp4", 32, 4, mx.bfloat16), case("mxfp8", 32, 8), case("nvfp4", 16, 4)]

hard = np.concatenate(
    [
        np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 448, 449, 464, 465, 480, 65504, 65519, 65520, 57344, 61440], np.float32),
        (2.0 ** np.arange(-30, 17)).astype(np.float32),
        (1.5 * 2.0 ** np.arange(-30, 17)).astype(np.float32),
        (random.normal(size=200) * np.exp(random.normal(size=200) * 5)).astype(np.float32),
        (random.integers(-512, 512, size=200) / 2.0**10).astype(np.float32),
    ]
).astype(np.float32)
tensor = torch.from_numpy(hard)
conversions = {
    "values": raw(hard),
    "float16": raw(tensor.to(torch.float16).numpy()),
    "bfloat16": raw(tensor.to(torch.bfloat16).view(torch.int16).numpy()),
    "float8_e5m2": raw(tensor.to(torch.float8_e5m2).view(torch.uint8).numpy()),
    "float8_e4m3": raw(mx.to_fp8(mx.array(hard))),
}
codes8 = torch.arange(256, dtype=torch.uint8)
codes16 = torch.arange(0, 65536, dtype=torch.int32).to(torch.int16)
decoded = {
    "float8_e4m3": raw(codes8.view(torch.float8_e4m3fn).float().numpy()),
    "float8_e5m2": raw(codes8.view(torch.float8_e5m2).float().numpy()),
    "float8_e8m0": raw(codes8.view(torch.float8_e8m0fnu).float().numpy()),
    "float16": raw(codes16[::17].contiguous().view(torch.float16).float().numpy()),
}

# Drawn last: what was recorded before MLX knew 5 bits stays as it is.
cases += [case("affine", g, 5) for g in (32, 64, 128)]

Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
Path(sys.argv[1]).write_text(json.dumps({"cases": cases, "encoded": conversions, "decoded": decoded}, indent=0) + "\n")
