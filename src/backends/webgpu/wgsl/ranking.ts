import type { Declaration } from "./declaration.js"

/** WGSL `goes_before(a, i, b, j)`: whether a, at index i, ranks before b, at j. The larger does; of equals, that of the lower index. */
export const ORDER: Declaration = {
  text: /* wgsl */ `
fn goes_before(a: f32, i: u32, b: f32, j: u32) -> bool { return a > b || (a == b && i < j); }`,
}

/**
 * WGSL statements that count into `place` the values of `count` that go before the one at index `n`, `own`: all at once, where
 * rounds of a search would wait on each other. Takes {@link ORDER}.
 */
export function countPlace(count: string, value: (i: string) => string): string {
  return /* wgsl */ `
    var place = 0u;
    for (var other = 0u; other < ${count}; other++) { place += u32(goes_before(${value("other")}, other, own, n)); }`
}

/** Bytes of workgroup memory for {@link largest}. */
export function largestBytes(k: number): number {
  return 8 * k
}

/** Declares `ids` and `chosen`, the indices and values of the `k` largest by falling rank, in workgroup memory. */
export function largest(k: number): Declaration {
  return {
    text: `var<workgroup> ids: array<u32, ${k}>;\nvar<workgroup> chosen: array<f32, ${k}>;`,
    needs: [ORDER],
  }
}

/** WGSL statements that take index `n` and its value `own` among the {@link largest}, if its place is among the first k. */
export function keepIfFirst(k: number): string {
  return `if (place < ${k}u) { ids[place] = n; chosen[place] = own; }`
}

/** WGSL statements by which the first lanes store the {@link largest}, and their softmax. */
export function storeLargest(k: number, ids: (slot: string) => string, scores: (slot: string) => string): string {
  return /* wgsl */ `
  if (lid < ${k}u) {
    var sum = 0.0;
    for (var i = 0u; i < ${k}u; i++) { sum += exp(chosen[i] - chosen[0]); }
    ${ids("lid")} = ids[lid];
    ${scores("lid")} = exp(chosen[lid] - chosen[0]) / sum;
  }`
}
