import { type AnyOperands, listOperands, mapOperands, type Place } from "../ir/operands.js"
import type { KernelOp } from "../ir/operations.js"
import type { Instruction, Operand, Program, ProgramBuffer } from "../ir/program.js"
import { largest, type Sym } from "../ir/dim.js"
import { GraphError } from "../ir/graph_error.js"
import type { Type } from "../ir/type.js"
import { isView, type Node, type Roots, rolesOf, topologicalOrder, type Value } from "../ir/value.js"
import { isStridedAnywhere, writesOf } from "../ir/describe.js"
import { itemSize } from "../tensor/dtype.js"
import { contiguousStrides, type Shape, sizeOf } from "../tensor/shape.js"
import { Storage } from "../tensor/storage.js"
import { type Lifetime, planArena } from "./arena.js"

export interface LowerOptions {
  /** False gives every intermediate value memory of its own: the oracle of the arena planner. */
  readonly reuseMemory?: boolean
}

/**
 * Turns a graph into a Program: views become strides, intermediate values get offsets in one arena, outputs get storages.
 *
 * @param roots each output gets a result storage; effects (`kv_append`, `put`) get none
 * @throws GraphError when a value reads a state as it was before a write, and also what follows from that write
 */
export function lower({ outputs, effects = [] }: Roots, options: LowerOptions = {}): Program {
  const lowering = new Lowering(outputs)
  for (const node of executionOrder([...effects, ...outputs])) lowering.place(node)
  return lowering.finish(options.reuseMemory ?? true)
}

/** Inputs first; and whatever reads a state itself, not what a write made of it, before the writes to that state. */
function executionOrder(roots: readonly Value[]): Node[] {
  const readers = new Map<Storage, Node[]>()
  const writers = new Map<Node, Storage[]>()
  const stateOf = new Map<Node, Storage>() // states and views of them
  for (const node of topologicalOrder(roots)) {
    const written = writtenBy(node).map((value) => stateOf.get(value.node)!)
    if (written.length > 0) writers.set(node, written)
    const own = node.op.kind === "state" ? [node.op.storage] : []
    const read = node.inputs
      .flatMap((input) => stateOf.get(input.node) ?? [])
      .filter((storage) => !written.includes(storage))
    for (const storage of [...own, ...read]) {
      if (own.length > 0 || isView(node)) stateOf.set(node, storage)
      if (!readers.has(storage)) readers.set(storage, [])
      readers.get(storage)!.push(node)
    }
  }
  const before = new Map(
    [...writers].map(([writer, states]) => [writer, states.flatMap((state) => readers.get(state)!)]),
  )
  const order = topologicalOrder(roots, before)
  const places = new Map(order.map((node, i) => [node, i]))
  for (const [writer, nodes] of before) {
    const late = nodes.find((node) => places.get(node)! > places.get(writer)!)
    if (late) {
      throw new GraphError(`${late.op.kind} reads a state and what follows from ${writer.op.kind} to it: copy it first`)
    }
  }
  return order
}

/** The states that a node updates in place. */
function writtenBy({ op, operands }: Node): Value[] {
  return Object.values(writesOf(op)).map((name) => operands[name] as Value)
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
      this.results.set(value, new Storage(`output of ${value.node.op.kind}`, value.dtype, largest(value.shape), null))
    }
  }

  place(node: Node): void {
    const { op } = node
    if (op.kind === "constant" || op.kind === "state") {
      this.see(node, (y) => this.whole(y, this.storage(op.storage, op.kind === "state")))
    } else if (op.kind === "input") {
      this.see(node, (y) => this.whole(y, this.input(op.name, y)))
    } else if (op.kind === "reshape") {
      const source = this.contiguous(this.operands.get(node.inputs[0])!)
      this.see(node, (y) => ({ ...source, ...window(y), strides: contiguousStrides(largest(y.shape)) }))
    } else if (op.kind === "slice") {
      const source = this.operands.get(node.inputs[0])!
      const skipped = source.strides.reduce((sum, stride, axis) => sum + stride * op.start[axis], 0)
      const strides = source.strides.map((stride, axis) => stride * op.step[axis])
      const offset = source.offset + skipped * itemSize(source.dtype)
      this.see(node, (y) => ({ ...source, ...window(y), offset, strides }))
    } else {
      this.launch(node, op)
    }
    for (const value of Object.values(node.results)) this.deliver(value)
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
      instructions: this.instructions.map(({ op, operands, results }) => ({
        op,
        operands: mapOperands(rolesOf(op), operands, settle),
        results: mapValues(results, settle),
      })),
      results: this.outputs.map((value) => this.results.get(value)!),
    }
  }

  private launch(node: Node, op: KernelOp): void {
    const operands = mapOperands(rolesOf(op), node.operands, (value, place) => {
      const operand = this.operands.get(value)!
      return mayBeStrided(op, place, operand) ? operand : this.contiguous(operand)
    })
    const writes = writesOf(op)
    const results = mapValues(node.results, (value, name) => {
      if (name in writes) return operands[writes[name]] as Operand
      const result = this.results.get(value)
      return this.whole(value, result ? this.storage(result, true) : this.allocate(value))
    })
    this.emit(op, operands, results)
    for (const [name, value] of Object.entries(node.results)) this.operands.set(value, results[name])
  }

  /** Outputs that are leaves or views of something else are copied into their result; in-place states are not. */
  private deliver(value: Value): void {
    const result = this.results.get(value)
    if (result && !this.bufferOf.has(result)) this.copy(this.operands.get(value)!, this.storage(result, true))
  }

  /** What the single result of a leaf or a view is. */
  private see({ results: { y } }: Node, operand: (y: Value) => Operand): void {
    this.operands.set(y, operand(y))
  }

  private emit(op: KernelOp, operands: AnyOperands<Operand>, results: Readonly<Record<string, Operand>>): void {
    const index = this.instructions.length
    const all = [...listOperands(rolesOf(op), operands).map(({ operand }) => operand), ...Object.values(results)]
    for (const { buffer } of all) if (buffer < 0) this.scratch[-1 - buffer].last = index
    this.instructions.push({ op, operands, results })
  }

  private copy(x: Operand, buffer: number): Operand {
    const y = this.whole(x, buffer)
    this.emit({ kind: "copy", dtype: x.dtype }, { x }, { y })
    return y
  }

  private contiguous(operand: Operand): Operand {
    if (isContiguous(operand)) return operand
    return this.copy(operand, this.allocate(operand))
  }

  private whole(of: Type | Operand, buffer: number): Operand {
    const shape = window(of)
    return { buffer, offset: 0, ...shape, strides: contiguousStrides(shape.shape), dtype: of.dtype }
  }

  /** Scratch values are numbered -1, -2, ... until the arena is planned. */
  private allocate(of: Type | Operand): number {
    const index = this.instructions.length
    this.scratch.push({ byteLength: sizeOf(largest(of.shape)) * itemSize(of.dtype), first: index, last: index })
    return -this.scratch.length
  }

  private storage(storage: Storage, written: boolean): number {
    return this.buffer(storage, () => ({ kind: "storage", storage, access: written ? "write" : "read" }))
  }

  private input(name: string, value: Type): number {
    const byteLength = sizeOf(largest(value.shape)) * itemSize(value.dtype)
    const { rows } = window(value)
    return this.buffer(name, () => ({ kind: "input", name, dtype: value.dtype, byteLength, rows }))
  }

  private buffer(key: Storage | string, make: () => ProgramBuffer): number {
    const known = this.bufferOf.get(key)
    if (known !== undefined) return known
    this.bufferOf.set(key, this.buffers.length)
    return this.buffers.push(make()) - 1
  }
}

/** The largest shape, and what tells how many rows of it there are. */
function window(of: Type | Operand): { shape: Shape; rows?: Sym } {
  const [rows] = of.shape
  const known = "rows" in of ? of.rows : undefined
  return { shape: largest(of.shape), rows: typeof rows === "object" ? rows : known }
}

function isContiguous(operand: Operand): boolean {
  const strides = contiguousStrides(operand.shape)
  return operand.shape.every((dim, axis) => dim === 1 || operand.strides[axis] === strides[axis])
}

/** See Instruction: weights may be strided in their outer axes, others where the operation's description says so. */
function mayBeStrided(op: KernelOp, { name, component }: Place, operand: Operand): boolean {
  if (component === "bias" || isStridedAnywhere(op, name)) return true
  const lastAxis = operand.shape.length - 1
  return component !== "value" && (operand.strides[lastAxis] === 1 || operand.shape[lastAxis] === 1)
}

function mapValues<T, U>(
  record: Readonly<Record<string, T>>,
  map: (value: T, name: string) => U,
): Readonly<Record<string, U>> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]))
}
