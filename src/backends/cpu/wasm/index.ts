export { attention, kv_append, rope } from "./attention"
export { binary, cast, copy, swiglu, unary } from "./elementwise"
export { embedding, gather_matmul, gather_swiglu, matmul } from "./matmul"
export { categorical, reduce, rms_norm, softmax, take_along_axis, top_k, weighted_sum } from "./rows"
