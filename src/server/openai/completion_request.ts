import * as z from "zod"
import { chosen, text } from "../../engine/schemas.js"
import { refused } from "../request_error.js"
import type { CompletionOptions } from "../served_model.js"
import { flag, ignored, model, sampling, samplingNames, samplingOf, stream, tokenCount, wholeIn } from "./fields.js"
import type { ParamName } from "./param_names.js"

/** Text, or token ids. */
export type Prompt = string | readonly number[]

const MOST_SAMPLES = 128
const DEFAULT_TOKENS = 16

const PROMPT = "a string, a list of strings, a list of token ids, or a list of those"
const isIds = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.every((id) => typeof id === "number")

interface Prompts {
  readonly list: readonly Prompt[]
  /** Whether the request has a list of prompts, or one alone. */
  readonly isList: boolean
}

const prompts = chosen<Prompts>((value) => {
  if (typeof value === "string" || isIds(value)) return z.any().transform(() => ({ list: [value], isList: false }))
  const one = z.union([text, z.custom<number[]>(isIds)], { error: "a string or a list of token ids" })
  return z
    .array(one, { error: PROMPT })
    .min(1, { error: PROMPT })
    .transform((list) => ({ list, isList: true }))
}).meta({ type: ["string", "array"] })

const bestOf = wholeIn(1, 20)

/** The body of `POST /v1/completions`. The engine checks ranges. Fields that are not known are ignored. */
export const completionBody = z.object({
  model,
  prompt: prompts,
  ...sampling,
  ...stream,
  ...ignored,
  max_tokens: tokenCount(0),
  n: wholeIn(1, MOST_SAMPLES).nullish(),
  best_of: bestOf.nullish(),
  echo: flag,
  logprobs: wholeIn(0, 20).nullish(),
  suffix: z.string({ error: "a string" }).max(0, { error: "nothing: the model does not fill in" }).nullish(),
})

/** A request to continue each of `prompts` `n` times. */
export interface CompletionRequest {
  readonly model: string | undefined
  readonly prompts: readonly Prompt[]
  /** How the request spelled what the engine may complain of, of its `i`th prompt. */
  readonly names: (i: number) => readonly ParamName[]
  readonly n: number
  /** Of how many samples a prompt's `n` are the likeliest. */
  readonly best_of: number
  readonly echo: boolean
  readonly max_tokens: number
  /** How many alternatives to tell of each token; null tells no probabilities. */
  readonly logprobs: number | null
  readonly stream: boolean
  readonly include_usage: boolean
  /** Of a prompt's `k`th sample. */
  readonly options: (k: number) => CompletionOptions
}

/** @throws {RequestError} for fields that do not go together */
export function completionRequest(body: z.output<typeof completionBody>): CompletionRequest {
  const { list, isList } = body.prompt
  const n = body.n ?? 1
  const best_of = body.best_of ?? n
  const stream = body.stream ?? false
  const logprobs = body.logprobs ?? null
  const max_tokens = body.max_tokens ?? DEFAULT_TOKENS
  const refuse = (param: string, expected: string): never => {
    throw refused(param, `expected ${expected}`)
  }
  if (best_of < n) refuse("best_of", "n or more")
  if (stream && best_of > n) refuse("best_of", "the same as n: what is not chosen yet cannot be streamed")
  if (body.echo && logprobs !== null) refuse("logprobs", "nothing beside echo: those of the prompt are not told")
  if (list.length * best_of > MOST_SAMPLES) refuse("prompt", `at most ${MOST_SAMPLES} samples in all`)
  // The likeliest are found by their probabilities.
  const top = logprobs === null && best_of === n ? null : { logprobs: true, top_logprobs: logprobs ?? 0 }
  return {
    model: body.model ?? undefined,
    prompts: list,
    names: (i) => [["prompt", isList ? `prompt.${i}` : "prompt"], ...samplingNames(body)],
    n,
    best_of,
    echo: body.echo ?? false,
    max_tokens,
    logprobs,
    stream,
    include_usage: body.stream_options?.include_usage ?? false,
    options: (k) => ({ ...samplingOf(body, k), ...top, max_tokens }),
  }
}
