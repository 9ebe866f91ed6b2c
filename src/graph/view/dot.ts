import { formatBytes } from "../../tensor/bytes.js"
import { edgesOf } from "./edges.js"
import type { Fold } from "./fold.js"
import type { Launch } from "./launches.js"

/** A step as a graph in Graphviz' language: a box for each launch, and one around a unit that repeats. */
export function dot(title: string, folds: readonly Fold<Launch>[]): string {
  const lines = ["digraph step {", `  label=${quoted(title)}; labelloc=t; node [shape=box, fontname="monospace"];`]
  let number = 0
  for (const [i, { times, items }] of folds.entries()) {
    const isUnit = times > 1
    if (isUnit) lines.push(`  subgraph cluster_${i} {`, `    label=${quoted(`${times} times`)}; style=rounded;`)
    for (const launch of items) lines.push(`${isUnit ? "    " : "  "}n${number++} [label=${quoted(labelOf(launch))}];`)
    if (isUnit) lines.push("  }")
  }
  for (const { from, to, isBack } of edgesOf(folds)) {
    lines.push(`  n${from} -> n${to}${isBack ? " [style=dashed, constraint=false]" : ""};`)
  }
  return `${[...lines, "}"].join("\n")}\n`
}

function labelOf({ kind, weights, attributes, results, bytes }: Launch): string {
  return [kind, weights.join(", "), attributes.join(", "), results.join(", "), formatBytes(Math.round(bytes))]
    .filter((line) => line !== "")
    .join("\n")
}

/** A quoted string: names come from files, and may hold anything. */
function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, "\\$&").replace(/\r?\n|\r/g, "\\n")}"`
}
