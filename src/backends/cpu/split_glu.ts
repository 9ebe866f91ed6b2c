import { type Instruction, isKind, type Operand, type Program, type ProgramBuffer } from "../../ir/program.js"
import { itemSize } from "../../tensor/dtype.js"
import { sizeOf } from "../../tensor/shape.js"

/**
 * Takes apart each `gather_glu` whose gate and up weights lie in different segments, for a kernel sees one segment
 * only: two products and a glu, which compute the same bits. The products go to buffers added at the end.
 */
export function splitGlu(program: Program, segmentOf: (buffer: number) => number): Program {
  const extra: Extract<ProgramBuffer, { kind: "arena" }>[] = []
  const temporary = (slot: number, like: Operand): Operand => {
    const byteLength = sizeOf(like.shape) * itemSize(like.dtype)
    const known = extra[slot]?.byteLength ?? 0
    extra[slot] = { kind: "arena", byteLength: Math.max(known, byteLength) }
    return { ...like, buffer: program.buffers.length + slot, offset: 0 }
  }
  const instructions = program.instructions.flatMap((instruction): Instruction[] => {
    if (!isKind(instruction, "gather_glu")) return [instruction]
    const { op, operands, results } = instruction
    const { x, ids } = operands
    if (segmentOf(operands.gate.weight.buffer) === segmentOf(operands.up.weight.buffer)) return [instruction]
    const [gate, up] = [temporary(0, results.y), temporary(1, results.y)]
    return [
      { op: { kind: "gather_matmul" }, operands: { x, ids, weight: operands.gate }, results: { y: gate } },
      { op: { kind: "gather_matmul" }, operands: { x, ids, weight: operands.up }, results: { y: up } },
      { op: { kind: "glu", activation: op.activation }, operands: { gate, up }, results },
    ]
  })
  return { ...program, buffers: [...program.buffers, ...extra], instructions }
}
