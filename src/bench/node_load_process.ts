import { openBackend } from "../engine/node_backend.js"
import type { LoadModelOptions } from "../engine/load_model.js"
import { loadModel } from "../engine/node_model.js"
import { answer } from "./prompt.js"
import { deviceInfo } from "./node_device_info.js"

// One load in a process of its own: what `bench load` starts. Tells its parent how long it took.
const [path, options] = JSON.parse(process.argv[2]) as [string, LoadModelOptions]
try {
  const before = process.memoryUsage.rss()
  const start = performance.now()
  const { device, threads, precision } = options
  const { backend } = await openBackend({ device, threads, precision })
  const model = await loadModel(path, { ...options, text: false, backend })
  const ms = performance.now() - start
  await answer(model.scheduler, Uint32Array.of(0), 0)
  const first_token_ms = performance.now() - start
  const host_bytes = process.resourceUsage().maxRSS * 1024 - before
  process.send!({ ms, first_token_ms, host_bytes, device: deviceInfo(backend, options) })
  await model.close()
  await backend.close()
} catch (error) {
  process.send!({ error: (error as Error).message })
}
