import type { Accessor } from "../../dispatch.js"
import { range } from "../../wgsl/range.js"
import type { CacheLayout } from "./cache_layout.js"
import { type Codes, parities, wordsOf } from "./codes.js"
import type { Division } from "./division.js"
import { encode, packedCodes } from "./encode.js"
import { hadamard } from "./hadamard.js"
import { type Attention, MASKED } from "./problem.js"

export type Views = Readonly<Record<string, Accessor>>

const each = (n: number, write: (i: number) => string) => range(n).map(write).join("\n")

/**
 * One workgroup of those that share a key-value head puts the new key and value into the row's slot. In a quantized cache
 * they are what it gives back from then on.
 */
export function appendNew(
  { headDim: D, kvHeads }: Attention,
  division: Division,
  layout: CacheLayout,
  v: Views,
): string {
  const { chunks, threads } = division
  const { codes, unit } = layout
  const units = D / unit
  const packed = (first: number) =>
    codes
      ? packedCodes(codes, "new_heads", `i * ${unit}u + ${first}u`)
      : layout.pack((e) => `new_heads[i * ${unit}u + ${first + e}u]`)
  const store = /* wgsl */ `
  if (split == 0u && wid.y % ${chunks}u == 0u) {
    let slot = (${v.slots.at("row")} * ${kvHeads}u + kv) * ${units}u;
    for (var i = lid; i < ${units}u; i += ${threads}u) {
      ${v.keys.at("slot + i")} = ${packed(0)};
      ${v.values.at("slot + i")} = ${packed(D)};
    }
  }`
  if (!codes) return store
  // Only the first share attends to them.
  return /* wgsl */ `
  if (split == 0u) {
  ${hadamard("new_heads", 2, D, threads)}
  ${encode("new_heads", 2, D, threads)}
  ${store}
  workgroupBarrier();
  for (var i = lid; i < ${2 * D}u; i += ${threads}u) { new_heads[i] = level_of(i32(new_heads[i])) * scales[i / ${D}u]; }
  workgroupBarrier();
  }`
}

/** Elements `at` on of a lane's part of a vector in workgroup memory. */
export function vectorAt(name: string, { lanes }: CacheLayout, at: number): string {
  const element = (e: number) => `${name}[mine + ${at + e}u]`
  return lanes === 4 ? `vec4f(${range(4).map(element).join(", ")})` : element(0)
}

/** Scores of key `k<u>_<i>` against every head, as `s<u>_<h>`, then as {@link LaneSums} leave them. */
function scores({ sums, chunk, width }: Division, { lanes }: CacheLayout, u: string): string {
  const product = (h: number, i: number) => {
    const [q, k] = [`q${h}_${i}`, `k${u}_${i}`]
    return lanes === 4 ? `dot(${q}, ${k})` : `${q} * ${k}`
  }
  const score = (h: number) =>
    range(width / lanes)
      .map((i) => product(h, i))
      .join(" + ")
  return `
${each(chunk, (h) => `var s${u}_${h} = ${score(h)};`)}
${sums.sum(`s${u}_`)}`
}

/** The first group of the first share begins with the new key and value. */
export function attendNew(of: Attention, division: Division, layout: CacheLayout): string {
  const { sums, chunk, width } = division
  const vectors = width / layout.lanes
  const load = (i: number) => `
    let kn_${i} = ${vectorAt("new_heads", layout, i * layout.lanes)};
    let vn_${i} = ${vectorAt("new_heads", layout, of.headDim + i * layout.lanes)};`
  return /* wgsl */ `
  {
${each(vectors, load)}
${scores(division, layout, "n")}
    if (split == 0u && group == 0u) {
${each(sums.kept, (i) => `m${i} = sn_${i}; l${i} = 1.0;`)}
${each(chunk, (h) => each(vectors, (i) => `a${h}_${i} = vn_${i};`))}
    }
  }`
}

/** The groups take the share's keys in turn; where the next ones lie is looked up while these are on their way. */
export function attendCached(
  { kvHeads, headDim: D }: Attention,
  division: Division,
  layout: CacheLayout,
  v: Views,
): string {
  const { unroll, width } = division
  const units = width / layout.unit
  const load = (name: "key" | "value", u: number) =>
    each(units, (i) => {
      const at = `at${u} * ${D / layout.unit}u + lane * ${units}u + ${i}u`
      return `let ${name}${u}_${i} = ${layout.read(v[`${name}s`], at)};`
    })
  const unpack = (name: "key" | "value", u: number) =>
    range(units)
      .flatMap((i) => layout.unpack(`${name}${u}_${i}`))
      .map((vector, i) => `let ${name[0]}${u}_${i} = ${layout.codes ? `${name}_scale${u} * ` : ""}${vector};`)
      .join("\n")
  const lookUp = (u: number) => `(slot_of(sequence, min(next + ${u}u * GROUPS, final_position)) * ${kvHeads}u + kv)`
  return /* wgsl */ `
  let final_position = max(own.y, 1u) - 1u;
  var next = own.x + group;
  ${each(unroll, (u) => `var next_at${u} = ${lookUp(u)};`)}
  for (var base = own.x; base < own.y; base += ${unroll}u * GROUPS) {
    let j = base + group;
    ${each(unroll, (u) => `let at${u} = next_at${u};`)}
${each(unroll, (u) => load("key", u))}
${each(unroll, (u) => load("value", u))}
    next = j + ${unroll}u * GROUPS;
    ${each(unroll, (u) => `next_at${u} = ${lookUp(u)};`)}
    ${layout.codes ? cachedScales(layout.codes, division, units) : ""}
${each(
  unroll,
  (u) => `
${unpack("key", u)}
${scores(division, layout, `${u}`)}
${each(division.sums.kept, (i) => `s${u}_${i} = select(${MASKED}, s${u}_${i}, j + ${u}u * GROUPS < own.y);`)}`,
)}
${softmax(division)}
${each(unroll, (u) => unpack("value", u))}
${accumulate(division, layout)}
  }`
}

/**
 * The scales `key_scale<u>` and `value_scale<u>` of vectors in codes. The parities that spell them come from all lanes: those of
 * up to four vectors lie in one word, so that they meet in the same shuffles.
 */
function cachedScales(codes: Codes, { unroll, lanes, hasSubgroups }: Division, units: number): string {
  const names = range(unroll).flatMap((u) => [`key${u}`, `value${u}`])
  const own = (name: string) =>
    parities(
      codes,
      range(units).flatMap((i) => wordsOf(codes, `${name}_${i}`)),
    )
  const all = (name: string) => `${name.slice(0, -1)}_parities(at${name.at(-1)})`
  const word = names.map((name, i) => `(${hasSubgroups ? own(name) : all(name)} << ${i}u)`).join(" | ")
  const masks = range(hasSubgroups ? Math.log2(lanes) : 0).map((i) => 2 ** i)
  return /* wgsl */ `
    var spelled = ${word};
    ${masks.map((mask) => `spelled ^= subgroupShuffleXor(spelled, ${mask}u);`).join("\n")}
    ${names.map((name, i) => `let ${name.slice(0, -1)}_scale${name.at(-1)} = scale_of(spelled >> ${i}u);`).join("\n")}`
}

/** Scores `s<u>_<i>` become weights; `c<i>` is what weights of the keys before are worth now. */
function softmax({ sums, unroll }: Division): string {
  const of = (i: number) => range(unroll).map((u) => `s${u}_${i}`)
  return each(
    sums.kept,
    (i) => `
    let top${i} = ${of(i).reduce((a, b) => `max(${a}, ${b})`, `m${i}`)};
    let c${i} = exp2(m${i} - top${i});
    m${i} = top${i};
    ${each(unroll, (u) => `s${u}_${i} = exp2(s${u}_${i} - top${i});`)}
    l${i} = l${i} * c${i} + ${of(i).join(" + ")};`,
  )
}

/** Values times weights into every head's sums. */
function accumulate({ sums, chunk, unroll, width }: Division, layout: CacheLayout): string {
  const added = (i: number) => range(unroll).map((u) => `p${u} * v${u}_${i}`)
  return each(
    chunk,
    (h) => `{
      let c = ${sums.fetch("c", h)};
      ${each(unroll, (u) => `let p${u} = ${sums.fetch(`s${u}_`, h)};`)}
      ${each(width / layout.lanes, (i) => `a${h}_${i} = a${h}_${i} * c + ${added(i).join(" + ")};`)}
    }`,
  )
}
