import type { z } from "zod"
import { ParameterError, valueAt } from "../engine/errors.js"
import { RequestError } from "./request_error.js"

/**
 * A request's body, read as JSON whatever its charset says, up to `limit` bytes.
 *
 * @param anyType reads a body of any content type
 * @throws {RequestError} `unsupported_media_type`, `too_large`, or `invalid_request` for what is no JSON object
 */
export async function readJson(request: Request, limit: number, anyType = false): Promise<Record<string, unknown>> {
  const type = request.headers.get("content-type")
  if (!anyType && type && !/^\s*application\/([\w.+-]*\+)?json\s*(;|$)/i.test(type)) {
    throw new RequestError(
      "unsupported_media_type",
      `content-type: expected application/json, found ${type.slice(0, 80)}`,
    )
  }
  const text = new TextDecoder("utf-8", { fatal: true })
  let body: unknown
  try {
    body = JSON.parse(text.decode(await readBytes(request, limit)))
  } catch (error) {
    if (error instanceof RequestError) throw error
    throw new RequestError("invalid_request", `the body is not valid JSON: ${(error as Error).message.slice(0, 200)}`)
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new RequestError("invalid_request", "the body: expected a JSON object")
  }
  return body as Record<string, unknown>
}

/** @throws {RequestError} `too_large` as soon as there are more than `limit` bytes */
export async function readBytes(request: Request, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = () =>
    new RequestError("too_large", `the body is larger than ${limit} bytes, which is the limit here`)
  if (Number(request.headers.get("content-length") ?? 0) > limit) throw tooLarge()
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of request.body ?? []) {
    length += chunk.byteLength
    if (length > limit) throw tooLarge()
    chunks.push(chunk)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return bytes
}

/** Checks a body. In these schemas an error's message is what was expected. @throws {RequestError} naming the parameter */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const extra = issue.code === "unrecognized_keys" ? [issue.keys[0]] : []
  const path = [...issue.path, ...extra]
  const param = path.map(String).join(".")
  const expected = extra.length > 0 ? "no such parameter" : issue.message
  const message = param ? new ParameterError(param, expected, valueAt(body, path)).message : expected
  throw new RequestError("invalid_request", message, { param: param || undefined })
}
