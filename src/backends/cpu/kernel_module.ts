/** The kernels' compilations, as `tools/build-wasm.mjs` makes them. */
export interface KernelFiles {
  readonly fused: () => Promise<Uint8Array<ArrayBuffer>>
  readonly relaxed: () => Promise<Uint8Array<ArrayBuffer>>
  readonly baseline: () => Promise<Uint8Array<ArrayBuffer>>
}

/** The compiled kernels, and what they were chosen to be. */
export interface KernelModule {
  readonly module: WebAssembly.Module
  /** Whether they use relaxed SIMD. */
  readonly isRelaxed: boolean
  /** Whether the memories that they work in are shared between threads, or ordinary ones, of one thread. */
  readonly isShared: boolean
}

/**
 * Compiles the kernels for what this engine has: with relaxed SIMD (fused multiply-add, plain byte shuffles, dot products of bytes) or
 * without, and, where those dot products take weights of eight bits, with sums of them in one instruction.
 */
export async function compileKernels(
  { fused, relaxed, baseline }: KernelFiles,
  { isShared }: Pick<KernelModule, "isShared">,
): Promise<KernelModule> {
  const fitting = (kernels: Uint8Array<ArrayBuffer>) => (isShared ? kernels : withOrdinaryMemory(kernels))
  const compile = async (kernels: Uint8Array<ArrayBuffer>, isRelaxed: boolean) => {
    return { module: await WebAssembly.compile(kernels), isRelaxed, isShared }
  }
  const best = fitting(await fused())
  if (!WebAssembly.validate(best)) return compile(fitting(await baseline()), false)
  const kernels = await compile(best, true)
  return hasExactDots(kernels) ? kernels : compile(fitting(await relaxed()), true)
}

/** Whether dot products of bytes take weights of eight bits as unsigned, and add them without saturating. */
export function hasExactDots({ module, isShared }: KernelModule): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: isShared })
  const { exports } = new WebAssembly.Instance(module, { env: { memory } })
  return (exports.dotsAreExact as () => number)() !== 0
}

const HEADER_BYTES = 8
const IMPORT_SECTION = 2
/** In the flags of a memory's limits. */
const SHARED = 2

/**
 * The same kernels, importing a memory that is not shared: one bit of WebAssembly's binary format, which stands in the section
 * of imports behind the names of the first. Their atomic instructions are valid on any memory.
 */
function withOrdinaryMemory(kernels: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const copy = kernels.slice()
  let at = HEADER_BYTES
  /** Reads LEB128. */
  const number = () => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = copy[at++]
      value |= (byte & 0x7f) << shift
      if (!(byte & 0x80)) return value
    }
  }
  const skip = (bytes: number) => {
    at += bytes
  }
  while (copy[at++] !== IMPORT_SECTION) {
    if (at >= copy.length) return copy // No kernels; to compile it will say so.
    skip(number())
  }
  number() // the section's size
  number() // how many imports: the memory alone
  skip(number()) // its module's name
  skip(number()) // its own
  skip(1) // that it is a memory
  copy[at] &= ~SHARED
  return copy
}
