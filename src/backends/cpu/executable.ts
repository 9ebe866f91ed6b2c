import type { Sym } from "../../ir/dim.js"
import { BackendError, type Executable, type HostArray, type Precision } from "../backend.js"
import type { Program, ProgramBuffer } from "../../ir/program.js"
import { type ReplayBuffers, replayBuffers } from "../replay_buffers.js"
import { inputBytes, type Rows, rowsOf, sameRows } from "../step_inputs.js"
import { Linker } from "./linker.js"
import type { Loans } from "./loans.js"
import type { CpuBlock, SegmentedMemory } from "./memory.js"
import type { ReplayQueue } from "./replay_queue.js"
import type { Residents } from "./residents.js"
import { sectionsOf } from "./sections.js"
import { splitGlu } from "./split_glu.js"
import type { ThreadPool } from "./thread_pool.js"

/** What an executable needs of its backend. */
export interface CpuPorts {
  readonly memory: SegmentedMemory
  /** Where storages lie now. */
  readonly residents: Pick<Residents, "departures" | "blockOf" | "isInterleaved" | "written">
  readonly loans: Loans
  readonly pool: Pick<ThreadPool, "threads" | "load" | "run" | "drop">
  readonly queue: Pick<ReplayQueue, "run">
  readonly precision: Precision
  readonly part_bytes: number
}

/** A program linked to addresses and handed to the threads. */
export class CpuExecutable implements Executable {
  private readonly buffers: ReplayBuffers<CpuBlock>
  private readonly linker: Linker
  /** What descriptions were last written for. */
  private rows: Rows = new Map()
  /** The same, by the symbols' numbers. */
  private counts: readonly number[] = []
  /** The residents' departures up to which all storages lie where the program was linked to. */
  private checked = -1
  private readonly borrowed: CpuBlock[] = []
  private readonly owned: CpuBlock[] = []
  private isDisposed = false

  constructor(
    private readonly ports: CpuPorts,
    program: Program,
    private readonly id: number,
  ) {
    const { memory, pool, precision, part_bytes } = ports
    try {
      const given = program.buffers.map((buffer) => this.blockFor(buffer))
      const split = splitGlu(program, (buffer) => given[buffer].segment)
      const blocks = [...given, ...split.buffers.slice(given.length).map((buffer) => this.blockFor(buffer))]
      this.buffers = replayBuffers(split, blocks)
      const interleaved = (buffer: number) => this.isInterleaved(split.buffers[buffer])
      this.linker = new Linker(memory, pool.threads, precision, split, blocks, interleaved, this.owned)
      this.linker.link((byteLength, segment) => this.borrow(byteLength, segment))
      pool.load(id, sectionsOf(this.linker.jobs, pool.threads, part_bytes))
    } catch (error) {
      this.release()
      throw error
    }
  }

  replay(inputs: Readonly<Record<string, HostArray>>): Promise<void> {
    return this.ports.queue.run(() => this.run(inputs))
  }

  dispose(): void {
    if (this.isDisposed) return
    this.isDisposed = true
    this.ports.pool.drop(this.id)
    this.release()
  }

  private async run(inputs: Readonly<Record<string, HostArray>>): Promise<void> {
    const { memory, pool, residents } = this.ports
    const { inputs: fed, written } = this.buffers
    if (this.isDisposed) throw new BackendError("this executable was disposed of: compile the program again")
    this.checkStorages()
    const rows = rowsOf(fed, inputs)
    for (const { buffer, place } of fed) {
      memory.view(place, buffer.byteLength).set(inputBytes(buffer, inputs[buffer.name]))
    }
    for (const block of this.linker.counters) memory.view(block, block.byteLength).fill(0)
    if (!sameRows(rows, this.rows)) this.tell(rows)
    await pool.run(this.id, this.counts)
    for (const storage of written) residents.written(storage)
  }

  /** @throws BackendError when a storage no longer lies where the program was linked to */
  private checkStorages(): void {
    const { residents } = this.ports
    const { departures } = residents
    if (departures === this.checked) return
    for (const { buffer, place } of this.buffers.storages) {
      if (residents.blockOf(buffer.storage) === place) continue
      throw new BackendError(`${buffer.storage.name} has moved since the program was compiled: compile it again`)
    }
    this.checked = departures
  }

  /** Writes descriptions for so many rows. */
  private tell(rows: Rows): void {
    const { linker } = this
    const rowsFor = (sym: Sym) => rows.get(sym)!
    for (const description of linker.perReplay) linker.write(description, rowsFor)
    this.counts = linker.symbols.map(rowsFor)
    this.rows = rows
  }

  private blockFor(buffer: ProgramBuffer): CpuBlock {
    if (buffer.kind === "storage") return this.ports.residents.blockOf(buffer.storage)
    if (buffer.kind === "arena") return this.borrow(buffer.byteLength)
    const block = this.ports.memory.allocateWorking(`input ${buffer.name}`, buffer.byteLength)
    this.owned.push(block)
    return block
  }

  private isInterleaved(buffer: ProgramBuffer): boolean {
    return buffer.kind === "storage" && this.ports.residents.isInterleaved(buffer.storage)
  }

  private borrow(byteLength: number, segment?: number): CpuBlock {
    const block = this.ports.loans.borrow(byteLength, this.borrowed, segment)
    this.borrowed.push(block)
    return block
  }

  private release(): void {
    for (const block of this.owned.splice(0)) this.ports.memory.free(block)
    for (const block of this.borrowed.splice(0)) this.ports.loans.giveBack(block)
  }
}
