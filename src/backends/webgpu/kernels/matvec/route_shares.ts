import { listComponents, componentsOf } from "../../../../ir/operands.js"
import { itemSize } from "../../../../tensor/dtype.js"
import type { Operand } from "../../../../ir/program.js"
import { type Accessor, type KernelContext, reads, type View, writes } from "../../dispatch.js"
import type { Declaration } from "../../wgsl/declaration.js"
import { formatOf } from "../../wgsl/formats/formats.js"
import { range } from "../../wgsl/range.js"
import { keepIfFirst, largest, largestBytes, storeLargest } from "../../wgsl/ranking.js"
import type { Route } from "./route.js"
import { LANES } from "./stage.js"
import type { Extra } from "./stream.js"

/**
 * A router's logits in shares. The product that gives the router's input x is spread over workgroups; each multiplies
 * its few elements of x with their columns of the router, and the launch after it adds the shares up. So no launch of
 * its own reads the router, and nobody waits for it.
 */
export interface RouteShares {
  readonly route: Route
  /** float32 `[E, workgroups]`, before the division by x's root mean square. */
  readonly shares: Operand
}

/** Most loads of shares that a lane makes. */
const MOST_LOADS = 32

/** Shares of a router's logits, or null where its weights, or the number of workgroups, do not suit. */
export function shareRoute(route: Route, workgroups: number, context: KernelContext): RouteShares | null {
  const { quantization, weight } = route.weight
  const [E] = weight.shape
  const isSimple = !quantization || formatOf(route.weight).single !== null
  const isAligned = !quantization || (weight.offset % 4 === 0 && (weight.strides[0] * itemSize(weight.dtype)) % 4 === 0)
  if (!isSimple || !isAligned || E > 4 * LANES || context.ranges(componentsOf(route.weight)).length > 1) return null
  return { route, shares: context.scratch("float32", [E, workgroups]) }
}

/** The experts of which a lane holds a column's element: every 32nd. */
function turns(E: number): number[] {
  return range(Math.ceil(E / LANES))
}

/** Views for {@link contribute}. */
export function contributionViews({ route }: RouteShares): Record<string, View> {
  const columns = listComponents({ ...route.weight, bias: undefined })
  return Object.fromEntries([
    ["router_norm", reads(route.norm.weight, "u32")],
    ...columns.map(({ component, value }) => [`router_${component}`, reads(value, "u32")]),
  ])
}

/** What {@link contribute} needs loaded: a column of the router, times the norm's weight. */
export function columnExtras(of: RouteShares, v: Readonly<Record<string, Accessor>>, column: string): Extra[] {
  const [E] = of.shares.shape
  return turns(E).map((t) => {
    const e = `min(lane + ${t * LANES}u, ${E - 1}u)`
    return { name: `column${t}`, value: `${v.router_norm.load(column)} * ${element(of.route, v, e, column)}` }
  })
}

function element({ weight: of }: Route, v: Readonly<Record<string, Accessor>>, e: string, n: string): string {
  const { weight, scales, biases } = of
  const { single, groupSize } = formatOf(of)
  const at = (operand: Operand, unit: number) => `(${e}) * ${operand.strides[0] / unit}u`
  if (!single) return v.router_weight.load(`${at(weight, 1)} + (${n})`)
  const q = single((i) => v.router_weight.at(`${at(weight, 4 / itemSize(weight.dtype))} + ${i}`), n)
  const group = (operand: Operand) => `${at(operand, 1)} + (${n}) / ${groupSize}u`
  return `fma(${q}, ${v.router_scales.load(group(scales!))}, ${v.router_biases.load(group(biases!))})`
}

/** Bytes of {@link contributionMemory}. */
export function contributionBytes({ shares }: RouteShares, groups: number): number {
  return groups * turns(shares.shape[0]).length * LANES * 4
}

/** WGSL declarations for {@link contribute}. */
export function contributionMemory(of: RouteShares, groups: number): string {
  return `var<workgroup> contributions: array<f32, ${contributionBytes(of, groups) / 4}>;`
}

/** WGSL that multiplies each group's element of x, `value` if `isValid`, and writes the workgroup's share. */
export function contribute(
  { shares }: RouteShares,
  out: Accessor,
  groups: number,
  { value, isValid }: { value: string; isValid: string },
): string {
  const [E, workgroups] = shares.shape
  const width = turns(E).length * LANES
  return `
${turns(E)
  .map(
    (t) => `contributions[group * ${width}u + ${t * LANES}u + lane] = select(0.0, ${value} * column${t}, ${isValid});`,
  )
  .join("\n")}
workgroupBarrier();
for (var e = lid; e < ${E}u; e += ${groups * LANES}u) {
  var sum = 0.0;
  for (var i = 0u; i < ${groups}u; i++) { sum += contributions[i * ${width}u + e]; }
  ${out.at(`e * ${workgroups}u + wid.x`)} = sum;
}`
}

/** Bytes of {@link choiceMemory}. */
export function choiceBytes({ route, shares }: RouteShares): number {
  return 12 * shares.shape[0] + largestBytes(route.k)
}

/** What {@link chooseExperts} uses. */
export function choiceMemory({ route, shares }: RouteShares): Declaration {
  const [E] = shares.shape
  return {
    text: `
var<workgroup> raw_logits: array<f32, ${E}>;
var<workgroup> router_biases: array<f32, ${E}>;
var<workgroup> places: array<atomic<u32>, ${E}>;`,
    needs: [largest(route.k)],
  }
}

/** Experts that a group of lanes adds the shares of, one after the other; null when there are too many. */
export function choiceRounds({ shares }: RouteShares, groups: number): number | null {
  const [E, workgroups] = shares.shape
  const rounds = Math.ceil(E / groups)
  return rounds * Math.ceil(workgroups / LANES) <= MOST_LOADS ? rounds : null
}

interface Choice {
  /** Loads, for the start of a kernel. */
  readonly load: string
  /** Adds the shares; no other group waits for it. */
  readonly add: string
  /** After a barrier, and given `inverse0`: leaves the experts in `ids`, and their logits in `chosen`. */
  readonly choose: string
  /** For one workgroup, then: writes the choice as `route` gives it. */
  readonly store: string
}

/** Views for {@link chooseExperts}. */
export function choiceViews({ route: { weight, ids, scores }, shares }: RouteShares): Record<string, View> {
  return {
    shares: reads(shares, "f32"),
    routed: writes(ids, "u32"),
    scores: writes(scores, "f32"),
    ...(weight.bias ? { router_bias: reads(weight.bias, "u32") } : {}),
  }
}

/**
 * WGSL by which a workgroup chooses the experts.
 *
 * @param reduce WGSL that replaces variables by their sums over a group's lanes
 */
export function chooseExperts(
  { route, shares }: RouteShares,
  v: Readonly<Record<string, Accessor>>,
  groups: number,
  rounds: number,
  reduce: (names: readonly string[]) => string,
): Choice {
  const [E, workgroups] = shares.shape
  const { k } = route
  const { bias } = route.weight
  const names = range(rounds).map((r) => `logit${r}`)
  const expert = (r: number) => `group + ${r * groups}u`
  const share = (r: number, i: number) => {
    const column = `lane + ${i * LANES}u`
    const at = `min(${expert(r)}, ${E - 1}u) * ${workgroups}u + min(${column}, ${workgroups - 1}u)`
    return `select(0.0, ${v.shares.at(at)}, ${column} < ${workgroups}u)`
  }
  const loads = range(Math.ceil(workgroups / LANES))
  const logit = (n: string) => `fma(raw_logits[${n}], inverse0, router_biases[${n}])`
  return {
    load: `${names.map((name, r) => loads.map((i) => `let ${name}_${i} = ${share(r, i)};`).join("\n")).join("\n")}
${bias ? `for (var e = lid; e < ${E}u; e += ${groups * LANES}u) { router_biases[e] = ${v.router_bias.load(`e * ${bias.strides[0]}u`)}; }` : ""}`,
    add: `${names.map((name) => `var ${name} = ${loads.map((i) => `${name}_${i}`).join(" + ")};`).join("\n")}
${reduce(names)}
${names.map((name, r) => `if (lane == 0u && ${expert(r)} < ${E}u) { raw_logits[${expert(r)}] = ${name}; }`).join("\n")}`,
    // Every pair is compared by a thread of its own: rounds of a search would wait on each other.
    choose: `
for (var pair = lid; pair < ${E * E}u; pair += ${groups * LANES}u) {
  let n = pair / ${E}u;
  let other = pair % ${E}u;
  if (goes_before(${logit("other")}, other, ${logit("n")}, n)) { atomicAdd(&places[n], 1u); }
}
workgroupBarrier();
for (var n = lid; n < ${E}u; n += ${groups * LANES}u) {
  let place = atomicLoad(&places[n]);
  let own = ${logit("n")};
  ${keepIfFirst(k)}
}
workgroupBarrier();`,
    store: storeLargest(k, v.routed.at, v.scores.at),
  }
}
