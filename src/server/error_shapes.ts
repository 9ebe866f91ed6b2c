import type { RequestError } from "./request_error.js"

export interface ShapedError {
  readonly status: number
  readonly body: object
}

interface ErrorShape {
  /** Of the paths that answer so. */
  readonly prefix: string
  readonly error: (error: RequestError) => ShapedError
}

/** The first that fits. */
const SHAPES: readonly ErrorShape[] = [
  { prefix: "/v1/messages", error: anthropicError },
  { prefix: "/api/", error: ollamaError },
  { prefix: "/", error: openaiError },
]

/** An error as clients of the protocol that has this path read it. */
export function shapedError(path: string, error: RequestError): ShapedError {
  return (SHAPES.find(({ prefix }) => path.startsWith(prefix)) ?? SHAPES[SHAPES.length - 1]).error(error)
}

function openaiError({ kind, status, message, param, code }: RequestError): ShapedError {
  const type = kind === "overloaded" ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error"
  return { status, body: { error: { message, type, param, code } } }
}

const ANTHROPIC_TYPES: Partial<Record<RequestError["kind"], string>> = {
  authentication: "authentication_error",
  permission: "permission_error",
  not_found: "not_found_error",
  too_large: "request_too_large",
  overloaded: "rate_limit_error",
  unavailable: "overloaded_error",
  timeout: "timeout_error",
  internal: "api_error",
}

function anthropicError({ kind, status, message }: RequestError): ShapedError {
  const type = ANTHROPIC_TYPES[kind] ?? "invalid_request_error"
  return { status, body: { type: "error", error: { type, message } } }
}

function ollamaError({ status, message }: RequestError): ShapedError {
  return { status, body: { error: message } }
}
