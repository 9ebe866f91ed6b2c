import type { OperandsOf } from "../../../../ir/operations.js"
import type { Operand } from "../../../../ir/program.js"
import { type Accessor, reads, type View } from "../../dispatch.js"

/** Lanes of a workgroup, and bins of a histogram: a lane each. */
export const LANES = 256

/** Digits that a row's searches may take: see search.ts. */
export const STEPS = 17

/** Words that a digit's search hands on to the next one. */
export const STATE_WORDS = 6

/** A share's largest keys lie after the parameters of its row. */
const LARGEST = 8

/**
 * The parameters of a dispatch that say where things lie in the memory that those of `sample` share, in words of a row: its
 * parameters; of each share the largest key, and the first id that has it; from `sums` on a histogram per step, LANES sums of
 * two words; from `states` on what each step hands on.
 */
export interface RowLayout extends Readonly<Record<string, number>> {
  /** Tokens of a row, and how many shares of 2^share_bits they are divided into, LANES at most. */
  readonly n: number
  readonly shares: number
  readonly share_bits: number
  readonly mask_words: number
  readonly sums: number
  readonly states: number
  readonly stride: number
}

/** What says which tokens there are: with the mask, if there is one. */
export function tokenViews({
  logits,
  mask,
}: OperandsOf<"sample", Operand>): Record<"logits", View> & Partial<Record<"mask", View>> {
  return { logits: reads(logits, "u32"), ...(mask && { mask: reads(mask, "u32") }) }
}

/** The parameters of a row lie first, in this order. */
export const PARAMETERS = ["temperature", "top_k", "top_p", "min_p", "uniform"] as const

export function rowLayout(n: number): RowLayout {
  // Enough work for a workgroup; and no more shares than lanes.
  const share_bits = Math.max(11, Math.ceil(Math.log2(n / LANES)))
  const shares = Math.ceil(n / 2 ** share_bits)
  const sums = LARGEST + 2 * shares
  const states = sums + STEPS * 2 * LANES
  const stride = states + STEPS * STATE_WORDS
  return { n, shares, share_bits, mask_words: Math.ceil(n / 32), sums, states, stride }
}

/** WGSL for where the largest key of a share lies; the id that has it comes next. */
export const largestAt = (row: string, share: string) => `${row} * params.stride + ${LARGEST}u + 2u * ${share}`

/**
 * WGSL: a token's key is a number that is larger for a larger logit, 0 if it is forbidden and ILL if nobody can choose from
 * its row. On bits, as WGSL's floats may know no infinities.
 */
export function tokenKeys(logits: Accessor, mask: Accessor | undefined): string {
  const word = mask?.at("row * params.mask_words + (id >> 5u)")
  return /* wgsl */ `
const ILL = 0xffffffffu;
fn token_key(row: u32, id: u32) -> u32 {
  let bits = ${logits.at("row * params.n + id")};
  if ((bits & 0x7fffffffu) >= 0x7f800000u) { return select(ILL, 0u, bits == 0xff800000u); }
  ${word ? `if (((${word} >> (id & 31u)) & 1u) == 0u) { return 0u; }` : ""}
  // -0 is 0.
  if (bits == 0x80000000u) { return bits; }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}`
}

/**
 * WGSL that a row is weighed with: masses are integers, 2^31 for the most likely token, so that sums of them in two words
 * (low, high) do not depend on their order. Tokens 32 temperatures below the most likely one have none.
 */
export const WEIGHING = /* wgsl */ `
struct Row { largest: u32, temperature: f32, scale: f32, top_k: u32, top_p: f32, min_p: f32, uniform_number: f32 }
const DEAD = 32.0;
fn value_of(key: u32) -> f32 { return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) == 1u)); }
// How many temperatures a token is below the most likely one. By halves, so that nothing overflows.
fn fall(row: Row, key: u32) -> f32 {
  let half = 0.5 * value_of(row.largest) - 0.5 * value_of(key);
  return min(half, DEAD * row.temperature) * row.scale;
}
fn mass_of(row: Row, key: u32, least: f32) -> u32 {
  let below = fall(row, key);
  if (below >= DEAD) { return 0u; }
  let weight = select(min(exp(-below), 1.0), 1.0, key == row.largest);
  return select(u32(weight * 2147483648.0 + 0.5), 0u, weight < least);
}
fn plus(a: vec2u, b: vec2u) -> vec2u {
  let low = a.x + b.x;
  return vec2u(low, a.y + b.y + select(0u, 1u, low < a.x));
}`

/** WGSL for what a row is searched for: its cuts, as far as it has any, and its token in the end. */
export const SEARCHES = /* wgsl */ `
const TOP_K = 0u;
const TOP_P = 1u;
const DRAW = 2u;
fn is_searched(row: Row, goal: u32) -> bool {
  if (row.largest == 0u || row.largest == ILL || !(row.temperature > 0.0)) { return false; }
  if (goal == TOP_K) { return row.top_k > 0u && row.top_k < params.n; }
  return goal == DRAW || row.top_p < 1.0;
}
// What a token adds to the sums in a search.
fn amount_of(row: Row, goal: u32, key: u32) -> u32 {
  if (goal == TOP_K) { return select(0u, 1u, fall(row, key) < DEAD); }
  return mass_of(row, key, select(0.0, row.min_p, goal == DRAW));
}`

/** WGSL for the row as its parameters and its shares' largest keys tell: `best` is a workgroup's atomic, zero before. */
export function readRow(word: (i: string) => string): string {
  const parameter = (name: (typeof PARAMETERS)[number]) => word(`at + ${PARAMETERS.indexOf(name)}u`)
  return /* wgsl */ `
var<workgroup> best: atomic<u32>;
fn read_row(index: u32, lid: u32) -> Row {
  let at = index * params.stride;
  if (lid < params.shares) { atomicMax(&best, ${word(largestAt("index", "lid"))}); }
  workgroupBarrier();
  // Within what floats can be divided by and multiplied with; 0 stays.
  let given = bitcast<f32>(${parameter("temperature")});
  let temperature = select(0.0, clamp(given, 1e-37, 1e30), given > 0.0);
  return Row(
    atomicLoad(&best), temperature, 2.0 / max(temperature, 1e-37), ${parameter("top_k")},
    bitcast<f32>(${parameter("top_p")}), bitcast<f32>(${parameter("min_p")}), bitcast<f32>(${parameter("uniform")}),
  );
}`
}
