/** The largest finite float32. */
const MAX_FLOAT32 = 2 ** 128 - 2 ** 104

/** A WGSL literal of a number. Infinity, which WGSL has no literal for, becomes the largest number there is. */
export function wgslFloat(value: number): string {
  const text = String(Math.max(-MAX_FLOAT32, Math.min(value, MAX_FLOAT32)))
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`
}
