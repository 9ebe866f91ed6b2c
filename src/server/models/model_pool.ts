import type { CancelSignal } from "../../backends/backend.js"
import { formatBytes } from "../../tensor/bytes.js"
import { RequestError } from "../request_error.js"
import type { HeldModel, ModelCard, ModelDirectory, ServedLoad, ServedModel } from "../served_model.js"
import { ModelNames } from "./model_names.js"

/** A model that runs, wherever it does. */
export interface LoadedModel {
  readonly model: ServedModel
  /** Of memory that it takes: weights, the pool for keys and values, intermediate values where these were counted. */
  readonly bytes: number
  /** Resolves once it runs no more, closed or not: what has become of it. */
  readonly ended: Promise<string>
  /** Unloads it; resolves once its memory is free. @param deadline milliseconds after which it is ended by force */
  close(deadline: number): Promise<void>
}

/** A model on offer. */
export interface ModelOffer {
  readonly name: string
  /** Other names for it. */
  readonly aliases?: readonly string[]
  /** What is known of it before it is loaded. */
  card(): Promise<Omit<ModelCard, "loaded">>
  /**
   * @param room bytes that it may take
   * @throws {RequestError} with the code `memory_limit` when it takes more
   */
  load(room: number | undefined, signal: CancelSignal): Promise<LoadedModel>
}

/** What the pool tells; pino's loggers do. */
export type PoolLog = Readonly<Record<"info" | "warn" | "error", (fields: object, message: string) => void>>

export interface ModelPoolOptions {
  /** Bytes that all loaded models may take together; no limit by default. */
  readonly memory_limit?: number
  /** Seconds after its last request when a model is unloaded; never by default. */
  readonly idle_unload?: number
  readonly log?: PoolLog
}

/** Milliseconds that a model has to write down what it keeps when it is unloaded. */
const UNLOADING = 10_000

/** Seconds after which models that others use may be idle. */
const RETRY_AFTER = 5

const silent: PoolLog = { info: () => {}, warn: () => {}, error: () => {} }

interface Entry {
  readonly offer: ModelOffer
  /** Requests that use it or wait for it. */
  holds: number
  /** Of `performance.now()`: when the last of them left. */
  used: number
  loading: Promise<LoadedModel> | null
  loaded: LoadedModel | null
  /** Until it is unloaded for idleness. */
  timer?: ReturnType<typeof setTimeout>
}

/** Models that are loaded when they are asked for, as many as the memory holds: the one that nobody has used for longest makes room. */
export class ModelPool implements ModelDirectory {
  private readonly byName: ModelNames<Entry>
  private readonly entries: readonly Entry[]
  private readonly log: PoolLog
  /** Loading and unloading, one after the other: each looks at the memory that the one before has left. */
  private turn: Promise<unknown> = Promise.resolve()
  private readonly closing = new AbortController()
  /** Called when nobody holds a model any more. */
  private onIdle: () => void = () => {}

  constructor(
    offers: readonly ModelOffer[],
    private readonly options: ModelPoolOptions = {},
  ) {
    this.log = options.log ?? silent
    this.entries = offers.map((offer) => ({ offer, holds: 0, used: 0, loading: null, loaded: null }))
    this.byName = new ModelNames(
      this.entries.map((entry) => [[entry.offer.name, ...(entry.offer.aliases ?? [])], entry]),
    )
  }

  /** Those that run now. */
  get loaded(): readonly LoadedModel[] {
    return this.entries.flatMap(({ loaded }) => loaded ?? [])
  }

  /** As requests name them: the first is what is meant where none is named. */
  get names(): readonly string[] {
    return this.entries.map(({ offer }) => offer.name)
  }

  /** Of those that run, by name. */
  async loads(): Promise<ReadonlyMap<string, ServedLoad>> {
    const loads = await Promise.all(
      this.entries.map(async ({ offer, loaded }) => {
        // One that ends meanwhile has no load any more.
        const load = await loaded?.model.load().catch(() => null)
        return load ? [[offer.name, load] as const] : []
      }),
    )
    return new Map(loads.flat())
  }

  /** One whose files cannot be read is left out, and the log says why. */
  async list(): Promise<readonly ModelCard[]> {
    const cards = await Promise.all(this.entries.map((entry) => this.cardOf(entry)))
    return cards.filter((card) => card !== null)
  }

  private async cardOf({ offer, loaded }: Entry): Promise<ModelCard | null> {
    try {
      const card = await offer.card()
      return { ...card, max_context: loaded?.model.info.max_context ?? card.max_context, loaded: loaded !== null }
    } catch (error) {
      this.log.warn({ model: offer.name, error: (error as Error).message }, "the model cannot be read")
      return null
    }
  }

  async hold(name: string | undefined, signal?: CancelSignal): Promise<HeldModel> {
    const entry = this.byName.find(name)
    this.throwIfClosing()
    signal?.throwIfAborted()
    entry.holds++
    clearTimeout(entry.timer)
    let isHeld = true
    const release = () => {
      if (isHeld) this.release(entry)
      isHeld = false
    }
    try {
      const { model } = await unlessAborted(this.running(entry), signal)
      return { model, release }
    } catch (error) {
      release()
      throw error
    }
  }

  /**
   * Refuses new requests, waits for those that hold a model, and unloads all.
   *
   * @param deadline milliseconds to wait for requests; then those left are ended
   */
  async close(deadline: number): Promise<void> {
    if (this.closing.signal.aborted) return
    // Whoever waits for a model that loads is refused at once.
    this.closing.abort(this.refusal())
    if (this.entries.some(({ holds }) => holds > 0)) {
      let timer: ReturnType<typeof setTimeout> | undefined
      await new Promise<void>((resolve) => {
        this.onIdle = resolve
        timer = setTimeout(resolve, deadline)
      })
      clearTimeout(timer)
    }
    await this.turn
    await Promise.all(this.entries.map((entry) => this.unload(entry, "the server stops")))
  }

  private throwIfClosing(): void {
    if (this.closing.signal.aborted) throw this.refusal()
  }

  private refusal(): RequestError {
    return new RequestError("unavailable", "the server is shutting down", { retry_after: RETRY_AFTER })
  }

  private release(entry: Entry): void {
    entry.used = performance.now()
    if (--entry.holds > 0) return
    const { idle_unload } = this.options
    if (idle_unload !== undefined && entry.loaded) {
      const unload = () => entry.holds === 0 && this.unload(entry, `idle for ${idle_unload} s`)
      entry.timer = setTimeout(() => this.inTurn(async () => void (await unload())), idle_unload * 1000)
      entry.timer.unref()
    }
    if (this.entries.every(({ holds }) => holds === 0)) this.onIdle()
  }

  /** Requests for one model share its loading. */
  private running(entry: Entry): Promise<LoadedModel> {
    if (entry.loaded) return Promise.resolve(entry.loaded)
    entry.loading ??= this.inTurn(() => this.load(entry)).finally(() => {
      entry.loading = null
    })
    return entry.loading
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.turn.then(work)
    this.turn = result.catch(() => {})
    return result
  }

  private async load(entry: Entry): Promise<LoadedModel> {
    const { offer } = entry
    this.throwIfClosing()
    const start = performance.now()
    this.log.info({ model: offer.name }, "loading the model")
    try {
      const loaded = await this.fit(entry)
      entry.loaded = loaded
      const { bytes } = loaded
      this.log.info({ model: offer.name, bytes, ms: Math.round(performance.now() - start) }, "the model is loaded")
      void loaded.ended.then((outcome) => {
        if (entry.loaded !== loaded) return
        entry.loaded = null
        this.log.error({ model: offer.name, outcome }, "the model's process ended; the next request loads it anew")
      })
      return loaded
    } catch (error) {
      if (this.closing.signal.aborted) throw this.refusal()
      this.log.error({ model: offer.name, error: (error as Error).message }, "the model cannot be loaded")
      throw error
    }
  }

  /** Loads into the memory that is left, and into that of idle models where this is not enough. */
  private async fit({ offer }: Entry): Promise<LoadedModel> {
    const { memory_limit } = this.options
    const { signal } = this.closing
    if (memory_limit === undefined) return offer.load(undefined, signal)
    const { bytes } = await offer.card()
    const limit = `the weights of ${offer.name} take ${formatBytes(bytes)}, and the memory limit is ${formatBytes(memory_limit)}`
    if (bytes > memory_limit) throw memoryError(`${limit}: raise it, or choose a smaller model`)
    const share = await this.shareOf(bytes, memory_limit)
    /** The most with which it could not be loaded. */
    let tooLittle = bytes - 1
    for (;;) {
      const room: number = memory_limit - this.loaded.reduce((sum, { bytes }) => sum + bytes, 0)
      // First what leaves room for the others, then all there is.
      for (const some of [Math.min(share, room), room]) {
        if (some <= tooLittle) continue
        try {
          return await offer.load(some, signal)
        } catch (error) {
          const isLast = some === memory_limit
          if (isLast || !(error instanceof RequestError && error.code === "memory_limit")) throw error
          tooLittle = some
        }
      }
      const idle = this.entries.filter(({ loaded, holds }) => loaded && holds === 0).sort((a, b) => a.used - b.used)
      if (idle.length === 0) throw memoryError(`${limit}, of which ${this.users()}`, RETRY_AFTER)
      await this.unload(idle[0], `${offer.name} needs the memory`)
    }
  }

  /**
   * What a model may take so that all on offer can be loaded: its weights, and an equal part of what all weights leave. All of the memory
   * where they leave none.
   */
  private async shareOf(bytes: number, memory_limit: number): Promise<number> {
    const cards = await this.list()
    const left = memory_limit - cards.reduce((sum, { bytes }) => sum + bytes, 0)
    return left > 0 ? bytes + left / cards.length : memory_limit
  }

  private users(): string {
    return this.loaded.map(({ model, bytes }) => `${model.info.name}, in use, takes ${formatBytes(bytes)}`).join("; ")
  }

  private async unload(entry: Entry, why: string): Promise<void> {
    const { offer, loaded } = entry
    if (!loaded) return
    clearTimeout(entry.timer)
    entry.loaded = null
    await loaded.close(UNLOADING)
    this.log.info({ model: offer.name, why }, "the model is unloaded")
  }
}

function memoryError(message: string, retry_after?: number): RequestError {
  return new RequestError("unavailable", message, { param: "model", code: "memory_limit", retry_after })
}

/** Rejects early when a signal is aborted: what others wait for goes on. */
async function unlessAborted<T>(promise: Promise<T>, signal: CancelSignal | undefined): Promise<T> {
  if (!signal) return promise
  let abort: () => void = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    signal.addEventListener("abort", abort)
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener("abort", abort)
  }
}
