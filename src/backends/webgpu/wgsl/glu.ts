import { type GatedActivation, gluCoefficients } from "../../../ir/activation.js"
import type { Declaration } from "./declaration.js"
import { wgslFloat } from "./float_literal.js"

/**
 * WGSL `glu(gate, up)`: see `GluCoefficients`. WGSL may assume that nothing is ever infinite, so neither the sigmoid's
 * argument nor its exponential gets there; where the sigmoid is below float32's numbers, so is the product, however large
 * the gate.
 */
export function glu(activation: GatedActivation): Declaration {
  const { alpha, cubic, limit, offset } = gluCoefficients(activation)
  return {
    text: /* wgsl */ `
fn glu(gate: f32, up: f32) -> f32 {
  let g = min(gate, ${wgslFloat(limit)});
  let u = clamp(up, ${wgslFloat(-limit)}, ${wgslFloat(limit)});
  let t = clamp(g, -1e12, 1e12);
  let z = clamp(${wgslFloat(alpha)} * clamp(g, -1e30, 1e30) + ${wgslFloat(cubic)} * t * t * t, -88.0, 88.0);
  return select(g / (1.0 + exp(-z)), 0.0, z == -88.0) * (u + ${wgslFloat(offset)});
}`,
  }
}
