import { inputOf } from "../call_input.js"
import type { CompletionEvent, LoggedToken, TurnEvent } from "../served_model.js"

/** A log-probability in Ollama's shape. */
interface Logprob {
  readonly token: string
  readonly logprob: number
  readonly bytes: readonly number[]
  readonly top_logprobs?: readonly Omit<Logprob, "top_logprobs">[]
}

/** A piece of an answer, whichever route tells it. */
export interface Piece {
  readonly content?: string
  readonly thinking?: string
  readonly tool_calls?: readonly object[]
  readonly logprobs?: readonly Logprob[]
  /** With the last piece. */
  readonly end?: Ending
}

/** Durations in nanoseconds. */
export interface Ending {
  readonly done_reason: "stop" | "length"
  readonly total_duration: number
  readonly load_duration: number
  readonly prompt_eval_count: number
  readonly prompt_eval_duration: number
  readonly eval_count: number
  readonly eval_duration: number
}

/** Measures a turn. */
export class Clock {
  private readonly begun = performance.now()
  private loaded = this.begun
  private read: number | null = null

  hasLoaded(): void {
    this.loaded = performance.now()
  }

  hasRead(): void {
    this.read ??= performance.now()
  }

  ending({ finish_reason, prompt_tokens, completion_tokens }: Summary): Ending {
    const now = performance.now()
    const read = this.read ?? now
    return {
      done_reason: finish_reason === "length" ? "length" : "stop",
      total_duration: nanoseconds(now - this.begun),
      load_duration: nanoseconds(this.loaded - this.begun),
      prompt_eval_count: prompt_tokens,
      prompt_eval_duration: nanoseconds(read - this.loaded),
      eval_count: completion_tokens,
      eval_duration: nanoseconds(now - read),
    }
  }
}

type Summary = Pick<Extract<TurnEvent, { type: "summary" }>, "finish_reason" | "prompt_tokens" | "completion_tokens">

const nanoseconds = (milliseconds: number) => Math.round(milliseconds * 1e6)

/** A turn in pieces. A call comes as a whole, as its arguments are an object. */
export async function* turnPieces(
  turn: AsyncIterable<TurnEvent>,
  clock: Clock,
  shows: boolean,
): AsyncGenerator<Piece, void, undefined> {
  let index = 0
  for await (const event of turn) {
    if (event.type === "start") clock.hasRead()
    else if (event.type === "reasoning") {
      if (shows) yield { thinking: event.text }
    } else if (event.type === "content") {
      yield { content: event.text, ...(event.logprobs && { logprobs: event.logprobs.map(logprobOf) }) }
    } else if (event.type === "tool_call") {
      const { id, name, arguments: args } = event
      yield { tool_calls: [{ id, function: { index: index++, name, arguments: inputOf(args) } }] }
    } else if (event.type === "summary") yield { end: clock.ending(event) }
  }
}

/** A continued text in pieces. */
export async function* textPieces(
  events: AsyncIterable<CompletionEvent>,
  clock: Clock,
): AsyncGenerator<Piece, void, undefined> {
  for await (const event of events) {
    clock.hasRead()
    if (event.type === "summary") yield { end: clock.ending(event) }
    else yield { content: event.text, ...(event.logprobs && { logprobs: event.logprobs.map(logprobOf) }) }
  }
}

function logprobOf({ text, logprob, bytes, top_logprobs }: LoggedToken): Logprob {
  const others = top_logprobs.map((other) => ({ token: other.text, logprob: other.logprob, bytes: other.bytes }))
  return { token: text, logprob, bytes, ...(others.length > 0 && { top_logprobs: others }) }
}

/** All pieces in one. */
export async function joined(pieces: AsyncIterable<Piece>): Promise<Piece> {
  let content = ""
  let thinking = ""
  const tool_calls: object[] = []
  const logprobs: Logprob[] = []
  let end: Ending | undefined
  for await (const piece of pieces) {
    content += piece.content ?? ""
    thinking += piece.thinking ?? ""
    tool_calls.push(...(piece.tool_calls ?? []))
    logprobs.push(...(piece.logprobs ?? []))
    end = piece.end
  }
  return {
    content,
    ...(thinking && { thinking }),
    ...(tool_calls.length > 0 && { tool_calls }),
    ...(logprobs.length > 0 && { logprobs }),
    end,
  }
}

interface Line {
  readonly model: string
  readonly created_at: string
  readonly done: boolean
}

function lineOf(model: string, { end, logprobs }: Piece) {
  const line: Line = { model, created_at: new Date().toISOString(), done: end !== undefined }
  return { line, rest: { ...(logprobs && { logprobs }), ...end } }
}

/** A piece as `/api/chat` tells it. */
export function chatLine(model: string, piece: Piece): object {
  const { line, rest } = lineOf(model, piece)
  const { content = "", thinking, tool_calls } = piece
  const message = { role: "assistant", content, ...(thinking && { thinking }), ...(tool_calls && { tool_calls }) }
  return { ...line, message, ...rest }
}

/** A piece as `/api/generate` tells it. */
export function generateLine(model: string, piece: Piece): object {
  const { line, rest } = lineOf(model, piece)
  const { content = "", thinking, tool_calls } = piece
  return { ...line, response: content, ...(thinking && { thinking }), ...(tool_calls && { tool_calls }), ...rest }
}
