import type { ErrorKind, RequestError } from "../request_error.js"

/** Anthropic's names and status codes (platform.claude.com, "Errors"). */
const ERRORS: Record<ErrorKind, { readonly type: string; readonly status: number }> = {
  invalid_request: { type: "invalid_request_error", status: 400 },
  authentication: { type: "authentication_error", status: 401 },
  permission: { type: "permission_error", status: 403 },
  not_found: { type: "not_found_error", status: 404 },
  method_not_allowed: { type: "invalid_request_error", status: 405 },
  unsupported_media_type: { type: "invalid_request_error", status: 415 },
  too_large: { type: "request_too_large", status: 413 },
  context_length: { type: "invalid_request_error", status: 400 },
  overloaded: { type: "rate_limit_error", status: 429 },
  unavailable: { type: "overloaded_error", status: 529 },
  timeout: { type: "timeout_error", status: 504 },
  not_implemented: { type: "invalid_request_error", status: 501 },
  internal: { type: "api_error", status: 500 },
}

export interface AnthropicError {
  readonly type: "error"
  readonly error: {
    readonly type: string
    readonly message: string
    readonly details?: { readonly error_code: string }
  }
}

/** An error as Anthropic's clients know it. Claude Code reads the numbers out of "prompt is too long". */
export function anthropicError({ kind, message, tokens, code }: RequestError): {
  readonly status: number
  readonly body: AnthropicError
} {
  const { type, status } = ERRORS[kind]
  const said =
    kind === "context_length" && tokens
      ? `prompt is too long: ${tokens.wanted} tokens > ${tokens.most} maximum`
      : message
  return {
    status,
    body: { type: "error", error: { type, message: said, ...(code && { details: { error_code: code } }) } },
  }
}
