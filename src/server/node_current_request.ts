import { AsyncLocalStorage } from "node:async_hooks"
import type { ServedRequest } from "./served_request.js"

/** The request on whose behalf the code at hand runs: so the models that it holds know it without any route passing it on. */
export const currentRequest = new AsyncLocalStorage<ServedRequest>()
