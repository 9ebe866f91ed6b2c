/** Where a thread's share of n begins; the next thread's is where it ends. Shares are multiples of `unit`. */
// @ts-ignore: decorator
@inline
export function share(n: u32, unit: u32, thread: u32, threads: u32): u32 {
  const units = (n + unit - 1) / unit
  return min(n, <u32>(<u64>units * thread / threads) * unit)
}
