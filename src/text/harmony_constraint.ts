import type { CompiledGrammars, GrammarCompiler, GrammarMatcher } from "./grammar.js"
import type { HarmonyTokens } from "./harmony_render.js"
import { type Body, markOfToken, planTurn, tokenOfMark, type TurnPlan } from "./harmony_turn_plan.js"
import type { ConversationOptions, TokenMask } from "./messages.js"
import type { Span } from "./sorted_texts.js"
import { addToken, byteString, hasToken, type TokenSet, TokenTexts } from "./token_texts.js"
import type { Tokenizer } from "./tokenizer.js"

/** Holds turns in harmony to their framing, to the tools that may be called and to their response formats. */
export class HarmonyConstraints {
  /** By the model's vocabulary. Made when first needed. */
  private readonly texts = new Map<number, TokenTexts>()

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly tokens: HarmonyTokens,
    private readonly compiler?: GrammarCompiler,
  ) {}

  /**
   * The tokens that a turn may have.
   *
   * @param vocab_size the model's
   * @param opened what the prompt says of the turn, from `<|start|>` on
   * @returns undefined where neither tools nor a format ask for anything: such a turn is free
   * @throws {GrammarError} naming the tool or the format that cannot be enforced
   */
  async maskOf(
    options: ConversationOptions,
    vocab_size: number,
    opened: readonly number[],
  ): Promise<TokenMask | undefined> {
    const { tools = [], response_format } = options
    if (tools.length === 0 && (response_format?.type ?? "text") === "text") return undefined
    const { compiler, tokenizer, tokens } = this
    const plan = planTurn(options, compiler !== undefined)
    const texts = this.textsOf(vocab_size)
    const compiled = plan.grammars.length > 0 ? await compiler!.compile(plan.grammars) : undefined
    const mask = new HarmonyMask(plan, { tokenizer, tokens, texts, compiled })
    for (const token of opened) mask.accept(token)
    return mask
  }

  private textsOf(vocab_size: number): TokenTexts {
    const known = this.texts.get(vocab_size)
    if (known) return known
    const made = new TokenTexts(this.tokenizer, vocab_size)
    this.texts.set(vocab_size, made)
    return made
  }
}

interface Words {
  readonly tokenizer: Tokenizer
  readonly tokens: HarmonyTokens
  readonly texts: TokenTexts
  /** The plan's grammars. */
  readonly compiled: CompiledGrammars | undefined
}

/**
 * Follows a turn: header, text, header, text, until a text ends the turn. A thought may be without text, but not after another
 * one, so that a turn cannot go on forever and say nothing.
 */
class HarmonyMask implements TokenMask {
  private headers: Span
  /** Of the message whose text is being written; null in a header. */
  private body: Body | null = null
  /** What ends that text: one token. */
  private ends: ReadonlySet<number> = new Set()
  private matcher: GrammarMatcher | null = null
  private isEmpty = true
  private wasEmpty = false
  private isOver = false
  /** Until the next token. */
  private current: TokenSet | null = null
  /** Where a grammar's sets are put together, each over the one before. */
  private grammatical: TokenSet | null = null
  /** By what the header has said so far. */
  private readonly headerSets = new Map<string, TokenSet>()

  constructor(
    private readonly plan: TurnPlan,
    private readonly words: Words,
  ) {
    this.headers = plan.headers.root
  }

  allowed(): TokenSet {
    this.current ??= this.body ? this.bodySet() : this.headerSet()
    return this.current
  }

  /** In a text of any tokens, until its end; not before it may end. */
  get steadyUntil(): ReadonlySet<number> | null {
    return this.body && !this.matcher && this.mayEnd ? this.ends : null
  }

  accept(token: number): void {
    if (this.isOver) return
    if (!hasToken(this.allowed(), token)) throw new Error(`token ${token} came where it is not allowed`)
    this.current = null
    if (!this.body) this.continueHeader(token)
    else if (token === this.end) this.finish(this.body)
    else {
      this.isEmpty = false
      this.matcher?.accept(token)
    }
  }

  close(): void {
    this.words.compiled?.close()
  }

  /** The token that ends the text. */
  private get end(): number {
    return this.words.tokens[this.body!.end]
  }

  private get mayEnd(): boolean {
    if (this.matcher) return this.matcher.mayEnd
    const { mayBeEmpty } = this.body!
    return !this.isEmpty || mayBeEmpty === "always" || (mayBeEmpty === "once" && !this.wasEmpty)
  }

  private bodySet(): TokenSet {
    const { matcher } = this
    const { texts } = this.words
    if (!matcher) return this.mayEnd ? texts.allAnd(this.end) : texts.all
    const allowed = matcher.allowed()
    this.grammatical ??= new Uint32Array(texts.words)
    const set = this.grammatical
    for (let i = 0; i < set.length; i++) set[i] = texts.all[i] & allowed[i]
    if (this.mayEnd) addToken(set, this.end)
    return set
  }

  private headerSet(): TokenSet {
    const { from, to, depth } = this.headers
    const key = `${from} ${to} ${depth}`
    const known = this.headerSets.get(key)
    if (known) return known
    const { texts, tokens } = this.words
    const set = texts.beginning(this.plan.headers, this.headers, (mark) => tokenOfMark(mark, tokens))
    this.headerSets.set(key, set)
    return set
  }

  private continueHeader(token: number): void {
    const { tokens, tokenizer, compiled } = this.words
    const { headers, bodies } = this.plan
    const text = markOfToken(token, tokens) ?? byteString(tokenizer.bytesOf(token))
    for (let i = 0; i < text.length; i++) this.headers = headers.after(this.headers, text.charCodeAt(i))!
    const { from, to } = headers.endsAt(this.headers)
    if (from === to) return
    this.body = bodies[from]
    this.ends = new Set([this.end])
    this.matcher = this.body.grammar === null ? null : compiled!.open(this.body.grammar)
    this.isEmpty = true
  }

  private finish({ end }: Body): void {
    this.matcher?.close()
    this.matcher = null
    this.body = null
    this.wasEmpty = this.isEmpty
    this.headers = this.plan.headers.root
    this.isOver = end !== "end"
  }
}
