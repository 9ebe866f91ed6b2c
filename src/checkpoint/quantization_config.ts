import * as z from "zod"
import { type DType, itemSize } from "../tensor/dtype.js"
import type { Quantization } from "../tensor/quantization.js"
import type { Shape } from "../tensor/shape.js"
import { CheckpointError, quote } from "./errors.js"

/** Which scheme a checkpoint's quantized tensors follow: names and packing are the publisher's. */
export type QuantizationFormat = "mlx" | "hf"

/** How config.json says that weights are stored. */
export interface QuantizationConfig {
  /** Null: nothing is quantized. */
  readonly format: QuantizationFormat | null
  /**
   * What the config says of the weight of the module at `path` (`model.layers.0.self_attn.q_proj`): null where it is
   * dense. MLX's config gives a default for modules that it does not name, yet some of them may be stored dense: the
   * `.scales` tensor tells.
   */
  quantizationOf(path: string): Quantization | null
  /** Whether it says so of this very module. If not, the shapes of the module's tensors tell: {@link inferQuantization}. */
  names(path: string): boolean
}

/** Bits of MLX's affine mode, and how many elements share a scale (ml-explore/mlx, mlx/ops.cpp, `affine_quantize`). */
const AFFINE = { bits: [2, 3, 4, 5, 6, 8], group_sizes: [32, 64, 128] }

/** MLX's defaults by mode (ml-explore/mlx, python/mlx/nn/layers/quantized.py, `_defaults_for_mode`). */
const MODES = {
  affine: { group_size: 64, bits: 4 },
  mxfp4: { group_size: 32, bits: 4 },
  mxfp8: { group_size: 32, bits: 8 },
  nvfp4: { group_size: 16, bits: 4 },
} as const

const parameters = z.looseObject({
  mode: z
    .enum(["affine", "mxfp4", "mxfp8", "nvfp4"])
    .nullish()
    .transform((mode) => mode ?? "affine"),
  group_size: z.int().nullish(),
  bits: z.int().nullish(),
})

const huggingFace = z.looseObject({
  quant_method: z.literal("mxfp4"),
  modules_to_not_convert: z.array(z.string().max(1000)).max(100_000).nullish(),
})

/**
 * Reads `quantization` (MLX: defaults, and per-module overrides or `false`) or `quantization_config` (Hugging Face:
 * `quant_method` "mxfp4" with `modules_to_not_convert`) from a parsed config.json.
 *
 * @param file the config's name, for messages
 * @throws CheckpointError `bad_quantization`, naming the field
 */
export function readQuantizationConfig(config: unknown, file = "config.json"): QuantizationConfig {
  const { quantization, quantization_config } = (config ?? {}) as Record<string, unknown>
  if (quantization != null) return mlxConfig(quantization, "quantization", file)
  if (quantization_config == null) return { format: null, quantizationOf: () => null, names: () => false }
  // mlx-lm writes its settings under both names; those of Hugging Face are told by their method.
  const isHuggingFace = typeof quantization_config === "object" && "quant_method" in quantization_config
  return isHuggingFace
    ? huggingFaceConfig(quantization_config, file)
    : mlxConfig(quantization_config, "quantization_config", file)
}

function mlxConfig(value: unknown, field: string, file: string): QuantizationConfig {
  const fallback = parseParameters(value, field, file)
  const modules = new Map<string, Quantization | null>()
  for (const [path, setting] of Object.entries(value as object)) {
    // The defaults' own fields are numbers and strings; modules have an object or a boolean.
    if (typeof setting === "boolean") modules.set(path, setting ? fallback : null)
    else if (typeof setting === "object" && setting !== null) {
      modules.set(path, parseParameters(setting, `${field}.${quote(path)}`, file))
    }
  }
  return {
    format: "mlx",
    quantizationOf: (path) => {
      const found = modules.get(path)
      return found === undefined ? fallback : found
    },
    names: (path) => modules.has(path),
  }
}

/** A setting without a mode is affine, even where the default is another: so MLX reads it. */
function parseParameters(value: unknown, field: string, file: string): Quantization {
  const parsed = parameters.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const at = [field, ...issue.path].join(".")
    throw bad(file, at, issue.message, "a mode of affine, mxfp4, mxfp8 or nvfp4 with group_size and bits", value)
  }
  const { mode } = parsed.data
  const group_size = parsed.data.group_size ?? MODES[mode].group_size
  const bits = parsed.data.bits ?? MODES[mode].bits
  const supported = supportedQuantization(mode, bits, group_size)
  if (supported) return supported
  const expected =
    mode === "affine"
      ? `affine with bits ${either(AFFINE.bits)} and group_size ${either(AFFINE.group_sizes)}`
      : `${mode} with bits ${MODES[mode].bits} and group_size ${MODES[mode].group_size}`
  throw bad(file, field, "this quantization is not supported", expected, { mode, bits, group_size })
}

function supportedQuantization(mode: keyof typeof MODES, bits: number, group_size: number): Quantization | null {
  const isSupported =
    mode === "affine"
      ? AFFINE.bits.includes(bits) && AFFINE.group_sizes.includes(group_size)
      : bits === MODES[mode].bits && group_size === MODES[mode].group_size
  return isSupported ? ({ mode, bits, group_size } as Quantization) : null
}

/** `2, 3 or 4` */
function either(values: readonly number[]): string {
  return `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`
}

/**
 * How a weight is packed, from the shapes of its tensors alone: mlx-lm's rule for modules that config.json does not name
 * (mlx_lm/utils.py, `infer_quant_config`). Scales of one byte are those of the mx and nv modes, which bits and group tell apart.
 *
 * @param K elements of a row
 * @returns null when they are those of no supported quantization
 */
export function inferQuantization(weight: TensorKind, scales: TensorKind, K: number): Quantization | null {
  const group_size = K / (scales.shape.at(-1) ?? 0)
  const bits = ((weight.shape.at(-1) ?? 0) * itemSize(weight.dtype) * 8) / K
  if (scales.dtype !== "uint8") return supportedQuantization("affine", bits, group_size)
  const modes = (["mxfp4", "mxfp8", "nvfp4"] as const).map((mode) => supportedQuantization(mode, bits, group_size))
  return modes.find((quantization) => quantization !== null) ?? null
}

interface TensorKind {
  readonly dtype: DType
  readonly shape: Shape
}

function huggingFaceConfig(value: unknown, file: string): QuantizationConfig {
  const parsed = huggingFace.safeParse(value)
  if (!parsed.success) {
    const at = ["quantization_config", ...parsed.error.issues[0].path].join(".")
    const found = (value as { quant_method: unknown }).quant_method
    throw bad(
      file,
      at,
      "this quantization is not supported",
      'quant_method "mxfp4", or a model without quantization',
      found,
    )
  }
  const dense = (parsed.data.modules_to_not_convert ?? []).map((pattern) => pattern.split("."))
  return {
    format: "hf",
    quantizationOf: (path) => {
      const parts = path.split(".")
      // Hugging Face's MXFP4 packs experts only; the patterns name what else a loader might have thought of.
      if (!parts.includes("experts") || dense.some((pattern) => covers(pattern, parts))) return null
      return { mode: "mxfp4", bits: 4, group_size: 32 }
    },
    names: () => false,
  }
}

/** `model.layers.*.self_attn` covers that module of every layer and all below it. */
function covers(pattern: readonly string[], path: readonly string[]): boolean {
  return pattern.length <= path.length && pattern.every((part, i) => part === "*" || part === path[i])
}

function bad(file: string, field: string, problem: string, expected: string, found: unknown): CheckpointError {
  return new CheckpointError({ code: "bad_quantization", file, field, problem, expected, found: quote(found) })
}
