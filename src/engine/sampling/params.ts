import { z } from "zod"
import { ParameterError, valueAt } from "../errors.js"
import { tokenIdBelow } from "../token_ids.js"

/**
 * How the next token is chosen; every field is optional. The steps run in this order, the one of transformers' `generate`:
 * `logit_bias`, `repetition_penalty`, `frequency_penalty` and `presence_penalty`, `temperature`, `top_k`, `top_p`, `min_p`.
 */
export interface SamplingOptions {
  /** Divides the logits. 0 takes the most likely token always (the lower id wins a tie). Range [0, 2], 1 by default. */
  readonly temperature?: number
  /** Keeps the k most likely tokens. 0, the default, keeps all. */
  readonly top_k?: number
  /** Keeps the fewest most likely tokens whose probabilities reach `top_p` together (Holtzman et al. 2019). 1, the default, keeps all. */
  readonly top_p?: number
  /** Drops tokens less likely than `min_p` times the most likely one (Nguyen et al. 2024). 0, the default, drops none. */
  readonly min_p?: number
  /**
   * Divides positive and multiplies negative logits of tokens already in the context (Keskar et al. 2019, CTRL;
   * transformers' `RepetitionPenaltyLogitsProcessor`). 1, the default, is off. Range (0, 10].
   */
  readonly repetition_penalty?: number
  /** How many of the last tokens, prompt included, `repetition_penalty` looks at. Left out: all of them. */
  readonly repetition_context_size?: number
  /** Subtracted from a token's logit once per time it was generated (OpenAI's formula; the prompt does not count). Range [-2, 2]. */
  readonly frequency_penalty?: number
  /** Subtracted from the logit of every token generated so far (OpenAI's formula; the prompt does not count). Range [-2, 2]. */
  readonly presence_penalty?: number
  /** Added to the logits of these token ids, each in [-100, 100]. */
  readonly logit_bias?: Readonly<Record<string, number>>
  /** The same seed on the same logits gives the same tokens. Left out: drawn at random and reported in the summary. */
  readonly seed?: number
  /** Reports the log-probability of each sampled token. */
  readonly logprobs?: boolean
  /** Also reports this many most likely tokens, at most 20. Needs `logprobs`. */
  readonly top_logprobs?: number
}

type WithoutDefault = "repetition_context_size" | "seed"

/** Checked and completed. */
export type SamplingParams = Required<Omit<SamplingOptions, WithoutDefault>> & Pick<SamplingOptions, WithoutDefault>

const probability = z.number().min(0).max(1)
const openAIPenalty = z.number().min(-2).max(2)

/** Not exported: who imports the types of this package shall not need those of zod. */
const schema: z.ZodType<SamplingParams, SamplingOptions> = z.strictObject({
  temperature: z.number().min(0).max(2).default(1),
  top_k: z.int().min(0).default(0),
  top_p: probability.default(1),
  min_p: probability.default(0),
  repetition_penalty: z.number().positive().max(10).default(1),
  repetition_context_size: z.int().min(1).optional(),
  frequency_penalty: openAIPenalty.default(0),
  presence_penalty: openAIPenalty.default(0),
  logit_bias: z.record(z.string().regex(/^(0|[1-9]\d*)$/), z.number().min(-100).max(100)).default({}),
  seed: z.int().optional(),
  logprobs: z.boolean().default(false),
  top_logprobs: z.int().min(0).max(20).default(0),
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
    return new ParameterError(issue.keys[0], `one of ${Object.keys(EXPECTED).join(", ")}`, "an unknown parameter")
  }
  const path = issue.path.map(String)
  const expected = EXPECTED[path[0] as keyof SamplingParams] ?? "an object of sampling parameters"
  return new ParameterError(path.join(".") || "sampling", expected, valueAt(options, path))
}
