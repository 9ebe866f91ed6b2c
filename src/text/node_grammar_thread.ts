import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname } from "node:path"
import { parentPort, workerData } from "node:worker_threads"
import type { CompiledGrammar, GrammarMatcher, GrammarCompiler as XGrammarCompiler } from "@mlc-ai/web-xgrammar"

/** What a thread is born with. */
export interface GrammarThreadSetup {
  /** Bytes of all tokens, one after another; special ones have none. */
  readonly bytes: Uint8Array
  /** `[vocab_size + 1]`: where each token's bytes begin. */
  readonly begins: Uint32Array
  /** The character that stands for each byte in a byte-level vocabulary. */
  readonly letters: readonly string[]
}

/** What a thread is told, in order. */
export type ToGrammarThread =
  | { readonly kind: "compile"; readonly call: number; readonly grammars: readonly string[] }
  | { readonly kind: "drop"; readonly grammar: string }
  | { readonly kind: "open"; readonly id: number; readonly grammar: string; readonly shared: SharedArrayBuffer }
  | { readonly kind: "accept"; readonly id: number; readonly token: number }
  | { readonly kind: "close"; readonly id: number }

/** How a compilation went. */
export interface FromGrammarThread {
  readonly call: number
  readonly problem?: string
}

/** Words of the memory that a matcher shares: how many masks there have been, whether the text may end, then the mask. */
export const MASKS = 0
export const MAY_END = 1
export const MASK = 2

/** In place of the number of masks: there will be no more. */
export const FAILED = -1

type XGrammar = typeof import("@mlc-ai/web-xgrammar")

/** The library is a CommonJS file inside a package that says it has modules: neither import nor require reads it. */
function loadXGrammar(): XGrammar {
  const require = createRequire(import.meta.url)
  const path = require.resolve("@mlc-ai/web-xgrammar")
  const module = { exports: {} as XGrammar }
  const load = new Function("module", "exports", "require", "__filename", "__dirname", readFileSync(path, "utf8"))
  load(module, module.exports, require, path, dirname(path))
  return module.exports
}

/** Tokens as a byte-level vocabulary spells them. */
function spelledTokens({ bytes, begins, letters }: GrammarThreadSetup): string[] {
  return Array.from({ length: begins.length - 1 }, (_, id) => {
    let text = ""
    for (let at = begins[id]; at < begins[id + 1]; at++) text += letters[bytes[at]]
    return text
  })
}

/** A matcher, and the memory in which it leaves its masks. */
interface Open {
  readonly matcher: GrammarMatcher
  readonly shared: Int32Array
}

/** Compiles grammars, and follows texts that they describe. */
class GrammarThread {
  private readonly compiled = new Map<string, CompiledGrammar>()
  private readonly open = new Map<number, Open>()

  private constructor(
    private readonly xgrammar: XGrammar,
    private readonly compiler: XGrammarCompiler,
    /** An id beyond the tokens, whose bit in a mask says that the text may end. */
    private readonly end: number,
  ) {}

  static async start(setup: GrammarThreadSetup): Promise<GrammarThread> {
    const xgrammar = loadXGrammar()
    const tokens = [...spelledTokens(setup), ""]
    const end = tokens.length - 1
    const info = await xgrammar.TokenizerInfo.createTokenizerInfo(tokens, "byte_level", false, tokens.length, [end])
    return new GrammarThread(xgrammar, await xgrammar.GrammarCompiler.createGrammarCompiler(info), end)
  }

  async handle(message: ToGrammarThread): Promise<void> {
    switch (message.kind) {
      case "compile":
        return this.compile(message.call, message.grammars)
      case "drop":
        this.compiled.get(message.grammar)?.dispose()
        this.compiled.delete(message.grammar)
        return
      case "open": {
        const shared = new Int32Array(message.shared)
        const grammar = this.compiled.get(message.grammar)!
        const matcher = await this.xgrammar.GrammarMatcher.createGrammarMatcher(grammar)
        this.open.set(message.id, { matcher, shared })
        return this.mask({ matcher, shared })
      }
      case "accept": {
        const open = this.open.get(message.id)!
        if (open.shared[MASKS] === FAILED) return
        if (open.matcher.acceptToken(message.token)) return this.mask(open)
        return tell(open.shared, FAILED)
      }
      case "close":
        this.open.get(message.id)?.matcher.dispose()
        this.open.delete(message.id)
    }
  }

  private async compile(call: number, grammars: readonly string[]): Promise<void> {
    const answer: FromGrammarThread = await this.compileAll(grammars).then(
      () => ({ call }),
      (error) => ({ call, problem: String(error?.message ?? error) }),
    )
    parentPort!.postMessage(answer)
  }

  private async compileAll(grammars: readonly string[]): Promise<void> {
    for (const grammar of grammars) {
      if (!this.compiled.has(grammar)) this.compiled.set(grammar, await this.compiler.compileGrammar(grammar))
    }
  }

  /** Leaves the mask of what may come next, without the bit of the end and those beyond. */
  private async mask({ matcher, shared }: Open): Promise<void> {
    const mask = await matcher.getNextTokenBitmask()
    const word = this.end >>> 5
    const bit = 1 << (this.end & 31)
    shared[MAY_END] = mask[word] & bit ? 1 : 0
    mask[word] &= bit - 1
    shared.set(mask.subarray(0, shared.length - MASK), MASK)
    tell(shared, shared[MASKS] + 1)
  }
}

/** Says how many masks there have been, to whoever waits for the next. */
function tell(shared: Int32Array, masks: number): void {
  Atomics.store(shared, MASKS, masks)
  Atomics.notify(shared, MASKS)
}

if (parentPort) {
  const started = GrammarThread.start(workerData as GrammarThreadSetup)
  let last: Promise<unknown> = started
  parentPort.on("message", (message: ToGrammarThread) => {
    last = last.then(async () => (await started).handle(message))
  })
}
