import type { ErrorKind, RequestError } from "../request_error.js"

/** OpenAI's `ErrorResponse`. */
export interface OpenAIErrorBody {
  readonly error: {
    readonly message: string
    readonly type: string
    readonly param: string | null
    readonly code: string | null
  }
}

/** What is not here is an `invalid_request_error`. */
const TYPES: Partial<Record<ErrorKind, string>> = {
  permission: "permission_error",
  overloaded: "rate_limit_error",
  unavailable: "server_error",
  timeout: "server_error",
  not_implemented: "server_error",
  internal: "server_error",
}

const CODES: Partial<Record<ErrorKind, string>> = {
  authentication: "invalid_api_key",
  method_not_allowed: "method_not_allowed",
  unsupported_media_type: "unsupported_media_type",
  too_large: "request_too_large",
  context_length: "context_length_exceeded",
  overloaded: "rate_limit_exceeded",
  unavailable: "service_unavailable",
  timeout: "timeout",
  not_implemented: "not_implemented",
  internal: "server_error",
}

/** An error as OpenAI writes it. */
export function openaiError(error: RequestError): { readonly status: number; readonly body: OpenAIErrorBody } {
  const { kind, status, param, code } = error
  return {
    status,
    body: {
      error: {
        message: messageOf(error),
        type: TYPES[kind] ?? "invalid_request_error",
        param,
        code: code ?? CODES[kind] ?? null,
      },
    },
  }
}

/** Clients that shorten a conversation by themselves look for "maximum context length". */
function messageOf({ message, tokens }: RequestError): string {
  if (!tokens) return message
  const { wanted, most } = tokens
  return `This model's maximum context length is ${most} tokens. However, your request needs ${wanted} tokens: ${message}`
}
