import { type HarmonyHeader, type HeaderPlace, HeaderText } from "./harmony_header.js"
import type { HarmonyTokens } from "./harmony_render.js"
import type { TokenDecoder, Tokenizer } from "./tokenizer.js"

/** Why a turn is over: the model said so, called a tool, or was cut off. */
export type TurnEnd = "return" | "call" | "truncated"

export type HarmonyEvent =
  | { readonly type: "start"; readonly header: HarmonyHeader }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "end" }
  | { readonly type: "turn_end"; readonly reason: TurnEnd }

/**
 * Reads one turn of the assistant, token by token, from after `<|start|>assistant`. Nothing the model writes is an
 * error: headers without `<|message|>`, messages without a header, missing ends, repeated or stray special tokens all
 * give their text, and what is cut off is kept. Grammar: openai/harmony, docs/format.md and src/encoding.rs.
 */
export class HarmonyParser {
  private header: HeaderText | null
  private decoder: TokenDecoder
  private isOpen = false
  private isOver = false

  /** @param tools the names of those offered */
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly tokens: HarmonyTokens,
    private readonly tools: ReadonlySet<string> = new Set(),
  ) {
    this.decoder = tokenizer.decoder()
    this.header = this.newHeader("prompt")
  }

  /** The events that a token completes; none after the end of the turn. */
  *push(token: number): Generator<HarmonyEvent> {
    if (this.isOver) return
    const { start, message, channel, constrain, end, call } = this.tokens
    if (token === start) {
      yield* this.close()
      this.header = this.newHeader("start")
    } else if (token === channel) {
      // A second channel in a header is the better one, unless text came before it.
      if (this.header?.read("channel").text !== "") yield* this.close()
      this.header ??= this.newHeader("gap")
      this.header.mark("channel")
    } else if (token === message) {
      // A stray <|message|> inside a message means nothing.
      if (this.header) yield* this.open(this.header.read("message"))
    } else if (token === constrain) {
      this.header?.mark("constrain")
    } else if (token === end) {
      yield* this.close()
      this.header = this.newHeader("gap")
    } else if (token === this.tokens.return || token === call) {
      yield* this.finish(token === call ? "call" : "return")
    } else if (!this.tokenizer.isSpecial(token)) {
      yield* this.text(token)
    } else if (this.tokenizer.decode([token]) === "<|endoftext|>") {
      yield* this.finish("return")
    }
  }

  /** The stream is over: what was cut off, and the end of the turn if the model did not say it. */
  *end(): Generator<HarmonyEvent> {
    if (!this.isOver) yield* this.finish("truncated")
  }

  private newHeader(start: HeaderPlace): HeaderText {
    return new HeaderText(start, this.tools)
  }

  private *text(token: number): Generator<HarmonyEvent> {
    let text = this.decoder.push(token)
    if (this.header) {
      text = this.header.add(text)
      if (this.header.isPlausible()) return
      yield* this.open(this.header.read("cut"), false)
    }
    if (text !== "") yield { type: "text", text }
  }

  private *open(header: HarmonyHeader, freshDecoder = true): Generator<HarmonyEvent> {
    // Half a character of a header that turned out to be text belongs to the text that follows.
    if (freshDecoder) this.decoder = this.tokenizer.decoder()
    this.header = null
    this.isOpen = true
    yield { type: "start", header }
  }

  private *close(isTruncated = false): Generator<HarmonyEvent> {
    if (this.header) {
      this.header.add(this.decoder.end())
      const header = this.header.read("cut")
      // The name of a tool may be cut off too: that is no call yet.
      if (header.text !== "" || (header.tool !== null && !isTruncated)) yield* this.open(header)
    }
    if (this.isOpen) {
      const rest = this.decoder.end()
      if (rest !== "") yield { type: "text", text: rest }
      this.isOpen = false
      yield { type: "end" }
    }
    this.header = null
    this.decoder = this.tokenizer.decoder()
  }

  private *finish(reason: TurnEnd): Generator<HarmonyEvent> {
    yield* this.close(reason === "truncated")
    this.isOver = true
    yield { type: "turn_end", reason }
  }
}
