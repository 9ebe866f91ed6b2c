"""gpt-oss as one dense batched forward, for training and for checking: same parameters, names and results as transformers' GptOssForCausalLM.

All experts run on every token in two matrix products and unchosen ones are multiplied by zero. For a model this small that is faster
on a GPU than gathering, and it compiles into one graph.

    python model.py      compares logits with transformers on random weights
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from quantization import affine, mxfp4, straight_through


@dataclass
class Config:
  vocab_size: int = 3072
  hidden_size: int = 320
  intermediate_size: int = 192
  num_hidden_layers: int = 6
  num_attention_heads: int = 6
  num_key_value_heads: int = 2
  head_dim: int = 64
  num_local_experts: int = 8
  num_experts_per_tok: int = 4
  sliding_window: int = 64
  rms_norm_eps: float = 1e-5
  rope_theta: float = 150000.0
  rope_factor: float = 32.0
  original_max_position_embeddings: int = 512
  swiglu_limit: float = 7.0
  swiglu_alpha: float = 1.702

  @property
  def layer_types(self):
    return ["full_attention" if i % 2 else "sliding_attention" for i in range(self.num_hidden_layers)]

  def to_hf(self):
    """config.json as gpt-oss writes it."""
    fields = {k: v for k, v in asdict(self).items() if k not in ("rope_factor", "original_max_position_embeddings", "swiglu_alpha")}
    return {
      "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", **fields, "layer_types": self.layer_types, "attention_bias": True, "attention_dropout": 0.0,
      "experts_per_token": self.num_experts_per_tok, "hidden_act": "silu", "initial_context_length": self.original_max_position_embeddings,
      "max_position_embeddings": int(self.original_max_position_embeddings * self.rope_factor), "tie_word_embeddings": False, "use_cache": True, "torch_dtype": "bfloat16",
      "router_aux_loss_coef": 0.9, "output_router_logits": False, "initializer_range": 0.02,
      "rope_scaling": {"rope_type": "yarn", "factor": self.rope_factor, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                       "original_max_position_embeddings": self.original_max_position_embeddings},
    }


def yarn(config, truncate=False):
  """(inverse frequencies [head_dim/2], factor on cos and sin), Peng et al. 2023; `truncate` rounds the ramp's ends as mlx-lm and llama.cpp do."""
  dim, base = config.head_dim, config.rope_theta
  turn_dim = lambda turns: dim * math.log(config.original_max_position_embeddings / (turns * 2 * math.pi)) / (2 * math.log(base))
  low, high = turn_dim(32.0), turn_dim(1.0)
  if truncate:
    low, high = math.floor(low), math.ceil(high)
  low, high = max(low, 0), min(high, dim - 1)
  ramp = ((torch.arange(dim // 2, dtype=torch.float32) - low) / (high - low)).clamp(0, 1)
  frequency = base ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)
  return frequency / config.rope_factor * ramp + frequency * (1 - ramp), 0.1 * math.log(config.rope_factor) + 1.0


class RMSNorm(nn.Module):
  def __init__(self, size, eps):
    super().__init__()
    self.weight = nn.Parameter(torch.ones(size))
    self.eps = eps

  def forward(self, x):
    x = x.float()
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


class Linear(nn.Linear):
  """A linear layer rounded to 8-bit affine by `mix` (0: as it is, 1: as exported)."""

  def forward(self, x, mix):
    return F.linear(x, straight_through(self.weight, affine(self.weight), mix) if mix is not None else self.weight, self.bias)


def rotate(x, cos, sin):
  a, b = x.chunk(2, -1)
  return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Attention(nn.Module):
  def __init__(self, config):
    super().__init__()
    self.heads, self.kv_heads, self.dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    self.q_proj = Linear(config.hidden_size, self.heads * self.dim)
    self.k_proj = Linear(config.hidden_size, self.kv_heads * self.dim)
    self.v_proj = Linear(config.hidden_size, self.kv_heads * self.dim)
    self.o_proj = Linear(self.heads * self.dim, config.hidden_size)
    self.sinks = nn.Parameter(torch.zeros(self.heads))

  def forward(self, x, rope, mask, mix, cache=None):
    """x [batch, length, hidden], mask [batch, 1, 1, length, keys] true where a query sees a key; `cache` maps (k, v) to all keys and values."""
    batch, length, _ = x.shape
    groups = self.heads // self.kv_heads
    q = rotate(self.q_proj(x, mix).view(batch, length, self.kv_heads, groups, self.dim).permute(0, 2, 3, 1, 4), *rope)
    k = rotate(self.k_proj(x, mix).view(batch, length, self.kv_heads, 1, self.dim).permute(0, 2, 3, 1, 4), *rope)
    v = self.v_proj(x, mix).view(batch, length, self.kv_heads, 1, self.dim).permute(0, 2, 3, 1, 4)
    if cache is not None:
      k, v = cache(k, v)
    # The group axis joins the query axis, so that one key serves all its query heads without being repeated.
    scores = (q.reshape(batch, self.kv_heads, groups * length, self.dim) @ k.squeeze(2).mT) * self.dim**-0.5
    scores = scores.view(batch, self.kv_heads, groups, length, -1).float().masked_fill(~mask, -math.inf)
    # A sink takes part in the softmax and contributes no value.
    sinks = self.sinks.view(1, self.kv_heads, groups, 1, 1).float()
    peak = torch.maximum(scores.amax(-1, keepdim=True), sinks).detach()
    weights = torch.exp(scores - peak)
    weights = weights / (weights.sum(-1, keepdim=True) + torch.exp(sinks - peak))
    out = weights.to(v.dtype).view(batch, self.kv_heads, groups * length, -1) @ v.squeeze(2)
    out = out.view(batch, self.kv_heads, groups, length, self.dim).permute(0, 3, 1, 2, 4)
    return self.o_proj(out.reshape(batch, length, self.heads * self.dim), mix)


class Experts(nn.Module):
  """Parameters laid out as transformers has them: [expert, in, out], gate and up interleaved."""

  def __init__(self, config):
    super().__init__()
    experts, hidden, inner = config.num_local_experts, config.hidden_size, config.intermediate_size
    self.gate_up_proj = nn.Parameter(torch.empty(experts, hidden, 2 * inner))
    self.gate_up_proj_bias = nn.Parameter(torch.zeros(experts, 2 * inner))
    self.down_proj = nn.Parameter(torch.empty(experts, inner, hidden))
    self.down_proj_bias = nn.Parameter(torch.zeros(experts, hidden))
    self.limit, self.alpha = config.swiglu_limit, config.swiglu_alpha

  def forward(self, x, weights, mix):
    """x [tokens, hidden], weights [tokens, experts], zero where an expert was not chosen."""
    experts, hidden, inner = self.gate_up_proj.shape[0], self.gate_up_proj.shape[1], self.down_proj.shape[1]
    gate_up, down = self.gate_up_proj.mT, self.down_proj.mT
    if mix is not None:
      gate_up, down = straight_through(gate_up, mxfp4(gate_up), mix), straight_through(down, mxfp4(down), mix)
    both = F.linear(x, gate_up.reshape(experts * 2 * inner, hidden), self.gate_up_proj_bias.flatten()).view(-1, experts, inner, 2)
    gate, up = both[..., 0].clamp(max=self.limit), both[..., 1].clamp(-self.limit, self.limit)
    active = (up + 1) * gate * torch.sigmoid(self.alpha * gate) * weights.unsqueeze(-1)
    out = active.flatten(1).to(x.dtype) @ down.transpose(0, 1).reshape(hidden, experts * inner).T.to(x.dtype)
    return out + weights.to(x.dtype) @ self.down_proj_bias.to(x.dtype)


class MLP(nn.Module):
  def __init__(self, config):
    super().__init__()
    self.router = Linear(config.hidden_size, config.num_local_experts)
    self.experts = Experts(config)
    self.top_k = config.num_experts_per_tok

  def forward(self, x, mix):
    """(output, load-balancing loss): the loss is 1 when tokens spread evenly (Fedus et al. 2021)."""
    flat = x.flatten(0, 1)
    with torch.autocast(x.device.type, enabled=False):
      logits = self.router(flat.float(), mix)
    top, index = logits.topk(self.top_k, -1)
    weights = torch.zeros_like(logits).scatter(-1, index, top.softmax(-1))
    chosen = (weights > 0).float().mean(0) / self.top_k
    balance = (chosen * logits.softmax(-1).mean(0)).sum() * logits.shape[-1]
    return self.experts(flat, weights, mix).view_as(x), balance


class Layer(nn.Module):
  def __init__(self, config):
    super().__init__()
    self.self_attn = Attention(config)
    self.mlp = MLP(config)
    self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
    self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Trunk(nn.Module):
  def __init__(self, config):
    super().__init__()
    self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
    self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
    self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Minerva(nn.Module):
  """gpt-oss. `mix` weighs the rounding to MXFP4-Q8: None for plain weights, or a scalar tensor from 0 to 1."""

  def __init__(self, config):
    super().__init__()
    self.config = config
    self.model = Trunk(config)
    self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False)
    self.set_yarn(truncate=False)

  def set_yarn(self, truncate):
    frequencies, self.rope_scale = yarn(self.config, truncate)
    self.register_buffer("frequencies", frequencies.to(self.lm_head.weight.device), persistent=False)

  def initialize(self, seed):
    generator = torch.Generator().manual_seed(seed)
    depth = 2 * self.config.num_hidden_layers
    for name, parameter in self.named_parameters():
      if parameter.dim() < 2 or name.endswith("_bias"):
        continue
      fan_in = parameter.shape[-2] if "experts" in name else parameter.shape[-1]
      std = 0.02 if "embed" in name or "router" in name else fan_in**-0.5 * (depth**-0.5 if "down_proj" in name or "o_proj" in name else 1)
      with torch.no_grad():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
    return self

  def forward(self, ids, positions, seen, mix=None, caches=None, frequencies=None):
    """Logits [batch, length, vocab_size] and load-balancing loss.

    ids, positions [batch, length]; seen [batch, length, keys] true where a query may look, and `distance` follows from positions of the keys in
    `caches` or, without, from `positions` themselves. Sliding layers see no further than sliding_window.
    """
    config = self.config
    keys = positions if caches is None else caches.positions
    near = positions[:, :, None] - keys[:, None, :] < config.sliding_window
    masks = {"full_attention": seen[:, None, None], "sliding_attention": (seen & near)[:, None, None]}
    angles = positions[:, None, None, :, None].float() * (self.frequencies if frequencies is None else frequencies)
    rope = (angles.cos() * self.rope_scale, angles.sin() * self.rope_scale)
    table = self.model.embed_tokens.weight
    x = F.embedding(ids, straight_through(table, affine(table), mix) if mix is not None else table)
    balance = 0.0
    for index, (layer, kind) in enumerate(zip(self.model.layers, config.layer_types)):
      cache = None if caches is None else caches.layer(index)
      x = x + layer.self_attn(layer.input_layernorm(x), rope, masks[kind], mix, cache)
      out, loss = layer.mlp(layer.post_attention_layernorm(x), mix)
      x, balance = x + out, balance + loss
    return self.lm_head(self.model.norm(x), mix), balance / config.num_hidden_layers


def packed(ids, documents):
  """(positions, seen) for rows of several documents: a token sees earlier tokens of its own document."""
  length = ids.shape[1]
  positions = torch.arange(length, device=ids.device).expand_as(ids)
  seen = (documents[:, :, None] == documents[:, None, :]) & (positions[:, :, None] >= positions[:, None, :])
  return positions, seen


@torch.no_grad()
def rounded(model):
  """The state dict as the exported file stores it: experts in MXFP4, other matrices in 8-bit affine, the rest in bf16."""
  state = {}
  for name, weight in model.state_dict().items():
    if name.endswith(("gate_up_proj", "down_proj")) and "experts" in name:
      state[name] = mxfp4(weight.mT).mT.contiguous()
    elif weight.dim() == 2 and "experts" not in name:
      state[name] = affine(weight)
    else:
      state[name] = weight.bfloat16().float()
  return state


def save(model, folder, shards=3):
  """bf16 weights in a few safetensors files: what export.py rounds, exactly, since both roundings start from bf16."""
  from safetensors.torch import save_file

  folder = Path(folder)
  names = list(model.state_dict())
  for index in range(shards):
    part = {n: model.state_dict()[n].detach().bfloat16().cpu().contiguous() for n in names[index::shards]}
    save_file(part, folder / f"checkpoint-{index + 1}-of-{shards}.safetensors")
  (folder / "checkpoint.json").write_text(json.dumps(asdict(model.config), indent=2) + "\n")


def load(folder):
  from safetensors.torch import load_file

  folder = Path(folder)
  model = Minerva(Config(**json.loads((folder / "checkpoint.json").read_text())))
  state = {}
  for path in sorted(folder.glob("checkpoint-*-of-*.safetensors")):
    state.update({name: weight.float() for name, weight in load_file(path).items()})
  model.load_state_dict(state)
  return model.eval()


def _compare():
  from transformers import GptOssConfig, GptOssForCausalLM

  for config in (Config(), Config(hidden_size=192, num_hidden_layers=3, num_local_experts=10, num_experts_per_tok=3, num_attention_heads=4, sliding_window=16)):
    ours = Minerva(config).initialize(1).eval()
    with torch.no_grad():
      for name, parameter in ours.named_parameters():
        if parameter.dim() < 2 or name.endswith("_bias"):
          parameter.add_(torch.randn_like(parameter) * 0.3)
    fields = config.to_hf()
    fields["rope_parameters"] = {**fields.pop("rope_scaling"), "rope_theta": fields.pop("rope_theta")}
    theirs = GptOssForCausalLM(GptOssConfig(**fields, attn_implementation="eager")).float().eval()
    theirs.load_state_dict(ours.state_dict())
    ids = torch.randint(0, config.vocab_size, (2, 200))
    with torch.no_grad():
      a, b = ours(ids, *packed(ids, torch.zeros_like(ids)))[0], theirs(ids).logits
    print(f"hidden {config.hidden_size}, {config.num_hidden_layers} layers: largest difference {(a - b).abs().max():.2e}, relative {((a - b).norm() / b.norm()):.2e}, "
          f"parameters {sum(p.numel() for p in ours.parameters()):,}")


if __name__ == "__main__":
  _compare()
