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

/** The bytes of `16GB` (decimal), `512MiB` (binary) or a plain number; undefined for what is no size above 0. */
export function parseBytes(text: string): number | undefined {
  const [, digits, prefix, binary] = /^(\d+(?:\.\d+)?) ?(?:([KMGT])(i)?)?B?$/i.exec(text.trim()) ?? []
  const power = prefix ? "KMGT".indexOf(prefix.toUpperCase()) + 1 : 0
  const bytes = Math.floor(Number(digits) * (binary ? 1024 : 1000) ** power)
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined
}
