import type { Buffers } from "./buffers.js"

/**
 * Memory for the intermediate values of programs. Programs run one after the other and leave nothing there for the next
 * one, so they all use the same: as much as the one that needs most.
 */
export class Workspace {
  private current: GPUBuffer | null = null
  private readonly users = new Set<object>()

  constructor(private readonly buffers: Buffers) {}

  /** Where it is now: it moves when it grows. Null while nobody needs any. */
  get buffer(): GPUBuffer | null {
    return this.current
  }

  /** For a program that needs so many bytes, until it calls the result. Throws as `Buffers.create`. */
  async join(byteLength: number): Promise<() => void> {
    const user = {}
    this.users.add(user)
    const leave = () => {
      this.users.delete(user)
      if (this.users.size > 0 || !this.current) return
      this.buffers.destroy(this.current)
      this.current = null
    }
    try {
      if (byteLength > (this.current?.size ?? 0))
        this.grow(await this.buffers.storage("intermediate values", byteLength))
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  /** What was submitted before still runs in the old buffer. */
  private grow(buffer: GPUBuffer): void {
    const smaller = this.current && this.current.size >= buffer.size ? buffer : this.current
    if (smaller !== buffer) this.current = buffer
    if (smaller) this.buffers.destroy(smaller)
  }
}
