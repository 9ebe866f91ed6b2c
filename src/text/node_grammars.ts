import { Worker } from "node:worker_threads"
import { type CompiledGrammars, type GrammarCompiler, GrammarError, type GrammarMatcher } from "./grammar.js"
import {
  FAILED,
  type FromGrammarThread,
  type GrammarThreadSetup,
  MASK,
  MASKS,
  MAY_END,
  type ToGrammarThread,
} from "./node_grammar_thread.js"
import { byteAlphabet } from "./byte_alphabet.js"

/** Each has the vocabulary and what it compiled in memory of its own, some 100 MB with 200,000 tokens. */
const MAX_THREADS = 3

/** Milliseconds that a call waits for a thread of its own. */
const SHARING = 1000

/** Grammars that a thread keeps compiled. */
const MAX_COMPILED = 64

/** No mask takes this long: a thread that lets wait has died. */
const PATIENCE_MS = 30_000

/** What of a tokenizer matters to a grammar. */
export interface Vocabulary {
  readonly vocab_size: number
  bytesOf(id: number): Uint8Array
  isSpecial(id: number): boolean
}

interface Waiting {
  readonly grammars: ReadonlySet<string>
  readonly resolve: (thread: Thread) => void
  readonly reject: (error: Error) => void
}

/**
 * Compiles grammars with xgrammar, in threads that start when they are needed and do not keep the process alive. A thread
 * whose grammars are in use compiles nothing, so that masks never wait for a compilation: calls for other grammars go to
 * another thread, or wait until one is free. Not for long: turns with more kinds of grammars at once than there are threads
 * would wait for each other's ends, which is worse than a mask that waits for a compilation.
 */
export class NodeGrammars implements GrammarCompiler {
  private readonly threads = new Set<Thread>()
  private waiting: Waiting[] = []
  private setup: GrammarThreadSetup | null = null
  private isClosed = false

  /** @param vocab_size the model's: what masks are as long as */
  constructor(
    private readonly vocabulary: Vocabulary,
    private readonly vocab_size: number,
  ) {}

  /** @throws GrammarError if a grammar is none */
  async compile(grammars: readonly string[]): Promise<CompiledGrammars> {
    const thread = await this.take(new Set(grammars))
    try {
      await thread.compile(grammars)
    } catch (error) {
      // The library aborts on a grammar that it cannot read. Texts that it follows go on, but it gets nothing new.
      thread.isSpent = true
      this.release(thread)
      throw error
    }
    return new Compiled(thread, grammars, this.vocab_size, () => this.release(thread))
  }

  /** Ends the threads; matchers that are open fail. */
  async close(): Promise<void> {
    this.isClosed = true
    for (const { reject } of this.waiting.splice(0)) reject(closed())
    await Promise.all([...this.threads].map((thread) => thread.end("the grammars were closed")))
  }

  private take(grammars: ReadonlySet<string>): Promise<Thread> {
    if (this.isClosed) return Promise.reject(closed())
    const thread = this.find(grammars)
    if (thread) return Promise.resolve(thread)
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { grammars, resolve, reject }
      this.waiting.push(waiting)
      setTimeout(() => this.share(waiting), SHARING).unref()
    })
  }

  /** Gives who still waits the thread that is used least. */
  private share(waiting: Waiting): void {
    const at = this.waiting.indexOf(waiting)
    const [least] = this.usable.sort((a, b) => a.users - b.users)
    if (at === -1 || !least) return
    this.waiting.splice(at, 1)
    least.users++
    waiting.resolve(least)
  }

  private find(grammars: ReadonlySet<string>): Thread | null {
    const threads = this.usable
    const found =
      threads.find((thread) => thread.hasAll(grammars)) ??
      threads.find((thread) => thread.users === 0) ??
      this.another()
    if (found) found.users++
    return found
  }

  private get usable(): Thread[] {
    return [...this.threads].filter(({ isSpent }) => !isSpent)
  }

  private another(): Thread | null {
    if (this.threads.size === MAX_THREADS) return null
    this.setup ??= setupOf(this.vocabulary)
    const thread = new Thread(this.setup, () => {
      this.threads.delete(thread)
      this.serveWaiting()
    })
    this.threads.add(thread)
    return thread
  }

  private release(thread: Thread): void {
    thread.users--
    if (thread.isSpent && thread.users === 0) void thread.end("a grammar did not compile")
    this.serveWaiting()
  }

  private serveWaiting(): void {
    if (this.isClosed) return
    this.waiting = this.waiting.filter(({ grammars, resolve }) => {
      const thread = this.find(grammars)
      if (thread) resolve(thread)
      return thread === null
    })
  }
}

const closed = () => new Error("the grammars are closed")

/** Bytes of all tokens, in memory that threads share, and how vocabularies spell each byte. */
function setupOf(vocabulary: Vocabulary): GrammarThreadSetup {
  const tokens = Array.from({ length: vocabulary.vocab_size }, (_, id) =>
    vocabulary.isSpecial(id) ? new Uint8Array(0) : vocabulary.bytesOf(id),
  )
  const begins = new Uint32Array(new SharedArrayBuffer((tokens.length + 1) * 4))
  for (const [id, bytes] of tokens.entries()) begins[id + 1] = begins[id] + bytes.length
  const bytes = new Uint8Array(new SharedArrayBuffer(begins[tokens.length]))
  for (const [id, own] of tokens.entries()) bytes.set(own, begins[id])
  return { bytes, begins, letters: [...byteAlphabet().keys()] }
}

/** A thread as its callers see it. */
class Thread {
  /** Of how many calls the grammars are in use. */
  users = 0
  /** Whether it is to be given no more calls, and ends with the last that it has. */
  isSpent = false
  private readonly worker: Worker
  /** Compiled grammars, the ones used longest ago first. */
  private readonly compiled = new Set<string>()
  private readonly calls = new Map<number, { resolve: () => void; reject: (error: Error) => void }>()
  private lastCall = 0
  private lastMatcher = 0
  /** Why it can do no more, once it cannot. */
  fate: string | null = null

  constructor(
    setup: GrammarThreadSetup,
    private readonly onEnd: () => void,
  ) {
    const workerData = setup
    this.worker = new Worker(new URL("./node_grammar_thread.js", import.meta.url), { workerData, execArgv: [] })
    this.worker.on("message", ({ call, problem }: FromGrammarThread) => {
      const { resolve, reject } = this.calls.get(call)!
      this.calls.delete(call)
      if (this.calls.size === 0) this.worker.unref()
      if (problem === undefined) resolve()
      else reject(new GrammarError("", `makes a grammar that does not compile: ${problem}`))
    })
    this.worker.on("error", (error: NodeJS.ErrnoException) => {
      const isMissing = error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND"
      const hint = isMissing
        ? ": bundles need node_grammar_thread.js beside them and @mlc-ai/web-xgrammar installed"
        : ""
      this.fail(`the grammar thread failed: ${error.message}${hint}`)
    })
    this.worker.on("exit", (code) => this.fail(`the grammar thread ended unexpectedly with code ${code}`))
    this.worker.unref()
  }

  hasAll(grammars: ReadonlySet<string>): boolean {
    return [...grammars].every((grammar) => this.compiled.has(grammar))
  }

  compile(grammars: readonly string[]): Promise<void> {
    if (this.fate) return Promise.reject(new Error(this.fate))
    for (const grammar of grammars) {
      this.compiled.delete(grammar)
      this.compiled.add(grammar)
    }
    const asked = new Set(grammars)
    for (const grammar of this.compiled) {
      if (this.compiled.size <= MAX_COMPILED || asked.has(grammar)) break
      this.compiled.delete(grammar)
      this.tell({ kind: "drop", grammar })
    }
    const call = ++this.lastCall
    return new Promise((resolve, reject) => {
      this.calls.set(call, { resolve, reject })
      this.worker.ref()
      this.tell({ kind: "compile", call, grammars })
    })
  }

  open(grammar: string, shared: SharedArrayBuffer): number {
    if (this.fate) throw new Error(this.fate)
    const id = ++this.lastMatcher
    this.tell({ kind: "open", id, grammar, shared })
    return id
  }

  tell(message: ToGrammarThread): void {
    this.worker.postMessage(message)
  }

  async end(fate: string): Promise<void> {
    this.fail(fate)
    await this.worker.terminate()
  }

  private fail(fate: string): void {
    if (this.fate) return
    this.fate = fate
    for (const { reject } of this.calls.values()) reject(new Error(fate))
    this.calls.clear()
    this.onEnd()
  }
}

class Compiled implements CompiledGrammars {
  private readonly matchers = new Set<Matcher>()
  private isClosed = false

  constructor(
    private readonly thread: Thread,
    private readonly grammars: readonly string[],
    private readonly vocab_size: number,
    private readonly release: () => void,
  ) {}

  open(index: number): GrammarMatcher {
    if (this.isClosed) throw closed()
    const matcher = new Matcher(this.thread, this.grammars[index], this.vocab_size, () => this.matchers.delete(matcher))
    this.matchers.add(matcher)
    return matcher
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    for (const matcher of this.matchers) matcher.close()
    this.release()
  }
}

/** Tells the thread what was written, and waits for its mask only when it is read. */
class Matcher implements GrammarMatcher {
  private readonly shared: Int32Array
  private readonly mask: Uint32Array
  private readonly id: number
  /** How many masks there will have been once the text's is there. */
  private masks = 1
  private isClosed = false

  constructor(
    private readonly thread: Thread,
    grammar: string,
    vocab_size: number,
    private readonly onClose: () => void,
  ) {
    const words = Math.ceil(vocab_size / 32)
    const shared = new SharedArrayBuffer((MASK + words) * Int32Array.BYTES_PER_ELEMENT)
    this.shared = new Int32Array(shared)
    this.mask = new Uint32Array(shared, MASK * Int32Array.BYTES_PER_ELEMENT, words)
    this.id = thread.open(grammar, shared)
  }

  allowed(): Uint32Array {
    this.wait()
    return this.mask
  }

  get mayEnd(): boolean {
    this.wait()
    return this.shared[MAY_END] === 1
  }

  accept(token: number): void {
    this.check()
    this.masks++
    this.thread.tell({ kind: "accept", id: this.id, token })
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.thread.tell({ kind: "close", id: this.id })
    this.onClose()
  }

  private wait(): void {
    this.check()
    const until = performance.now() + PATIENCE_MS
    for (let masks = this.count(); masks !== this.masks; masks = this.count()) {
      const left = until - performance.now()
      if (left <= 0) throw new Error(`the grammar thread has not answered for ${PATIENCE_MS / 1000} s`)
      Atomics.wait(this.shared, MASKS, masks, left)
    }
  }

  private count(): number {
    const masks = Atomics.load(this.shared, MASKS)
    if (masks === FAILED) throw new Error("the text has a token that its grammar does not let through")
    return masks
  }

  private check(): void {
    if (this.isClosed) throw new Error("the matcher is closed")
    if (this.thread.fate) throw new Error(this.thread.fate)
  }
}
