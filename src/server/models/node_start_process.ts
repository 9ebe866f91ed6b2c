import { type ChildProcess, fork } from "node:child_process"
import { setPriority } from "node:os"
import type { CancelSignal } from "../../backends/backend.js"
import type { LoadHooks } from "./model_host.js"
import type { LoadedModel } from "./model_pool.js"
import { loadRemote } from "./remote_model.js"
import type { FromModel, LoadRequest, Port, ToModel } from "./wire.js"

export interface ModelProcess extends LoadedModel {
  readonly pid: number
}

/**
 * Loads a model in a process of its own.
 *
 * @param signal ends the process while it loads
 * @throws {RequestError} `unavailable` when the model cannot be loaded; with the code `memory_limit` when it takes more than it may
 */
export async function startModelProcess(
  request: LoadRequest,
  hooks: LoadHooks,
  signal?: CancelSignal,
): Promise<ModelProcess> {
  signal?.throwIfAborted()
  const child = fork(new URL("./node_model_process.js", import.meta.url), {
    serialization: "advanced",
    // A debugger's port is this process's, and standard output is not for the model.
    execArgv: [],
    stdio: ["ignore", 2, 2, "ipc"],
  })
  giveWay(child)
  const exited = exitOf(child)
  const port = portOf(child)
  void exited.then((outcome) => port.gone(outcome))
  const kill = () => child.kill("SIGKILL")
  signal?.addEventListener("abort", kill)
  try {
    const model = await loadRemote(port, request, hooks)
    const close = async (deadline: number) => {
      model.close()
      const timer = setTimeout(kill, deadline)
      await exited
      clearTimeout(timer)
    }
    return { model, bytes: model.bytes, pid: child.pid!, ended: exited, close }
  } catch (error) {
    kill()
    await exited
    throw error
  } finally {
    signal?.removeEventListener("abort", kill)
  }
}

/**
 * How nice a model is to the rest of the machine. While it computes on every core, the server has to be found ready all the same: with none
 * the slowest answer to `/health` takes 72 ms, with 2 it takes 24 ms, and with 10 no less than 21.
 */
const NICENESS = 2

/** Before the process has threads: they take after the one that starts them. */
function giveWay({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, NICENESS)
  } catch {
    // It is over already, or may not be told: it works as it is.
  }
}

function portOf(child: ChildProcess): Port<ToModel, FromModel> {
  const port: Port<ToModel, FromModel> = {
    // What cannot be delivered is told by `gone`.
    send: (message) => child.connected && child.send(message, undefined, {}, () => {}),
    receive: () => {},
    gone: () => {},
  }
  child.on("message", (message: FromModel) => port.receive(message))
  return port
}

/** Resolves once the process is over: `exit code 1`, `signal SIGKILL`, or why it could not be started. */
function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.on("error", (error) => {
      if (child.pid === undefined) resolve(error.message)
    })
    child.once("close", (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`))
  })
}
