import type { Sym } from "../../ir/dim.js"
import { specOf, workOf, writesOf } from "../../ir/describe.js"
import { type AnyOperands, listOperands, mapOperands } from "../../ir/operands.js"
import type { Instruction, Operand, Program } from "../../ir/program.js"
import { itemSize } from "../../tensor/dtype.js"
import type { Storage } from "../../tensor/storage.js"
import { BackendError, type Precision } from "../backend.js"
import { costOf } from "../placement.js"
import { type Count, counted } from "./counts.js"
import type { Placed } from "./descriptors.js"
import { type CpuKind, CALLS, type KernelCall, type CallContext } from "./kernels.js"
import { interleavedOffset } from "./interleaving.js"
import type { CpuBlock, SegmentedMemory } from "./memory.js"
import type { Argument, KernelJob, Job } from "./jobs.js"

/** Words that a kernel reads its operands' shapes from. */
interface Description {
  readonly block: CpuBlock
  readonly words: readonly Count[]
}

/** Hands out memory that is needed during a replay only, in the segment given. */
export type Borrow = (byteLength: number, segment: number) => CpuBlock

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
 * Turns instructions into jobs with addresses. A kernel runs in the segment of its largest operand; of the others,
 * constants that lie elsewhere are copied there once, and activations at each replay, by jobs before and after it.
 */
export class Linker {
  readonly jobs: Job[] = []
  /** The symbols that numbers in jobs and descriptions stand for. */
  readonly symbols: Sym[] = []
  /** To be written again when the rows change. */
  readonly perReplay: Description[] = []
  /** To be zeroed before each replay. */
  readonly counters: CpuBlock[] = []
  private readonly constants = new Map<string, CpuBlock>()
  private readonly needs = new Map<number, Needs>()
  private readonly rooms = new Map<number, CpuBlock>()
  private readonly countersUsed = new Map<number, number>()

  /**
   * @param blocks where each of the program's buffers lies
   * @param interleaved whether the rows of a buffer are interleaved
   * @param owned takes note of what is allocated for this program alone
   */
  constructor(
    private readonly memory: SegmentedMemory,
    private readonly threads: number,
    private readonly precision: Precision,
    private readonly program: Program,
    private readonly blocks: readonly CpuBlock[],
    private readonly interleaved: (buffer: number) => boolean,
    private readonly owned: CpuBlock[],
  ) {}

  link(borrow: Borrow): void {
    for (const instruction of this.program.instructions) this.measure(instruction)
    for (const [segment, { shared, scratch, counters }] of this.needs) {
      if (counters > 0) this.counters.push(this.allocate("counters", counters * 4, segment))
      if (shared + scratch > 0) this.rooms.set(segment, borrow(shared + scratch * this.threads, segment))
    }
    for (const instruction of this.program.instructions) this.emit(instruction)
  }

  private measure(instruction: Instruction): void {
    const home = this.homeOf(instruction)
    const needs = this.needs.get(home) ?? { shared: 0, scratch: 0, counters: 0 }
    const staged = touched(instruction).filter((operand) => this.isStaged(operand, home))
    let shared = staged.reduce((sum, operand) => sum + aligned(spanOf(operand)), 0)
    const calls = lower(
      place(instruction, (operand) => ({ ...operand, address: 0, interleaved: false })),
      {
        precision: this.precision,
        describe: () => 0,
        counter: () => needs.counters++,
        share: (byteLength) => {
          shared += aligned(byteLength)
          return 0
        },
      },
    )
    needs.shared = Math.max(needs.shared, shared)
    needs.scratch = Math.max(needs.scratch, ...calls.map(({ scratch }) => aligned(scratch ?? 0)))
    this.needs.set(home, needs)
  }

  private emit(instruction: Instruction): void {
    const home = this.homeOf(instruction)
    let room = this.rooms.get(home)?.offset ?? 0
    const after: Job[] = []
    const placed = place(instruction, (operand, isResult): Placed => {
      const block = this.blocks[operand.buffer]
      const interleaved = this.interleaved(operand.buffer)
      const at = (address: number): Placed => ({ ...operand, address, interleaved })
      const offset = interleaved ? interleavedOffset(operand) : operand.offset
      if (block.segment === home) return at(block.offset + offset)
      if (!this.isStaged(operand, home)) return at(this.constantIn(home, operand.buffer).offset + offset)
      const byteLength = spanOf(operand)
      const there = { segment: block.segment, offset: block.offset + operand.offset }
      const here = { segment: home, offset: room }
      room += aligned(byteLength)
      if (isResult) after.push({ from: here, to: there, byteLength, work: 2 * byteLength })
      else this.jobs.push({ from: there, to: here, byteLength, work: 2 * byteLength })
      return at(here.offset)
    })
    const calls = lower(placed, {
      precision: this.precision,
      describe: (words) => {
        const block = this.allocate("a kernel's arguments", words.length * 4, home)
        const description = { block, words }
        if (words.some((word) => typeof word !== "number")) this.perReplay.push(description)
        this.write(description, ({ max }) => max)
        return block.offset
      },
      counter: () => this.counter(home),
      share: (byteLength) => {
        const at = room
        room += aligned(byteLength)
        return at
      },
    })
    // Jobs before the last prepare the first operand.
    const works = calls.map((_, i) =>
      i === calls.length - 1 ? costOf(workOf(instruction)) : spanOf(touched(instruction)[0]),
    )
    this.jobs.push(...calls.map((call, i) => this.kernelJob(call, home, works[i])), ...after)
  }

  /** Writes a description for so many rows. */
  write({ block, words }: Description, rowsFor: (rows: Sym) => number): void {
    const values = Uint32Array.from(words, (word) => counted(word, rowsFor))
    this.memory.view(block, values.byteLength).set(new Uint8Array(values.buffer))
  }

  private argument(count: Count): Argument {
    if (typeof count === "number") return count
    if (!this.symbols.includes(count.rows)) this.symbols.push(count.rows)
    return { symbol: this.symbols.indexOf(count.rows), times: count.times }
  }

  /** The next word of the segment's counters. */
  private counter(segment: number): number {
    const used = this.countersUsed.get(segment) ?? 0
    this.countersUsed.set(segment, used + 1)
    return this.counters.find((block) => block.segment === segment)!.offset + used * 4
  }

  private kernelJob({ kernel, args, scratch }: KernelCall, segment: number, work: number): KernelJob {
    const room = this.rooms.get(segment)
    const needs = this.needs.get(segment)!
    const own = scratch === null || !room ? null : { offset: room.offset + needs.shared, stride: needs.scratch }
    return { kernel, segment, args: args.map((arg) => this.argument(arg)), scratch: own, work }
  }

  private homeOf(instruction: Instruction): number {
    const written = Object.keys(writesOf(instruction.op))
    const operands = written.length > 0 ? written.map((name) => instruction.results[name]) : touched(instruction)
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

  private constantIn(home: number, buffer: number): CpuBlock {
    const key = `${home} ${buffer}`
    const known = this.constants.get(key)
    if (known) return known
    const { name, byteLength } = this.constant(buffer)!
    const copy = this.allocate(`a copy of ${name}`, byteLength, home)
    this.memory.view(copy, byteLength).set(this.memory.view(this.blocks[buffer], byteLength))
    this.constants.set(key, copy)
    return copy
  }

  private allocate(what: string, byteLength: number, segment: number): CpuBlock {
    const block = this.memory.allocateWorking(what, byteLength, segment)
    this.owned.push(block)
    return block
  }
}

/** Every operand and result of an instruction. */
function touched({ op, operands, results }: Instruction): Operand[] {
  const inputs = listOperands(specOf(op).operands, operands).map(({ operand }) => operand)
  return [...inputs, ...Object.values(results)]
}

interface PlacedInstruction {
  readonly op: Instruction["op"]
  readonly operands: AnyOperands<Placed>
  readonly results: Readonly<Record<string, Placed>>
}

/** The instruction on placed operands. States that it writes are placed once, as operands. */
function place(
  { op, operands, results }: Instruction,
  placeOne: (operand: Operand, isResult: boolean) => Placed,
): PlacedInstruction {
  const placed = mapOperands(specOf(op).operands, operands, (operand) => placeOne(operand, false))
  const writes = writesOf(op)
  const outcome = Object.entries(results).map(([name, result]) => [
    name,
    name in writes ? (placed[writes[name]] as Placed) : placeOne(result, true),
  ])
  return { op, operands: placed, results: Object.fromEntries(outcome) }
}

/** The table's entry for an instruction: TypeScript cannot see that the key and the operands belong together. */
function lower({ op, operands, results }: PlacedInstruction, at: CallContext): KernelCall[] {
  const entry = CALLS[op.kind as CpuKind] as ((...of: unknown[]) => KernelCall | KernelCall[]) | undefined
  if (!entry) throw new BackendError(`the cpu backend does not run ${op.kind}: leave it out of the passes' fusions`)
  const calls = entry(op, operands, results, at)
  return Array.isArray(calls) ? calls : [calls]
}
