import type { Backend, MemoryCounter } from "../backends/backend.js"
import type { KvFormat } from "../tensor/kv_format.js"
import { kvLayout } from "../cache/kv_layout.js"
import { PAGE_SIZE, pagesNeeded } from "../cache/kv_size.js"
import { KvStore } from "../cache/kv_store.js"
import { lower } from "../graph/lower.js"
import { optimise } from "../graph/optimise.js"
import type { Program } from "../ir/program.js"
import { Storage } from "../tensor/storage.js"
import { type CausalLM, classOf, DECODING, type StepKind, type StepStates, traceStep } from "./step.js"

/** What keys and values a model has to have room for. */
export interface KvNeeds {
  readonly format: KvFormat
  /** Tokens of the longest sequence. */
  readonly max_context: number
  /** Sequences of that length that the pool holds at once; 1 by default. */
  readonly sequences?: number
  /** Sequences that run at once at most, of any length; by default those that the pool holds. */
  readonly max_sequences?: number
  /** Bytes of the pool instead of what these take. */
  readonly bytes?: number
}

/** What running a model takes, in bytes, told before anything is loaded: what the backend allocates, not only what it asks for. */
export interface MemoryPlan {
  readonly weights: number
  /** The pool of pages for keys and values. */
  readonly caches: number
  /**
   * Intermediate values, inputs and results of decoding, alone and all at once, and of the largest step. Other steps compute
   * in the same memory: on a GPU, each of the few that are kept adds its parameters, some 10 to 100 kB, and reading tokens
   * 256 bytes for each step under way. Logits that the host asks for come on top.
   */
  readonly working: number
  /** What loading the weights takes in the host's memory until it is done. */
  readonly staging: number
  /** All of these. */
  readonly total: number
  readonly max_context: number
  /** Sequences of that length that the pool has room for, where it was made for several. */
  readonly sequences?: number
  /** Sequences that run at once at most: `working` has room for the rows and logits of all. */
  readonly max_sequences: number
  /** The largest single array of weights. */
  readonly largestWeight: NamedBytes
  readonly largestCache: NamedBytes
}

interface NamedBytes {
  readonly name: string
  readonly byteLength: number
}

/** What caches take in all, and the largest array of them. */
export interface CacheMemory {
  readonly bytes: number
  readonly largest: NamedBytes
}

/**
 * Rows of a sequence that the pool has room for at once beside what they see in sliding windows: of a longer chunk, the scheduler
 * takes a part. gpt-oss-20b at 8k tokens takes 58 MB in 4 bits with these, 64 MB with a GPU's whole chunks.
 */
const CHUNK = 1024

/** An empty pool for what is needed. It takes no memory until a backend makes its storages resident. */
export function storeFor(model: CausalLM, { prefillChunk }: Pick<Backend, "prefillChunk">, needs: KvNeeds): KvStore {
  const { format, sequences = 1, bytes } = needs
  const max_context = Math.min(needs.max_context, model.config.max_position_embeddings)
  const pages = sequences * pagesNeeded(kvLayout(model.layers, PAGE_SIZE), max_context, Math.min(prefillChunk, CHUNK))
  return new KvStore(model.layers, { size: bytes === undefined ? { pages } : { bytes }, max_context, format })
}

/** Traces the steps of a scheduler that take most, and counts what they touch. Reads no weights. */
export async function planMemory(model: CausalLM, backend: Backend, needs: KvNeeds): Promise<MemoryPlan> {
  const { sequences, max_sequences = sequences ?? 1 } = needs
  const store = storeFor(model, backend, needs)
  const counter = counterOf(backend)
  const states = { store, drawn: new Storage("drawn ids", "uint32", [max_sequences], null) }
  const kinds = plannedKinds(max_sequences, store.max_context, backend)
  const bytes = { weights: 0, caches: await counter.storages(store.storages), working: 0 }
  for (const kind of kinds) {
    const program = programOf(kind, model, states, backend)
    bytes.weights += await counter.storages(storagesOf(program, "read"))
    bytes.working += await counter.storages(storagesOf(program, "write"))
    bytes.working += await counter.program(program)
  }
  const { staging } = counter
  const read = kinds.flatMap((kind) => storagesOf(programOf(kind, model, states, backend), "read"))
  return {
    ...bytes,
    staging,
    total: bytes.weights + bytes.caches + bytes.working + staging,
    max_context: store.max_context,
    sequences,
    max_sequences,
    largestWeight: largestOf(read),
    largestCache: largestOf(store.storages),
  }
}

/**
 * Decoding alone, all sequences decoding at once, and as many rows as a step has, prompts with the last rows of all sequences
 * among them: the one step takes most by its rows, the other by its logits, which requests may have changed and masked.
 */
function plannedKinds(max_sequences: number, max_context: number, backend: Backend): StepKind[] {
  const chunk = Math.min(Math.max(backend.prefillChunk, max_sequences), max_sequences * max_context)
  const wanted = classOf(max_sequences, backend, "wanted")
  const largest: StepKind = { rows: classOf(chunk, backend), wanted, draws: "constrained", logits: false }
  if (max_sequences === 1) return [DECODING, largest]
  return [DECODING, { ...DECODING, rows: classOf(max_sequences, backend) }, largest]
}

function storagesOf({ buffers }: Program, access: "read" | "write"): Storage[] {
  return buffers.flatMap((buffer) => (buffer.kind === "storage" && buffer.access === access ? [buffer.storage] : []))
}

/** The program of a step, as `backend` would be given it. */
function programOf(kind: StepKind, model: CausalLM, states: StepStates, { fusions }: Backend): Program {
  return lower(optimise(traceStep(kind, model, states), { fusions }))
}

/** The pool for what is needed, as the backend would allocate it. */
export async function cacheMemoryAt(model: CausalLM, backend: Backend, needs: KvNeeds): Promise<CacheMemory> {
  const { storages } = storeFor(model, backend, needs)
  return { bytes: await counterOf(backend).storages(storages), largest: largestOf(storages) }
}

function largestOf(storages: readonly Storage[]): NamedBytes {
  const [{ name, byteLength }] = [...storages].sort((a, b) => b.byteLength - a.byteLength)
  return { name, byteLength }
}

/** The backend's own way to count, or that each array takes its bytes. */
function counterOf(backend: Backend): MemoryCounter {
  return backend.memoryCounter?.() ?? new PlainCounter()
}

class PlainCounter implements MemoryCounter {
  readonly staging = 0
  private readonly counted = new Set<Storage>()
  private largestArena = 0

  async storages(storages: Iterable<Storage>): Promise<number> {
    let bytes = 0
    for (const storage of storages) {
      if (!this.counted.has(storage)) bytes += storage.byteLength
      this.counted.add(storage)
    }
    return bytes
  }

  /** Programs share the memory of intermediate values. */
  async program({ buffers }: Program): Promise<number> {
    let [inputs, arena] = [0, 0]
    for (const buffer of buffers) {
      if (buffer.kind === "input") inputs += buffer.byteLength
      else if (buffer.kind === "arena") arena += buffer.byteLength
    }
    const growth = Math.max(0, arena - this.largestArena)
    this.largestArena += growth
    return inputs + growth
  }
}
