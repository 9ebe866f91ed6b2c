import * as z from "zod"
import { isObject, text } from "../../engine/schemas.js"
import { REASONING_EFFORTS, type ReasoningEffort } from "../../text/messages.js"
import type { ParamName } from "./param_names.js"

/** Fields that several of OpenAI's requests have. An error's message is what was expected. */

export const flag = z.boolean({ error: "true or false" }).nullish()
export const number = z.number({ error: "a number" }).nullish()

const WHOLE = "a whole number"

/** Numbers beyond what a double tells apart are allowed: OpenAI's are of 64 bits. */
const whole = z.number({ error: WHOLE }).refine(Number.isInteger, { error: WHOLE })

/** A whole number in a range. */
export function wholeIn(least: number, most = Number.MAX_SAFE_INTEGER) {
  const isOpen = most === Number.MAX_SAFE_INTEGER
  const expected = isOpen ? `${WHOLE}, ${least} or more` : `${WHOLE} from ${least} to ${most}`
  return z.number({ error: expected }).int({ error: expected }).min(least, { error: expected }).max(most, {
    error: expected,
  })
}

/** How many tokens to write at most: -1 is llama-server's and LM Studio's way to leave it open. */
export function tokenCount(least: 0 | 1) {
  const expected = `${WHOLE}, ${least} or more`
  return z
    .number({ error: expected })
    .refine((n) => n === -1 || (Number.isInteger(n) && n >= least), { error: expected })
    .nullish()
    .transform((n) => (n == null || n === -1 ? null : Math.min(n, Number.MAX_SAFE_INTEGER)))
}

/** Folded to what a double tells apart. */
export const seed = whole.nullish().transform((n) => (n == null ? null : n % Number.MAX_SAFE_INTEGER))

const STOP = "a string or a list of strings, of whole characters"
const stopText = z.string().regex(/^\P{Cs}*$/u)

/** Nothing, or an empty list, stops nowhere. Half a character would cut one of the answer's in two. */
export const stop = z
  .union([stopText, z.array(stopText)], { error: STOP })
  .nullish()
  .transform((given) => (given == null || given.length === 0 ? null : given))

/** An object whose values are looked at later. */
export const object = z
  .custom<Readonly<Record<string, unknown>>>(isObject, { error: "an object" })
  .meta({ type: "object" })

/** What the engine draws by; it checks the ranges. */
export const sampling = {
  temperature: number,
  top_p: number,
  /** vLLM's -1 keeps all, as 0 does. */
  top_k: number.transform((n) => (n === -1 ? 0 : n)),
  min_p: number,
  repetition_penalty: number,
  /** llama-server's name of `repetition_penalty`. */
  repeat_penalty: number,
  frequency_penalty: number,
  presence_penalty: number,
  logit_bias: object.nullish() as z.ZodType<Readonly<Record<string, number>> | null | undefined>,
  seed,
  stop,
}

/** The engine's options of a request, for the sample that is the `i`th of its prompt. */
export function samplingOf(body: z.output<z.ZodObject<typeof sampling>>, i: number) {
  const { temperature, top_p, top_k, min_p, repetition_penalty, repeat_penalty } = body
  const { frequency_penalty, presence_penalty, logit_bias, seed, stop } = body
  return {
    temperature,
    top_p,
    top_k,
    min_p,
    repetition_penalty: repetition_penalty ?? repeat_penalty,
    frequency_penalty,
    presence_penalty,
    logit_bias,
    stop,
    seed: seed === null ? null : (seed + i) % Number.MAX_SAFE_INTEGER,
  }
}

/** How the request spelled what {@link samplingOf} takes from it. */
export function samplingNames(body: z.output<z.ZodObject<typeof sampling>>): readonly ParamName[] {
  return body.repetition_penalty == null ? [["repetition_penalty", "repeat_penalty"]] : []
}

const EFFORTS = [...REASONING_EFFORTS, "max"] as const

/** `max` is OpenAI's newest. */
export const effort = z.enum(EFFORTS, { error: `one of ${EFFORTS.join(", ")}` }).nullish()

/** More than `xhigh` is not known here. */
export function engineEffort(asked: z.output<typeof effort>): ReasoningEffort | null {
  return asked === "max" ? "xhigh" : (asked ?? null)
}

export const stream = {
  stream: flag,
  stream_options: z.object({ include_usage: flag, include_obfuscation: flag }, { error: "an object" }).nullish(),
}

/** They change nothing here: nothing is stored, nobody is billed, and every conversation's beginning is cached. */
export const ignored = {
  user: text.nullish(),
  metadata: object.nullish(),
  store: flag,
  service_tier: text.nullish(),
  prompt_cache_key: text.nullish(),
  prompt_cache_retention: text.nullish(),
  safety_identifier: text.nullish(),
}

export const model = z.string({ error: "the name of a model" }).min(1, { error: "the name of a model" }).nullish()
