import { KvCapacityError } from "../cache/kv_errors.js"
import { ContextLengthError, DeadlineError, ParameterError, QueueFullError } from "../engine/errors.js"
import { GrammarError } from "../text/grammar.js"
import { TokenizerError } from "../text/tokenizer_error.js"
import { RequestError } from "./request_error.js"

/** Seconds after which a place in the queue may be free. */
const RETRY_AFTER = 1

/** What an error of the engine means to whoever asked. */
export function asRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) return error
  const cause = error
  if (error instanceof ParameterError || error instanceof GrammarError) {
    return new RequestError("invalid_request", error.message, { param: error.field, cause })
  }
  if (error instanceof ContextLengthError) {
    const tokens = { wanted: error.wanted, most: error.max_context }
    return new RequestError("context_length", error.message, { code: "context_length_exceeded", tokens, cause })
  }
  if (error instanceof KvCapacityError) {
    const tokens = { wanted: error.wanted, most: error.fits }
    return new RequestError("context_length", error.message, { code: "context_length_exceeded", tokens, cause })
  }
  if (error instanceof QueueFullError) {
    return new RequestError("overloaded", error.message, {
      code: "rate_limit_exceeded",
      retry_after: RETRY_AFTER,
      cause,
    })
  }
  if (error instanceof DeadlineError) return new RequestError("timeout", error.message, { cause })
  if (error instanceof TokenizerError)
    return new RequestError("invalid_request", error.message, { param: "model", cause })
  return new RequestError("internal", "the model failed: the server's log says more", { cause })
}
