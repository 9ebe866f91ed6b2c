import { isObject } from "../../engine/schemas.js"
import type { BatchError } from "./objects.js"

/** A line of a file that is not blank. */
export interface InputLine {
  /** Its number in the file, from 1. */
  readonly line: number
  /** Where its bytes begin and end. */
  readonly from: number
  readonly to: number
  /** Null where it is longer than a line may be. */
  readonly bytes: Uint8Array | null
}

/** A request of a batch. */
export interface BatchRequest {
  readonly custom_id: string
  readonly url: string
  /** JSON. */
  readonly body: string
  readonly model: string | null
}

const NEWLINE = 10

/** The lines of a file, however it is cut into chunks. @param longest bytes of a line, at most */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>, longest: number): AsyncGenerator<InputLine, void> {
  let parts: Uint8Array[] = []
  let [line, from, at] = [1, 0, 0]
  const take = (): InputLine | null => {
    const taken = { line: line++, from, to: at, bytes: at - from > longest ? null : Buffer.concat(parts) }
    parts = []
    return taken.bytes && isBlank(taken.bytes) ? null : taken
  }
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.byteLength; ) {
      const newline = chunk.indexOf(NEWLINE, start)
      const end = newline === -1 ? chunk.byteLength : newline
      at += end - start
      // Of a line that is too long no more is kept than shows that it is.
      if (at - from <= longest) parts.push(chunk.slice(start, end))
      if (newline !== -1) {
        const taken = take()
        if (taken) yield taken
        from = ++at
      }
      start = end + 1
    }
  }
  const taken = take()
  if (taken) yield taken
}

const isBlank = (bytes: Uint8Array) => bytes.every((byte) => byte === 32 || (byte >= 9 && byte <= 13))

/** A line that is not what it should be. */
export class LineError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly param: string | null = null,
  ) {
    super(message)
  }

  at(line: number): BatchError {
    return { code: this.code, message: this.message, param: this.param, line }
  }
}

/** @throws {LineError} where a line is no request to `endpoint` */
export function parseRequest(bytes: Uint8Array | null, endpoint: string): BatchRequest {
  if (!bytes) throw new LineError("line_too_long", "this line is longer than a request's body may be")
  const { custom_id, method, url, body } = parseLine(bytes)
  const required = (param: string, expected: string) =>
    new LineError("missing_required_parameter", `${param}: expected ${expected}`, param)
  if (typeof custom_id !== "string" || custom_id === "" || custom_id.length > 512) {
    throw required("custom_id", "a string of 1 to 512 characters")
  }
  if (method !== "POST") throw new LineError("invalid_method", 'method: expected "POST"', "method")
  if (url !== endpoint) {
    throw new LineError("invalid_url", `url: expected ${endpoint}, which is the batch's endpoint`, "url")
  }
  if (!isObject(body)) throw required("body", "an object")
  if (body.stream === true) {
    throw new LineError("invalid_request", "body.stream: a batch's answers are not streamed", "body.stream")
  }
  const model = typeof body.model === "string" ? body.model : null
  return { custom_id, url, body: stringify(body), model }
}

function parseLine(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch (error) {
    const why = error instanceof SyntaxError ? error.message.slice(0, 200) : "it is not UTF-8"
    throw new LineError("invalid_json_line", `this line is not valid JSON: ${why}`)
  }
  if (!isObject(value)) throw new LineError("invalid_json_line", "this line is not a JSON object")
  return value as Record<string, unknown>
}

function stringify(body: unknown): string {
  try {
    return JSON.stringify(body)
  } catch {
    throw new LineError("invalid_request", "body: this is nested too deeply", "body")
  }
}
