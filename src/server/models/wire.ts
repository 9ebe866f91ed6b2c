import type { LoadModelOptions } from "../../engine/load_model.js"
import { asRequestError } from "../faults.js"
import { type ErrorKind, RequestError, type RequestErrorDetails } from "../request_error.js"
import type { ServedModel, ServedModelInfo } from "../served_model.js"

/**
 * Events of an answer that may be under way to its reader. A sequence whose reader has not taken so many waits for him, which bounds what
 * a slow reader costs in either process.
 */
export const WINDOW = 64

/** The reader says that he has taken events when there are so many. */
export const TAKEN = WINDOW / 4

/** A pipe for structured data to another process, or to whatever a test puts there. Messages come in order. */
export interface Port<Out, In> {
  send(message: Out): void
  /** Who listens sets these. */
  receive: (message: In) => void
  /** Called once, when the other side is gone; says why. */
  gone: (reason: string) => void
}

/** A model to load, all of it plain data. */
export interface LoadRequest {
  /** As `loadModel` takes it. */
  readonly path: string
  /** As requests name it. */
  readonly name: string
  readonly options: Omit<LoadModelOptions, "backend" | "signal" | `on${string}`>
}

export type Method = Exclude<keyof ServedModel, "info">

export type ToModel =
  /** The first message. */
  | { readonly type: "load"; readonly request: LoadRequest }
  | { readonly type: "call"; readonly id: number; readonly method: Method; readonly args: readonly unknown[] }
  /** So many more values of a call have been read. */
  | { readonly type: "taken"; readonly id: number; readonly count: number }
  | { readonly type: "cancel"; readonly id: number }
  | { readonly type: "close" }

/** What came of a call since the last message. Methods that return one value give it, and end. */
export interface Answered {
  readonly id: number
  readonly values: unknown[]
  /** Once there are no more. */
  end?: "done" | ErrorData
}

export type FromModel =
  /** Bytes of weights. */
  | { readonly type: "progress"; readonly done: number; readonly total: number }
  | { readonly type: "warning"; readonly text: string }
  | { readonly type: "loaded"; readonly info: ServedModelInfo; readonly bytes: number }
  | { readonly type: "failed"; readonly error: ErrorData }
  | { readonly type: "answers"; readonly answers: readonly Answered[] }

/** A {@link RequestError} on its way between processes. */
export interface ErrorData extends Omit<RequestErrorDetails, "cause"> {
  readonly kind: ErrorKind
  readonly message: string
  /** What the log should say of the cause. */
  readonly cause?: string
}

export function errorData(error: unknown): ErrorData {
  const { kind, message, param, code, retry_after, tokens, cause } = asRequestError(error)
  return {
    kind,
    message,
    param: param ?? undefined,
    code: code ?? undefined,
    retry_after: retry_after ?? undefined,
    tokens,
    // The message of other kinds says all.
    cause: kind === "internal" && cause instanceof Error ? cause.stack : undefined,
  }
}

export function revived({ kind, message, ...details }: ErrorData): RequestError {
  return new RequestError(kind, message, details)
}

/** Levels of arrays and objects: V8 reads no more than some 3000 back from a message, and a message that cannot be read ends the process. */
const DEEPEST = 500

/** @throws {RequestError} `invalid_request` for data that is nested too deeply to be sent */
export function checkDepth(data: unknown): void {
  let level = [data]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEEPEST) {
      throw new RequestError("invalid_request", `the body is nested more than ${DEEPEST} levels deep`)
    }
    level = level.flatMap((value) => (typeof value === "object" && value !== null ? Object.values(value) : []))
  }
}
