import { parseSamplingParams } from "../engine/sampling/params.js"
import type { SequenceRunner } from "../engine/session.js"

/** Ids that depend on nothing but their position: speed does not depend on sense, and every machine runs the same. */
export function tokenIds(count: number, vocab_size: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => (i * 7919 + 13) % vocab_size)
}

/** Prompt number `n`: prompts differ from their first token on, as far as the vocabulary goes, so that they share no page. */
export function promptOf(n: number, length: number, vocab_size: number): Uint32Array {
  return tokenIds(length, vocab_size).map((id) => (id + n) % vocab_size)
}

/** Takes the most likely token always. */
export const GREEDY = parseSamplingParams({ temperature: 0 })
export const NO_STOPS: ReadonlySet<number> = new Set()

/** What running a prompt and decoding after it took, in milliseconds. */
export interface Timed {
  /** Until the first token is here. */
  readonly prefill_ms: number
  /** From there to the last. */
  readonly decode_ms: number
  readonly tokens: readonly number[]
}

/** Runs what is not cached of a prompt and draws greedily: the first token, and `tokens` more. */
export async function answer(runner: SequenceRunner, prompt: Uint32Array, tokens: number): Promise<Timed> {
  // What random weights say repeats itself: guesses would come true, and the step would not be what is timed.
  const request = { params: GREEDY, stopTokens: NO_STOPS, drafts: false }
  const { events, times } = runner.submit({ prompt, max_tokens: tokens + 1, ...request })
  const drawn: number[] = []
  for await (const { token } of events.read()) drawn.push(token)
  return { prefill_ms: times.first - times.admitted, decode_ms: times.last - times.first, tokens: drawn }
}
