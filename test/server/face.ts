import { serve } from "@hono/node-server"
import { Hono } from "hono"
import type { AddressInfo } from "node:net"
import type { ServerContext } from "../../src/server/context.js"
import { asRequestError } from "../../src/server/faults.js"
import type { RequestError } from "../../src/server/request_error.js"
import type { ServedModel } from "../../src/server/served_model.js"
import { directoryOf } from "./scripted_model.js"

/** A protocol's routes alone, with its errors. */
export function faceOf(
  routes: (context: ServerContext) => Hono,
  toAnswer: (error: RequestError) => { readonly status: number; readonly body: object },
  ...models: readonly ServedModel[]
): Hono {
  const app = new Hono()
  app.route("/", routes({ models: directoryOf(...models), max_body: 1 << 20, version: "1.2.3" }))
  app.onError((error, c) => {
    const known = asRequestError(error)
    // What nobody foresaw shall be seen in the test's output; a client that leaves is no fault.
    if (known.kind === "internal" && !c.req.raw.signal.aborted) console.error(error)
    const { status, body } = toAnswer(known)
    return c.json(body, status as 500, known.retry_after ? { "retry-after": String(known.retry_after) } : {})
  })
  return app
}

/** Listens on a port of the loopback. */
export async function listening(app: Hono): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" })
  if (!server.listening) await new Promise((resolve) => server.once("listening", resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

export function post(app: Hono, path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body)
  const init = { method: "POST", body: text, headers: { "content-type": "application/json", ...headers } }
  return Promise.resolve(app.request(path, init))
}
