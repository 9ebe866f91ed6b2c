import type { Storage } from "../../tensor/storage.js"
import type { Backend, Executable, LoadOptions, Precision } from "../backend.js"
import type { FusedKind } from "../../ir/operations.js"
import { specOf } from "../../ir/describe.js"
import { listOperands } from "../../ir/operands.js"
import type { Program } from "../../ir/program.js"
import type { Tolerance } from "../../ir/op_spec.js"
import { CpuExecutable } from "./executable.js"
import { type Interleaving, interleaveJob, interleavings, scratchBytes } from "./interleaving.js"
import { Loans } from "./loans.js"
import { type CpuBlock, SegmentedMemory } from "./memory.js"
import { ReplayQueue } from "./replay_queue.js"
import { Residents } from "./residents.js"
import { sectionsOf } from "./sections.js"
import type { ThreadPool } from "./thread_pool.js"

export interface CpuOptions {
  /**
   * How products with quantized weights are computed. `int16`: activations as int16 with a scale per 32 or 64 elements, where
   * weights are affine or MXFP4; a product is off by 2e-5 of its norm, up to 1e-4 with large outliers. `fast`: as int8 where
   * weights are MXFP4, as llama.cpp does with all.
   */
  readonly precision?: Precision
  /** Size of one WebAssembly memory, a multiple of 64 KiB; weights spread over several. Just below 4 GiB by default. */
  readonly segment_bytes?: number
  /** The least work, in bytes streamed, that one more thread is called for. {@link PART_BYTES} by default. */
  readonly part_bytes?: number
}

/**
 * What a thread works through in about 10 us, which is about what it costs to call another one. minerva-tiny decodes 1.25
 * times as fast on two threads as on one, with half as much 1.2 times and with twice as much no faster; to large models it
 * makes no difference.
 */
export const PART_BYTES = 64 << 10

/** Twice the largest errors of products in the conformance suite: with MXFP4 weights and activations as int8, and with int16. */
const INT8_TOLERANCE = 4e-2
const INT16_TOLERANCE = 4e-4

/** WebAssembly kernels on threads over shared memory. Weights keep their bits, some of them with rows interleaved; kernels decode them in registers. */
export class CpuBackend implements Backend {
  readonly name = "cpu"
  readonly fusions: ReadonlySet<FusedKind> = new Set()
  readonly kvFormats = ["float32", "float16", "int8", "int4"] as const
  readonly prefillChunk = 256
  readonly rowClasses = [1, 16, 256]
  readonly replaysAhead = 1
  readonly memory: SegmentedMemory
  readonly precision: Precision
  readonly part_bytes: number
  readonly residents: Residents
  readonly loans: Loans
  readonly queue = new ReplayQueue()
  private programs = 0

  constructor(
    readonly pool: ThreadPool,
    { precision = "fast", segment_bytes, part_bytes = PART_BYTES }: CpuOptions = {},
  ) {
    this.precision = precision
    this.part_bytes = part_bytes
    this.memory = new SegmentedMemory((memory) => pool.addSegment(memory), segment_bytes, pool.kernels.isShared)
    this.residents = new Residents(this, this.memory, (how, block) => this.interleave(how, block))
    this.loans = new Loans(this.memory)
  }

  /** Kernels are float32 throughout, except products. */
  tolerance(of: Tolerance): number {
    if (of !== "product" || this.precision === "exact") return 1e-5
    return this.precision === "int16" ? INT16_TOLERANCE : INT8_TOLERANCE
  }

  makeResident(storages: Iterable<Storage>, options?: LoadOptions): Promise<void> {
    return this.residents.load(storages, options)
  }

  async compile(program: Program, options?: LoadOptions): Promise<Executable> {
    const storages = program.buffers.flatMap((buffer) => (buffer.kind === "storage" ? [buffer.storage] : []))
    // Kernels for activations of other kinds take rows as they are.
    const arrangement = {
      together: statesTogether(program),
      interleavings: this.precision === "fast" ? interleavings(program, this.residents.liesAs) : new Map(),
    }
    await this.straighten(storages.filter((storage) => !arrangement.interleavings.has(storage)))
    await this.residents.load(storages, options, arrangement)
    return new CpuExecutable(this, program, this.programs++)
  }

  fence(): Promise<void> {
    return this.queue.idle()
  }

  /** Has rows lie as they are in their files. Programs that found them interleaved have to be compiled anew. */
  private async straighten(storages: readonly Storage[]): Promise<void> {
    if (!storages.some((storage) => this.residents.isInterleaved(storage))) return
    await this.queue.run(async () => {
      for (const storage of storages) this.residents.straighten(storage)
    })
  }

  private interleave(how: Interleaving, block: CpuBlock): Promise<void> {
    const { memory, pool } = this
    return this.queue.run(async () => {
      const bytes = scratchBytes(how) * pool.threads
      const scratch = memory.allocateWorking("room to interleave rows in", bytes, block.segment)
      const id = this.programs++
      try {
        pool.load(id, sectionsOf([interleaveJob(how, block, scratch)], pool.threads, this.part_bytes))
        await pool.run(id, [])
      } finally {
        pool.drop(id)
        memory.free(scratch)
      }
    })
  }

  async close(): Promise<void> {
    await this.pool.close()
  }
}

/** The states that an instruction works on, where there are several: its kernel has them in one memory, or copies at each replay. */
function statesTogether({ buffers, instructions }: Program): Storage[][] {
  const states = instructions.map(({ op, operands }) =>
    listOperands(specOf(op).operands, operands).flatMap(({ operand }) => {
      const buffer = buffers[operand.buffer]
      return buffer.kind === "storage" && buffer.access === "write" ? [buffer.storage] : []
    }),
  )
  return states.filter(({ length }) => length > 1)
}
