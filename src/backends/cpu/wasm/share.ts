/** Where a thread's share of n begins; the next thread's is where it ends. Shares are multiples of `unit`. */
// @ts-ignore: decorator
@inline
export function share(n: u32, unit: u32, thread: u32, threads: u32): u32 {
  const units = (n + unit - 1) / unit
  return min(n, <u32>(<u64>units * thread / threads) * unit)
}

/** Rows in a block of work that threads take from a counter: some per thread, so that slower ones may take fewer. */
// @ts-ignore: decorator
@inline
export function blockRows(N: u32, unit: u32, threads: u32): u32 {
  return max(unit, min(64, N / (threads << 2) / unit * unit))
}

/** Takes the next `amount` from a counter that all threads share. */
// @ts-ignore: decorator
@inline
export function take(counter: usize, amount: u32): u32 {
  return atomic.add<u32>(counter, amount)
}
