import { type Edge, edgesOf } from "../../graph/view/edges.js"
import type { Fold } from "../../graph/view/fold.js"
import type { Launch } from "../../graph/view/launches.js"
import type { Step } from "../../graph/view/report.js"
import { type Family, familyOf } from "./family.js"
import { STYLE } from "./page_style.js"
import {
  bytes,
  comparison,
  MISS_HEADER,
  missRows,
  operations,
  PASS_HEADER,
  passRows,
  type Subject,
  settingOf,
  titleOf,
} from "./subject.js"
import { WIDTH, wires } from "./wires.js"

/** Families as the page explains them. */
const FAMILIES: Readonly<Record<Family, string>> = {
  products: "products with weights",
  attention: "attention and caches",
  rows: "rows: norms, choices",
  elementwise: "elementwise and copies",
}

const ESTIMATES =
  "A launch is an instruction of the program; a device may run several as one, or one as several. Bytes and operations are estimates from shapes: of experts and embeddings the chosen rows count, of caches every row."

/** One page without scripts that asks for nothing else: the launches of a step, and what the passes did. */
export function htmlOf(subject: Subject, shown: "traced" | "optimised"): string {
  const other = shown === "traced" ? "optimised" : "traced"
  const heading = { traced: "As traced", optimised: "As optimised" }
  const misses = missRows(subject)
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(titleOf(subject))}</title><style>${STYLE}</style></head><body>
<h1>${escaped(subject.model)}</h1>
<p>${escaped(settingOf(subject))}. ${ESTIMATES}</p>
${plainTable(["", "as traced", "optimised"], comparison(subject))}
<h2>${heading[shown]}</h2>
<p>Wires go from a launch to those that read it${legend()}</p>
${picture(subject[shown])}
<h2>Passes</h2>
<p>Launches and memory saved are a pass's own share: what the same pipeline without it takes more.</p>
${plainTable(PASS_HEADER, passRows(subject))}
${misses.length > 0 ? `<h2>What did not fuse</h2>\n${plainTable(MISS_HEADER, misses)}` : ""}
<h2>${heading[other]}</h2>
<details class="whole"><summary>${subject[other].launches} launches</summary>
${picture(subject[other])}
</details>
</body></html>
`
}

function legend(): string {
  return Object.entries(FAMILIES)
    .map(([family, name]) => `<span class="key ${family}"></span>${name}`)
    .join("")
}

const COLUMNS = [WIDTH, 190, 0, 235, 110, 80, 80, 90]

/** Blocks under each other, units that repeat folded. Bars are shares of the most that one launch reads and writes. */
function picture({ folds }: Step): string {
  const most = Math.max(...folds.flatMap(({ items }) => items.map(({ bytes }) => bytes)))
  const edges = edgesOf(folds)
  let first = 0
  const drawn = folds.map((one) => {
    const own = edges.filter(({ to }) => to >= first && to < first + one.items.length)
    const table = launchTable(
      one.items,
      own.map(({ from, to, isBack }) => ({ from: from - first, to: to - first, isBack })),
      most,
    )
    first += one.items.length
    return one.times === 1 ? table : `<details class="unit"><summary>${unit(one)}</summary>${table}</details>`
  })
  const header = ["", "launch", "of", "gives", "", "reads", "writes", "operations"]
  const cells = header.map((name, i) => `<th${i > 4 ? ' class="n"' : ""}>${name}</th>`).join("")
  return `<table class="launches">${columns()}<tr>${cells}</tr></table>\n${drawn.join("\n")}`
}

function unit({ times, items }: Fold<Launch>): string {
  const total = times * items.reduce((sum, { bytes }) => sum + bytes, 0)
  return `${times} &times; ${items.length} launches<span>${escaped(bytes(total))} read and written in all</span>`
}

function columns(): string {
  return `<colgroup>${COLUMNS.map((width) => (width === 0 ? "<col>" : `<col style="width:${width}px">`)).join("")}</colgroup>`
}

function launchTable(items: readonly Launch[], edges: readonly Edge[], most: number): string {
  const rows = items.map((launch, i) => {
    const { kind, weights, attributes, results, bytes: all, written, flops } = launch
    const of = [weights.join(", "), attributes.join(", ")].filter((part) => part !== "").join("; ")
    const family = familyOf(kind)
    const drawing =
      i === 0
        ? `<td class="wires" rowspan="${items.length}">${wires(
            items.map((item) => familyOf(item.kind)),
            edges,
          )}</td>`
        : ""
    const bar = `<div class="bar ${family}" style="width:${((100 * all) / most).toFixed(1)}%"></div>`
    const numbers = [bytes(all - written), bytes(written), operations(flops)]
    const cells = [
      `<td><span class="kind ${family}">${escaped(kind)}</span></td>`,
      `<td class="of" title="${escaped(of)}">${escaped(of)}</td>`,
      `<td class="gives">${escaped(results.join(", "))}</td><td>${bar}</td>`,
      ...numbers.map((text) => `<td class="n">${text}</td>`),
    ]
    return `<tr>${drawing}${cells.join("")}</tr>`
  })
  return `<table class="launches">${columns()}${rows.join("\n")}</table>`
}

function plainTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const isNumber = header.map((_, i) => rows.every((row) => /^(-?[\d.]+( [kMGT]?B|[KMBT])?)?$/.test(row[i])))
  const line = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell, i) => `<${tag}${isNumber[i] ? ' class="n"' : ""}>${escaped(cell)}</${tag}>`).join("")}</tr>`
  return `<table class="plain">${line(header, "th")}${rows.map((row) => line(row, "td")).join("\n")}</table>`
}

/** Names come from files, and may hold anything. */
function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
