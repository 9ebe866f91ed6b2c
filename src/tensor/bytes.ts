/** `13.8 GB`: decimal units, as disks and downloads are counted. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, ["B", "kB", "MB", "GB", "TB"], " ")
}

/** Three digits and the unit that fits, each a thousand of the one before. */
export function scaled(value: number, units: readonly string[], gap: string): string {
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toPrecision(3)}${gap}${units[unit]}`
}
