import { MemoryLimitError } from "../../engine/memory_check.js"
import type { LanguageModel } from "../../engine/model.js"
import { loadModel } from "../../engine/node_model.js"
import { LocalModel } from "../local_model.js"
import { RequestError } from "../request_error.js"
import { type HostedModel, hostModel, type LoadHooks } from "./model_host.js"
import type { FromModel, LoadRequest, Port, ToModel } from "./wire.js"

// A process with one model: what `startModelProcess` forks. It ends when it is told to close, or when its parent is gone.

// A terminal's Ctrl-C and a service manager's stop go to all processes of a group: the parent decides what they mean.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {})
process.on("disconnect", () => process.exit())

/** When the last message is written. */
let sent = Promise.resolve()
const port: Port<FromModel, ToModel> = {
  send: (message) => {
    // A message that cannot be delivered has nobody who waits for it.
    sent = new Promise((resolve) => process.send!(message, undefined, undefined, () => resolve()))
  },
  receive: () => {},
  gone: () => {},
}
process.on("message", (message: ToModel) => port.receive(message))
hostModel(port, load, () => sent.then(() => process.exit()))

async function load({ path, name, options }: LoadRequest, hooks: LoadHooks): Promise<HostedModel> {
  try {
    const model = await loadModel(path, { ...options, ...hooks })
    return { model: new LocalModel(model, name), bytes: bytesOf(model), close: () => model.close() }
  } catch (cause) {
    const code = cause instanceof MemoryLimitError ? "memory_limit" : undefined
    const message = `the model ${name} cannot be loaded: ${(cause as Error).message}`
    throw new RequestError("unavailable", message, { code, cause })
  }
}

/** As it was planned where there is a limit to keep to, without what loading took. */
function bytesOf({ plan, info, store }: LanguageModel): number {
  if (plan) return plan.total - plan.staging
  return info.weight_bytes + store.storages.reduce((sum, { byteLength }) => sum + byteLength, 0)
}
