import { type KernelOp, type OperandRole, operandRoles, writtenOperands } from "../backends/ops.js"
import type { Instruction, Operand, Program, ProgramBuffer } from "../backends/program.js"
import { itemSize } from "../tensor/dtype.js"
import { contiguousStrides, sizeOf } from "../tensor/shape.js"
import { Storage } from "../tensor/storage.js"
import { type Lifetime, planArena } from "./arena.js"
import { GraphError, isView, topologicalOrder, type Value } from "./ir.js"

export interface LowerOptions {
  /** False gives every intermediate value memory of its own: the oracle of the arena planner. */
  readonly reuseMemory?: boolean
}

/**
 * Turns a graph into a Program: views become strides, intermediate values get offsets in one arena, outputs get storages.
 *
 * @param outputs values to be readable afterwards, one result storage each
 * @param effects values to be computed for what they write (`kv_append`, `assign`), without a result
 * @throws GraphError when a value reads a state as it was before a write, and also what follows from that write
 */
export function lower(outputs: readonly Value[], effects: readonly Value[] = [], options: LowerOptions = {}): Program {
  const lowering = new Lowering(outputs)
  for (const value of executionOrder([...effects, ...outputs])) lowering.place(value)
  return lowering.finish(options.reuseMemory ?? true)
}

/** Inputs first; and whatever reads a state itself, not what a write made of it, before the writes to that state. */
function executionOrder(roots: readonly Value[]): Value[] {
  const readers = new Map<Storage, Value[]>()
  const writers = new Map<Value, Storage[]>()
  const stateOf = new Map<Value, Storage>() // states and views of them
  for (const value of topologicalOrder(roots)) {
    const written = writtenOperands(value.op).map((i) => stateOf.get(value.inputs[i])!)
    if (written.length > 0) writers.set(value, written)
    const own = value.op.kind === "state" ? [value.op.storage] : []
    const read = value.inputs
      .flatMap((input) => stateOf.get(input) ?? [])
      .filter((storage) => !written.includes(storage))
    for (const storage of [...own, ...read]) {
      if (own.length > 0 || isView(value)) stateOf.set(value, storage)
      if (!readers.has(storage)) readers.set(storage, [])
      readers.get(storage)!.push(value)
    }
  }
  const before = new Map(
    [...writers].map(([writer, states]) => [writer, states.flatMap((state) => readers.get(state)!)]),
  )
  const order = topologicalOrder(roots, before)
  const places = new Map(order.map((value, i) => [value, i]))
  for (const [writer, values] of before) {
    const late = values.find((value) => places.get(value)! > places.get(writer)!)
    if (late) {
      throw new GraphError(`${late.op.kind} reads a state and what follows from ${writer.op.kind} to it: copy it first`)
    }
  }
  return order
}

/** An operand whose buffer is a scratch value; its final offset comes from the arena plan. */
interface Scratch {
  byteLength: number
  first: number
  last: number
}

class Lowering {
  private readonly buffers: ProgramBuffer[] = [{ kind: "arena", byteLength: 0 }]
  private readonly bufferOf = new Map<Storage | string, number>()
  private readonly operands = new Map<Value, Operand>()
  private readonly instructions: Instruction[] = []
  private readonly scratch: Scratch[] = []
  private readonly results = new Map<Value, Storage>()

  constructor(private readonly outputs: readonly Value[]) {
    for (const value of outputs) {
      this.results.set(value, new Storage(`output of ${value.op.kind}`, value.dtype, value.shape, null))
    }
  }

  place(value: Value): void {
    const { op } = value
    if (op.kind === "constant" || op.kind === "state") {
      this.operands.set(value, this.whole(value, this.storage(op.storage, op.kind === "state")))
    } else if (op.kind === "input") {
      this.operands.set(value, this.whole(value, this.input(op.name, value)))
    } else if (op.kind === "reshape") {
      const source = this.contiguous(this.operands.get(value.inputs[0])!)
      this.operands.set(value, { ...source, shape: value.shape, strides: contiguousStrides(value.shape) })
    } else if (op.kind === "slice") {
      const source = this.operands.get(value.inputs[0])!
      const skipped = source.strides.reduce((sum, stride, axis) => sum + stride * op.start[axis], 0)
      const strides = source.strides.map((stride, axis) => stride * op.step[axis])
      const offset = source.offset + skipped * itemSize(value.dtype)
      this.operands.set(value, { ...source, offset, shape: value.shape, strides })
    } else if (op.kind === "bitcast") {
      this.operands.set(value, { ...this.operands.get(value.inputs[0])!, dtype: value.dtype })
    } else {
      this.operands.set(value, this.launch(value, op))
    }
    this.deliver(value)
  }

  finish(reuseMemory: boolean): Program {
    const end = this.instructions.length
    const lifetimes: Lifetime[] = reuseMemory
      ? this.scratch
      : this.scratch.map(({ byteLength }) => ({ byteLength, first: 0, last: end }))
    const plan = planArena(lifetimes)
    this.buffers[0] = { kind: "arena", byteLength: plan.byteLength }
    const settle = (operand: Operand): Operand =>
      operand.buffer >= 0
        ? operand
        : { ...operand, buffer: 0, offset: operand.offset + plan.offsets[-1 - operand.buffer] }
    return {
      buffers: this.buffers,
      instructions: this.instructions.map(({ op, inputs, output }) => ({
        op,
        inputs: inputs.map(settle),
        output: settle(output),
      })),
      results: this.outputs.map((value) => this.results.get(value)!),
    }
  }

  private launch(value: Value, op: KernelOp): Operand {
    const roles = operandRoles(op, value.inputs.length)
    const inputs = value.inputs.map((input, i) => {
      const operand = this.operands.get(input)!
      return mayBeStrided(op, roles[i], operand) ? operand : this.contiguous(operand)
    })
    if (op.kind === "kv_append" || op.kind === "assign") return this.emit(op, inputs, inputs[0])
    const result = this.results.get(value)
    const buffer = result ? this.storage(result, true) : this.allocate(value)
    return this.emit(op, inputs, this.whole(value, buffer))
  }

  /** Outputs that are leaves or views of something else are copied into their result; in-place states are not. */
  private deliver(value: Value): void {
    const result = this.results.get(value)
    if (!result || this.bufferOf.has(result)) return
    this.emit({ kind: "copy" }, [this.operands.get(value)!], this.whole(value, this.storage(result, true)))
  }

  private emit(op: KernelOp, inputs: readonly Operand[], output: Operand): Operand {
    const index = this.instructions.length
    for (const { buffer } of [...inputs, output]) if (buffer < 0) this.scratch[-1 - buffer].last = index
    this.instructions.push({ op, inputs, output })
    return output
  }

  private contiguous(operand: Operand): Operand {
    if (isContiguous(operand)) return operand
    return this.emit({ kind: "copy" }, [operand], this.whole(operand, this.allocate(operand)))
  }

  private whole(of: Pick<Operand, "shape" | "dtype">, buffer: number): Operand {
    return { buffer, offset: 0, shape: of.shape, strides: contiguousStrides(of.shape), dtype: of.dtype }
  }

  /** Scratch values are numbered -1, -2, ... until the arena is planned. */
  private allocate(of: Pick<Operand, "shape" | "dtype">): number {
    const index = this.instructions.length
    this.scratch.push({ byteLength: sizeOf(of.shape) * itemSize(of.dtype), first: index, last: index })
    return -this.scratch.length
  }

  private storage(storage: Storage, written: boolean): number {
    return this.buffer(storage, () => ({ kind: "storage", storage, access: written ? "write" : "read" }))
  }

  private input(name: string, value: Value): number {
    const byteLength = sizeOf(value.shape) * itemSize(value.dtype)
    return this.buffer(name, () => ({ kind: "input", name, dtype: value.dtype, byteLength }))
  }

  private buffer(key: Storage | string, make: () => ProgramBuffer): number {
    const known = this.bufferOf.get(key)
    if (known !== undefined) return known
    this.bufferOf.set(key, this.buffers.length)
    return this.buffers.push(make()) - 1
  }
}

function isContiguous(operand: Operand): boolean {
  const strides = contiguousStrides(operand.shape)
  return operand.shape.every((dim, axis) => dim === 1 || operand.strides[axis] === strides[axis])
}

/** See Instruction: weights may be strided in their outer axes, the operands of copy and binary anywhere. */
function mayBeStrided(op: KernelOp, role: OperandRole, operand: Operand): boolean {
  if (op.kind === "copy" || op.kind === "binary" || role === "bias") return true
  const lastAxis = operand.shape.length - 1
  return role !== "value" && (operand.strides[lastAxis] === 1 || operand.shape[lastAxis] === 1)
}
