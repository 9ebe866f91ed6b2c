import type { Sym } from "../../ir/dim.js"
import { BackendError, type Executable, type HostArray } from "../backend.js"
import type { Program, ProgramBuffer } from "../../ir/program.js"
import { inputBytes, type Rows, rowsOf, sameRows } from "../step_inputs.js"
import type { CpuBackend } from "./backend.js"
import { Linker } from "./linker.js"
import type { Block } from "./memory.js"
import { sectionsOf } from "./sections.js"
import { splitGlu } from "./split_glu.js"

/** A program linked to addresses and handed to the threads. */
export class CpuExecutable implements Executable {
  private readonly program: Program
  private readonly blocks: readonly Block[]
  private readonly linker: Linker
  /** What descriptions were last written for. */
  private rows: Rows = new Map()
  private readonly borrowed: Block[] = []
  private readonly owned: Block[] = []
  private isDisposed = false

  constructor(
    private readonly backend: CpuBackend,
    program: Program,
    private readonly id: number,
  ) {
    const { memory, pool } = backend
    try {
      const blocks = program.buffers.map((buffer) => this.blockFor(buffer))
      this.program = splitGlu(program, (buffer) => blocks[buffer].segment)
      this.blocks = [...blocks, ...this.program.buffers.slice(blocks.length).map((buffer) => this.blockFor(buffer))]
      const exact = backend.precision === "exact"
      this.linker = new Linker(memory, pool.threads, exact, this.program, this.blocks, this.owned)
      this.linker.link((byteLength, segment) => this.borrow(byteLength, segment))
      pool.load(id, sectionsOf(this.linker.steps, pool.threads, backend.part_bytes))
    } catch (error) {
      this.release()
      throw error
    }
  }

  replay(inputs: Readonly<Record<string, HostArray>>): Promise<void> {
    return this.backend.inTurn(() => this.run(inputs))
  }

  dispose(): void {
    if (this.isDisposed) return
    this.isDisposed = true
    this.backend.pool.drop(this.id)
    this.release()
  }

  private async run(inputs: Readonly<Record<string, HostArray>>): Promise<void> {
    const { backend, program } = this
    if (this.isDisposed) throw new BackendError("this executable was disposed of: compile the program again")
    for (const [i, buffer] of program.buffers.entries()) {
      if (buffer.kind === "input") {
        backend.memory.view(this.blocks[i], buffer.byteLength).set(inputBytes(buffer, inputs[buffer.name]))
      } else if (buffer.kind === "storage" && backend.blockOf(buffer.storage) !== this.blocks[i]) {
        throw new BackendError(`${buffer.storage.name} has moved since the program was compiled: compile it again`)
      }
    }
    for (const block of this.linker.counters) backend.memory.view(block, block.byteLength).fill(0)
    await backend.pool.run(this.id, this.told(rowsOf(program, inputs)))
    for (const buffer of program.buffers) {
      if (buffer.kind === "storage" && buffer.access === "write") buffer.storage.written(backend)
    }
  }

  /** What the program's symbols stand for; descriptions are written for it. */
  private told(rows: Rows): number[] {
    const { linker } = this
    const rowsFor = (sym: Sym) => rows.get(sym)!
    if (!sameRows(rows, this.rows)) for (const description of linker.perReplay) linker.write(description, rowsFor)
    this.rows = rows
    return linker.symbols.map(rowsFor)
  }

  private blockFor(buffer: ProgramBuffer): Block {
    if (buffer.kind === "storage") return this.backend.blockOf(buffer.storage)
    if (buffer.kind === "arena") return this.borrow(buffer.byteLength)
    const block = this.backend.memory.allocateWorking(`input ${buffer.name}`, buffer.byteLength)
    this.owned.push(block)
    return block
  }

  private borrow(byteLength: number, segment?: number): Block {
    const block = this.backend.borrow(byteLength, this.borrowed, segment)
    this.borrowed.push(block)
    return block
  }

  private release(): void {
    for (const block of this.owned.splice(0)) this.backend.memory.free(block)
    for (const block of this.borrowed.splice(0)) this.backend.giveBack(block)
  }
}
