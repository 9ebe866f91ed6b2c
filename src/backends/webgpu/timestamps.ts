import { BufferUsage, MAP_READ } from "./gpu_provider.js"

/** Passes per query set, whose size WebGPU limits to 4096. */
const PASSES = 2048

/** Room for the GPU's time at the beginning and end of each of some passes. For one submission. */
export class Timestamps {
  private readonly sets: GPUQuerySet[] = []
  private readonly resolved: GPUBuffer
  private readonly staging: GPUBuffer
  private readonly byteLength: number

  constructor(
    device: GPUDevice,
    private readonly passes: number,
  ) {
    for (let start = 0; start < passes; start += PASSES) {
      this.sets.push(device.createQuerySet({ type: "timestamp", count: 2 * Math.min(PASSES, passes - start) }))
    }
    this.byteLength = Math.max(16, passes * 16)
    const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = BufferUsage
    this.resolved = device.createBuffer({ size: this.byteLength, usage: QUERY_RESOLVE | COPY_SRC })
    this.staging = device.createBuffer({ size: this.byteLength, usage: COPY_DST | MAP_READ })
  }

  /** What the descriptor of pass `i` says. */
  pass(i: number): GPUComputePassTimestampWrites {
    const first = 2 * (i % PASSES)
    return {
      querySet: this.sets[Math.floor(i / PASSES)],
      beginningOfPassWriteIndex: first,
      endOfPassWriteIndex: first + 1,
    }
  }

  /** After the last pass. */
  resolve(encoder: GPUCommandEncoder): void {
    this.sets.forEach((set, i) => {
      encoder.resolveQuerySet(set, 0, set.count, this.resolved, i * PASSES * 16)
    })
    encoder.copyBufferToBuffer(this.resolved, 0, this.staging, 0, this.byteLength)
  }

  /** After the submission: begin and end of each pass in nanoseconds of the GPU's clock. Frees the queries. */
  async read(): Promise<BigUint64Array> {
    try {
      await this.staging.mapAsync(MAP_READ)
      return new BigUint64Array(this.staging.getMappedRange(), 0, 2 * this.passes).slice()
    } finally {
      for (const set of this.sets) set.destroy()
      this.resolved.destroy()
      this.staging.destroy()
    }
  }
}
