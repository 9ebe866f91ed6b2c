/** Where a part's share of n begins; the next part's is where it ends. Shares are multiples of `unit`. */
// @ts-ignore: decorator
@inline
export function share(n: u32, unit: u32, part: u32, parts: u32): u32 {
  const units = (n + unit - 1) / unit
  return min(n, <u32>(<u64>units * part / parts) * unit)
}

/** Rows in a block of work that the parts take from a counter: some per part, so that slower threads may take fewer. */
// @ts-ignore: decorator
@inline
export function blockRows(N: u32, unit: u32, parts: u32): u32 {
  return max(unit, min(64, N / (parts << 2) / unit * unit))
}

/** Takes the next `amount` from a counter that all parts share. */
// @ts-ignore: decorator
@inline
export function take(counter: usize, amount: u32): u32 {
  return atomic.add<u32>(counter, amount)
}
