/**
 * WGSL statements that rotate vectors of `headDim` in workgroup memory as `hadamard` of `tensor/kv_format.ts` does, which
 * is there and back. They begin and end with a barrier.
 *
 * @param array of `count` such vectors
 */
export function hadamard(array: string, count: number, headDim: number, threads: number): string {
  const block = headDim & -headDim
  return /* wgsl */ `
  for (var half = 1u; half < ${block}u; half *= 2u) {
    workgroupBarrier();
    let norm = select(1.0, ${1 / Math.sqrt(block)}, half == ${block / 2}u);
    for (var i = lid; i < ${(count * headDim) / 2}u; i += ${threads}u) {
      let at = 2u * i - (i & (half - 1u));
      let a = ${array}[at];
      let b = ${array}[at + half];
      ${array}[at] = (a + b) * norm;
      ${array}[at + half] = (a - b) * norm;
    }
  }
  workgroupBarrier();`
}
