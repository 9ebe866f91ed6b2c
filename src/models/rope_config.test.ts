import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { CheckpointError } from "../checkpoint/errors.js"
import { ropeParameters } from "../nn/rope.js"
import { parseGptOssConfig } from "./config.js"

interface Spelling {
  readonly config: object
  readonly inv_freq: readonly number[]
  readonly scale: number
}

/** tools/reference/rope_spellings.py */
const SPELLINGS: Record<string, Spelling> = JSON.parse(
  readFileSync(new URL("../../../test/models/fixtures/rope_spellings.json", import.meta.url), "utf8"),
)

const read = (config: object) => {
  const { rope_theta, rope_scaling } = parseGptOssConfig({ model_type: "gpt_oss", num_hidden_layers: 2, ...config })
  return { rope_theta, rope_scaling }
}

function refusal(config: object): string {
  try {
    read(config)
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError)
    expect((error as CheckpointError).code).toBe("bad_config")
    return (error as CheckpointError).message
  }
  return expect.unreachable(`read as ${JSON.stringify(read(config))}`)
}

describe("RoPE is what transformers makes of the config", () => {
  it.each(Object.entries(SPELLINGS))("%s", (_, { config, inv_freq, scale }) => {
    const { head_dim, rope_theta, rope_scaling } = parseGptOssConfig(config)
    const found = ropeParameters(head_dim, rope_theta, rope_scaling)
    expect(found.scale).toBeCloseTo(scale, 6)
    for (const [i, frequency] of inv_freq.entries()) expect(found.inv_freq[i] / frequency).toBeCloseTo(1, 5)
  })
})

const yarn = { rope_type: "yarn", factor: 8, original_max_position_embeddings: 64 }
const types = (entry: unknown, other = entry) => ({ full_attention: entry, sliding_attention: other })

describe("refused, naming the field and what was found", () => {
  it.each<[string, object, string[]]>([
    ["two types", { rope_scaling: { ...yarn, type: "default" } }, ["rope_scaling.type", "yarn", "default"]],
    ["no type", { rope_scaling: { factor: 8 } }, ["rope_scaling.rope_type", "factor 8"]],
    ["a null type", { rope_parameters: { ...yarn, rope_type: null } }, ["rope_parameters.rope_type", "factor 8"]],
    ["default with a factor", { rope_parameters: { ...yarn, rope_type: "default" } }, ['"default" beside factor 8']],
    ["nothing", { rope_scaling: {} }, ["rope_scaling", "{}"]],
    ["nothing, in version 5", { rope_parameters: { rope_type: null } }, ["rope_parameters", "null"]],
    [
      "half a type",
      { rope_parameters: types(yarn, { rope_type: "default" }) },
      ["sliding_attention.rope_type", "yarn"],
    ],
    ["two factors", { rope_parameters: types(yarn, { ...yarn, factor: 4 }) }, ["sliding_attention.factor", "8", "4"]],
    ["two betas", { rope_parameters: types(yarn, { ...yarn, beta_fast: 31 }) }, ["beta_fast", "32", "31"]],
    ["two bases", { rope_parameters: types({ ...yarn, rope_theta: 7 }, yarn) }, ["rope_theta", "7", "150000"]],
    ["a type missing", { rope_parameters: { full_attention: yarn } }, ["rope_parameters.sliding_attention", "none"]],
    ["a null entry", { rope_parameters: types(yarn, null) }, ["rope_parameters.sliding_attention", "null"]],
    ["an unknown layer type", { rope_parameters: { ...types(yarn), chunked_attention: yarn } }, ["chunked_attention"]],
    ["another unknown one", { rope_parameters: { global: yarn } }, ["rope_parameters.global"]],
    ["both flat and nested", { rope_parameters: { ...types(yarn), factor: 8 } }, ["rope_parameters.factor"]],
    ["version 4 and 5", { rope_scaling: yarn, rope_parameters: { ...yarn, factor: 32 } }, ["8", "32", "rope_scaling"]],
    ["4 and nested 5", { rope_scaling: yarn, rope_parameters: types({ ...yarn, factor: 9 }) }, ["factor", "8", "9"]],
    ["yarn and default", { rope_scaling: yarn, rope_parameters: { rope_type: "default" } }, ["yarn", "default"]],
    ["two thetas", { rope_theta: 5000, rope_parameters: { ...yarn, rope_theta: 6000 } }, ["5000", "6000"]],
    [
      "thetas of 4 and 5",
      { rope_scaling: { ...yarn, rope_theta: 5 }, rope_parameters: { ...yarn, rope_theta: 6 } },
      ["5"],
    ],
    ["two contexts", { original_max_position_embeddings: 128, rope_scaling: yarn }, ["128", "64"]],
    ["part of a head", { partial_rotary_factor: 0.5 }, ["partial_rotary_factor", "0.5"]],
    ["part of a head, inside", { rope_scaling: { ...yarn, partial_rotary_factor: 0.5 } }, ["partial_rotary_factor"]],
    ["theta 1", { rope_theta: 1 }, ["rope_theta", "1"]],
    ["infinite theta", { rope_theta: Number.POSITIVE_INFINITY }, ["rope_theta", "Infinity"]],
    ["a factor that is none", { rope_scaling: { ...yarn, factor: Number.NaN } }, ["rope_scaling.factor", "NaN"]],
    ["no factor", { rope_scaling: { rope_type: "yarn" } }, ["rope_scaling.factor"]],
    ["a list", { rope_parameters: [yarn] }, ["rope_parameters"]],
    ["a word", { rope_scaling: "yarn" }, ["rope_scaling", "yarn"]],
  ])("%s", (_, config, words) => {
    const message = refusal(config)
    for (const word of words) expect(message).toContain(word)
  })

  const kinds = ["linear", "llama3", "longrope", "dynamic", "proportional", "mrope", "su", "Yarn", ""]
  it.each(kinds)("the kind %j, wherever it stands", (kind) => {
    for (const key of ["rope_type", "type"]) {
      const entry = { [key]: kind, factor: 8 }
      for (const config of [
        { rope_scaling: entry },
        { rope_parameters: entry },
        { rope_parameters: types(entry) },
        { rope_parameters: types(yarn, entry) },
      ]) {
        const message = refusal(config)
        expect(message).toContain(`${key}"`)
        expect(message).toContain("not supported")
        expect(message).toContain(kind)
      }
    }
  })
})

/** A rope, as its entries would be spelled: yarn or plain. */
const anyRope = fc.record({
  theta: fc.constantFrom(5000, 10000, 150000.5),
  entry: fc.oneof(
    fc.constant({ rope_type: "default" }),
    fc.record(
      {
        rope_type: fc.constant("yarn"),
        factor: fc.constantFrom(2, 8, 32),
        original_max_position_embeddings: fc.constantFrom(64, 4096),
        beta_fast: fc.constantFrom(16, 32),
        beta_slow: fc.constantFrom(1, 2),
        truncate: fc.boolean(),
        attention_factor: fc.constantFrom(1, 1.25),
      },
      { requiredKeys: ["rope_type", "factor", "original_max_position_embeddings"] },
    ),
  ),
})

type Entry = Record<string, unknown>

const renameType = ({ rope_type, ...rest }: Entry, how: number): Entry =>
  [
    { rope_type, ...rest },
    { type: rope_type, ...rest },
    { type: rope_type, rope_type, ...rest },
    { type: rope_type, rope_type: null, ...rest },
    { rope_type, type: null, ...rest },
  ][how]

/** Which objects speak, where the base stands, how the type is named and whether entries are per layer type. */
const anySpelling = fc.record({
  objects: fc.constantFrom(["rope_scaling"], ["rope_parameters"], ["rope_scaling", "rope_parameters"]),
  outside: fc.boolean(),
  inside: fc.boolean(),
  nested: fc.tuple(fc.boolean(), fc.boolean()),
  types: fc.array(fc.nat(4), { minLength: 4, maxLength: 4 }),
})

type Of<T> = T extends fc.Arbitrary<infer U> ? U : never

function spell({ theta, entry }: Of<typeof anyRope>, how: Of<typeof anySpelling>, changed = entry as Entry) {
  const inside = how.inside || !how.outside
  const written = (e: Entry, i: number) =>
    renameType(inside ? { ...e, rope_theta: e.rope_theta ?? theta } : e, how.types[i])
  const config: Entry = how.outside ? { rope_theta: theta } : {}
  for (const [i, name] of how.objects.entries()) {
    // The last word is the changed one.
    const last = i === how.objects.length - 1 ? changed : entry
    config[name] = how.nested[i] ? types(written(entry, 2 * i), written(last, 2 * i + 1)) : written(last, 2 * i)
  }
  return config
}

describe("spellings", () => {
  it("may leave a layer type's base to the default, and a factor of 1 where nothing scales", () => {
    const named = { ...yarn, rope_theta: 150000 }
    expect(read({ rope_parameters: types(named, yarn) })).toEqual(read({ rope_parameters: types(named) }))
    expect(refusal({ rope_parameters: types({ ...yarn, rope_theta: 7777 }, yarn) })).toMatch(
      /7777.*150000|150000.*7777/,
    )
    expect(read({ rope_scaling: { rope_type: "default", factor: 1.0 } }).rope_scaling).toBeNull()
  })

  it("that mean the same are read alike", () => {
    fc.assert(
      fc.property(anyRope, anySpelling, (rope, how) => {
        const { rope_type, ...parts } = rope.entry as Entry
        const { rope_theta, rope_scaling } = read(spell(rope, how))
        expect(rope_theta).toBe(rope.theta)
        if (rope_type === "default") expect(rope_scaling).toBeNull()
        else expect(rope_scaling).toEqual({ beta_fast: 32, beta_slow: 1, truncate: true, ...parts })
      }),
      { numRuns: 1000, seed: 11 },
    )
  })

  it("that contradict each other are refused with both sides", () => {
    const change = fc.constantFrom<Entry>({ factor: 3 }, { beta_fast: 17 }, { beta_slow: 3 }, { rope_theta: 7777 })
    fc.assert(
      fc.property(anyRope, anySpelling, change, (rope, how, part) => {
        const [[key, value]] = Object.entries(part)
        const isAlone = how.objects.length === 1 && !how.nested[0]
        const isPlain = rope.entry.rope_type === "default"
        fc.pre(key === "rope_theta" ? !isAlone || how.outside : !isAlone && !isPlain)
        const message = refusal(spell(rope, { ...how, inside: true }, { ...rope.entry, ...part }))
        expect(message).toContain(`contradicts`)
        expect(message).toContain(String(value))
        const other = key === "rope_theta" ? rope.theta : (rope.entry as Entry)[key]
        if (other !== undefined) expect(message).toContain(String(other))
      }),
      { numRuns: 1000, seed: 12 },
    )
  })
})
