import { type DestinationStream, type Logger, pino } from "pino"
import type { RequestError } from "./request_error.js"
import type { Settings } from "./settings.js"

export type ServerLog = Pick<Logger, "debug" | "info" | "warn" | "error">

/** Lines of JSON. What people write to a model is in none of them unless the settings say so. */
export function createLog(level: Settings["log_level"], destination?: DestinationStream): Logger {
  const formatters = { level: (label: string) => ({ level: label }) }
  const options = { level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime, formatters }
  return destination ? pino(options, destination) : pino(options)
}

/** Says nothing. */
export const SILENT = createLog("silent")

const logged = new WeakSet<RequestError>()

/** A fault of ours has its line, once, wherever it is seen first: in a stream, or on its way to the client. */
export function logFault(log: ServerLog, error: RequestError, request_id: string | undefined): void {
  if (error.kind !== "internal" || logged.has(error)) return
  logged.add(error)
  log.error({ request_id, err: error.cause ?? error }, "fault")
}
