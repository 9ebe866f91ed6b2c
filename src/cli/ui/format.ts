import { scaled } from "../../tensor/bytes.js"

/** `20.9B`: counts of parameters. */
export function formatCount(count: number): string {
  return scaled(count, ["", "K", "M", "B", "T"], "")
}

/** `840 ms`, `12.3 s`, `4 min 5 s` */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/** `name  value` lines. */
export function formatFacts(facts: readonly (readonly [string, string | number])[]): string {
  return alignColumns(facts, [])
}

const QUANTITY = /^(-?[\d.,]+( [kMGT]?B|[KMBT])?)?$/

/** A header and rows, columns as wide as their widest cell; columns of quantities, or nothing, stand to the right. */
export function formatTable(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const toRight = header.map((_, column) => rows.every((row) => QUANTITY.test(String(row[column]))))
  return alignColumns([header, ...rows], toRight)
}

function alignColumns(rows: readonly (readonly (string | number)[])[], toRight: readonly boolean[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  const line = (row: readonly (string | number)[]) =>
    row
      .map((cell, i) => (toRight[i] ? String(cell).padStart(widths[i]) : String(cell).padEnd(widths[i])))
      .join("  ")
      .trimEnd()
  return rows.map(line).join("\n")
}
