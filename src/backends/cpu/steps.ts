import type { Barrier } from "./barrier.js"

/** One kernel call, made by every thread; the kernel takes its share by the thread's number. */
export interface KernelStep {
  readonly kernel: string
  readonly segment: number
  /** The kernel's arguments but the last: `scratch` if it has one, the thread's number, the number of threads. */
  readonly args: readonly number[]
  /** Memory of each thread's own: thread t has `stride` bytes from `offset + t * stride`. */
  readonly scratch: { readonly offset: number; readonly stride: number } | null
}

/** Bytes copied from one segment to another, a share by each thread. */
export interface CopyStep {
  readonly from: { readonly segment: number; readonly offset: number }
  readonly to: { readonly segment: number; readonly offset: number }
  readonly byteLength: number
}

export type Step = KernelStep | CopyStep

type Kernel = (...args: number[]) => void

interface Instance {
  readonly memory: WebAssembly.Memory
  readonly kernels: Readonly<Record<string, Kernel>>
}

/** What one thread does: its instances of the kernels, one per segment, and the programs it has been given. */
export class StepRunner {
  private readonly instances: Instance[] = []
  private readonly programs = new Map<number, readonly (() => void)[]>()

  constructor(
    private readonly module: WebAssembly.Module,
    private readonly thread: number,
    private readonly threads: number,
    private readonly barrier: Barrier,
  ) {}

  addSegment(memory: WebAssembly.Memory): void {
    const { exports } = new WebAssembly.Instance(this.module, { env: { memory } })
    this.instances.push({ memory, kernels: exports as unknown as Record<string, Kernel> })
  }

  load(id: number, steps: readonly Step[]): void {
    this.programs.set(
      id,
      steps.map((step) => ("kernel" in step ? this.kernelCall(step) : this.copyCall(step))),
    )
  }

  drop(id: number): void {
    this.programs.delete(id)
  }

  /** Runs a program's steps; all threads have finished a step before any goes on to the next. */
  run(id: number): void {
    try {
      for (const call of this.programs.get(id)!) {
        call()
        this.barrier.wait()
      }
    } catch (error) {
      this.barrier.break()
      throw error
    }
  }

  private kernelCall({ kernel, segment, args, scratch }: KernelStep): () => void {
    const { thread, threads } = this
    const call = this.instances[segment].kernels[kernel]
    const own = scratch ? [scratch.offset + thread * scratch.stride] : []
    const all = [...args, ...own, thread, threads]
    return () => call(...all)
  }

  private copyCall({ from, to, byteLength }: CopyStep): () => void {
    const start = Math.floor((byteLength * this.thread) / this.threads)
    const length = Math.floor((byteLength * (this.thread + 1)) / this.threads) - start
    const source = new Uint8Array(this.instances[from.segment].memory.buffer, from.offset + start, length)
    const target = new Uint8Array(this.instances[to.segment].memory.buffer, to.offset + start, length)
    return () => target.set(source)
  }
}
