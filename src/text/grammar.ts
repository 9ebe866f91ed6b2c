/** A schema, or what of it, that no answer can be held to. */
export class GrammarError extends Error {
  override readonly name = "GrammarError"

  constructor(
    /** Where in the schema, such as `properties.age.multipleOf`. */
    readonly path: string,
    /** What is wrong there, and what to do. */
    readonly problem: string,
    /** Whose schema it is, where that is known: `response_format`, or `tools.2`. */
    readonly field?: string,
    /** How a message calls it: `tool "f"`. */
    owner?: string,
  ) {
    super(`${owner ? `${owner}, ` : ""}${path || "the schema"}: ${problem}`)
  }
}

/** Follows a text that a grammar describes, token by token. */
export interface GrammarMatcher {
  /** `[ceil(vocab_size / 32)]`: bit `id % 32` of word `id / 32` is set where the token may come next. Read before the next `accept`. */
  allowed(): Uint32Array
  /** Whether the text may end here. */
  readonly mayEnd: boolean
  accept(token: number): void
  close(): void
}

/** Grammars that are ready to be followed. */
export interface CompiledGrammars {
  /** @param index of the grammar among those compiled together */
  open(index: number): GrammarMatcher
  /** What was opened is closed with them. */
  close(): void
}

/** Compiles grammars for a vocabulary, beside whatever else runs. */
export interface GrammarCompiler {
  /** @param grammars in EBNF, as xgrammar reads it: each begins at the rule `root` */
  compile(grammars: readonly string[]): Promise<CompiledGrammars>
}
