import { itemSize } from "../../tensor/dtype.js"
import { contiguousStrides, sizeOf } from "../../tensor/shape.js"
import type { Storage } from "../../tensor/storage.js"
import { BackendError } from "../backend.js"
import type { Operand, Program } from "../../ir/program.js"
import type { GpuBlock, Buffers } from "./buffers.js"
import {
  type Assembled,
  assemble,
  type Dispatch,
  extentBytes,
  type KernelContext,
  type Location,
  placeViews,
  type Range,
  WorkspaceRef,
} from "./dispatch.js"
import type { GpuFeatures } from "./features.js"
import { BufferUsage } from "./gpu_provider.js"
import { plan } from "./kernels/plan.js"
import type { Workspace } from "./workspace.js"

/** Memory that a program is laid out in: a GPU's, or one that only counts. */
export interface LayoutMemory {
  readonly buffers: Buffers
  readonly workspace: Workspace
  blockOf(storage: Storage): GpuBlock
}

/** A program's dispatches with all their operands placed. */
export interface Layout {
  /** Of each program buffer: undefined for intermediate values. */
  readonly places: readonly (GpuBlock | undefined)[]
  readonly dispatches: readonly Assembled[]
  readonly params: { readonly buffer: GPUBuffer; readonly words: Uint32Array<ArrayBuffer>; readonly offsets: number[] }
  /** Gives back what the program has of its own. */
  free(): void
}

/** Index of the scratch memory, beside the program's buffers. */
const SCRATCH = -1

/**
 * Allocates what a program needs beside its storages, and plans its dispatches.
 *
 * @throws OutOfMemoryError, BackendError as `Buffers.create`: then nothing is left allocated
 */
export async function layOut(program: Program, memory: LayoutMemory, features: GpuFeatures): Promise<Layout> {
  const { buffers, workspace } = memory
  const { offsetAlignment, uniformAlignment } = features
  const owned: GPUBuffer[] = []
  const free = () => {
    for (const buffer of owned.splice(0)) buffers.destroy(buffer)
  }
  const own = async (label: string, byteLength: number, usage: number) => {
    const buffer = await buffers.create(label, byteLength, usage)
    owned.push(buffer)
    return buffer
  }
  try {
    const inputs = placesOfInputs(program, offsetAlignment)
    const usage = BufferUsage.STORAGE | BufferUsage.COPY_DST
    const input = inputs.byteLength > 0 ? await own("inputs", inputs.byteLength, usage) : null
    const places = program.buffers.map((buffer, i): GpuBlock | undefined => {
      if (buffer.kind === "storage") return memory.blockOf(buffer.storage)
      return input && buffer.kind === "input" ? { buffer: input, offset: inputs.offsets[i] } : undefined
    })
    const planned = planDispatches(program, places, features)
    const locate = locator(program, places, offsetAlignment, planned.scratchBytes)
    const dispatches = planned.dispatches.map((dispatch) => assemble(dispatch, locate.locate, features))
    const { words, offsets } = paramWords(dispatches, uniformAlignment)
    const paramUsage = BufferUsage.UNIFORM | BufferUsage.COPY_DST
    const params = { buffer: await own("params", words.byteLength, paramUsage), words, offsets }
    const leave = await workspace.join(locate.workspaceBytes)
    return {
      places,
      dispatches,
      params,
      free: () => {
        free()
        leave()
      },
    }
  } catch (error) {
    free()
    throw error
  }
}

/** Inputs lie in one buffer: where devices offer few bindings, a kernel's inputs share one. */
function placesOfInputs({ buffers }: Program, alignment: number) {
  let byteLength = 0
  const offsets = buffers.map((buffer) => {
    const offset = byteLength
    if (buffer.kind === "input") byteLength += Math.ceil(buffer.byteLength / alignment) * alignment
    return offset
  })
  return { byteLength, offsets }
}

/** Where operands lie, intermediate values and, after them, scratch memory in the workspace. */
function locator(program: Program, places: readonly (GpuBlock | undefined)[], alignment: number, scratchBytes: number) {
  let workspaceBytes = 0
  const reserve = (byteLength: number) => {
    const offset = workspaceBytes
    workspaceBytes += Math.ceil(byteLength / alignment) * alignment
    return offset
  }
  const arenas = program.buffers.map((buffer) => (buffer.kind === "arena" ? reserve(buffer.byteLength) : 0))
  const scratch = reserve(scratchBytes)
  const workspace = new WorkspaceRef(workspaceBytes)
  const locate = ({ buffer, offset }: Operand): Location => {
    const place = buffer === SCRATCH ? undefined : places[buffer]
    const start = buffer === SCRATCH ? scratch : arenas[buffer]
    if (!place) return { buffer: workspace, offset: start + offset, mutable: true }
    const of = program.buffers[buffer]
    return {
      buffer: place.buffer,
      offset: place.offset + offset,
      mutable: of.kind === "storage" && of.access === "write",
    }
  }
  return { locate, workspaceBytes }
}

/** What runs, and the scratch memory of the instruction that takes most. */
function planDispatches(program: Program, places: readonly (GpuBlock | undefined)[], features: GpuFeatures) {
  // Planners ask where operands lie before the scratch memory has its size.
  const { locate } = locator(program, places, features.offsetAlignment, 0)
  const dispatches: Dispatch[] = []
  let mostScratch = 0
  for (let i = 0; i < program.instructions.length; ) {
    let scratchBytes = 0
    const context: KernelContext = {
      features,
      scratch: (dtype, shape, rows) => {
        const offset = scratchBytes
        scratchBytes +=
          Math.ceil((sizeOf(shape) * itemSize(dtype)) / features.offsetAlignment) * features.offsetAlignment
        return { buffer: SCRATCH, offset, shape, rows, strides: contiguousStrides(shape), dtype }
      },
      ranges: (operands) => rangesOf(operands, features),
      fits: ({ views }) => placeViews(views, locate, features).slots.length <= features.maxBindings,
    }
    const planned = plan(program.instructions[i], program.instructions.slice(i + 1, i + 3), context)
    dispatches.push(...planned.dispatches)
    i += planned.count
    mostScratch = Math.max(mostScratch, scratchBytes)
  }
  return { dispatches, scratchBytes: mostScratch }
}

/** Ranges of the outermost axis in which every operand fits one binding. */
function rangesOf(operands: readonly Operand[], { maxBinding, offsetAlignment }: GpuFeatures): Range[] {
  const [{ shape }] = operands
  const most = Math.min(
    shape[0],
    ...operands.map(({ strides, dtype }) =>
      Math.floor((maxBinding - offsetAlignment) / (strides[0] * itemSize(dtype))),
    ),
  )
  if (most < 1) throw new BackendError(`a row of a weight exceeds what the GPU binds at once, ${maxBinding} bytes`)
  const count = operands.every((operand) => extentBytes(operand) + offsetAlignment <= maxBinding) ? shape[0] : most
  return Array.from({ length: Math.ceil(shape[0] / count) }, (_, i) => ({
    start: i * count,
    count: Math.min(count, shape[0] - i * count),
  }))
}

/** All dispatches' parameters, side by side. */
function paramWords(dispatches: readonly Assembled[], alignment: number) {
  let size = 0
  const offsets = dispatches.map(({ params }) => {
    const offset = size
    size += Math.ceil((params?.byteLength ?? 0) / alignment) * alignment
    return offset
  })
  const words = new Uint32Array(Math.max(alignment, size) / 4)
  dispatches.forEach(({ params }, i) => {
    if (params) words.set(params, offsets[i] / 4)
  })
  return { words, offsets }
}
