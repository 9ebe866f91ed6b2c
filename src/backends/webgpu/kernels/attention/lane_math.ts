import type { GpuFeatures } from "../../features.js"
import { range } from "../../wgsl/range.js"
import type { CacheLayout } from "./cache_layout.js"
import { type Codes, HALF_LEVELS, LEVELS, wordsOf } from "./codes.js"

/** How a lane holds its part of queries, keys and values: in registers `<name>_0`, `<name>_1`... WGSL throughout. */
export interface LaneMath {
  readonly enable: readonly "f16"[]
  readonly functions: string
  /** Keys and values in codes are, in registers, this part of levels: a vector's scale is left to its scores and weights. */
  readonly part: number
  /** Registers of a query or a key. */
  readonly registers: number
  /** Values of registers of a query, made of its elements (f32). */
  query(element: (i: number) => string): string[]
  /** Statements that unpack a key's units. */
  key(name: string, units: readonly string[]): string
  /** The product (f32) of registers of a query and a key. */
  score(query: string, key: string): string
  /** Statements that unpack a value's units, as vectors of f32. */
  value(name: string, units: readonly string[]): string
}

/** @param width elements of a lane's part */
export function laneMath(layout: CacheLayout, width: number, { f16 }: Pick<GpuFeatures, "f16">): LaneMath {
  return layout.codes && f16 ? halves(layout.codes, width) : floats(layout, width)
}

const declare = (name: string, values: readonly string[]) =>
  values.map((value, i) => `let ${name}_${i} = ${value};`).join("\n")

function floats({ codes, lanes, unpack }: CacheLayout, width: number): LaneMath {
  const registers = width / lanes
  const unpacked = (name: string, units: readonly string[]) => declare(name, units.flatMap(unpack))
  const four = (element: (i: number) => string, at: number) =>
    `vec4f(${range(4)
      .map((i) => element(at + i))
      .join(", ")})`
  const product = (a: string, b: string) => (lanes === 4 ? `dot(${a}, ${b})` : `${a} * ${b}`)
  return {
    enable: [],
    functions: codes ? LEVELS[codes.bits] : "",
    part: 1,
    registers,
    query: (element) => range(registers).map((i) => (lanes === 4 ? four(element, 4 * i) : element(i))),
    key: unpacked,
    score: (query, key) =>
      range(registers)
        .map((i) => product(`${query}_${i}`, `${key}_${i}`))
        .join(" + "),
    value: unpacked,
  }
}

/** Pairs of float16: a lane's part of a score is summed in float16, all else in float32. */
function halves(codes: Codes, width: number): LaneMath {
  const { part, text, pairs, pair } = HALF_LEVELS[codes.bits]
  const registers = width / 2
  const inWord = 32 / codes.bits
  const decoded = (units: readonly string[]) =>
    units.flatMap((unit) => wordsOf(codes, unit)).flatMap((word) => pairs.map((_, i) => pair(word, i)))
  /** The pair of a word that holds an element, and where. */
  const place = (e: number) => {
    const i = pairs.findIndex((pair) => pair.includes(e))
    return { i, component: e === pairs[i][0] ? "x" : "y" }
  }
  return {
    enable: ["f16"],
    functions: `${text}
fn half_sum(pair: vec2<f16>) -> f32 { return f32(pair.x) + f32(pair.y); }`,
    part,
    registers,
    query: (element) =>
      range(width / inWord).flatMap((word) =>
        pairs.map(([a, b]) => `vec2<f16>(vec2f(${element(word * inWord + a)}, ${element(word * inWord + b)}))`),
      ),
    key: (name, units) => declare(name, decoded(units)),
    score: (query, key) => {
      const sum = range(registers).reduce((sum, i) => {
        const factors = `${query}_${i}, ${key}_${i}`
        return sum ? `fma(${factors}, ${sum})` : factors.replace(",", " *")
      }, "")
      return `half_sum(${sum})`
    },
    value: (name, units) => {
      const fours = range(width / 4).map((i) => {
        const elements = range(4).map((e) => {
          const { i: at, component } = place((4 * i + e) % inWord)
          return `${name}h_${Math.floor((4 * i) / inWord) * pairs.length + at}.${component}`
        })
        return `vec4f(${elements.map((half) => `f32(${half})`).join(", ")})`
      })
      return `${declare(`${name}h`, decoded(units))}\n${declare(name, fours)}`
    },
  }
}
