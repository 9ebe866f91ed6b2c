import * as z from "zod"
import type { YarnScaling } from "../nn/rope.js"
import { badConfig, checked, show } from "./checked.js"

/** What RoPE is made of, whichever way a config spells it. */
export interface RopeSettings {
  readonly rope_theta: number
  /** YaRN's parameters; null for plain RoPE. */
  readonly rope_scaling: YarnScaling | null
}

/** A config's fields that speak of RoPE, and those that its defaults come from. */
export interface RopeFields {
  readonly rope_theta?: number | null
  readonly rope_scaling?: Readonly<Record<string, unknown>> | null
  readonly rope_parameters?: Readonly<Record<string, unknown>> | null
  readonly original_max_position_embeddings?: number | null
  readonly partial_rotary_factor?: number | null
  readonly max_position_embeddings: number
  readonly layer_types: readonly string[]
}

const DEFAULT_THETA = 150000

/** gpt-oss's own, which Hugging Face's GptOssConfig assumes when a config says nothing. */
const DEFAULT_YARN: YarnScaling = {
  factor: 32,
  beta_fast: 32,
  beta_slow: 1,
  truncate: false,
  original_max_position_embeddings: 4096,
}

const real = z.number().positive().max(1e12)

const length = z
  .int()
  .min(1)
  .max(2 ** 30)
  .nullish()

/** Of rotary angles' base; at 1 all pairs would turn alike. */
const theta = z.number().gt(1).max(1e12).nullish()

const parameters = z.record(z.string(), z.unknown())

/** The fields for a config's schema. */
export const ropeSchema = {
  rope_theta: theta,
  rope_scaling: parameters.nullish(),
  rope_parameters: parameters.nullish(),
  original_max_position_embeddings: length,
  partial_rotary_factor: real.nullish(),
}

const common = z.looseObject({
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
  rope_theta: theta,
  partial_rotary_factor: real.nullish(),
})

const yarn = z.object({
  factor: real,
  original_max_position_embeddings: length,
  beta_fast: real.nullish().transform((beta) => beta ?? 32),
  beta_slow: real.nullish().transform((beta) => beta ?? 1),
  // In Python null counts as false.
  truncate: z.boolean().nullable().default(true).transform(Boolean),
  attention_factor: real.nullish(),
  // transformers takes 0 for silence.
  mscale: z.number().min(0).max(1e12).nullish(),
  mscale_all_dim: z.number().min(0).max(1e12).nullish(),
})

/** Parameters of one kind of scaling or another: beside plain RoPE they mean that something was meant to scale. */
const SCALING = [
  ...Object.keys(yarn.shape),
  "low_freq_factor",
  "high_freq_factor",
  "short_factor",
  "long_factor",
  "mrope_section",
]

/** What one object of the config says. */
interface Statement {
  readonly field: string
  /** Undefined where the object leaves it to others. */
  readonly rope_theta: number | undefined
  readonly rope_scaling: YarnScaling | null
}

/**
 * Reads RoPE in all its spellings: transformers 4's `rope_theta` and `rope_scaling`, transformers 5's `rope_parameters`, and
 * either of the two objects once per layer type. What is said in several places must be the same. Without a word it is
 * gpt-oss's YaRN, as in transformers; `rope_scaling: null` is plain RoPE, as in mlx-lm.
 *
 * @throws CheckpointError `bad_config` for contradictions (showing both sides), and for scaling other than YaRN
 */
export function readRope(config: RopeFields, file: string): RopeSettings {
  refusePartial(config.partial_rotary_factor, "partial_rotary_factor", file)
  const statements = (["rope_scaling", "rope_parameters"] as const).flatMap((field) => {
    const said = config[field]
    return said ? [readEither(field, said, config, file)] : []
  })
  if (statements.length === 0) {
    const rope_scaling = config.rope_scaling === null ? null : DEFAULT_YARN
    return { rope_theta: config.rope_theta ?? DEFAULT_THETA, rope_scaling }
  }
  const [first, second = first] = statements
  const rope_theta = first.rope_theta ?? second.rope_theta
  // A base that only one of the two names holds for both.
  mustAgree({ ...first, rope_theta }, { ...second, rope_theta: second.rope_theta ?? rope_theta }, file)
  return { rope_theta: rope_theta ?? DEFAULT_THETA, rope_scaling: first.rope_scaling }
}

/** One object that holds for all layers, or one for each layer type. */
function readEither(field: string, said: object, config: RopeFields, file: string): Statement {
  const entries = Object.entries(said)
  const nested = entries.filter(([key, value]) => isObject(value) || key.endsWith("_attention"))
  if (nested.length === 0) return readStatement(field, said, config, file)
  const beside = entries.find(
    ([key, value]) => value !== null && [...Object.keys(common.shape), ...SCALING].includes(key),
  )
  if (beside) {
    const expected = "every parameter within the entries of the layer types"
    throw badConfig(file, `${field}.${beside[0]}`, "it stands beside entries per layer type", expected, show(beside[1]))
  }
  const known = ["full_attention", "sliding_attention"]
  const statements = nested.map(([type, value]) => {
    if (!known.includes(type)) {
      throw badConfig(file, `${field}.${type}`, "not a layer type of gpt-oss", known.join(" or "), show(value))
    }
    return readStatement(`${field}.${type}`, value, config, file)
  })
  const used = [...new Set(config.layer_types)].map((type) => {
    const statement = statements.find(({ field: at }) => at === `${field}.${type}`)
    if (statement) return statement
    throw badConfig(file, `${field}.${type}`, "layer_types has layers of this type", "an entry for it", "none")
  })
  // Where one entry names a base the others have the default, as in transformers.
  const isBaseNamed = used.some(({ rope_theta }) => rope_theta !== undefined)
  const whole = used.map((entry) => (isBaseNamed ? { ...entry, rope_theta: entry.rope_theta ?? DEFAULT_THETA } : entry))
  for (const other of whole.slice(1)) mustAgree(whole[0], other, file)
  return whole[0]
}

function readStatement(field: string, said: unknown, config: RopeFields, file: string): Statement {
  const given = checked(common, said, file, field)
  if (Object.values(given).every((value) => value == null)) {
    throw badConfig(file, field, "it says nothing", 'a rope_type, "yarn" or "default"', show(said))
  }
  refusePartial(given.partial_rotary_factor, `${field}.partial_rotary_factor`, file)
  const rope_theta = sayOnce(["rope_theta", config.rope_theta], [`${field}.rope_theta`, given.rope_theta], file)
  const type = sayOnce([`${field}.rope_type`, given.rope_type], [`${field}.type`, given.type], file)
  if (type === "yarn") return { field, rope_theta, rope_scaling: readYarn(field, given, config, file) }
  if (type !== undefined && type !== "default") {
    const at = given.rope_type == null ? "type" : "rope_type"
    throw badConfig(file, `${field}.${at}`, "this kind of RoPE scaling is not supported", "yarn or default", show(type))
  }
  // A factor of 1 scales nothing.
  const scaling = SCALING.find((key) => given[key] != null && !(key === "factor" && given[key] === 1))
  if (scaling !== undefined) {
    const found = `${type === undefined ? "none" : `"${type}"`} beside ${scaling} ${show(given[scaling])}`
    throw badConfig(file, `${field}.rope_type`, "plain RoPE has no scaling", '"yarn", or no parameters of it', found)
  }
  return { field, rope_theta, rope_scaling: null }
}

function readYarn(field: string, given: object, config: RopeFields, file: string): YarnScaling {
  const { attention_factor, mscale, mscale_all_dim, ...rest } = checked(yarn, given, file, field)
  const key = "original_max_position_embeddings"
  const original = sayOnce([key, config[key]], [`${field}.${key}`, rest[key]], file)
  const ratio =
    mscale && mscale_all_dim ? yarnScale(rest.factor, mscale) / yarnScale(rest.factor, mscale_all_dim) : null
  return {
    ...rest,
    // Where nobody says it, transformers takes the model's context (mlx-lm 4096).
    original_max_position_embeddings: original ?? config.max_position_embeddings,
    attention_factor: attention_factor ?? ratio ?? undefined,
  }
}

/** YaRN's attention scale with DeepSeek's multiplier (transformers, modeling_rope_utils.py, `get_mscale`). */
function yarnScale(factor: number, mscale: number): number {
  return factor > 1 ? 0.1 * mscale * Math.log(factor) + 1 : 1
}

/** Where only part of a head turns, transformers' gpt-oss has no such model. */
function refusePartial(factor: number | null | undefined, field: string, file: string): void {
  if (factor == null || factor === 1) return
  throw badConfig(file, field, "rotary embedding of a part of each head is not supported", "1", show(factor))
}

/** The value of one or both of two fields. */
function sayOnce<T>([nameA, a]: [string, T], [nameB, b]: [string, T], file: string): NonNullable<T> | undefined {
  if (a != null && b != null && a !== b) {
    throw badConfig(file, nameB, `contradicts ${nameA}`, show(a), show(b))
  }
  return a ?? b ?? undefined
}

function mustAgree(a: Statement, b: Statement, file: string): void {
  const [flatA, flatB] = [a, b].map(({ rope_theta, rope_scaling }): Record<string, unknown> => {
    return { rope_type: rope_scaling ? "yarn" : "default", rope_theta, ...rope_scaling }
  })
  const key = Object.keys({ ...flatA, ...flatB }).find((key) => flatA[key] !== flatB[key])
  if (key === undefined) return
  const problem = `contradicts ${a.field}.${key}`
  throw badConfig(file, `${b.field}.${key}`, problem, show(flatA[key] ?? "none"), show(flatB[key] ?? "none"))
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
