import * as z from "zod"
import { ParameterError, valueAt } from "../errors.js"
import { tokenIdBelow } from "../token_ids.js"

/**
 * How the next token is chosen; every field is optional, and null is as if it were left out. The steps run in this order, the one of transformers' `generate`:
 * `logit_bias`, `repetition_penalty`, `frequency_penalty` and `presence_penalty`, `temperature`, `top_k`, `top_p`, `min_p`.
 */
export interface SamplingOptions {
  /** Divides the logits. 0 takes the most likely token always (the lower id wins a tie). Range [0, 2], 1 by default. */
  readonly temperature?: number | null
  /** Keeps the k most likely tokens. 0, the default, keeps all. */
  readonly top_k?: number | null
  /** Keeps the fewest most likely tokens whose probabilities reach `top_p` together (Holtzman et al. 2019). 1, the default, keeps all. */
  readonly top_p?: number | null
  /** Drops tokens less likely than `min_p` times the most likely one (Nguyen et al. 2024). 0, the default, drops none. */
  readonly min_p?: number | null
  /**
   * Divides positive and multiplies negative logits of tokens already in the context (Keskar et al. 2019, CTRL;
   * transformers' `RepetitionPenaltyLogitsProcessor`). 1, the default, is off. Range (0, 10].
   */
  readonly repetition_penalty?: number | null
  /** How many of the last tokens, prompt included, `repetition_penalty` looks at. Left out: all of them. */
  readonly repetition_context_size?: number | null
  /** Subtracted from a token's logit once per time it was generated (OpenAI's formula; the prompt does not count). Range [-2, 2]. */
  readonly frequency_penalty?: number | null
  /** Subtracted from the logit of every token generated so far (OpenAI's formula; the prompt does not count). Range [-2, 2]. */
  readonly presence_penalty?: number | null
  /** Added to the logits of these token ids, each in [-100, 100]. */
  readonly logit_bias?: Readonly<Record<string, number>> | null
  /** The same seed on the same logits gives the same tokens. Left out: drawn at random and reported in the summary. */
  readonly seed?: number | null
  /** Reports the log-probability of each sampled token. */
  readonly logprobs?: boolean | null
  /** Also reports this many most likely tokens, at most 20. Needs `logprobs`. */
  readonly top_logprobs?: number | null
}

type WithoutDefault = "repetition_context_size" | "seed"

type Said = { readonly [K in keyof SamplingOptions]-?: NonNullable<SamplingOptions[K]> }

/** Checked and completed. */
export type SamplingParams = Omit<Said, WithoutDefault> & Partial<Pick<Said, WithoutDefault>>

/** What is absent or null is `value`. */
function or<T extends z.ZodType, V>(schema: T, value: V) {
  return schema.nullish().transform((given) => given ?? value)
}

const probability = z.number().min(0).max(1)
const openAIPenalty = z.number().min(-2).max(2)

/** Not exported: who imports the types of this package shall not need those of zod. */
const schema: z.ZodType<SamplingParams, SamplingOptions> = z.strictObject({
  temperature: or(z.number().min(0).max(2), 1),
  top_k: or(z.int().min(0), 0),
  top_p: or(probability, 1),
  min_p: or(probability, 0),
  repetition_penalty: or(z.number().positive().max(10), 1),
  repetition_context_size: or(z.int().min(1), undefined),
  frequency_penalty: or(openAIPenalty, 0),
  presence_penalty: or(openAIPenalty, 0),
  logit_bias: or(z.record(z.string().regex(/^(0|[1-9]\d*)$/), z.number().min(-100).max(100)), {}),
  seed: or(z.int(), undefined),
  logprobs: or(z.boolean(), false),
  top_logprobs: or(z.int().min(0).max(20), 0),
})

const EXPECTED: Record<keyof SamplingParams, string> = {
  temperature: "a number from 0 to 2",
  top_k: "a whole number, 0 or more",
  top_p: "a number from 0 to 1",
  min_p: "a number from 0 to 1",
  repetition_penalty: "a number above 0, at most 10",
  repetition_context_size: "a whole number, 1 or more",
  frequency_penalty: "a number from -2 to 2",
  presence_penalty: "a number from -2 to 2",
  logit_bias: "an object of token ids with a bias from -100 to 100 each",
  seed: `a whole number between -${Number.MAX_SAFE_INTEGER} and ${Number.MAX_SAFE_INTEGER}`,
  logprobs: "true or false",
  top_logprobs: "a whole number from 0 to 20",
}

/**
 * Checks sampling options and fills in defaults.
 *
 * @param vocab_size ids in `logit_bias` must lie below it
 * @throws {ParameterError} naming the field, the range and what was found
 */
export function parseSamplingParams(
  options: SamplingOptions = {},
  vocab_size = Number.POSITIVE_INFINITY,
): SamplingParams {
  const result = schema.safeParse(options)
  if (!result.success) throw parameterError(result.error.issues[0], options)
  const params = result.data
  if (params.top_logprobs > 0 && !params.logprobs) {
    throw new ParameterError("top_logprobs", "logprobs: true beside it", params.top_logprobs)
  }
  for (const id of Object.keys(params.logit_bias)) {
    if (Number(id) >= vocab_size) throw new ParameterError(`logit_bias.${id}`, tokenIdBelow(vocab_size), Number(id))
  }
  return params
}

function parameterError(issue: z.core.$ZodIssue, options: unknown): ParameterError {
  if (issue.code === "unrecognized_keys") {
    const [name] = issue.keys
    return new ParameterError(name, `one of ${Object.keys(EXPECTED).join(", ")}`, valueAt(options, [name]))
  }
  const path = issue.path.map(String)
  const expected = EXPECTED[path[0] as keyof SamplingParams] ?? "an object of sampling parameters"
  return new ParameterError(path.join(".") || "sampling", expected, valueAt(options, path))
}
