/**
 * WGSL of gpt-oss's clamped SwiGLU (openai/gpt-oss, model.py): gate * sigmoid(alpha * gate) * (up + 1), gate <= limit,
 * |up| <= limit. WGSL may assume that nothing is ever infinite, so neither the sigmoid's argument nor its exponential
 * gets there; where the sigmoid is below float32's numbers, so is the product, however large the gate.
 */
export const SWIGLU = /* wgsl */ `
fn swiglu(gate: f32, up: f32, alpha: f32, limit: f32) -> f32 {
  let g = min(gate, limit);
  let z = clamp(alpha * clamp(g, -1e30, 1e30), -88.0, 88.0);
  return select(g / (1.0 + exp(-z)), 0.0, z == -88.0) * (clamp(up, -limit, limit) + 1.0);
}`
