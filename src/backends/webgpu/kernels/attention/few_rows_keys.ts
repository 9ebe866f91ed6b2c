import type { Accessor } from "../../dispatch.js"
import { range } from "../../wgsl/range.js"
import type { CacheLayout } from "./cache_layout.js"
import { type Codes, parities, wordsOf } from "./codes.js"
import type { Division } from "./division.js"
import { encode, type Encoded, packedCodes } from "./encode.js"
import { type Attention, MASKED } from "./problem.js"

export type Views = Readonly<Record<string, Accessor>>

const each = (n: number, write: (i: number) => string) => range(n).map(write).join("\n")

/** The new key and value lie behind the queries. */
export function newHeads({ headDim }: Attention, { chunk }: Division): Encoded {
  return { array: "q_rows", first: chunk * headDim, count: 2, headDim }
}

/** WGSL for the share that the new key and value belong to; where there are none, the one that is never empty. */
export function newShare({ isNewApart }: Division): string {
  return isNewApart ? "params.splits - 1u" : "0u"
}

/**
 * One workgroup of those that share a key-value head puts the new key and value into the row's slot. In a quantized cache
 * they are what it gives back from then on.
 */
export function appendNew(of: Attention, division: Division, layout: CacheLayout, v: Views): string {
  const { headDim: D, kvHeads } = of
  const { chunks, threads } = division
  const { codes, unit } = layout
  const units = D / unit
  const { array, first } = newHeads(of, division)
  const packed = (from: number) =>
    codes
      ? packedCodes(codes, array, `${first + from}u + i * ${unit}u`)
      : layout.pack((e) => `${array}[${first + from + e}u + i * ${unit}u]`)
  return /* wgsl */ `
  if (split == ${newShare(division)}) {
  ${codes ? encode(newHeads(of, division), threads) : ""}
  if (wid.y % ${chunks}u == 0u) {
    let slot = (${v.slots.at("row")} * ${kvHeads}u + kv) * ${units}u;
    for (var i = lid; i < ${units}u; i += ${threads}u) {
      ${v.keys.at("slot + i")} = ${packed(0)};
      ${v.values.at("slot + i")} = ${packed(D)};
    }
  }
  }`
}

/** Scores of key `k<u>` against every head, as `s<u>_<h>`, then as {@link LaneSums} leave them. */
function scores({ sums, chunk, math }: Division, u: string): string {
  return `
${each(chunk, (h) => `var s${u}_${h} = ${math.score(`q${h}`, `k${u}`)};`)}
${sums.sum(`s${u}_`)}`
}

/** What becomes of a lane's sums where keys, or values, are codes. */
function scaled({ sums }: Division, { codes }: CacheLayout, name: string, scale: string): string {
  return codes ? each(sums.kept, (i) => `${name}_${i} *= ${scale};`) : ""
}

/** The first group of their share begins with the new key and value. */
export function attendNew(of: Attention, division: Division, layout: CacheLayout): string {
  const { sums, chunk, width, math } = division
  const { codes, unit, lanes } = layout
  const { array, first, headDim: D } = newHeads(of, division)
  /** Registers of the key or value: unpacked from units, where they are codes. */
  const load = (name: "key" | "value", from: number) => {
    if (!codes) {
      const registers = math.query((e) => `${array}[mine + ${first + from + e}u]`)
      return registers.map((value, i) => `let ${name[0]}n_${i} = ${value};`).join("\n")
    }
    const units = range(width / unit).map((i) => `new_${name}_${i}`)
    return `
${units.map((name, i) => `let ${name} = ${packedCodes(codes, array, `mine + ${first + from + i * unit}u`)};`).join("\n")}
${math[name](`${name[0]}n`, units)}`
  }
  const weight = codes ? `${1 / math.part} * scales[1] * ` : ""
  return /* wgsl */ `
  {
${load("key", 0)}
${load("value", D)}
${scores(division, "n")}
${scaled(division, layout, "sn", `${1 / math.part} * scales[0]`)}
    if (split == ${newShare(division)} && group == 0u) {
${each(sums.kept, (i) => `m${i} = sn_${i}; l${i} = 1.0;`)}
${each(chunk, (h) => each(width / lanes, (i) => `a${h}_${i} = ${weight}vn_${i};`))}
    }
  }`
}

/** The groups take the share's keys in turn; meanwhile the next ones are on their way, and where those after them lie is looked up. */
export function attendCached(
  { kvHeads, headDim: D }: Attention,
  division: Division,
  layout: CacheLayout,
  v: Views,
): string {
  const { unroll, width, sums, math } = division
  const units = width / layout.unit
  const names = (name: "key" | "value", u: number) => range(units).map((i) => `${name}${u}_${i}`)
  const held = range(unroll).flatMap((u) => [...names("key", u), ...names("value", u)])
  /** Loads what is next. */
  const load = (declare: "var " | "") =>
    (["key", "value"] as const)
      .flatMap((name) =>
        range(unroll).flatMap((u) =>
          names(name, u).map((unit, i) => {
            const place = `next_at${u} * ${D / layout.unit}u + lane * ${units}u + ${i}u`
            return `${declare}next_${unit} = ${layout.read(v[`${name}s`], place)};`
          }),
        ),
      )
      .join("\n")
  const lookUp = (u: number) => `(slot_of(sequence, min(next + ${u}u * GROUPS, final_position)) * ${kvHeads}u + kv)`
  return /* wgsl */ `
  let final_position = max(own.y, 1u) - 1u;
  var next = own.x + group;
  ${each(unroll, (u) => `var next_at${u} = ${lookUp(u)};`)}
  ${load("var ")}
  ${layout.codes && !division.hasSubgroups ? each(unroll, (u) => `var at${u} = next_at${u};`) : ""}
  next += ${unroll}u * GROUPS;
  ${each(unroll, (u) => `next_at${u} = ${lookUp(u)};`)}
  for (var base = own.x; base < own.y; base += ${unroll}u * GROUPS) {
    let j = base + group;
    ${held.map((name) => `let ${name} = next_${name};`).join("\n")}
    ${layout.codes && !division.hasSubgroups ? each(unroll, (u) => `let own_at${u} = at${u}; at${u} = next_at${u};`) : ""}
    ${load("")}
    next += ${unroll}u * GROUPS;
    ${each(unroll, (u) => `next_at${u} = ${lookUp(u)};`)}
    ${layout.codes ? cachedScales(layout.codes, division, units) : ""}
${each(
  unroll,
  (u) => `
${math.key(`k${u}`, names("key", u))}
${scores(division, `${u}`)}
${scaled(division, layout, `s${u}`, `key_scale${u}`)}
${each(sums.kept, (i) => `s${u}_${i} = select(${MASKED}, s${u}_${i}, j + ${u}u * GROUPS < own.y);`)}`,
)}
${softmax(division, layout)}
${each(unroll, (u) => scaled(division, layout, `s${u}`, `value_scale${u}`))}
${each(unroll, (u) => math.value(`v${u}`, names("value", u)))}
${accumulate(division, layout)}
  }`
}

/**
 * The scales `key_scale<u>` and `value_scale<u>` of vectors in codes. The parities that spell them come from all lanes: those of
 * up to four vectors lie in one word, so that they meet in the same shuffles, and lanes make a scale each.
 */
function cachedScales(codes: Codes, { unroll, lanes, hasSubgroups, math }: Division, units: number): string {
  const names = range(unroll).flatMap((u) => [`key${u}`, `value${u}`])
  const scale = (name: string) => name.replace(/\d/, "_scale$&")
  if (!hasSubgroups) {
    return names
      .map(
        (name) =>
          `let ${scale(name)} = ${1 / math.part} * scale_of(${name.slice(0, -1)}_parities(own_at${name.slice(-1)}));`,
      )
      .join("\n")
  }
  const own = (name: string) =>
    parities(
      codes,
      range(units).flatMap((i) => wordsOf(codes, `${name}_${i}`)),
    )
  const masks = range(Math.log2(lanes)).map((i) => 2 ** i)
  return range(Math.ceil(names.length / 4))
    .map((w) => {
      const four = names.slice(4 * w, 4 * w + 4)
      const isSpread = lanes >= four.length
      return /* wgsl */ `
    var spelled${w} = ${four.map((name, i) => `(${own(name)} << ${i}u)`).join(" | ")};
    ${masks.map((mask) => `spelled${w} ^= subgroupShuffleXor(spelled${w}, ${mask}u);`).join("\n")}
    ${isSpread ? `let own_scale${w} = ${1 / math.part} * scale_of(spelled${w} >> (lane & ${four.length - 1}u));` : ""}
    ${four
      .map((name, i) =>
        isSpread
          ? `let ${scale(name)} = subgroupShuffle(own_scale${w}, sg_lane - lane + ${i}u);`
          : `let ${scale(name)} = ${1 / math.part} * scale_of(spelled${w} >> ${i}u);`,
      )
      .join("\n")}`
    })
    .join("\n")
}

/** How far (in log2) a score may exceed the maximum that weights are relative to before that is raised, which costs every sum. */
const SLACK = 8

/** Scores `s<u>_<i>` become weights relative to `m<i>`. */
function softmax({ sums, unroll, chunk, width, hasSubgroups }: Division, { lanes }: CacheLayout): string {
  const of = (i: number) => range(unroll).map((u) => `s${u}_${i}`)
  const isAbove = range(sums.kept)
    .map((i) => `top${i} > m${i} + ${SLACK}.0`)
    .join(" || ")
  return `
${each(sums.kept, (i) => `let top${i} = ${of(i).reduce((a, b) => `max(${a}, ${b})`)};`)}
    if (${hasSubgroups ? `subgroupAny(${isAbove})` : isAbove}) {
${each(
  sums.kept,
  (i) => `
      let c${i} = exp2(m${i} - max(m${i}, top${i}));
      m${i} = max(m${i}, top${i});
      l${i} *= c${i};`,
)}
${each(chunk, (h) => `{ let c = ${sums.fetch("c", h)}; ${each(width / lanes, (i) => `a${h}_${i} *= c;`)} }`)}
    }
${each(
  sums.kept,
  (i) => `
    ${each(unroll, (u) => `s${u}_${i} = exp2(s${u}_${i} - m${i});`)}
    l${i} += ${of(i).join(" + ")};`,
)}`
}

/** Values times weights into every head's sums. */
function accumulate({ sums, chunk, unroll, width }: Division, layout: CacheLayout): string {
  const added = (i: number) => range(unroll).map((u) => `p${u} * v${u}_${i}`)
  return each(
    chunk,
    (h) => `{
      ${each(unroll, (u) => `let p${u} = ${sums.fetch(`s${u}_`, h)};`)}
      ${each(width / layout.lanes, (i) => `a${h}_${i} += ${added(i).join(" + ")};`)}
    }`,
  )
}
