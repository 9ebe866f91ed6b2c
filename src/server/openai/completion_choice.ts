import type { SummaryResult } from "../../engine/generate.js"
import type { CompletionEvent, LoggedToken, TokenText } from "../served_model.js"
import { writable } from "./logprobs.js"

/** A prompt that was not continued has read nothing either. */
export type CompletionSummary = Pick<
  SummaryResult,
  "type" | "finish_reason" | "prompt_tokens" | "cached_tokens" | "completion_tokens"
>
export type SampleEvent = Extract<CompletionEvent, { type: "text" }> | CompletionSummary

/** OpenAI's older form of log-probabilities: one entry per token in each list. */
interface ListedLogprobs {
  readonly tokens: readonly string[]
  readonly token_logprobs: readonly number[]
  readonly top_logprobs: readonly Readonly<Record<string, number>>[]
  /** UTF-16 units of the text before the token. */
  readonly text_offset: readonly number[]
}

/** A choice of an answer, or of a chunk, where the reason is null until the last. */
export interface CompletionChoice {
  readonly index: number
  readonly text: string
  readonly logprobs: ListedLogprobs | null
  readonly finish_reason: "stop" | "length" | null
}

/** One of the continuations of a prompt, while its pieces pass. */
export class CompletionSample {
  summary: CompletionSummary | null = null
  private text = ""
  private readonly logged: LoggedToken[] = []
  private readonly offsets: number[] = []
  private readonly decoder = new TextDecoder()
  private offset: number

  /**
   * @param echo text that is told before the continuation
   * @param logprobs whether they are told
   */
  constructor(
    readonly index: number,
    private readonly echo: string,
    private readonly logprobs: boolean,
  ) {
    this.offset = echo.length
  }

  /** Mean log-probability of its tokens. */
  get likelihood(): number {
    return this.logged.reduce((sum, { logprob }) => sum + writable(logprob), 0) / Math.max(1, this.logged.length)
  }

  /** What a stream tells of an event. */
  push(event: SampleEvent): CompletionChoice[] {
    const echo = this.text === "" && this.summary === null ? this.echo : ""
    this.text ||= echo
    if (event.type === "summary") {
      this.summary = event
      return [this.told(echo, 0, finishReason(event))]
    }
    const from = this.logged.length
    for (const token of event.logprobs ?? []) this.log(token)
    this.text += event.text
    return [this.told(echo + event.text, from, null)]
  }

  /** The continuation as a whole. */
  choice(index: number, summary: CompletionSummary): CompletionChoice {
    return { ...this.told(this.text, 0, finishReason(summary)), index }
  }

  private log(token: LoggedToken): void {
    this.logged.push(token)
    this.offsets.push(this.offset)
    this.offset += this.decoder.decode(Uint8Array.from(token.bytes), { stream: true }).length
  }

  /** @param from the first of the tokens whose probabilities are told */
  private told(text: string, from: number, finish_reason: CompletionChoice["finish_reason"]): CompletionChoice {
    const isLast = finish_reason !== null && text === ""
    const logged = isLast ? [] : this.logged.slice(from)
    const logprobs = {
      tokens: logged.map(spelled),
      token_logprobs: logged.map(({ logprob }) => writable(logprob)),
      top_logprobs: logged.map((token) =>
        Object.fromEntries([...token.top_logprobs, token].map((each) => [spelled(each), writable(each.logprob)])),
      ),
      text_offset: isLast ? [] : this.offsets.slice(from),
    }
    return { index: this.index, text, logprobs: this.logprobs ? logprobs : null, finish_reason }
  }
}

function finishReason({ finish_reason }: CompletionSummary): "stop" | "length" {
  return finish_reason === "length" ? "length" : "stop"
}

/** As OpenAI spells bytes that are no text alone. */
function spelled({ text, bytes }: TokenText): string {
  if (!text.includes("\ufffd")) return text
  return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`
}
