/**
 * Rotates the halves of each head by position * inv_freq; cos and sin are multiplied by `scale`. The angle is taken in
 * float64: at position 100,000 a float32 product is off by 0.004 rad. `scratch`: 4 * D bytes a thread.
 */
export function rope(
  x: usize, rows: u32, heads: u32, D: u32, positions: usize, inv_freq: usize, scale: f32, out: usize, scratch: usize,
  part: u32, parts: u32
): void {
  const half = D >> 1
  const cosines = scratch
  const sines = scratch + (half << 2)
  const units = rows * heads
  const to = <u32>(<u64>units * (part + 1) / parts)
  let known: u32 = rows
  for (let unit = <u32>(<u64>units * part / parts); unit < to; unit++) {
    const row = unit / heads
    if (row != known) {
      const position = <f64>load<u32>(positions + (row << 2))
      for (let i: u32 = 0; i < half; i++) {
        const angle = position * <f64>load<f32>(inv_freq + (i << 2))
        store<f32>(cosines + (i << 2), <f32>NativeMath.cos(angle) * scale)
        store<f32>(sines + (i << 2), <f32>NativeMath.sin(angle) * scale)
      }
      known = row
    }
    const from = x + (unit * D << 2)
    const into = out + (unit * D << 2)
    for (let i: u32 = 0; i < half; i++) {
      const a = load<f32>(from + (i << 2))
      const b = load<f32>(from + ((i + half) << 2))
      const c = load<f32>(cosines + (i << 2))
      const s = load<f32>(sines + (i << 2))
      store<f32>(into + (i << 2), a * c - b * s)
      store<f32>(into + ((i + half) << 2), b * c + a * s)
    }
  }
}
