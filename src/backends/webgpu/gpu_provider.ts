/** Where a WebGPU implementation comes from: Dawn in Node, `navigator.gpu` in browsers, workers and Deno. */
export interface GpuProvider {
  requestAdapter(options?: GPURequestAdapterOptions): Promise<GPUAdapter | null>
}

/** The browser's own; also Deno's. Null where there is none. */
export function browserGpu(): GpuProvider | null {
  return globalThis.navigator?.gpu ?? null
}

/** WebGPU's flags, which Node has no globals for. */
export const BufferUsage = {
  MAP_READ: 0x1,
  MAP_WRITE: 0x2,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  QUERY_RESOLVE: 0x200,
} as const

export const MAP_READ = 1
export const MAP_WRITE = 2
