import type { CancelSignal } from "../../backends/backend.js"
import { Channel } from "../../engine/channel.js"
import type { ChatMessage } from "../../engine/chat_messages.js"
import type { ConversationParams } from "../../engine/chat_request.js"
import { asRequestError } from "../faults.js"
import { RequestError } from "../request_error.js"
import type {
  CompletionEvent,
  CompletionOptions,
  ServedLoad,
  ServedModel,
  ServedModelInfo,
  TurnEvent,
  TurnOptions,
} from "../served_model.js"
import type { LoadHooks } from "./model_host.js"
import {
  type Answered,
  checkDepth,
  type FromModel,
  type LoadRequest,
  type Method,
  type Port,
  revived,
  TAKEN,
  type ToModel,
} from "./wire.js"

/** Seconds after which a model whose process has ended may be there again. */
const RETRY_AFTER = 1

/** Has the other side of a port load a model. @throws {RequestError} `unavailable` when it cannot, or when it ends meanwhile */
export function loadRemote(
  port: Port<ToModel, FromModel>,
  request: LoadRequest,
  hooks: LoadHooks,
): Promise<RemoteModel> {
  return new Promise((resolve, reject) => {
    port.gone = (reason) => reject(ended(request.name, reason))
    port.receive = (message) => {
      if (message.type === "progress") hooks.onProgress(message.done, message.total)
      else if (message.type === "warning") hooks.onWarning(message.text)
      else if (message.type === "failed") reject(revived(message.error))
      else if (message.type === "loaded") resolve(new RemoteModel(message.info, message.bytes, port))
    }
    port.send({ type: "load", request })
  })
}

/** A model at the other side of a port. */
export class RemoteModel implements ServedModel {
  private readonly calls = new Map<number, Channel<unknown>>()
  private lastId = 0
  /** Why there are no more answers, once that is so. */
  private fate: RequestError | null = null

  constructor(
    readonly info: ServedModelInfo,
    /** Of memory that it takes: weights, the pool for keys and values, intermediate values where these were counted. */
    readonly bytes: number,
    private readonly port: Port<ToModel, FromModel>,
  ) {
    port.gone = (reason) => this.end(ended(info.name, reason))
    port.receive = (message) => {
      if (message.type === "answers") for (const answered of message.answers) this.answered(answered)
    }
  }

  chat(messages: readonly ChatMessage[], { signal, ...options }: TurnOptions): AsyncIterable<TurnEvent> {
    return this.call("chat", [messages, options], signal)
  }

  generate(
    prompt: string | readonly number[],
    { signal, ...options }: CompletionOptions,
  ): AsyncIterable<CompletionEvent> {
    return this.call("generate", [prompt, options], signal)
  }

  render(messages: readonly ChatMessage[], params: ConversationParams): Promise<number[]> {
    return this.ask("render", [messages, params])
  }

  tokenize(text: string, special?: boolean): Promise<number[]> {
    return this.ask("tokenize", [text, special])
  }

  detokenize(ids: readonly number[]): Promise<string> {
    return this.ask("detokenize", [ids])
  }

  load(): Promise<ServedLoad> {
    return this.ask("load", [])
  }

  /** Ends what is under way, and has the model unloaded; `gone` of the port says when it is. */
  close(): void {
    if (this.fate) return
    const { name } = this.info
    this.end(new RequestError("unavailable", `the model ${name} is being unloaded`, { retry_after: RETRY_AFTER }))
    this.port.send({ type: "close" })
  }

  private end(fate: RequestError): void {
    this.fate ??= fate
    for (const channel of this.calls.values()) channel.fail(fate)
    this.calls.clear()
  }

  private answered({ id, values, end }: Answered): void {
    // What a cancelled call has left behind is nobody's.
    const channel = this.calls.get(id)
    if (!channel) return
    for (const value of values) channel.push(value)
    if (end === undefined) return
    this.calls.delete(id)
    if (end === "done") channel.end()
    else channel.fail(revived(end))
  }

  private async ask<T>(method: Method, args: readonly unknown[]): Promise<T> {
    for await (const value of this.call<T>(method, args)) return value
    throw new RequestError("internal", `${method} gave nothing`)
  }

  private async *call<T>(method: Method, args: readonly unknown[], signal?: CancelSignal): AsyncGenerator<T, void> {
    if (this.fate) throw this.fate
    if (signal?.aborted) throw asRequestError(signal.reason)
    checkDepth(args)
    const id = ++this.lastId
    const channel = new Channel<unknown>()
    const abort = () => {
      this.cancel(id)
      channel.fail(asRequestError(signal!.reason))
    }
    this.calls.set(id, channel)
    signal?.addEventListener("abort", abort)
    try {
      this.send({ type: "call", id, method, args })
      let taken = 0
      for await (const value of channel.read()) {
        if (signal?.aborted) throw asRequestError(signal.reason)
        if (++taken % TAKEN === 0 && this.calls.has(id)) this.send({ type: "taken", id, count: TAKEN })
        yield value as T
      }
    } finally {
      signal?.removeEventListener("abort", abort)
      this.cancel(id)
    }
  }

  /** Unless it is over. */
  private cancel(id: number): void {
    if (this.calls.delete(id)) this.send({ type: "cancel", id })
  }

  private send(message: ToModel): void {
    try {
      this.port.send(message)
    } catch (error) {
      throw asRequestError(error)
    }
  }
}

function ended(name: string, reason: string): RequestError {
  const message = `the process of the model ${name} has ended (${reason}): try again, which loads it anew`
  return new RequestError("unavailable", message, { retry_after: RETRY_AFTER })
}
