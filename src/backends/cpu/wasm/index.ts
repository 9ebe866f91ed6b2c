export { embedding, gather_matmul, gather_swiglu, matmul } from "./matmul"
