/** Text that computes with f16, for devices without: in float32. */
export function emulatedHalves(code: string): string {
  return code
    .replace("enable f16;", "")
    .replaceAll("bitcast<vec2<f16>>(", "unpack2x16float(")
    .replace(/\bf16\b/g, "f32")
    .replace(/(\d)h\b/g, "$1f")
}
