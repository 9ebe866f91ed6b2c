import { asRequestError } from "../faults.js"
import { RequestError } from "../request_error.js"

/** How the engine calls a field, and how the request spelled it. */
export type ParamName = readonly [engine: string, request: string]

/**
 * What of a list is not skipped, which is null there, and how the request calls each: the engine counts those alone.
 *
 * @param engine how the engine calls the list
 * @param request how the request does
 */
export function withoutSkipped<T>(list: readonly (T | null)[], engine: string, request: string) {
  const kept = list.flatMap((item, i) => (item === null ? [] : [{ item, i }]))
  return {
    kept: kept.map(({ item }) => item),
    names: kept.map(({ i }, k): ParamName => [`${engine}.${k}`, `${request}.${i}`]),
  }
}

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

/** A result whose error names fields as the request spelled them. */
export async function asSpelled<T>(result: Promise<T>, names: readonly ParamName[]): Promise<T> {
  try {
    return await result
  } catch (error) {
    throw withParamNames(asRequestError(error), names)
  }
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
