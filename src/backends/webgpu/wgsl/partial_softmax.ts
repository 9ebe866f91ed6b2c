import type { Declaration } from "./declaration.js"

/**
 * Softmaxes over parts of the keys that are merged. A part is a vec2f: its largest score, in log2, and the sum of its weights
 * relative to that. WGSL `worth(top, other)`: what a weight relative to `top` is relative to the larger `other`; `weight_of(part, other)`:
 * a part's weights relative to that; `merged(a, b)`: the part that two of them make.
 */
export const PARTIAL_SOFTMAX: Declaration = {
  text: /* wgsl */ `
fn worth(top: f32, other: f32) -> f32 { return exp2(top - other); }
fn weight_of(part: vec2f, other: f32) -> f32 { return part.y * worth(part.x, other); }
fn merged(a: vec2f, b: vec2f) -> vec2f {
  let top = max(a.x, b.x);
  return vec2f(top, weight_of(a, top) + weight_of(b, top));
}`,
}

/** WGSL (vec2f) for the part that a sink is, of a score in log2 that no value goes with. */
export function sinkPart(score: string): string {
  return `vec2f(${score}, 1.0)`
}
