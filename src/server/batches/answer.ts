import type { BatchRequest } from "./input.js"
import { pause } from "./pause.js"
import type { StoredResult } from "./store.js"

/** Answers a request as the server would that comes over the network. */
export type Dispatch = (request: Request) => Promise<Response>

/** Milliseconds between tries while the server is overloaded: the first and the longest. */
const BUSY = { first: 500, longest: 30_000 }
/** Tries after which a server that is not available counts as an answer. */
const MOST_TRIES = 12

/** Has a request answered. @throws the signal's reason, once it is aborted */
export async function answer(
  { custom_id, url, body }: BatchRequest,
  id: string,
  dispatch: Dispatch,
  signal: AbortSignal,
): Promise<StoredResult> {
  const headers = { "content-type": "application/json" }
  for (let tries = 1; ; tries++) {
    const request = new Request(`http://localhost${url}`, { method: "POST", headers, body, signal })
    const response = await dispatch(request)
    const text = await response.text()
    signal.throwIfAborted()
    // Who waits in a batch may wait: for a place in the queue as long as it takes, for a model not for ever.
    const { status } = response
    if (status === 429 || (status === 503 && tries < MOST_TRIES)) {
      await pause(Math.min(BUSY.first * 2 ** (tries - 1), BUSY.longest), signal)
      continue
    }
    const request_id = response.headers.get("x-request-id") ?? id
    return resultOf(id, custom_id, { status_code: status, request_id, body: parsed(text) }, null)
  }
}

/** The result of a request that was not answered. */
export function unanswered(id: string, custom_id: string, code: string, message: string): StoredResult {
  return resultOf(id, custom_id, null, { code, message })
}

function resultOf(
  id: string,
  custom_id: string,
  response: { status_code: number; request_id: string; body: unknown } | null,
  error: { code: string; message: string } | null,
): StoredResult {
  const ok = response !== null && response.status_code >= 200 && response.status_code < 300
  return { ok, text: JSON.stringify({ id, custom_id, response, error }) }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
