"""Writes mlx-lm's float32 logits for any MLX (or HF MXFP4) gpt-oss folder, to hold ours against.

    python tools/reference/compare_mlx.py DIR --tokens 1,2,3 --out mlx.safetensors [--greedy 24] [--exact-yarn]
    python tools/reference/compare_mlx.py DIR --tokens 1,2,3 --against ours.safetensors

mlx-lm rounds YaRN's correction range whatever `truncate` says; --exact-yarn puts the frequencies that the config asks
for in place, as transformers and openai/gpt-oss have them.
"""

import argparse
from pathlib import Path

import numpy as np
from mlx_model import greedy, load_float32, logits, replace_yarn_frequencies, yarn_inverse_frequencies
from safetensors.numpy import load_file, save_file

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", type=Path)
parser.add_argument("--tokens", required=True, help="comma-separated ids, or @FILE that holds them")
parser.add_argument("--out", type=Path, help="where to write tokens and logits (and greedy_tokens, greedy_margin)")
parser.add_argument("--against", type=Path, help="a safetensors file with `logits` of the same tokens, to compare")
parser.add_argument("--greedy", type=int, default=0, help="length of a greedy continuation")
parser.add_argument("--exact-yarn", action="store_true")
args = parser.parse_args()

text = Path(args.tokens[1:]).read_text() if args.tokens.startswith("@") else args.tokens
tokens = [int(token) for token in text.replace(",", " ").split()]
model, config = load_float32(args.folder)
if args.exact_yarn:
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") != "yarn":
        parser.error(f"{args.folder}/config.json has no rope_scaling of rope_type yarn")
    head_dim, theta = model.args.head_dim, model.args.rope_theta
    replace_yarn_frequencies(model, yarn_inverse_frequencies(head_dim, theta, scaling))

result = {"tokens": np.array(tokens, np.int32), "logits": logits(model, tokens)}
if args.greedy:
    result["greedy_tokens"], result["greedy_margin"] = greedy(model, tokens, args.greedy)
if args.out:
    save_file(result, args.out)
print(f"logits {result['logits'].shape}, std {result['logits'].std():.3f}, last argmax {result['logits'][-1].argmax()}")
if args.greedy:
    print("greedy", result["greedy_tokens"].tolist())
if args.against:
    other, ours = load_file(args.against)["logits"], result["logits"]
    error = np.linalg.norm(other - ours) / np.linalg.norm(ours)
    same = (other.argmax(-1) == ours.argmax(-1)).mean()
    print(f"relative error {error:.3e}, worst logit {np.abs(other - ours).max():.3e}, same argmax {same:.1%}")
