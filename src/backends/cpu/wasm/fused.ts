/**
 * Whether sums of products of bytes are added to int32 in one instruction, for signed bytes times unsigned ones of all eight
 * bits: tools/build-wasm.mjs builds the kernels with either. What the instruction does with an eighth bit is left to the engine;
 * `dotsAreExact` asks it.
 */
export const FUSED: bool = false
