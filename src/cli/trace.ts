import { writeFile } from "node:fs/promises"
import type { Backend } from "../backends/backend.js"
import { needGpu } from "../bench/gpu.js"
import { chromeTrace } from "../bench/trace.js"
import { printNote } from "./ui/output.js"

/** Runs `use` and writes a timeline of what the GPU did meanwhile to `file`. @throws BackendError without a GPU that tells the time */
export async function withTrace<T>(backend: Backend, file: string, use: () => Promise<T>): Promise<T> {
  const webgpu = needGpu(backend)
  const profiler = await webgpu.profile("dispatch")
  try {
    return await use()
  } finally {
    const trace = chromeTrace(await profiler.stop(), webgpu.gpu.description)
    await writeFile(file, JSON.stringify(trace))
    printNote(`(timeline written to ${file}: open it in https://ui.perfetto.dev)`)
  }
}
