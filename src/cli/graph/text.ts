import type { Fold } from "../../graph/view/fold.js"
import type { Launch } from "../../graph/view/launches.js"
import type { Step } from "../../graph/view/report.js"
import { formatTable } from "../ui/format.js"
import {
  bytes,
  comparison,
  MISS_HEADER,
  missRows,
  operations,
  PASS_HEADER,
  passRows,
  type Subject,
  titleOf,
} from "./subject.js"

/** A step for a terminal: what it comes to, what the passes did, and the launches of `shown`. */
export function textOf(subject: Subject, shown: "traced" | "optimised"): string {
  const misses = missRows(subject)
  return [
    titleOf(subject),
    "",
    formatTable(["", "as traced", "optimised"], comparison(subject)),
    "",
    ...(subject.passes.length > 0 ? [formatTable(PASS_HEADER, passRows(subject)), ""] : []),
    ...(misses.length > 0 ? [formatTable(MISS_HEADER, misses), ""] : []),
    shown === "traced" ? "as traced" : "optimised",
    launchTable(subject[shown]),
  ].join("\n")
}

function launchTable({ folds }: Step): string {
  const rows = folds.flatMap((one) =>
    one.times === 1
      ? one.items.map((launch) => row(launch, ""))
      : [total(one), ...one.items.map((launch) => row(launch, "  "))],
  )
  return formatTable(["launch", "of", "gives", "reads", "writes", "operations"], rows)
}

function row({ kind, weights, attributes, results, bytes: all, written, flops }: Launch, indent: string): string[] {
  const of = [weights.join(", "), attributes.join(", ")].filter((part) => part !== "").join("; ")
  return [indent + kind, of, results.join(", "), bytes(all - written), bytes(written), operations(flops)]
}

/** A line over a unit that repeats: what all its repetitions come to. */
function total({ times, items }: Fold<Launch>): string[] {
  const sum = (of: (launch: Launch) => number) => times * items.reduce((total, launch) => total + of(launch), 0)
  return [
    `${times} x ${items.length} launches`,
    "",
    "in all",
    bytes(sum(({ bytes, written }) => bytes - written)),
    bytes(sum(({ written }) => written)),
    operations(sum(({ flops }) => flops)),
  ]
}
