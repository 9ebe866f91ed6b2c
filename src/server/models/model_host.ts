import { RequestError } from "../request_error.js"
import type { ServedModel } from "../served_model.js"
import { Outbox } from "./outbox.js"
import { errorData, type FromModel, type LoadRequest, type Method, type Port, type ToModel, WINDOW } from "./wire.js"

/** A model that was loaded to be served over a port. */
export interface HostedModel {
  readonly model: ServedModel
  /** Of memory that it takes: weights, the pool for keys and values, intermediate values where these were counted. */
  readonly bytes: number
  close(): Promise<void>
}

export interface LoadHooks {
  onProgress(done: number, total: number): void
  onWarning(text: string): void
}

export type LoadHosted = (request: LoadRequest, hooks: LoadHooks) => Promise<HostedModel>

/**
 * The model's side of a port: loads what the first message names, then answers calls until it is told to close.
 *
 * @param onOver called when nothing more will come: the model could not be loaded, or is closed
 */
export function hostModel(port: Port<FromModel, ToModel>, load: LoadHosted, onOver: () => void): void {
  port.receive = async (first) => {
    if (first.type !== "load") return
    // Told to close meanwhile, it does so once it is loaded: whoever cannot wait ends the process.
    let isClosing = false
    port.receive = ({ type }) => {
      isClosing ||= type === "close"
    }
    try {
      const { model, bytes, close } = await load(first.request, {
        onProgress: (done, total) => port.send({ type: "progress", done, total }),
        onWarning: (text) => port.send({ type: "warning", text }),
      })
      const calls = new Calls(port, model)
      const end = () => close().finally(onOver)
      port.receive = (message) => (message.type === "close" ? end() : calls.receive(message))
      if (isClosing) await end()
      else port.send({ type: "loaded", info: model.info, bytes })
    } catch (error) {
      port.send({ type: "failed", error: errorData(error) })
      onOver()
    }
  }
}

/** The calls that are being answered. */
class Calls {
  private readonly calls = new Map<number, Call>()
  private readonly outbox: Outbox

  constructor(
    port: Port<FromModel, ToModel>,
    private readonly model: ServedModel,
  ) {
    this.outbox = new Outbox((message) => port.send(message))
  }

  receive(message: ToModel): void {
    if (message.type === "call") void this.answer(message.id, message.method, message.args)
    else if (message.type === "taken") this.calls.get(message.id)?.taken(message.count)
    else if (message.type === "cancel") this.calls.get(message.id)?.cancel()
  }

  private async answer(id: number, method: Method, args: readonly unknown[]): Promise<void> {
    const call = new Call()
    const { signal } = call
    this.calls.set(id, call)
    try {
      for await (const value of valuesOf(this.model, method, args, signal)) {
        if (signal.aborted) return
        this.outbox.value(id, value)
        await call.sent()
        if (signal.aborted) return
      }
      this.outbox.end(id, "done")
    } catch (error) {
      if (!signal.aborted) this.outbox.end(id, errorData(error))
    } finally {
      this.calls.delete(id)
    }
  }
}

/** One call: whether it goes on, and how far its reader is behind. */
class Call {
  private readonly abort = new AbortController()
  private unread = 0
  private wake: () => void = () => {}

  get signal(): AbortSignal {
    return this.abort.signal
  }

  /** A value went out: waits until there may be another. */
  sent(): Promise<void> | undefined {
    if (++this.unread < WINDOW) return undefined
    return new Promise((resolve) => {
      this.wake = resolve
    })
  }

  taken(count: number): void {
    this.unread -= count
    this.wake()
  }

  cancel(): void {
    this.abort.abort(new RequestError("unavailable", "the request was cancelled"))
    this.wake()
  }
}

/** What a method gives, as a series. The arguments are those that the other side's compiler has checked. */
async function* valuesOf(
  model: ServedModel,
  method: Method,
  args: readonly unknown[],
  signal: AbortSignal,
): AsyncGenerator<unknown, void> {
  if (method === "chat" || method === "generate") {
    const [subject, options] = args as [never, object]
    yield* model[method](subject, { ...options, signal })
  } else yield await (model[method] as (...args: readonly unknown[]) => Promise<unknown>).apply(model, [...args])
}
