import type { CompiledGrammars, GrammarCompiler, GrammarMatcher } from "../../src/text/grammar.js"
import type { Tokenizer } from "../../src/text/tokenizer.js"

/** The one text that `FakeCompiler` takes for a grammar; a space may follow. */
export function textFor(grammar: string): string {
  let hash = 7
  for (const character of grammar) hash = (Math.imul(hash, 31) + character.codePointAt(0)!) >>> 0
  return `{"é":${hash}}`
}

/** Holds a text to exactly one, told from the grammar, whatever the grammar says. Counts what is open. */
export class FakeCompiler implements GrammarCompiler {
  /** What was asked for together. */
  readonly compiled: (readonly string[])[] = []
  open = 0
  matchers = 0

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly vocab_size: number,
  ) {}

  async compile(grammars: readonly string[]): Promise<CompiledGrammars> {
    this.compiled.push(grammars)
    this.open++
    return {
      open: (index) => this.matcher(textFor(grammars[index])),
      close: () => this.open--,
    }
  }

  private matcher(text: string): GrammarMatcher {
    const { tokenizer, vocab_size } = this
    const bytes = new TextEncoder().encode(`${text} `)
    let at = 0
    const fits = (token: number) => {
      const next = tokenizer.bytesOf(token)
      return next.length > 0 && next.every((byte, i) => byte === bytes[at + i])
    }
    this.matchers++
    return {
      allowed: () => {
        const words = new Uint32Array(Math.ceil(vocab_size / 32))
        for (let id = 0; id < vocab_size; id++) if (fits(id)) words[id >> 5] |= 1 << (id & 31)
        return words
      },
      get mayEnd() {
        return at >= bytes.length - 1
      },
      accept: (token) => {
        if (!fits(token)) throw new Error(`${token} does not fit`)
        at += tokenizer.bytesOf(token).length
      },
      close: () => this.matchers--,
    }
  }
}
