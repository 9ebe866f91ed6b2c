/** A number, or so many for each row that a run tells of the symbol with that number. */
export type Argument = number | { readonly symbol: number; readonly times: number }

/** A kernel call, made once for each part; the kernel does the part that it is told. */
export interface KernelJob {
  readonly kernel: string
  readonly segment: number
  /** The kernel's arguments but the last: `scratch` if it has one, the part's number, the number of parts. */
  readonly args: readonly Argument[]
  /** Memory of each thread's own: thread t has `stride` bytes from `offset + t * stride`. */
  readonly scratch: { readonly offset: number; readonly stride: number } | null
  /** An estimate, in bytes that could be streamed meanwhile. */
  readonly work: number
}

/** Bytes copied from one segment to another. */
export interface CopyJob {
  readonly from: { readonly segment: number; readonly offset: number }
  readonly to: { readonly segment: number; readonly offset: number }
  readonly byteLength: number
  readonly work: number
}

export type Job = KernelJob | CopyJob
