/** What went wrong with a request, in words that every protocol has: each face writes it in its own shape. */
export type ErrorKind =
  /** The request is not what it should be. */
  | "invalid_request"
  | "authentication"
  | "permission"
  | "not_found"
  | "method_not_allowed"
  | "unsupported_media_type"
  | "too_large"
  /** The conversation does not fit the model's context. */
  | "context_length"
  /** Too many requests wait. */
  | "overloaded"
  /** The server is starting, draining, or out of memory. */
  | "unavailable"
  | "timeout"
  | "not_implemented"
  /** A fault of ours. */
  | "internal"

const STATUS: Record<ErrorKind, number> = {
  invalid_request: 400,
  authentication: 401,
  permission: 403,
  not_found: 404,
  method_not_allowed: 405,
  unsupported_media_type: 415,
  too_large: 413,
  context_length: 400,
  overloaded: 429,
  unavailable: 503,
  timeout: 504,
  not_implemented: 501,
  internal: 500,
}

export interface RequestErrorDetails {
  /** The field that is wrong, as the caller spelled it. */
  readonly param?: string
  /** OpenAI's code, where it has one: `model_not_found`. */
  readonly code?: string
  /** Seconds after which to try again. */
  readonly retry_after?: number
  /** With `context_length`: tokens asked for, and those that the model holds. */
  readonly tokens?: { readonly wanted: number; readonly most: number }
  readonly cause?: unknown
}

/** A request that cannot be answered. */
export class RequestError extends Error {
  override readonly name = "RequestError"
  readonly param: string | null
  readonly code: string | null
  readonly retry_after: number | null
  readonly tokens: RequestErrorDetails["tokens"]

  constructor(
    readonly kind: ErrorKind,
    message: string,
    { param, code, retry_after, tokens, cause }: RequestErrorDetails = {},
  ) {
    super(message, { cause })
    this.param = param ?? null
    this.code = code ?? null
    this.retry_after = retry_after ?? null
    this.tokens = tokens
  }

  /** Of HTTP. */
  get status(): number {
    return STATUS[this.kind]
  }
}

/** A request whose `param` is not what it should be. */
export function refused(param: string, problem: string): RequestError {
  return new RequestError("invalid_request", `${param}: ${problem}`, { param })
}
