import type { ResponseStore } from "./responses/store.js"
import type { ModelDirectory } from "./served_model.js"

/** What the routes of every protocol share. */
export interface ServerContext {
  readonly models: ModelDirectory
  /** Bytes of a request's body at most. */
  readonly max_body: number
  /** Where stored responses are; by default in memory, while there is room. */
  readonly responses?: ResponseStore
  /** Of Minerva. */
  readonly version: string
}
