import { anthropicError } from "./anthropic/errors.js"
import { ollamaError } from "./ollama/errors.js"
import { openaiError } from "./openai/errors.js"
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
