/** A request parameter that is missing, of the wrong type or out of range. */
export class ParameterError extends Error {
  override readonly name = "ParameterError"

  constructor(
    /** Path of the field as the caller spelled it: `top_p`, `logit_bias.17`. */
    readonly field: string,
    readonly expected: string,
    readonly found: unknown,
  ) {
    super(`${field}: expected ${expected}, found ${describe(found)}`)
  }
}

/** What a caller gave at a path of names and indices; undefined where there is nothing. */
export function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce(
    (value, key) => (typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined),
    root,
  )
}

/** A sequence does not fit the model's context. `code` is what OpenAI's clients look for. */
export class ContextLengthError extends Error {
  override readonly name = "ContextLengthError"
  readonly code = "context_length_exceeded"

  constructor(
    /** Tokens the sequence would have. */
    readonly wanted: number,
    readonly max_context: number,
  ) {
    super(
      `the sequence would be ${wanted} tokens long, the context holds ${max_context}: shorten the prompt, or load the ` +
        "model with a larger max_context if it knows more positions",
    )
  }
}

/** The model returned logits nobody can sample from: damaged weights or an overflow in a kernel. */
export class LogitsError extends Error {
  override readonly name = "LogitsError"

  constructor() {
    super(
      "the logits hold NaN, Infinity or only -Infinity: the weights are damaged or a kernel overflowed; " +
        "check the file and compare with --device reference",
    )
  }
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing"
  if (typeof value === "number" || typeof value === "bigint") return String(value)
  const text = asJson(value) ?? `a ${typeof value}`
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** JSON of a value; undefined for what JSON cannot say: functions, cycles, bigints. */
export function asJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

/** Too many sequences wait already. Try again later. */
export class QueueFullError extends Error {
  override readonly name = "QueueFullError"

  constructor(readonly max_queue: number) {
    super(`${max_queue} requests wait already: try again later, or raise max_queue`)
  }
}

/** A sequence was not done in the time that it was given. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError"

  constructor(
    /** Milliseconds. */
    readonly timeout: number,
  ) {
    super(
      `the request was not done after ${timeout} ms: give it more time, ask for fewer tokens, or try when less is going on`,
    )
  }
}
