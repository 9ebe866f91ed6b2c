import type { RequestError } from "../request_error.js"

export interface OllamaError {
  readonly error: string
}

/** An error as Ollama's clients show it. */
export function ollamaError({ status, message }: RequestError): {
  readonly status: number
  readonly body: OllamaError
} {
  return { status, body: { error: message } }
}
