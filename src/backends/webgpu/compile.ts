import { itemSize } from "../../tensor/dtype.js"
import { contiguousStrides, sizeOf } from "../../tensor/shape.js"
import { BackendError, type LoadOptions } from "../backend.js"
import type { Operand, Program } from "../../ir/program.js"
import type { WebGpuBackend } from "./backend.js"
import {
  type Assembled,
  assemble,
  type Dispatch,
  extentBytes,
  type KernelContext,
  type Location,
  placeViews,
  type Range,
} from "./dispatch.js"
import { GpuExecutable } from "./executable.js"
import type { GpuFeatures } from "./features.js"
import { BufferUsage } from "./gpu_provider.js"
import { plan } from "./kernels/plan.js"

/** Index of the scratch buffer, beside those of the program. */
const SCRATCH = -1

/** Plans a program's dispatches, compiles their pipelines in parallel and binds their buffers. */
export async function compileProgram(
  backend: WebGpuBackend,
  program: Program,
  options: LoadOptions,
): Promise<GpuExecutable> {
  const owned: GPUBuffer[] = []
  try {
    return await compileOwning(owned, backend, program, options)
  } catch (error) {
    for (const buffer of owned) buffer.destroy()
    throw error
  }
}

/** Puts every buffer that the executable is going to own into `owned`. */
async function compileOwning(
  owned: GPUBuffer[],
  backend: WebGpuBackend,
  program: Program,
  { onCompile, signal }: LoadOptions,
): Promise<GpuExecutable> {
  const { gpu, memory } = backend
  const { device, features } = gpu
  const own = (label: string, byteLength: number) => {
    const buffer = memory.allocate(label, byteLength)
    owned.push(buffer)
    return buffer
  }
  const places = program.buffers.map((buffer): Location => {
    if (buffer.kind !== "storage") {
      const label = buffer.kind === "input" ? `input ${buffer.name}` : "arena"
      return { buffer: own(label, buffer.byteLength), offset: 0, mutable: buffer.kind === "arena" }
    }
    if (buffer.access === "write") memory.makeWritable(buffer.storage)
    return { ...memory.blockOf(buffer.storage), mutable: buffer.access === "write" }
  })

  // Planners ask where operands lie before the scratch buffer has its size.
  let scratch: Location = { buffer: places[0].buffer, offset: 0, mutable: true }
  const locate = (operand: Operand): Location => {
    const place = operand.buffer === SCRATCH ? scratch : places[operand.buffer]
    return { ...place, offset: place.offset + operand.offset }
  }
  const dispatches: Dispatch[] = []
  let mostScratch = 0
  for (let i = 0; i < program.instructions.length; ) {
    let scratchBytes = 0
    const context: KernelContext = {
      features,
      scratch: (dtype, shape) => {
        const offset = scratchBytes
        scratchBytes +=
          Math.ceil((sizeOf(shape) * itemSize(dtype)) / features.offsetAlignment) * features.offsetAlignment
        return { buffer: SCRATCH, offset, shape, strides: contiguousStrides(shape), dtype }
      },
      ranges: (operands) => rangesOf(operands, features),
      fits: ({ views }) => placeViews(views, locate, features).slots.length <= features.maxBindings,
    }
    const planned = plan(program.instructions[i], program.instructions.slice(i + 1, i + 3), context)
    dispatches.push(...planned.dispatches)
    i += planned.count
    mostScratch = Math.max(mostScratch, scratchBytes)
  }
  scratch = { buffer: own("scratch", mostScratch), offset: 0, mutable: true }
  const assembled = dispatches.map((dispatch) => assemble(dispatch, locate, features))
  signal?.throwIfAborted()
  const kernels = new Map(assembled.map(({ label, code }) => [code, gpu.pipeline(label, code)]))
  let compiled = 0
  const compile = async ([code, kernel]: [string, Promise<GPUComputePipeline>]) => {
    const pipeline = await kernel
    onCompile?.(++compiled, kernels.size)
    return [code, pipeline] as const
  }
  const pipelines = new Map(await Promise.all([...kernels].map(compile)))
  const params = uniformBlock(device, assembled)
  owned.push(params.buffer)
  const steps = assembled.map(({ label, code, bindings, workgroups, bytes }, i) => {
    const pipeline = pipelines.get(code)!
    const size = assembled[i].params?.byteLength
    const uniform = size ? [{ binding: 0, resource: { buffer: params.buffer, offset: params.offsets[i], size } }] : []
    const bindGroup = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [...uniform, ...bindings.map((resource, b) => ({ binding: b + 1, resource }))],
    })
    return { label, pipeline, bindGroup, workgroups, bytes }
  })
  await gpu.settle()
  return new GpuExecutable(backend, program, places, owned, steps)
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

/** All dispatches' parameters in one buffer. */
function uniformBlock(device: GPUDevice, assembled: readonly Assembled[]): { buffer: GPUBuffer; offsets: number[] } {
  const alignment = device.limits.minUniformBufferOffsetAlignment
  let size = 0
  const offsets = assembled.map(({ params }) => {
    const offset = size
    size += Math.ceil((params?.byteLength ?? 0) / alignment) * alignment
    return offset
  })
  const usage = BufferUsage.UNIFORM | BufferUsage.COPY_DST
  const buffer = device.createBuffer({
    label: "params",
    size: Math.max(alignment, size),
    usage,
    mappedAtCreation: true,
  })
  const words = new Uint32Array(buffer.getMappedRange())
  assembled.forEach(({ params }, i) => {
    if (params) words.set(params, offsets[i] / 4)
  })
  buffer.unmap()
  return { buffer, offsets }
}
