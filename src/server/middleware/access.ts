import type { MiddlewareHandler } from "hono"
import { matchedRoutes } from "hono/route"
import { asRequestError } from "../faults.js"
import { logFault, type ServerLog } from "../log.js"
import type { ServerMetrics } from "../metrics.js"
import { currentRequest } from "../node_current_request.js"
import { ServedRequest } from "../served_request.js"
import { requestSpan } from "../telemetry.js"

type Env = { Bindings: { readonly outgoing?: { destroy(): void } } }

const PROBES = ["/health", "/ready", "/metrics"]

/** What nginx writes for a request whose client did not wait for the answer. */
const CLIENT_LEFT = 499

/**
 * Makes a {@link ServedRequest} of each request and follows it until its answer is made (of a stream the last byte is read), or the
 * client has left. Then it is counted, and has its line in the log. Its id is given back as `x-request-id`.
 */
export function access(metrics: ServerMetrics, log: ServerLog): MiddlewareHandler<Env> {
  return async (c, next) => {
    const { method, path, raw } = c.req
    const request = new ServedRequest(requestId(c.req.header("x-request-id")), () => c.env?.outgoing?.destroy())
    const span = requestSpan(request, method, path, raw.headers)
    request.onOver(() => {
      const status = request.hasLeft ? CLIENT_LEFT : c.res.status
      const ms = performance.now() - request.started
      const route = routeOf(matchedRoutes(c))
      span.end(route, status)
      metrics.answered(method, route, status, ms / 1000)
      // Of probes there are many.
      log[PROBES.includes(path) ? "debug" : "info"](logLine(request, method, path, status, ms), "request")
    })
    const { signal } = raw
    const leave = () => request.left()
    signal.addEventListener("abort", leave)
    // Node keeps the signal of a `Request` for as long as it is listened to, and with it all that the listener knows.
    request.onOver(() => signal.removeEventListener("abort", leave))
    await currentRequest.run(request, next)
    c.res.headers.set("x-request-id", request.id)
    const { body } = isStream(c.res) && method !== "HEAD" ? c.res : { body: null }
    if (body === null) return request.over()
    const followed = new Response(following(body, request, log), c.res)
    c.res = undefined
    c.res = followed
  }
}

function logLine(request: ServedRequest, method: string, path: string, status: number, ms: number): object {
  const { id, model, prompt_tokens, cached_tokens, completion_tokens, error } = request
  return {
    request_id: id,
    method,
    path: path.slice(0, 200),
    status,
    ms: Math.round(ms),
    ...(model !== null && { model, prompt_tokens, cached_tokens, completion_tokens }),
    ...(error !== null && { error }),
  }
}

/** The client's own, if it is a short word: it is repeated in headers and logs. */
function requestId(given: string | undefined): string {
  return given !== undefined && /^[\w.:/+=-]{1,128}$/.test(given)
    ? given
    : `req_${crypto.randomUUID().replaceAll("-", "")}`
}

/** As it was declared, so that there are few. */
function routeOf(routes: readonly { readonly method: string; readonly path: string }[]): string {
  return routes.findLast(({ method }) => method !== "ALL")?.path ?? "none"
}

/** Whether the answer is still being made. */
function isStream({ headers }: Response): boolean {
  return /^(text\/event-stream|application\/x-ndjson)/.test(headers.get("content-type") ?? "")
}

/** The same bytes, read as slowly as they are asked for. The request is over with them. */
function following(
  body: ReadableStream<Uint8Array>,
  request: ServedRequest,
  log: ServerLog,
): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  let isCancelled = false
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (isCancelled) return
          if (!done) return controller.enqueue(value)
          request.over()
          controller.close()
        } catch (error) {
          // Protocols end their streams with an error in their own words. From here the connection can only be closed.
          const fault = asRequestError(error)
          logFault(log, fault, request.id)
          request.over()
          throw new Error(fault.message)
        }
      },
      async cancel(reason) {
        isCancelled = true
        request.left()
        await reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
}
