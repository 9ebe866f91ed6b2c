import type { HarmonyTokens } from "./harmony_render.js"
import type { TokenDecoder, Tokenizer } from "./tokenizer.js"

/** What a message's header says. */
export interface HarmonyHeader {
  /** `assistant`, or whatever else the model wrote. */
  readonly role: string
  readonly channel: string | null
  /** `functions.get_weather` */
  readonly recipient: string | null
  /** `json` */
  readonly content_type: string | null
}

/** Why a turn is over: the model said so, called a tool, or was cut off. */
export type TurnEnd = "return" | "call" | "truncated"

export type HarmonyEvent =
  | { readonly type: "start"; readonly header: HarmonyHeader }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "end" }
  | { readonly type: "turn_end"; readonly reason: TurnEnd }

/** A header longer than this has lost its `<|message|>`: what it holds is shown as text. */
const MAX_HEADER_TOKENS = 48

const CHANNELS = ["analysis", "commentary", "final"]

/** The text before `<|channel|>` or `<|message|>` while it can still be a header: a role and a recipient. */
const ROLE_PART = /^\s*[A-Za-z_.:-]{0,64}(\s+(t|to|to=\S*)?)?\s*$/

/**
 * Reads one turn of the assistant, token by token, from after `<|start|>assistant`. Nothing the model writes is an
 * error: headers without `<|message|>`, messages without a header, missing ends, repeated or stray special tokens all
 * give their text, and what is cut off is kept. Grammar: openai/harmony, docs/format.md and src/encoding.rs.
 */
export class HarmonyParser {
  private header: HeaderText | null = new HeaderText("assistant")
  private decoder: TokenDecoder
  private isOpen = false
  private isOver = false

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly tokens: HarmonyTokens,
  ) {
    this.decoder = tokenizer.decoder()
  }

  /** The events that a token completes; none after the end of the turn. */
  *push(token: number): Generator<HarmonyEvent> {
    if (this.isOver) return
    const { start, message, channel, constrain, end, call } = this.tokens
    if (token === start) {
      yield* this.close()
      this.header = new HeaderText("")
    } else if (token === channel) {
      if (!this.header || this.header.hasChannel) yield* this.close()
      this.header ??= new HeaderText("assistant")
      this.header.hasChannel = true
    } else if (token === message) {
      // A stray <|message|> inside a message means nothing.
      if (this.header) yield* this.open(this.header.parse())
    } else if (token === constrain) {
      if (this.header) this.header.hasConstrain = true
    } else if (token === end) {
      yield* this.close()
      this.header = new HeaderText("")
    } else if (token === this.tokens.return || token === call) {
      yield* this.finish(token === call ? "call" : "return")
    } else if (!this.tokenizer.isSpecial(token)) {
      yield* this.text(token)
    }
  }

  /** The stream is over: what was cut off, and the end of the turn if the model did not say it. */
  *end(): Generator<HarmonyEvent> {
    if (!this.isOver) yield* this.finish("truncated")
  }

  private *text(token: number): Generator<HarmonyEvent> {
    const text = this.decoder.push(token)
    if (this.header) {
      this.header.add(text)
      if (!this.header.isPlausible()) yield* this.flushHeader()
    } else if (text !== "") {
      yield { type: "text", text }
    }
  }

  /** A header that turned out to be text, or never got its `<|message|>`. */
  private *flushHeader(): Generator<HarmonyEvent> {
    const { header, text } = this.header!.asText()
    yield* this.open(header, false)
    if (text !== "") yield { type: "text", text }
  }

  private *open(header: HarmonyHeader, freshDecoder = true): Generator<HarmonyEvent> {
    // Half a character of a flushed header belongs to the text that follows.
    if (freshDecoder) this.decoder = this.tokenizer.decoder()
    this.header = null
    this.isOpen = true
    yield { type: "start", header }
  }

  private *close(): Generator<HarmonyEvent> {
    if (this.header?.hasText()) {
      this.header.add(this.decoder.end())
      yield* this.flushHeader()
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
    yield* this.close()
    this.isOver = true
    yield { type: "turn_end", reason }
  }
}

/** The text of a header as it arrives, and what it means. */
class HeaderText {
  hasChannel = false
  hasConstrain = false
  private role: string
  private channel = ""
  private contentType = ""
  private count = 0

  constructor(role: string) {
    this.role = role
  }

  add(text: string): void {
    this.count++
    if (this.hasConstrain) this.contentType += text
    else if (this.hasChannel) this.channel += text
    else this.role += text
  }

  /** False once this cannot become a header any more. */
  isPlausible(): boolean {
    if (this.count > MAX_HEADER_TOKENS) return false
    return this.hasChannel || this.hasConstrain || ROLE_PART.test(this.role)
  }

  /** True when there is more than the role that the prompt gave. */
  hasText(): boolean {
    const [first, ...rest] = words(this.role)
    const role = first === "assistant" ? rest : [first ?? "", ...rest]
    return [...role, ...words(this.channel), ...words(this.contentType)].some(
      (word) => word !== "" && !CHANNELS.includes(word),
    )
  }

  parse(): HarmonyHeader {
    const role = words(this.role)
    const channel = words(this.channel)
    const rest = [...channel.slice(1), ...words(this.contentType)]
    const recipient = [...role, ...channel, ...rest].find((word) => word.startsWith("to="))?.slice(3)
    const isWord = (word: string | undefined) => word !== undefined && !word.startsWith("to=")
    return {
      role: isWord(role[0]) ? role[0] : "assistant",
      channel: isWord(channel[0]) ? channel[0] : null,
      recipient: recipient || null,
      content_type: rest.find(isWord) ?? null,
    }
  }

  /** The reading of a header without `<|message|>`: a channel's name may lead, all else is the message's text. */
  asText(): { header: HarmonyHeader; text: string } {
    const name = CHANNELS.find((known) => this.channel.trimStart().startsWith(known)) ?? null
    const { recipient } = this.parse()
    const afterName = name ? this.channel.trimStart().slice(name.length) : this.channel
    const all = `${this.role.replace(/^assistant/, "")}${afterName}${this.contentType}`
    const text = recipient ? all.replace(new RegExp(`\\s*to=${escapeRegExp(recipient)}`), "") : all
    return { header: { role: "assistant", channel: name, recipient, content_type: null }, text }
  }
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "")
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
}
