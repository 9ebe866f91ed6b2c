import { expectType, last } from "../expect.js"
import { spec } from "../op_spec.js"
import type { Type } from "../type.js"

/**
 * Choosing tokens from logits, each row in its own way. Backends round exponentials and their sums, so where `uniform` or
 * `top_p` falls between two tokens to within that rounding, either may be chosen; the conformance suite says how much
 * (`sampling_rule.ts`). What depends on the order of logits alone, temperature 0 and `top_k`, is exact everywhere.
 */

/** How each row of `sample` chooses. */
export interface Choices {
  /** `[W]` float32: divides the logits; 0 takes the most likely token. */
  temperature: Type
  /** `[W]` uint32: keeps the k most likely tokens, all for 0. */
  top_k: Type
  /** `[W]` float32: keeps the fewest most likely tokens whose probabilities reach it together; all from 1 on. */
  top_p: Type
  /** `[W]` float32: drops tokens less likely than so many times the most likely one. */
  min_p: Type
  /** `[W]` float32 in [0, 1): where in the cumulative probabilities of what is kept, by id, the token lies. */
  uniform: Type
}

export const sample = spec<unknown, Choices & { logits: Type; mask?: Type }, "ids">({
  summary:
    "a token for each row of logits [W, V] -> uint32 [W]: of those that mask (uint32) [W, V / 32, rounded up] allows by bits, lowest first, the most likely if its temperature [W] is 0, the lowest id of equals; else temperature, top_k (uint32) [W], top_p [W] and min_p [W] in this order, each on what the one before left, and the first id whose cumulative probability exceeds uniform [W]. NO_INDEX for a row with NaN or Infinity, or with no token allowed. A row's token depends on nothing beside it",
  operands: {
    logits: "value",
    temperature: "value",
    top_k: "value",
    top_p: "value",
    min_p: "value",
    uniform: "value",
    mask: "optional",
  },
  infer: (_, { logits, mask, ...choices }) => {
    expectType("sample: logits", logits, [-1, -1], "float32")
    const [W] = logits.shape
    for (const name of ["temperature", "top_k", "top_p", "min_p", "uniform"] as const) {
      expectType(`sample: ${name}`, choices[name], [W], name === "top_k" ? "uint32" : "float32")
    }
    if (mask) expectType("sample: mask", mask, [W, Math.ceil(last(logits.shape) / 32)], "uint32")
    return { ids: { shape: [W], dtype: "uint32" } }
  },
  tolerance: "exact",
})

/** Where logits are changed, and how: entries for distinct places. */
export interface Adjustments {
  /** `[U]` uint32; NO_INDEX leaves the entry out. */
  rows: Type
  /** `[U]` uint32 */
  ids: Type
  /** `[U]` float32, added first. */
  bias: Type
  /** `[U]` float32: divides what is positive then, multiplies the rest. */
  factor: Type
  /** `[U]` float32, added last. */
  shift: Type
}

export const adjust_logits = spec<unknown, Adjustments & { logits: Type }, "y">({
  summary:
    "logits [W, V] where, at each of the distinct places rows, ids (uint32) [U], l + bias [U] is divided by factor [U] if positive and multiplied if not, and then shift [U] is added; entries whose row is NO_INDEX change nothing",
  operands: { logits: "value", rows: "value", ids: "value", bias: "value", factor: "value", shift: "value" },
  indices: [
    { operand: "rows", what: "row", of: ["logits"], skips: true },
    { operand: "ids", what: "token id", of: ["logits"], axis: "last" },
  ],
  infer: (_, { logits, rows, ids, bias, factor, shift }) => {
    expectType("adjust_logits: logits", logits, [-1, -1], "float32")
    expectType("adjust_logits: rows", rows, [-1], "uint32")
    const U = rows.shape
    expectType("adjust_logits: ids", ids, U, "uint32")
    for (const [name, numbers] of Object.entries({ bias, factor, shift })) {
      expectType(`adjust_logits: ${name}`, numbers, U, "float32")
    }
    return { y: logits }
  },
  tolerance: "float",
})
