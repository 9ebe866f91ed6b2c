import { type Claims, BrokenRun } from "./claims.js"
import type { CopyJob, KernelJob } from "./jobs.js"
import type { KernelModule } from "./kernel_module.js"
import type { Section } from "./sections.js"

type Kernel = (...args: number[]) => void

interface Instance {
  readonly memory: WebAssembly.Memory
  readonly kernels: Readonly<Record<string, Kernel>>
}

interface Loaded {
  /** How many parts each section has. */
  readonly parts: readonly number[]
  readonly calls: readonly (readonly ((part: number) => void)[])[]
  /** Gives the calls the arguments that follow from a run's rows. */
  readonly tell: readonly ((rows: readonly number[]) => void)[]
  rows: readonly number[]
}

/** What one thread does: its instances of the kernels, one per segment, and the programs it has been given. */
export class JobRunner {
  private readonly instances: Instance[] = []
  private readonly programs = new Map<number, Loaded>()

  constructor(
    private readonly kernels: KernelModule,
    private readonly thread: number,
    private readonly claims: Claims,
  ) {}

  addSegment(memory: WebAssembly.Memory): void {
    const { exports } = new WebAssembly.Instance(this.kernels.module, { env: { memory } })
    this.instances.push({ memory, kernels: exports as unknown as Record<string, Kernel> })
  }

  /** Takes a program whose steps work in the memory that there is by now. */
  load(id: number, sections: readonly Section[]): void {
    // A shared memory that grows just while it is sent to a thread stays as short there, and V8 then lets no memory.copy or
    // memory.fill reach what was added. Growing by nothing looks at its length again. An ordinary memory never grows.
    if (this.kernels.isShared) for (const { memory } of this.instances) memory.grow(0)
    const tell: ((rows: readonly number[]) => void)[] = []
    this.programs.set(id, {
      parts: sections.map(({ parts }) => parts),
      calls: sections.map(({ parts, jobs }) =>
        jobs.map((job) => ("kernel" in job ? this.kernelCall(job, parts, tell) : this.copyCall(job, parts))),
      ),
      tell,
      rows: [],
    })
  }

  drop(id: number): void {
    this.programs.delete(id)
  }

  /**
   * Does its parts of a program's run, which begins with part `first`; returns whether it did the last one.
   *
   * @param rows what the program's symbols stand for, by their numbers
   * @throws BrokenRun when another thread failed; what a kernel throws when it traps
   */
  run(id: number, first: number, rows: readonly number[]): boolean {
    const program = this.programs.get(id)!
    const { parts, calls } = program
    if (rows.some((count, symbol) => count !== program.rows[symbol])) {
      for (const tell of program.tell) tell(rows)
      program.rows = rows
    }
    try {
      return this.claims.run(parts, first, (section, part) => {
        for (const call of calls[section]) call(part)
      })
    } catch (error) {
      if (!(error instanceof BrokenRun)) this.claims.break()
      throw error
    }
  }

  private kernelCall(
    { kernel, segment, args, scratch }: KernelJob,
    parts: number,
    tell: ((rows: readonly number[]) => void)[],
  ): (part: number) => void {
    const call = this.instances[segment].kernels[kernel]
    const own = scratch ? [scratch.offset + this.thread * scratch.stride] : []
    const all = [...args.map((arg) => (typeof arg === "number" ? arg : 0)), ...own, 0, parts]
    for (const [i, arg] of args.entries()) {
      if (typeof arg === "number") continue
      tell.push((rows) => {
        all[i] = arg.times * rows[arg.symbol]
      })
    }
    return (part) => {
      all[all.length - 2] = part
      call(...all)
    }
  }

  private copyCall({ from, to, byteLength }: CopyJob, parts: number): (part: number) => void {
    const source = new Uint8Array(this.instances[from.segment].memory.buffer, from.offset, byteLength)
    const target = new Uint8Array(this.instances[to.segment].memory.buffer, to.offset, byteLength)
    return (part) => {
      const start = Math.floor((byteLength * part) / parts)
      target.set(source.subarray(start, Math.floor((byteLength * (part + 1)) / parts)), start)
    }
  }
}
