import { checkTokenIds } from "../../engine/token_ids.js"
import { RequestError } from "../request_error.js"
import type { ServedModel } from "../served_model.js"
import { CompletionSample, type SampleEvent } from "./completion_choice.js"
import type { CompletionRequest, Prompt } from "./completion_request.js"
import { envelopeOf } from "./envelope.js"
import { spellingNames } from "./param_names.js"
import { sideBySide } from "./side_by_side.js"
import { usageOf } from "./usage.js"

/**
 * Answers a request, piece by piece: OpenAI's `CreateCompletionResponse`s with a piece of text each. What it returns is the answer as
 * a whole.
 */
export async function* completionChunks(
  model: ServedModel,
  request: CompletionRequest,
  version: string,
  signal: AbortSignal,
): AsyncGenerator<object, object, undefined> {
  const { prompts, n, best_of, include_usage } = request
  const envelope = { ...envelopeOf("cmpl", model.info, version), object: "text_completion" }
  const echoes = await Promise.all(prompts.map((prompt) => (request.echo ? textOf(model, prompt) : "")))
  const samples = prompts.flatMap((_, p) =>
    Array.from({ length: best_of }, (_, k) => new CompletionSample(p * n + k, echoes[p], request.logprobs !== null)),
  )
  const runs = samples.map((_, i) => {
    const [p, k] = [Math.floor(i / best_of), i % best_of]
    return spellingNames(continued(model, prompts[p], request, k, signal), request.names(p))
  })
  const chunk = { ...envelope, ...(include_usage && { usage: null }) }
  for await (const [i, event] of sideBySide(runs)) {
    for (const choice of samples[i].push(event)) yield { ...chunk, choices: [choice] }
  }
  const summaries = samples.flatMap(({ summary }) => summary ?? [])
  const usage = usageOf(prompts.map((_, p) => summaries.slice(p * best_of, (p + 1) * best_of)))
  if (include_usage) yield { ...chunk, choices: [], usage }
  const best = prompts.flatMap((_, p) => {
    const order = samples.slice(p * best_of, (p + 1) * best_of)
    return best_of > n ? order.sort((a, b) => b.likelihood - a.likelihood).slice(0, n) : order
  })
  return { ...envelope, choices: best.map((sample, i) => sample.choice(i, sample.summary!)), usage }
}

async function textOf(model: ServedModel, prompt: Prompt): Promise<string> {
  return typeof prompt === "string" ? prompt : model.detokenize(prompt)
}

async function* continued(
  model: ServedModel,
  prompt: Prompt,
  { max_tokens, options }: CompletionRequest,
  k: number,
  signal: AbortSignal,
): AsyncGenerator<SampleEvent, void, undefined> {
  if (max_tokens > 0) {
    yield* model.generate(prompt, { ...options(k), signal })
    return
  }
  const ids = typeof prompt === "string" ? await model.tokenize(prompt) : prompt
  checkTokenIds("prompt", ids, model.info.vocab_size)
  const prompt_tokens = ids.length
  const most = model.info.max_context
  if (prompt_tokens > most) {
    const tokens = { wanted: prompt_tokens, most }
    throw new RequestError("context_length", "shorten the prompt", { code: "context_length_exceeded", tokens })
  }
  yield { type: "summary", finish_reason: "length", prompt_tokens, cached_tokens: 0, completion_tokens: 0 }
}
