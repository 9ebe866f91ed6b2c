import { asRequestError } from "../faults.js"
import { RequestError } from "../request_error.js"

/** How the engine calls a field, and how the request spelled it. */
export type ParamName = readonly [engine: string, request: string]

/** An error that names fields as the request spelled them. The first name that fits is taken. */
export function withParamNames(error: RequestError, names: readonly ParamName[]): RequestError {
  const { param, kind, message, code, retry_after, tokens, cause } = error
  const found = names.find(([engine]) => param === engine || param?.startsWith(`${engine}.`))
  if (param === null || !found) return error
  const [engine, request] = found
  const spelled = request + param.slice(engine.length)
  const said = message.startsWith(param) ? spelled + message.slice(param.length) : message
  return new RequestError(kind, said, {
    param: spelled,
    cause,
    tokens,
    ...(code !== null && { code }),
    ...(retry_after !== null && { retry_after }),
  })
}

/** An iteration whose errors name fields as the request spelled them. */
export async function* spellingNames<T, R>(
  items: AsyncIterable<T, R>,
  names: readonly ParamName[],
): AsyncGenerator<T, R, undefined> {
  try {
    return yield* items
  } catch (error) {
    throw withParamNames(asRequestError(error), names)
  }
}
