import { itemSize } from "../../tensor/dtype.js"
import type { Storage } from "../../tensor/storage.js"
import { BackendError } from "../backend.js"
import { type KernelOp, writtenOperands } from "../ops.js"
import { costOf, workOf } from "../placement.js"
import type { Instruction, Operand, Program } from "../program.js"
import type { Placed } from "./descriptors.js"
import { type CpuKind, LAUNCHES, type Launch, type LaunchContext } from "./kernels.js"
import type { Block, SegmentedMemory } from "./memory.js"
import type { KernelStep, Step } from "./steps.js"

/** Hands out memory that is needed during a replay only, in the segment given. */
export type Borrow = (byteLength: number, segment: number) => Block

const ALIGNMENT = 64

const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT

/** Bytes from an operand's first element to the end of its last. */
function spanOf({ shape, strides, dtype }: Operand): number {
  return (shape.reduce((sum, dim, axis) => sum + (dim - 1) * strides[axis], 0) + 1) * itemSize(dtype)
}

/** What the instructions that run in one segment need there beside their operands, in bytes. */
interface Needs {
  /** For one instruction at a time: copies of activations from other segments, and what its kernels share. */
  shared: number
  /** Scratch memory of each thread. */
  scratch: number
  /** Words that all threads count in. */
  counters: number
}

/**
 * Turns instructions into steps with addresses. A kernel runs in the segment of its largest operand; of the others,
 * constants that lie elsewhere are copied there once, and activations at each replay, by steps before and after it.
 */
export class Linker {
  readonly steps: Step[] = []
  /** To be zeroed before each replay. */
  readonly counters: Block[] = []
  private readonly constants = new Map<string, Block>()
  private readonly needs = new Map<number, Needs>()
  private readonly rooms = new Map<number, Block>()
  private readonly countersUsed = new Map<number, number>()

  /**
   * @param blocks where each of the program's buffers lies
   * @param owned takes note of what is allocated for this program alone
   */
  constructor(
    private readonly memory: SegmentedMemory,
    private readonly threads: number,
    private readonly exact: boolean,
    private readonly program: Program,
    private readonly blocks: readonly Block[],
    private readonly owned: Block[],
  ) {}

  link(borrow: Borrow): void {
    for (const instruction of this.program.instructions) this.measure(instruction)
    for (const [segment, { shared, scratch, counters }] of this.needs) {
      if (counters > 0) this.counters.push(this.allocate("counters", counters * 4, segment))
      if (shared + scratch > 0) this.rooms.set(segment, borrow(shared + scratch * this.threads, segment))
    }
    for (const instruction of this.program.instructions) this.emit(instruction)
  }

  private measure({ op, inputs, output }: Instruction): void {
    const home = this.homeOf(op, inputs, output)
    const needs = this.needs.get(home) ?? { shared: 0, scratch: 0, counters: 0 }
    const staged = [...inputs, output].filter((operand) => this.isStaged(operand, home))
    let shared = staged.reduce((sum, operand) => sum + aligned(spanOf(operand)), 0)
    const placed = inputs.map((operand) => ({ ...operand, address: 0 }))
    const launches = lower(
      op,
      placed,
      { ...output, address: 0 },
      {
        exact: this.exact,
        describe: () => 0,
        counter: () => needs.counters++,
        share: (byteLength) => {
          shared += aligned(byteLength)
          return 0
        },
      },
    )
    needs.shared = Math.max(needs.shared, shared)
    needs.scratch = Math.max(needs.scratch, ...launches.map(({ scratch }) => aligned(scratch ?? 0)))
    this.needs.set(home, needs)
  }

  private emit(instruction: Instruction): void {
    const { op, inputs, output } = instruction
    const home = this.homeOf(op, inputs, output)
    let room = this.rooms.get(home)?.offset ?? 0
    const after: Step[] = []
    const place = (operand: Operand, isOutput: boolean): Placed => {
      const block = this.blocks[operand.buffer]
      if (block.segment === home) return { ...operand, address: block.offset + operand.offset }
      if (!this.isStaged(operand, home)) {
        return { ...operand, address: this.constantIn(home, operand.buffer).offset + operand.offset }
      }
      const byteLength = spanOf(operand)
      const there = { segment: block.segment, offset: block.offset + operand.offset }
      const here = { segment: home, offset: room }
      room += aligned(byteLength)
      if (isOutput) after.push({ from: here, to: there, byteLength, work: 2 * byteLength })
      else this.steps.push({ from: there, to: here, byteLength, work: 2 * byteLength })
      return { ...operand, address: here.offset }
    }
    const placed = inputs.map((operand) => place(operand, false))
    const launches = lower(op, placed, place(output, true), {
      exact: this.exact,
      describe: (words) => {
        const block = this.allocate("a kernel's arguments", words.byteLength, home)
        this.memory.view(block, words.byteLength).set(new Uint8Array(words.buffer))
        return block.offset
      },
      counter: () => this.counter(home),
      share: (byteLength) => {
        const at = room
        room += aligned(byteLength)
        return at
      },
    })
    // Steps before the last prepare the first operand.
    const works = launches.map((_, i) =>
      i === launches.length - 1 ? costOf(workOf({ instructions: [instruction] })) : spanOf(inputs[0]),
    )
    this.steps.push(...launches.map((launch, i) => this.kernelStep(launch, home, works[i])), ...after)
  }

  /** The next word of the segment's counters. */
  private counter(segment: number): number {
    const used = this.countersUsed.get(segment) ?? 0
    this.countersUsed.set(segment, used + 1)
    return this.counters.find((block) => block.segment === segment)!.offset + used * 4
  }

  private kernelStep({ kernel, args, scratch }: Launch, segment: number, work: number): KernelStep {
    const room = this.rooms.get(segment)
    const needs = this.needs.get(segment)!
    const own = scratch === null || !room ? null : { offset: room.offset + needs.shared, stride: needs.scratch }
    return { kernel, segment, args, scratch: own, work }
  }

  private homeOf(op: KernelOp, inputs: readonly Operand[], output: Operand): number {
    const operands = writtenOperands(op).length > 0 ? [output] : [...inputs, output]
    const largest = operands.reduce((a, b) => (spanOf(b) > spanOf(a) ? b : a))
    return this.blocks[largest.buffer].segment
  }

  /** Constants are copied once, everything else at each replay. */
  private isStaged({ buffer }: Operand, home: number): boolean {
    return this.blocks[buffer].segment !== home && this.constant(buffer) === null
  }

  private constant(buffer: number): Storage | null {
    const described = this.program.buffers[buffer]
    return described.kind === "storage" && described.access === "read" ? described.storage : null
  }

  private constantIn(home: number, buffer: number): Block {
    const key = `${home} ${buffer}`
    const known = this.constants.get(key)
    if (known) return known
    const { name, byteLength } = this.constant(buffer)!
    const copy = this.allocate(`a copy of ${name}`, byteLength, home)
    this.memory.view(copy, byteLength).set(this.memory.view(this.blocks[buffer], byteLength))
    this.constants.set(key, copy)
    return copy
  }

  private allocate(what: string, byteLength: number, segment: number): Block {
    const block = this.memory.allocateWorking(what, byteLength, segment)
    this.owned.push(block)
    return block
  }
}

type Lower = (op: KernelOp, inputs: readonly Placed[], output: Placed, at: LaunchContext) => Launch | Launch[]

/** The table's entry for `op`: TypeScript cannot see that the key and the argument belong together. */
function lower(op: KernelOp, ...rest: [readonly Placed[], Placed, LaunchContext]): Launch[] {
  const entry = LAUNCHES[op.kind as CpuKind] as Lower | undefined
  if (!entry) throw new BackendError(`the cpu backend does not run ${op.kind}: leave it out of the passes' fusions`)
  const launches = entry(op, ...rest)
  return Array.isArray(launches) ? launches : [launches]
}
