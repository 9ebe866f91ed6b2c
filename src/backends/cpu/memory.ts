import { BackendError } from "../backend.js"

/** A piece of a segment. */
export interface CpuBlock {
  readonly segment: number
  readonly offset: number
  readonly byteLength: number
}

const PAGE = 65536
const ALIGNMENT = 64
/** The first page belongs to the kernels' own constants. */
const FIRST_BYTE = PAGE
/** The last page stays empty, so that kernels may read whole vectors beyond the last tensor. */
const LAST_BYTES = PAGE
/** 4 GiB is as far as a 32-bit address reaches; one page less, since a length of 2^32 does not fit 32 bits. */
export const MAX_SEGMENT_BYTES = 65535 * PAGE

/**
 * An ordinary memory has its size from the start, for growth would cut off whoever looks into it: so much, or what a larger
 * array takes. What is never touched takes no memory.
 */
const ORDINARY_BYTES = 512 << 20

/** The part of a segment that arrays leave to the working memory of the kernels that read them. */
const WORKING_SHARE = 1 / 8

const aligned = (bytes: number) => Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT

interface Hole {
  offset: number
  byteLength: number
}

/** A WebAssembly memory, and what is free in it. A shared one grows as it fills. */
class Segment {
  readonly memory: WebAssembly.Memory
  private readonly holes: Hole[] = []
  private end = FIRST_BYTE
  /** From here on the memory was never handed out, so it is zero. */
  private untouched = FIRST_BYTE

  constructor(
    private readonly maxBytes: number,
    isShared: boolean,
  ) {
    const maximum = maxBytes / PAGE
    this.memory = new WebAssembly.Memory({ initial: isShared ? 2 : maximum, maximum, shared: isShared })
  }

  /** The lowest hole that fits. */
  reuse(byteLength: number): number | null {
    const i = this.holes.findIndex((hole) => hole.byteLength >= byteLength)
    if (i === -1) return null
    const hole = this.holes[i]
    const { offset } = hole
    hole.offset += byteLength
    hole.byteLength -= byteLength
    if (hole.byteLength === 0) this.holes.splice(i, 1)
    this.clear(offset, byteLength)
    return offset
  }

  /** More from the end, unless less than the share `kept` of the segment would stay free. */
  extend(byteLength: number, kept: number): number | null {
    const offset = this.end
    const needed = offset + byteLength + LAST_BYTES
    if (needed > this.maxBytes * (1 - kept)) return null
    const missing = Math.ceil((needed - this.memory.buffer.byteLength) / PAGE)
    if (missing > 0) this.memory.grow(missing)
    this.clear(offset, Math.min(byteLength, this.untouched - offset))
    this.end += byteLength
    this.untouched = Math.max(this.untouched, this.end)
    return offset
  }

  free(offset: number, byteLength: number): void {
    const at = this.holes.findIndex((hole) => hole.offset > offset)
    this.holes.splice(at === -1 ? this.holes.length : at, 0, { offset, byteLength })
    for (let i = this.holes.length - 1; i > 0; i--) {
      const [before, hole] = [this.holes[i - 1], this.holes[i]]
      if (before.offset + before.byteLength !== hole.offset) continue
      before.byteLength += hole.byteLength
      this.holes.splice(i, 1)
    }
    const last = this.holes[this.holes.length - 1]
    if (last.offset + last.byteLength !== this.end) return
    this.end = last.offset
    this.holes.pop()
  }

  private clear(offset: number, byteLength: number): void {
    if (byteLength > 0) new Uint8Array(this.memory.buffer, offset, byteLength).fill(0)
  }
}

/**
 * All memory of the CPU backend. A WebAssembly memory ends at 4 GiB, so there are several, each with its own instance
 * of the kernels in every thread. Blocks are handed out in order, so that what is loaded together lies together.
 */
export class SegmentedMemory {
  private readonly segments: Segment[] = []

  /**
   * @param onSegment tells the threads of a new memory
   * @param isShared whether memories are shared between threads, which not every page of a browser may do
   */
  constructor(
    private readonly onSegment: (memory: WebAssembly.Memory) => void,
    private readonly segmentBytes = MAX_SEGMENT_BYTES,
    private readonly isShared = true,
  ) {}

  /** Zeroed bytes for an array, aligned for SIMD. @throws BackendError when the memory does not suffice */
  allocate(what: string, bytes: number): CpuBlock {
    return this.find(what, bytes, { kept: WORKING_SHARE })
  }

  /** As `allocate`, for several arrays in one segment. */
  allocateTogether(what: string, bytes: readonly number[]): CpuBlock[] {
    const lengths = bytes.map(aligned)
    const all = this.allocate(
      what,
      lengths.reduce((sum, length) => sum + length, 0),
    )
    let { offset } = all
    return lengths.map((byteLength) => {
      const block = { ...all, offset, byteLength }
      offset += byteLength
      return block
    })
  }

  /** Zeroed bytes for the work itself, in the segment given or in any. @throws BackendError when there is no room */
  allocateWorking(what: string, bytes: number, segment?: number): CpuBlock {
    return this.find(what, bytes, { kept: 0, segment })
  }

  free({ segment, offset, byteLength }: CpuBlock): void {
    this.segments[segment].free(offset, byteLength)
  }

  /** The bytes of a block from `start` on. */
  view({ segment, offset }: CpuBlock, byteLength: number, start = 0): Uint8Array {
    return new Uint8Array(this.segments[segment].memory.buffer, offset + start, byteLength)
  }

  private find(what: string, bytes: number, { kept, segment }: { kept: number; segment?: number }): CpuBlock {
    const byteLength = aligned(bytes)
    const most = Math.floor(this.segmentBytes * (1 - kept)) - FIRST_BYTE - LAST_BYTES
    if (byteLength > most) {
      throw new BackendError(`${what} takes ${bytes} bytes; one array on the cpu backend takes ${most} at most`)
    }
    try {
      const block = segment === undefined ? this.anywhere(byteLength, kept) : this.inside(segment, byteLength)
      if (block) return block
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      throw new BackendError(`out of memory: ${what} takes ${bytes} bytes (${error.message})`)
    }
    throw new BackendError(`out of memory: no room for ${what}, ${bytes} bytes, beside the arrays it works with`)
  }

  private anywhere(byteLength: number, kept: number): CpuBlock {
    for (let segment = 0; segment < this.segments.length; segment++) {
      const offset = this.segments[segment].reuse(byteLength)
      if (offset !== null) return { segment, offset, byteLength }
    }
    for (let segment = Math.max(0, this.segments.length - 1); ; segment++) {
      if (segment === this.segments.length) this.addSegment(byteLength, kept)
      const offset = this.segments[segment].extend(byteLength, kept)
      if (offset !== null) return { segment, offset, byteLength }
    }
  }

  private inside(segment: number, byteLength: number): CpuBlock | null {
    const offset = this.segments[segment].reuse(byteLength) ?? this.segments[segment].extend(byteLength, 0)
    return offset === null ? null : { segment, offset, byteLength }
  }

  /** One that takes so many bytes beside the share that is kept free. */
  private addSegment(byteLength: number, kept: number): void {
    const needed = (FIRST_BYTE + byteLength + LAST_BYTES) / (1 - kept)
    const ordinary = Math.max(ORDINARY_BYTES, Math.ceil(needed / PAGE) * PAGE)
    const bytes = this.isShared ? this.segmentBytes : Math.min(this.segmentBytes, ordinary)
    const segment = new Segment(bytes, this.isShared)
    this.segments.push(segment)
    this.onSegment(segment.memory)
  }
}
