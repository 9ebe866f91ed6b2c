import type { ModelDirectory } from "./served_model.js"

/** What the routes of every protocol share. */
export interface ServerContext {
  readonly models: ModelDirectory
  /** Bytes of a request's body at most. */
  readonly max_body: number
  /** Of Minerva. */
  readonly version: string
}
