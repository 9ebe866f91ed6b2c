/** `13.8 GB`: decimal units, as disks and downloads are counted. */
export function formatBytes(bytes: number): string {
  return scale(bytes, ["B", "kB", "MB", "GB", "TB"], " ")
}

/** `20.9B`: counts of parameters. */
export function formatCount(count: number): string {
  return scale(count, ["", "K", "M", "B", "T"], "")
}

/** `840 ms`, `12.3 s`, `4 min 5 s` */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
}

/** Columns as wide as their widest cell; numbers to the right. */
export function formatTable(rows: readonly (readonly (string | number)[])[], header?: readonly string[]): string {
  const all = header ? [header, ...rows] : rows
  const widths = (all[0] ?? []).map((_, column) => Math.max(...all.map((row) => String(row[column]).length)))
  const rightAligned = widths.map((_, column) => rows.every((row) => /^[\d.,%x -]*\d/.test(String(row[column]))))
  const line = (row: readonly (string | number)[]) =>
    row
      .map((cell, i) => (rightAligned[i] ? String(cell).padStart(widths[i]) : String(cell).padEnd(widths[i])))
      .join("  ")
      .trimEnd()
  return all.map(line).join("\n")
}

function scale(value: number, units: readonly string[], gap: string): string {
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toPrecision(3)}${gap}${units[unit]}`
}
