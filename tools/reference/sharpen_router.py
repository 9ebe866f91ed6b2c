"""Multiplies the router logits of an MLX checkpoint by a power of two, in place: python sharpen_router.py DIR [FACTOR = 4]

Random routers are undecided: over 24 layers and hundreds of tokens some fourth and fifth expert are always closer than the
rounding of activations, and as each of four experts counts about as much, another choice there changes the logits by percents.
Sharper routers choose as often wrongly, but give the fourth expert little weight, so that logits can be compared. The factor
changes exponents only (bfloat16 scales and biases, the router's bias with them).
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

folder, factor = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 4.0
steps = int(np.log2(factor))
assert 2.0**steps == factor, "the factor must be a power of two"
for path in sorted(folder.glob("model*.safetensors")):
    with open(path, "r+b") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        for name, tensor in header.items():
            if not name.endswith((".router.scales", ".router.biases", ".router.bias")):
                continue
            assert tensor["dtype"] == "BF16", f"{name} is {tensor['dtype']}, expected BF16"
            begin, end = (8 + length + offset for offset in tensor["data_offsets"])
            file.seek(begin)
            bits = np.frombuffer(file.read(end - begin), np.uint16)
            file.seek(begin)
            file.write(np.where(bits & 0x7F80, bits + (steps << 7), bits).astype(np.uint16).tobytes())
print(f"{folder}: router logits times {factor:g}")
