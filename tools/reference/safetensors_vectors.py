"""Writes a small file with every dtype that Minerva reads, by the `safetensors` package.

    python tools/reference/safetensors_vectors.py test/checkpoint/fixtures/every_dtype.safetensors

Made with safetensors 0.8.0, torch 2.15.0; seed 3.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.manual_seed(3)

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.uint16,
    torch.int16,
    torch.uint32,
    torch.int32,
    torch.uint64,
    torch.int64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e8m0fnu,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
]


def tensor(dtype, shape):
    size = torch.empty((), dtype=dtype).element_size()
    count = 1
    for dim in shape:
        count *= dim
    high = 2 if dtype == torch.bool else 256
    return torch.randint(0, high, (count * size,), dtype=torch.uint8).view(dtype).reshape(shape)


tensors = {f"layer.{str(dtype).removeprefix('torch.')}": tensor(dtype, (3, 5)) for dtype in DTYPES}
tensors["scalar"] = tensor(torch.float32, ())
tensors["empty"] = tensor(torch.bfloat16, (0, 4))
tensors["naïve \"quoted\" \U0001f600"] = tensor(torch.uint8, (7,))
Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
save_file(tensors, sys.argv[1], metadata={"format": "pt"})
