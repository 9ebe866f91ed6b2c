import { expect } from "vitest"
import { apply } from "../../../src/graph/build.js"
import { NO_INDEX } from "../../../src/ir/specs/rows.js"
import type { Value } from "../../../src/ir/value.js"
import { exactly, floats, type Random, stored } from "./random.js"
import { HOPELESS, hopelessRows } from "./row_cases.js"
import type { Case } from "./run.js"
import { type Choice, isRightChoice } from "./sampling_rule.js"

/** Logits with how each row chooses, and what it may choose from. */
export interface Rows {
  readonly n: number
  /** `[W, n]` */
  readonly logits: Float32Array
  readonly choices: readonly Choice[]
  /** `[W, ceil(n / 32)]` */
  readonly mask?: Uint32Array
}

const words = (shape: readonly number[], values: Iterable<number>): Value =>
  stored("uint32", shape, new Uint8Array(Uint32Array.from(values).buffer))

/** The tokens that rows choose. */
export function sampled({ n, logits, choices, mask }: Rows): Value {
  const W = choices.length
  const numbers = (name: keyof Choice) =>
    exactly(
      [W],
      choices.map((choice) => choice[name]),
    )
  const operands = {
    logits: exactly([W, n], logits),
    temperature: numbers("temperature"),
    top_k: words(
      [W],
      choices.map(({ top_k }) => top_k),
    ),
    top_p: numbers("top_p"),
    min_p: numbers("min_p"),
    uniform: numbers("uniform"),
    mask: mask && words([W, Math.ceil(n / 32)], mask),
  }
  return apply({ kind: "sample" }, operands).ids
}

/** Row `l` as who chooses sees it: NaN stays, even where it is not allowed. */
function rowOf({ n, logits, mask }: Rows, l: number): Float32Array {
  const row = logits.slice(l * n, (l + 1) * n)
  if (!mask) return row
  const own = mask.subarray(l * Math.ceil(n / 32))
  return row.map((value, id) => {
    const isAllowed = (own[id >>> 5] >>> (id & 31)) & 1
    return isAllowed || Number.isNaN(value) ? value : Number.NEGATIVE_INFINITY
  })
}

/** @param tokens `[W]` */
function expectRightChoices(rows: Rows, tokens: ArrayLike<number>, what: string): void {
  for (const [l, choice] of rows.choices.entries()) {
    const isRight = isRightChoice(rowOf(rows, l), choice, tokens[l])
    expect(isRight, `${what}, row ${l} ${JSON.stringify(choice)}: ${tokens[l]}`).toBe(true)
  }
}

function sampleCase(name: string, rows: Rows): Case {
  return {
    name,
    outputs: [sampled(rows)],
    expect: ([tokens], what) => expectRightChoices(rows, tokens, what),
  }
}

const pick = <T>(random: Random, values: readonly T[]): T => values[random.below(values.length)]

/** As float32 has them, so that everyone is asked the same. */
function someChoice(random: Random, n: number): Choice {
  return {
    temperature: Math.fround(pick(random, [0, 1e-37, 0.05, 0.7, 1, 1, 3])),
    top_k: pick(random, [0, 0, 1, 2, 40, Math.max(1, n - 1), n, n + 5, 2 ** 32 - 1]),
    top_p: Math.fround(pick(random, [0, 0.1, 0.5, 0.9, 0.99, 1, 1])),
    min_p: Math.fround(pick(random, [0, 0, 0.01, 0.3, 1])),
    uniform: pick(random, [0, 1 - 2 ** -24, Math.fround(random.uniform() * 0.9999)]),
  }
}

const choicesFor = (random: Random, W: number, n: number) => Array.from({ length: W }, () => someChoice(random, n))

/** Random rows that choose in any way, of all tokens or of some. */
export function someRows(random: Random, W: number, n: number, isMasked: boolean): Rows {
  return {
    n,
    logits: random.floats(W * n, pick(random, [0.1, 3, 10])),
    choices: choicesFor(random, W, n),
    mask: isMasked ? random.integers(W * Math.ceil(n / 32), 2 ** 32) : undefined,
  }
}

/** Temperature 1 and nothing left out. */
const PLAIN: Choice = { temperature: 1, top_k: 0, top_p: 1, min_p: 0, uniform: 0.5 }

export function sampleCases(random: Random): Case[] {
  const plain = [1, 7, 33, 515, 5000].map((n) => {
    const W = n < 1000 ? 33 : 9
    return sampleCase(`of ${n}`, someRows(random, W, n, false))
  })
  const tied = [40, 3000].map((n) => {
    const logits = Float32Array.from(random.integers(17 * n, 3))
    return sampleCase(`of ${n} with ties`, { n, logits, choices: choicesFor(random, 17, n) })
  })
  const zeros = Float32Array.from({ length: 5 * 9 }, (_, i) => (i % 2 === 0 ? -0 : 0))
  const far = Float32Array.from({ length: 9 * 40 }, () => pick(random, [3e38, -3e38, 900, -900, 1e-40]))
  return [
    ...plain,
    ...tied,
    sampleCase("of zeros of both signs", {
      n: 9,
      logits: zeros,
      choices: [7, 2, 8, 6, 1].map((top_k, i) => ({ ...PLAIN, top_k, temperature: (i + 1) % 5, uniform: 0.99 })),
    }),
    sampleCase("far from zero", { n: 40, logits: far, choices: choicesFor(random, 9, 40) }),
    ...manyKept(random),
    ...maskedCases(random),
    ...HOPELESS.flatMap((n) => hopelessRows(random, n)).map(([name, n, logits]) => {
      const choices = [1, 0, 0.5, 2, 1].map((temperature) => ({ ...PLAIN, temperature, top_p: 0.9 }))
      return sampleCase(name, { n, logits, choices })
    }),
  ]
}

/** More than fit a GPU's list of candidates, and several shares of a row. */
function manyKept(random: Random): Case[] {
  const n = 9000
  const choices = [
    { top_p: 0.9 },
    { top_p: 0.9, uniform: 0.999 },
    { top_k: 4000, temperature: 3 },
    { top_k: 4000, top_p: 0.8 },
    { top_k: 8999, top_p: 0.99, min_p: 0.5 },
    { min_p: 0.2, uniform: 0.7 },
    { uniform: 0.25 },
    { temperature: 100, uniform: 0.75 },
  ].map((choice) => ({ ...PLAIN, ...choice }))
  return [
    sampleCase(`of ${n}, nearly flat`, { n, logits: random.floats(choices.length * n), choices }),
    sampleCase(`of ${n}, all the same`, { n, logits: new Float32Array(choices.length * n).fill(-3), choices }),
  ]
}

function maskedCases(random: Random): Case[] {
  return [5, 32, 70, 4099].map((n) => {
    const W = 12
    const each = Math.ceil(n / 32)
    const mask = random.integers(W * each, 2 ** 32)
    const logits = random.floats(W * n, 6)
    // Nothing allowed; one token; everything, padding included; and what nobody can choose from behind the mask.
    mask.fill(0, 0, each)
    mask.fill(0, each, 2 * each)[each + ((n - 1) >> 5)] = 1 << ((n - 1) & 31)
    mask.fill(2 ** 32 - 1, 2 * each, 3 * each)
    mask.fill(0, 3 * each, 4 * each)[3 * each] = 1
    logits[3 * n + n - 1] = Number.NaN
    // Padding does not count as a token.
    if (n % 32 > 0) mask.fill(0, 4 * each, 5 * each)[5 * each - 1] = (-1 << (n % 32)) >>> 0
    return sampleCase(`of ${n} under a mask`, { n, logits, mask, choices: choicesFor(random, W, n) })
  })
}

export function adjustLogitsCases(random: Random): Case[] {
  const adjusted = (W: number, n: number, places: readonly (readonly [number, number])[]) =>
    apply(
      { kind: "adjust_logits" },
      {
        logits: floats(random, [W, n], "float32", 9),
        rows: words(
          [places.length],
          places.map(([row]) => row),
        ),
        ids: words(
          [places.length],
          places.map(([, id]) => id),
        ),
        bias: floats(random, [places.length], "float32", 9),
        factor: exactly(
          [places.length],
          random.floats(places.length).map((value) => 1.5 + value),
        ),
        shift: floats(random, [places.length], "float32", 2),
      },
    ).y
  const scattered = (W: number, n: number) =>
    Array.from({ length: W * n }, (_, i) => [Math.floor(i / n), i % n] as const).filter(() => random.below(3) === 0)
  return [
    { name: "nothing", outputs: [adjusted(2, 5, [[NO_INDEX, 0]])] },
    {
      name: "corners, and what is left out between them",
      outputs: [
        adjusted(3, 7, [
          [2, 6],
          [NO_INDEX, 3],
          [0, 0],
          [NO_INDEX, 6],
        ]),
      ],
    },
    { name: "many of [5, 700]", outputs: [adjusted(5, 700, scattered(5, 700))] },
    { name: "many of [33, 19]", outputs: [adjusted(33, 19, scattered(33, 19))] },
  ]
}
