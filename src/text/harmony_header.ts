import { takeRecipient } from "./harmony_names.js"

const CHANNELS = ["analysis", "commentary", "final"] as const

export type HarmonyChannel = (typeof CHANNELS)[number]

/** What a message's header says. */
export interface HarmonyHeader {
  /** `assistant`, or whoever else the model speaks as. */
  readonly role: string
  /** null for one that harmony does not know. */
  readonly channel: HarmonyChannel | null
  /** The tool that is called; null where the message is for a reader. */
  readonly tool: string | null
  /** What stood in the header and is none of it: the beginning of the message's text. */
  readonly text: string
}

/**
 * Where a part of a header's text stands: after the role that the prompt gave, after `<|start|>`, after an `<|end|>` that no
 * `<|start|>` followed, or behind a marker.
 */
export type HeaderPlace = "prompt" | "start" | "gap" | "channel" | "constrain"

/** What ended a header: its `<|message|>`, a further `<|channel|>`, or anything else. */
export type HeaderEnd = "message" | "channel" | "cut"

/** A header longer than this, in UTF-16 units, has lost its `<|message|>`: the rest is text. */
const MAX_LENGTH = 512

/** The role part while it can still become a header: a role or a channel, a content type, a recipient. */
const ROLE_PART = {
  prompt: /^ ?[\p{Pd}A-Za-z_.:?]{0,64}( [a-z]{0,10})?( ?(t|to ?|to ?=.*)?)?$/u,
  start: /^ ?[^ ]*( [a-z]{0,10})?( ?(t|to ?|to ?=.*)?)?$/,
}

/** Collects a header while it arrives. */
export class HeaderText {
  private readonly parts: { readonly place: HeaderPlace; text: string }[]
  private length = 0

  constructor(
    start: HeaderPlace,
    private readonly tools: ReadonlySet<string>,
  ) {
    this.parts = [{ place: start, text: "" }]
  }

  /** A marker: what follows stands behind it. */
  mark(place: "channel" | "constrain"): void {
    this.parts.push({ place, text: "" })
  }

  /** Takes text that arrived, and returns what is too much for a header. */
  add(text: string): string {
    const taken = text.slice(0, MAX_LENGTH - this.length)
    this.length += taken.length
    this.parts.at(-1)!.text += taken
    return text.slice(taken.length)
  }

  /** False once this cannot become a header any more. */
  isPlausible(): boolean {
    if (this.length >= MAX_LENGTH) return false
    const [{ place, text }] = this.parts
    return this.parts.length > 1 || ROLE_PART[place === "start" ? "start" : "prompt"].test(text.replace(/\s+/g, " "))
  }

  read(end: HeaderEnd): HarmonyHeader {
    const reader = new HeaderReader(end, this.parts.length > 1, this.tools)
    for (const { place, text } of this.parts) reader.take(place, text)
    return reader.header
  }
}

const CHANNEL = /^[\s\p{Pd}?:*"']*(analysis|commentary|final(?!ly))/iu
const CHANNEL_SUFFIX = /^(-[a-z]+|\?|analysis|commentary|final)*/
const GLUED_CHANNEL = /^(analysis|commentary|final)/i
const CONTENT_TYPE = /^[\s:,-]*(json|code|text|markdown|python|yaml|xml|html)/i
const RECIPIENT = /^[\s\p{Pd}:?,"']*to\s*=\s*/iu
const ASSISTANT = /^\s*assistant(:[^\s<]*)?/i
/** Who else speaks in a conversation; tools speak under their own names. */
const OTHERS = /^(system|user|developer|tool)(:\S*)?$|^(functions?|browser|python)(\.|$)/i

/**
 * Reads what models make of headers. Seen in the field: roles and channels glued to each other (`assistantanalysis`), in
 * capitals, with dashes, question marks or words after them (`final-answer`, `commentary?`), doubled channels, recipients
 * before and after each of the other parts, content types with and without `<|constrain|>`, and JSON where `<|message|>`
 * should stand. What is none of this is text and kept, except up to three stray words before a `<|message|>`.
 */
class HeaderReader {
  private role = "assistant"
  private channel: HarmonyChannel | null = null
  private tool: string | null = null
  private hasRecipient = false
  /** A role that harmony does not know: a tool's, if it speaks to the assistant. */
  private stranger: string | undefined
  private text = ""
  /** What is still to be read of the part at hand. */
  private rest = ""

  constructor(
    private readonly end: HeaderEnd,
    private readonly hasMarkers: boolean,
    private readonly tools: ReadonlySet<string>,
  ) {}

  get header(): HarmonyHeader {
    const { role, channel, text } = this
    // An answer is an answer, whoever it is addressed to.
    const tool = channel === "final" ? null : this.tool
    return { role, channel, tool, text: tool === null ? text : text.trimStart() }
  }

  take(place: HeaderPlace, written: string): void {
    this.rest = written
    if (place === "constrain") this.takeConstraint()
    else if (place === "channel") this.takeChannel()
    else this.takeRole(place)
    while (this.takeRecipient() || this.takeContentType(place)) {}
    this.takeLateRecipient()
    const isBareText = (place === "prompt" || place === "gap") && !this.channel && !this.hasRecipient
    const text = isBareText ? this.rest : this.withoutStrayWords()
    if (text.trim() !== "") this.text += text
  }

  /** Takes a match from the front of what is to be read. */
  private skip(pattern: RegExp): RegExpExecArray | null {
    const match = pattern.exec(this.rest)
    if (match) this.rest = this.rest.slice(match[0].length)
    return match
  }

  private takeRole(place: HeaderPlace): void {
    const isHeader = this.hasMarkers || this.end !== "cut"
    const isAssistant = (place !== "prompt" || isHeader) && this.skip(ASSISTANT) !== null
    if (!isAssistant && (place === "start" || (place === "gap" && isHeader))) this.takeOtherRole(isHeader)
    if (isHeader) return void this.takeKnownChannel()
    // Without any marker these may be words of an answer: "analysis" is always taken, "final" if it is glued.
    const [name] = GLUED_CHANNEL.exec(this.rest) ?? []
    const isGlued = isAssistant || place === "start"
    if (name === undefined || (!isGlued && name !== name.toLowerCase())) return
    const next = this.rest.slice(name.length)
    const isWord = !isGlued && name !== "analysis" && /^\s/.test(next) && !RECIPIENT.test(next)
    if (isWord || /^[a-z]/.test(next)) return
    this.rest = next
    this.setChannel(name)
  }

  private takeOtherRole(isHeader: boolean): void {
    if (RECIPIENT.test(this.rest) || CHANNEL.test(this.rest)) return
    const word = /\S*/.exec(this.rest)![0]
    const isKnown = OTHERS.test(word) || this.tools.has(word)
    if (!isKnown && !isHeader) return
    this.skip(/^\s*\S*/)
    if (isKnown) this.role = word
    else if (word !== "") this.stranger = word
  }

  private takeChannel(): void {
    if (this.takeKnownChannel()) return
    const word = this.rest.trim()
    if (isLikeAnalysis(/^[A-Za-z]*/.exec(word)![0])) this.setChannel("analysis")
    const isCutName = this.end === "cut" && CHANNELS.some((channel) => channel.startsWith(word.toLowerCase()))
    if (isCutName || (this.end === "channel" && !/\s/.test(word))) this.rest = ""
  }

  private takeKnownChannel(): boolean {
    const name = this.skip(CHANNEL)?.[1]
    if (name === undefined) return false
    this.setChannel(name)
    this.skip(CHANNEL_SUFFIX)
    if (this.end === "message") this.skip(/^[^\s{["]*?(?=to\s*=|[\s{["]|$)/i)
    return true
  }

  private setChannel(name: string): void {
    this.channel = name.toLowerCase() as HarmonyChannel
  }

  private takeRecipient(): boolean {
    if (!this.skip(RECIPIENT)) return false
    this.hasRecipient = true
    if (this.stranger && /^["'`]?assistant\b/i.test(this.rest)) this.role = this.stranger
    const { tool, rest } = takeRecipient(this.rest, this.tools)
    this.tool = tool ?? this.tool
    this.rest = rest
    return true
  }

  /** A recipient behind words that mean nothing. Without a `<|message|>` it must look like a tool, and not in an answer. */
  private takeLateRecipient(): void {
    const isHeader = this.end === "message"
    if (!isHeader && (!this.hasMarkers || this.channel === null || this.channel === "final")) return
    const match = (isHeader ? /(?<!\w)to\s*=/i : /(?<!\w)to\s*=\s*["'`]?functions?\./i).exec(this.rest)
    const before = this.rest.slice(0, match?.index)
    if (!match || (!isHeader && !isStray(before))) return
    this.rest = this.rest.slice(match.index)
    this.takeRecipient()
    while (this.takeContentType("channel")) {}
    this.rest = isStray(before) ? this.rest : before + this.rest
  }

  /** Without a `<|message|>`, "text" or "code" may be a word of the text: not if the header goes on or JSON comes next. */
  private takeContentType(place: HeaderPlace): boolean {
    const match = CONTENT_TYPE.exec(this.rest)
    const hasPlace = place === "channel" || place === "constrain" || this.channel !== null || this.hasRecipient
    if (!match || !hasPlace) return false
    const after = this.rest.slice(match[0].length)
    if (/^[a-z]/.test(after)) return false
    const goesOn = /^\s*([{[]|$)/.test(after) || RECIPIENT.test(after)
    const isSure = this.end === "message" || place === "constrain" || this.hasRecipient || goesOn
    if (isSure) this.rest = after
    return isSure
  }

  /** After `<|constrain|>` any word is a content type that stands alone or before JSON. */
  private takeConstraint(): void {
    if (!CONTENT_TYPE.test(this.rest)) this.skip(/^\s*[\w.+/-]+(?=\s*([{[]|$))/)
  }

  private withoutStrayWords(): string {
    const { rest, end } = this
    const isPunctuation = !/[\p{L}\p{N}{}[\]"]/u.test(rest)
    if (isPunctuation && (end !== "cut" || this.tool)) return ""
    if (end === "message" && isStray(rest)) return ""
    return this.tool ? rest.replace(/^[\s:;,.?!-]+(?=[{["])/, "") : rest
  }
}

/** Words of a header that mean nothing: no more than three. */
function isStray(text: string): boolean {
  return !/[{}[\]"]/.test(text) && text.trim().split(/\s+/).length <= 3
}

/** `analisys`, `anaylsis`, `analyse`: at most two letters from "analysis", or a word of its family. */
function isLikeAnalysis(word: string): boolean {
  const lower = word.toLowerCase()
  return lower.startsWith("analy") || (Math.abs(lower.length - 8) <= 2 && editDistance(lower, "analysis") <= 2)
}

/** Letters to insert, remove or replace (Levenshtein 1966). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]
}
