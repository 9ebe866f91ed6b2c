import type { GpuDevice } from "../backends/webgpu/device.js"
import { BufferUsage } from "../backends/webgpu/gpu_provider.js"
import { Timestamps } from "../backends/webgpu/timestamps.js"
import { warmUp } from "./warm_up.js"

/** Vectors of 16 bytes that a thread asks for before it uses the first. */
const IN_FLIGHT = 8
const WORKGROUPS = 2048
const THREADS = WORKGROUPS * 256
/** Every buffer is a multiple of this. */
const UNIT = THREADS * IN_FLIGHT * 16
/** Some implementations allocate no more at once. */
const MAX_BUFFER = 2 ** 29
const PASSES = 10

/**
 * Bytes per second that the GPU streams from its memory: the roofline of decoding, as `measureReadBandwidth` is for CPUs.
 * The best of several passes over buffers far larger than its caches (less of them on a CPU that plays GPU), timed by the GPU where it can.
 */
export async function measureGpuReadBandwidth(
  gpu: GpuDevice,
  bytes = gpu.isFallback ? 2 ** 27 : 2 ** 30,
): Promise<number> {
  const { device } = gpu
  const size = UNIT * Math.max(1, Math.floor(Math.min(bytes, MAX_BUFFER, gpu.features.maxBinding) / UNIT))
  const fill = await gpu.pipeline("stream fill", FILL)
  const read = await gpu.pipeline("stream read", READ)
  const allocate = (size: number) => () => device.createBuffer({ label: "stream", size, usage: BufferUsage.STORAGE })
  const buffers = Array.from({ length: Math.ceil(bytes / size) }, allocate(size))
  // One each: dispatches that write to the same buffer would wait for one another.
  const sinks = buffers.map(allocate(16))
  const bind = (pipeline: GPUComputePipeline, ...bound: GPUBuffer[]) =>
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: bound.map((buffer, binding) => ({ binding, resource: { buffer } })),
    })
  const fills = buffers.map((buffer) => bind(fill, buffer))
  const reads = buffers.map((buffer, i) => bind(read, buffer, sinks[i]))
  /** Milliseconds of one pass. */
  const run = async (pipeline: GPUComputePipeline, groups: readonly GPUBindGroup[]): Promise<number> => {
    const timestamps = gpu.features.timestamps ? new Timestamps(device, 1) : null
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass({ timestampWrites: timestamps?.pass(0) })
    pass.setPipeline(pipeline)
    for (const group of groups) {
      pass.setBindGroup(0, group)
      pass.dispatchWorkgroups(WORKGROUPS)
    }
    pass.end()
    timestamps?.resolve(encoder)
    const start = performance.now()
    device.queue.submit([encoder.finish()])
    await device.queue.onSubmittedWorkDone()
    const ms = performance.now() - start
    if (!timestamps) return ms
    const [begin, end] = await timestamps.read()
    return Number(end - begin) / 1e6
  }
  try {
    await run(fill, fills)
    // Many at once, lest the GPU wait for us in between and lower its clocks.
    const long = Array.from({ length: PASSES }, () => reads).flat()
    await warmUp(() => run(read, long))
    let best = Number.POSITIVE_INFINITY
    for (let i = 0; i < PASSES; i++) best = Math.min(best, await run(read, reads))
    return (size * buffers.length * 1000) / best
  } finally {
    for (const buffer of [...buffers, ...sinks]) buffer.destroy()
    gpu.check()
  }
}

/** Bytes that no memory can compress. */
const FILL = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> data: array<vec4u>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  for (var i = id.x; i < arrayLength(&data); i += ${THREADS}u) {
    var h = (vec4u(i) * 4u + vec4u(0u, 1u, 2u, 3u)) * 2654435761u;
    h = (h ^ (h >> vec4u(15u))) * 2246822519u;
    data[i] = h ^ (h >> vec4u(13u));
  }
}`

/** The sum is written in a case that never comes, so that no compiler drops the reads. */
const READ = /* wgsl */ `
@group(0) @binding(0) var<storage, read> data: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> sink: array<vec4u>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var sum = vec4u(0u);
  for (var i = id.x; i < arrayLength(&data); i += ${THREADS * IN_FLIGHT}u) {
${Array.from({ length: IN_FLIGHT }, (_, k) => `    let v${k} = data[i + ${k * THREADS}u];`).join("\n")}
    sum += ${Array.from({ length: IN_FLIGHT }, (_, k) => `v${k}`).join(" ^ ")};
  }
  if (all(sum == vec4u(1u, 2u, 3u, 4u))) { sink[0] = sum; }
}`
