/** 0 to n - 1: what repeats in a kernel's text. */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i)
}
