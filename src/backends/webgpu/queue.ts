import type { GpuBlock } from "./buffers.js"
import { type BoundDispatch, encodeDispatches } from "./bound_dispatch.js"

/** Watches what a queue is given: see {@link GpuQueue.observe}. */
export interface GpuObserver {
  /** Something begins on the JavaScript side; the result is called when it ends. */
  span(name: "encode" | "submit" | "read"): () => void
  /** A replay is about to be encoded. */
  replay(dispatches: readonly BoundDispatch[]): ObservedReplay
}

/** What an observer asks of one replay. */
export interface ObservedReplay {
  /** The dispatches, divided into passes. */
  readonly passes: readonly ObservedPass[]
  /** May record more after the last pass. */
  encoded(encoder: GPUCommandEncoder): void
  submitted(): void
}

export interface ObservedPass {
  readonly dispatches: readonly BoundDispatch[]
  readonly timestampWrites: GPUComputePassTimestampWrites
}

/** The way to the GPU for programs: what is submitted runs in that order. */
export class GpuQueue {
  private observing: GpuObserver | null = null

  constructor(private readonly device: GPUDevice) {}

  /** Whoever watches at the moment. */
  get observer(): GpuObserver | null {
    return this.observing
  }

  /** Has an observer watch from now on, in place of the one before, until the result is called. */
  observe(observer: GpuObserver): () => void {
    this.observing = observer
    return () => {
      if (this.observing === observer) this.observing = null
    }
  }

  /** Replaces bytes of a buffer, as all that is submitted later sees it. */
  write({ buffer, offset }: GpuBlock, bytes: Uint8Array | Uint32Array): void {
    this.device.queue.writeBuffer(buffer, offset, bytes as Uint8Array<ArrayBuffer>)
  }

  /** Submits one replay's dispatches. */
  submit(dispatches: readonly BoundDispatch[]): void {
    if (this.observing && dispatches.length > 0) {
      this.submitObserved(dispatches, this.observing)
      return
    }
    const encoder = this.device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    encodeDispatches(pass, dispatches)
    pass.end()
    this.device.queue.submit([encoder.finish()])
  }

  /** Resolves when all that was submitted has run, or never will. */
  async idle(): Promise<void> {
    await this.device.queue.onSubmittedWorkDone()
  }

  private submitObserved(dispatches: readonly BoundDispatch[], observer: GpuObserver): void {
    const encode = observer.span("encode")
    const encoder = this.device.createCommandEncoder()
    const replay = observer.replay(dispatches)
    for (const { dispatches, timestampWrites } of replay.passes) {
      const pass = encoder.beginComputePass({ timestampWrites })
      encodeDispatches(pass, dispatches)
      pass.end()
    }
    replay.encoded(encoder)
    const commands = encoder.finish()
    encode()
    const submit = observer.span("submit")
    this.device.queue.submit([commands])
    submit()
    replay.submitted()
  }
}
