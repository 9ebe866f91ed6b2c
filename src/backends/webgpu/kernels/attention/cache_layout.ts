import { BackendError } from "../../../backend.js"
import type { Operand } from "../../../../ir/program.js"
import { type Accessor, reads, type View, writes } from "../../dispatch.js"
import { kvFormatOf } from "../../../../ir/expect.js"
import { type Codes, CODES, levels, wordsOf } from "./codes.js"
import { range } from "../../wgsl/range.js"

/** How a kernel reads and writes vectors of a cache: in units of up to 16 bytes. */
export interface CacheLayout {
  /** Elements that are read, or written, at once: a divisor of what a thread holds of a vector. */
  readonly unit: number
  /** Elements of one vector of the arithmetic: 4, or 1 where heads are no multiple of it. */
  readonly lanes: 1 | 4
  view(cache: Operand, written: boolean): View
  /** WGSL for a unit as stored: the `i`-th of all vectors'. */
  read(cache: Accessor, i: string): string
  /** WGSL for the vectors in a unit; in codes, to be multiplied by a scale. */
  unpack(unit: string): string[]
  /** WGSL for a unit made of elements; not of codes, which a vector gets as a whole: see `encode`. */
  pack(element: (i: number) => string): string
  /** WGSL for a float32 as the cache would give it back; not for codes. */
  round(value: string): string
  /** Where vectors are kept rotated, in codes. */
  readonly codes: Codes | null
}

/** Of a cache `[slots, heads, words]`, or of floats `[..., headDim]`. */
export function cacheLayout(cache: Pick<Operand, "dtype" | "shape">, headDim: number): CacheLayout {
  const format = kvFormatOf(cache, headDim)
  if (format === "int8" || format === "int4") return coded(CODES[format])
  return format === "float16" ? halves(headDim) : floats(headDim)
}

/** Units of 8 elements: a word of 4 bits, or two of 8. */
function coded(codes: Codes): CacheLayout {
  const never = () => {
    throw new BackendError("attention: elements of a quantized cache cannot be written one by one")
  }
  return {
    unit: 8,
    lanes: 4,
    view: viewAs(codes.bits === 4 ? "u32" : "vec2<u32>"),
    read: whole,
    unpack: (unit) => wordsOf(codes, unit).flatMap((word) => levels(codes, word)),
    pack: never,
    round: never,
    codes,
  }
}

const viewAs = (type: View["type"]) => (cache: Operand, written: boolean) => (written ? writes : reads)(cache, type)

const whole = (cache: Accessor, i: string) => cache.at(i)

function floats(headDim: number): CacheLayout {
  const lanes = headDim % 4 === 0 ? 4 : 1
  return {
    unit: lanes,
    lanes,
    view: viewAs(lanes === 4 ? "vec4<f32>" : "f32"),
    read: whole,
    unpack: (unit) => [unit],
    pack: (element) => (lanes === 4 ? `vec4f(${range(4).map(element).join(", ")})` : element(0)),
    round: (value) => value,
    codes: null,
  }
}

function halves(headDim: number): CacheLayout {
  const round = (value: string) => `unpack2x16float(pack2x16float(vec2f(${value}, 0.0))).x`
  const words = (element: (i: number) => string, count: number) =>
    range(count).map((i) => `pack2x16float(vec2f(${element(2 * i)}, ${element(2 * i + 1)}))`)
  const four = (unit: string, [x, y]: string) => `vec4f(unpack2x16float(${unit}.${x}), unpack2x16float(${unit}.${y}))`
  if (headDim % 8 === 0) {
    return {
      unit: 8,
      lanes: 4,
      view: viewAs("vec4<u32>"),
      read: whole,
      unpack: (unit) => [four(unit, "xy"), four(unit, "zw")],
      pack: (element) => `vec4u(${words(element, 4).join(", ")})`,
      round,
      codes: null,
    }
  }
  if (headDim % 4 === 0) {
    return {
      unit: 4,
      lanes: 4,
      view: viewAs("vec2<u32>"),
      read: whole,
      unpack: (unit) => [four(unit, "xy")],
      pack: (element) => `vec2u(${words(element, 2).join(", ")})`,
      round,
      codes: null,
    }
  }
  if (headDim % 2 === 0) {
    return {
      unit: 2,
      lanes: 1,
      view: viewAs("u32"),
      read: whole,
      unpack: (unit) => [`unpack2x16float(${unit}).x`, `unpack2x16float(${unit}).y`],
      pack: (element) => words(element, 1)[0],
      round,
      codes: null,
    }
  }
  return {
    unit: 1,
    lanes: 1,
    view: viewAs("u32"),
    read: (cache, i) => cache.load(i),
    unpack: (unit) => [unit],
    pack: () => {
      throw new BackendError(`attention: rows of ${headDim} float16 cannot be appended: heads must be even`)
    },
    round,
    codes: null,
  }
}
