import { itemSize } from "../../tensor/dtype.js"
import { sizeOf } from "../../tensor/shape.js"
import { weightRoles } from "../ops.js"
import type { Instruction, Operand, Program, ProgramBuffer } from "../program.js"

/**
 * Takes apart each `gather_swiglu` whose gate and up weights lie in different segments, for a kernel sees one segment
 * only: two products and a swiglu, which compute the same bits. The products go to buffers added at the end.
 */
export function splitSwiglu(program: Program, segmentOf: (buffer: number) => number): Program {
  const extra: Extract<ProgramBuffer, { kind: "arena" }>[] = []
  const temporary = (slot: number, like: Operand): Operand => {
    const byteLength = sizeOf(like.shape) * itemSize(like.dtype)
    const known = extra[slot]?.byteLength ?? 0
    extra[slot] = { kind: "arena", byteLength: Math.max(known, byteLength) }
    return { ...like, buffer: program.buffers.length + slot, offset: 0 }
  }
  const instructions = program.instructions.flatMap((instruction): Instruction[] => {
    const { op, inputs, output } = instruction
    if (op.kind !== "gather_swiglu") return [instruction]
    const [x, ids, ...operands] = inputs
    const gates = operands.slice(0, weightRoles(op.gate).length)
    const ups = operands.slice(gates.length)
    if (segmentOf(gates[0].buffer) === segmentOf(ups[0].buffer)) return [instruction]
    const [gate, up] = [temporary(0, output), temporary(1, output)]
    return [
      { op: { kind: "gather_matmul", format: op.gate }, inputs: [x, ids, ...gates], output: gate },
      { op: { kind: "gather_matmul", format: op.up }, inputs: [x, ids, ...ups], output: up },
      { op: { kind: "swiglu", alpha: op.alpha, limit: op.limit }, inputs: [gate, up], output },
    ]
  })
  return { ...program, buffers: [...program.buffers, ...extra], instructions }
}
