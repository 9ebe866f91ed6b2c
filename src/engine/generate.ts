import type { TokenDecoder } from "../text/tokenizer.js"
import { Generation, type GenerationOptions, type GenerationSummary, type StopTokens } from "./generation.js"
import type { Sampled } from "./sampling/sampler.js"
import type { SequenceRunner } from "./session.js"
import { parseStop, StopStrings } from "./stop.js"

export interface GenerateOptions extends GenerationOptions {
  /** Text that ends the generation and is not part of it: one string or up to 16. */
  readonly stop?: string | readonly string[] | null
}

/** One generated token. `text` is empty while a character or a possible stop string is unfinished. */
export interface TokenResult extends Sampled {
  readonly type: "token"
  readonly text: string
}

export interface SummaryResult extends GenerationSummary {
  readonly type: "summary"
}

/**
 * Continues a prompt of tokens as plain text. Yields every token and, last, the summary.
 *
 * @throws {ParameterError} when an option is out of range
 * @throws {ContextLengthError} when the prompt does not fit
 */
export async function* generate(
  runner: SequenceRunner,
  prompt: ArrayLike<number>,
  decoder: TokenDecoder,
  stopTokens: StopTokens,
  { stop, ...options }: GenerateOptions = {},
): AsyncGenerator<TokenResult | SummaryResult, void, undefined> {
  const stops = new StopStrings(parseStop(stop))
  const generation = new Generation(runner, prompt, stopTokens, options)
  for await (const { finish_reason, ...sampled } of generation) {
    let text = stopTokens.has(sampled.token) ? "" : stops.push(decoder.push(sampled.token))
    if (finish_reason) text += stops.push(decoder.end()) + stops.end()
    yield { type: "token", ...sampled, text }
    if (stops.matched !== undefined) break
  }
  yield {
    type: "summary",
    ...generation.summary(),
    ...(stops.matched !== undefined && { finish_reason: "stop" as const }),
  }
}
