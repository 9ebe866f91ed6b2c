import { fork } from "node:child_process"
import { BackendError } from "../backends/backend.js"
import type { LoadModelOptions } from "../engine/load_model.js"
import type { DeviceInfo } from "./node_device_info.js"

export interface Loaded {
  readonly ms: number
  /** Of these, and the first token's logits. */
  readonly first_token_ms: number
  /** The most resident memory of the process, above what it had before. */
  readonly host_bytes: number
  readonly device: DeviceInfo
}

/** Loads in a fresh process, as a user's program would: its memory is gone before the next run. */
export function loadInProcess(model: string, options: LoadModelOptions): Promise<Loaded> {
  return new Promise((resolve, reject) => {
    const child = fork(new URL("./node_load_process.js", import.meta.url), [JSON.stringify([model, options])])
    let answer: Loaded | { readonly error: string } = {
      error: "the process that loads the model was killed: memory is short",
    }
    child.on("message", (message) => {
      answer = message as typeof answer
    })
    child.on("error", reject)
    child.on("exit", () => ("error" in answer ? reject(new BackendError(answer.error)) : resolve(answer)))
  })
}
