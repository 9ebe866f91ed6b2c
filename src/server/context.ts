import type { BackgroundResponses } from "./responses/background.js"
import type { ModelDirectory } from "./served_model.js"

/** What the routes of every protocol share. */
export interface ServerContext {
  readonly models: ModelDirectory
  /** Bytes of a request's body at most. */
  readonly max_body: number
  /** Responses that are kept, and those being written that nobody waits for; by default in memory, while there is room. */
  readonly responses?: BackgroundResponses
  /** Of Minerva. */
  readonly version: string
}
