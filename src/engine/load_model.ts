import { type Backend, type LoadOptions, OutOfMemoryError } from "../backends/backend.js"
import type { WebGpuBackend } from "../backends/webgpu/backend.js"
import type { KvFormat } from "../tensor/kv_format.js"
import type { KvStore } from "../cache/kv_store.js"
import type { Checkpoint } from "../checkpoint/checkpoint.js"
import { readGenerationConfig } from "../models/generation_config.js"
import { cacheBytesPerToken, weightBytesPerToken } from "../models/gpt_oss_footprint.js"
import { loadGptOss } from "../models/load.js"
import type { GrammarCompiler } from "../text/grammar.js"
import type { Tokenizer } from "../text/tokenizer.js"
import { anyOf, Ending } from "./ending.js"
import { ParameterError } from "./errors.js"
import { givenOptions, type KnownOptions } from "./given_options.js"
import { type KeptTokenizer, type Language, loadLanguage } from "./language.js"
import { fitPool } from "./kv_pool.js"
import { type MemoryBounds, memoryRanOut } from "./memory_check.js"
import { type KvNeeds, storeFor } from "./memory_plan.js"
import { LanguageModel } from "./model.js"
import { BACKEND_OPTIONS, type BackendOptions, type OpenedBackend } from "./open_backend.js"
import { defaultSequences, Scheduler } from "./scheduler.js"
import type { CausalLM } from "./step.js"

export interface LoadModelOptions extends BackendOptions, LoadOptions {
  /** Longest conversation in tokens, prompt and answer. By default the model's own limit, or less where no more fits. */
  readonly max_context?: number
  /** Bits that a value of the KV caches takes: see docs/kv-cache.md. What the device computes with by default, 16 or 32. */
  readonly kv_bits?: 16 | 8 | 4
  /**
   * Bytes of the pool that KV caches share. By default what `memory_limit` leaves, up to what `max_sequences` conversations of
   * `max_context` tokens take; without a limit what one takes.
   */
  readonly kv_memory?: number
  /** Bytes of the host's memory for requests that had to give their pages back; beyond that, and by default, they are computed again. */
  readonly swap_memory?: number
  /** A folder that keeps what prompts begin with from one process to the next: read now, written when the model closes. Not in browsers. */
  readonly kv_cache_dir?: string
  /** Told of what is passed over, such as a damaged file in `kv_cache_dir`. */
  readonly onWarning?: (text: string) => void
  /** Sequences that run at once at most; the others wait. By default 64 on a GPU, 16 elsewhere. */
  readonly max_sequences?: number
  /**
   * Has the pool hold so many sequences of `max_context` tokens at once.
   *
   * @internal
   */
  readonly sequences?: number
  /**
   * Whether the tokenizer is read. Without it the model takes token ids alone.
   *
   * @internal
   */
  readonly text?: boolean
  /** Bytes that weights, KV caches and intermediate values may take together; none by default. */
  readonly memory_limit?: number
  /** One that is open already and stays so when the model closes; by default one is opened as the options say. */
  readonly backend?: Backend
}

const OPTIONS: KnownOptions<LoadModelOptions> = {
  ...BACKEND_OPTIONS,
  max_context: true,
  memory_limit: true,
  kv_bits: true,
  kv_memory: true,
  swap_memory: true,
  kv_cache_dir: true,
  onWarning: true,
  max_sequences: true,
  sequences: true,
  text: true,
  backend: true,
  onProgress: true,
  onCompile: true,
  signal: true,
}

/**
 * What loading takes of where it runs: files and threads are Node's, or a browser's.
 *
 * @internal
 */
export interface Platform {
  /** @throws CheckpointError where there is no model of this name */
  openModel(name: string): Promise<OpenedModel>
  openBackend(options: BackendOptions): Promise<OpenedBackend>
  /** Makes what turns are held to schemas with; where it is absent, they cannot be. */
  openGrammars?(text: Tokenizer, vocab_size: number): Grammars
  /** Opens `kv_cache_dir`; where it is absent, there are no folders. */
  openKvCache?(
    store: KvStore,
    model: { readonly name: string; readonly checkpoint: Checkpoint },
    folder: string,
    onWarning: (text: string) => void,
  ): Promise<KvCacheFile>
}

/** @internal */
export interface OpenedModel {
  readonly name: string
  readonly checkpoint: Checkpoint
  /** Begins to read what an earlier process kept of its tokenizer; absent where nothing is kept. */
  readonly keptTokenizer?: () => KeptTokenizer
}

type Grammars = GrammarCompiler & { close(): Promise<void> }

interface KvCacheFile {
  save(): Promise<void>
}

/**
 * Loads a model: what `loadModel` is made of.
 *
 * @internal
 */
export async function loadModelOn(
  platform: Platform,
  path: string,
  options?: LoadModelOptions,
): Promise<LanguageModel> {
  const start = performance.now()
  const given = checkOptions(path, options)
  const { device, threads, precision, kv_cache_dir, onWarning = console.warn } = given
  if (kv_cache_dir !== undefined && !platform.openKvCache) {
    throw new ParameterError("kv_cache_dir", "nothing: only Node has folders", kv_cache_dir)
  }
  const { name, checkpoint, keptTokenizer } = await platform.openModel(path)
  // Behind the weights it would wait for all of them.
  const keptText = given.text === false ? undefined : keptTokenizer?.()
  const closeCheckpoint = async (error: unknown) => {
    await checkpoint.close()
    throw error
  }
  const backend =
    given.backend ?? (await platform.openBackend({ device, threads, precision }).catch(closeCheckpoint)).backend
  let store: KvStore | undefined
  let kept: KvCacheFile | undefined
  let grammars: Grammars | undefined
  const close = async () => {
    await grammars?.close()
    await kept?.save()
    for (const storage of store?.storages ?? []) storage.dispose()
    if (!given.backend) await backend.close()
    await checkpoint.close()
  }
  try {
    const model = await loadGptOss(checkpoint)
    const generation = await readGenerationConfig(checkpoint.directory, model.config.vocab_size)
    const wanted = kvNeeds(model, backend, given)
    const bounds = { limit: given.memory_limit, ...boundsOf(backend) }
    const { needs, plan } = await fitPool(model, backend, wanted, bounds, given.max_context === undefined)
    if (needs.max_context < wanted.max_context) {
      onWarning(`the context is ${needs.max_context} tokens: the model's ${wanted.max_context} do not fit the memory`)
    }
    store = storeFor(model, backend, needs)
    const scheduler = new Scheduler(model, backend, store, {
      max_sequences: needs.max_sequences,
      swap_memory: given.swap_memory,
    })
    const language = await loadTogether(
      scheduler,
      { onProgress: given.onProgress, onCompile: given.onCompile, signal: given.signal },
      async () => {
        if (given.text === false) return undefined
        const { openGrammars } = platform
        const compilerFor = (text: Tokenizer) => {
          grammars = openGrammars!(text, model.config.vocab_size)
          return grammars
        }
        return loadLanguage(checkpoint.directory, openGrammars && compilerFor, keptText)
      },
    ).catch((error: Error) => {
      throw plan && error instanceof OutOfMemoryError ? memoryRanOut(plan, error) : error
    })
    if (kv_cache_dir !== undefined) {
      kept = await platform.openKvCache!(store, { name, checkpoint }, kv_cache_dir, onWarning)
    }
    const sizes = [...checkpoint.tensors.values()].map(({ name, byteLength }) => [name, byteLength] as const)
    return new LanguageModel({
      info: {
        name,
        model_type: model.config.model_type,
        backend: backend.name,
        load_ms: performance.now() - start,
        weight_bytes: checkpoint.byteLength,
        weight_bytes_per_token: weightBytesPerToken(model.config, sizes),
        cache_bytes_per_token: (context) => cacheBytesPerToken(model.config, context, needs.format),
        layers: model.config.num_hidden_layers,
        vocab_size: model.config.vocab_size,
        chats: language?.hasFormat ?? false,
        max_context: scheduler.max_context,
      },
      scheduler,
      store,
      network: model,
      plan,
      speech: {
        name,
        language,
        stopTokens: new Set([
          ...model.config.eos_token_ids,
          ...generation.eos_token_ids,
          ...(language?.stopTokens ?? []),
        ]),
        sampling: generation.sampling,
      },
      close,
    })
  } catch (error) {
    await close()
    throw error
  }
}

/** Loads the weights, and reads the tokenizer meanwhile: a tokenizer that cannot be read ends both. */
async function loadTogether(
  scheduler: Scheduler,
  options: LoadOptions,
  readLanguage: () => Promise<Language | undefined>,
): Promise<Language | undefined> {
  const unreadable = new Ending()
  const signal = options.signal ? anyOf(options.signal, unreadable) : unreadable
  const reading = readLanguage().catch((error: Error) => {
    unreadable.abort(error)
    throw error
  })
  const loading = scheduler.prepare({ ...options, signal })
  const [read, loaded] = await Promise.allSettled([reading, loading])
  if (read.status === "rejected") throw read.reason
  if (loaded.status === "rejected") throw loaded.reason
  return read.value
}

function checkOptions(path: string, options: LoadModelOptions | undefined): LoadModelOptions {
  if (typeof path !== "string") throw new ParameterError("path", "a folder, or the name of a repository", path)
  const given = givenOptions(options, OPTIONS)
  const { max_context = 2, memory_limit = 1, kv_memory = 1, kv_bits = 16, max_sequences = 1, swap_memory = 0 } = given
  if (!(Number.isInteger(max_context) && max_context >= 2)) {
    throw new ParameterError("max_context", "a whole number, 2 or more", max_context)
  }
  if (!(typeof memory_limit === "number" && memory_limit > 0)) {
    throw new ParameterError("memory_limit", "a number of bytes above 0", memory_limit)
  }
  if (!(typeof kv_memory === "number" && kv_memory > 0)) {
    throw new ParameterError("kv_memory", "a number of bytes above 0", kv_memory)
  }
  if (!(typeof swap_memory === "number" && swap_memory >= 0)) {
    throw new ParameterError("swap_memory", "a number of bytes, 0 or more", swap_memory)
  }
  if (![16, 8, 4].includes(kv_bits)) throw new ParameterError("kv_bits", "16, 8 or 4", kv_bits)
  if (!(Number.isInteger(max_sequences) && max_sequences >= 1)) {
    throw new ParameterError("max_sequences", "a whole number, 1 or more", max_sequences)
  }
  return given
}

/** What the arrays of a backend may take. Only a GPU is asked; how much memory it has in all, WebGPU does not say. */
export function boundsOf(backend: Backend): MemoryBounds {
  if (backend.name !== "webgpu") return {}
  const { maxBuffer, maxBinding } = (backend as WebGpuBackend).gpu.features
  return { maxArray: maxBuffer, maxCache: maxBinding }
}

/** How keys and values are kept, and for how much there has to be room. */
export function kvNeeds(model: CausalLM, backend: Backend, options: Omit<LoadModelOptions, "backend">): KvNeeds {
  const { kv_bits, kv_memory, max_context = model.config.max_position_embeddings, sequences } = options
  const max_sequences = options.max_sequences ?? sequences ?? defaultSequences(backend)
  return { format: kvFormatOf(backend, kv_bits), max_context, sequences, max_sequences, bytes: kv_memory }
}

function kvFormatOf({ name, kvFormats }: Backend, kv_bits: LoadModelOptions["kv_bits"]): KvFormat {
  if (kv_bits === undefined) return kvFormats[0]
  const format = ({ 16: "float16", 8: "int8", 4: "int4" } as const)[kv_bits]
  if (!kvFormats.includes(format)) {
    throw new ParameterError("kv_bits", `what ${name} can: ${kvFormats.join(", ")}`, kv_bits)
  }
  return format
}
