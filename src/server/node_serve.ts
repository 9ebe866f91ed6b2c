import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { getRequestListener } from "@hono/node-server"
import type { ServerApp } from "./app.js"
import { shapedError } from "./error_shapes.js"
import { asRequestError } from "./faults.js"
import { answerMalformed } from "./node_http_errors.js"
import { RequestError } from "./request_error.js"

/** Milliseconds. A request's headers, and all of it, arrive within these; who sends a byte now and then holds no connection for long. */
const HEADERS_TIMEOUT = 15_000
const ARRIVAL_TIMEOUT = 120_000
/** Longer than load balancers keep a connection, most of them 60 s: who closes first must not be who is sent the next request. */
const KEEP_ALIVE = 75_000
const CHECK_INTERVAL = 2_000
/** Bytes of the request line and headers. */
const MAX_HEADERS = 32 * 1024
const MAX_CONNECTIONS = 4096

export interface ListenOptions {
  readonly host: string
  readonly port: number
}

/** A server that listens. */
export class NodeServer {
  private stopping: Promise<void> | undefined

  private constructor(
    private readonly server: Server,
    private readonly served: ServerApp,
    /** Where, such as http://127.0.0.1:11435. */
    readonly url: string,
  ) {}

  /** @throws an error of the operating system, such as EADDRINUSE */
  static async listen(served: ServerApp, { host, port }: ListenOptions): Promise<NodeServer> {
    const listener = getRequestListener(served.app.fetch, { errorHandler: unfitRequest })
    const server = createServer(
      {
        headersTimeout: HEADERS_TIMEOUT,
        requestTimeout: ARRIVAL_TIMEOUT,
        keepAliveTimeout: KEEP_ALIVE,
        connectionsCheckingInterval: CHECK_INTERVAL,
        maxHeaderSize: MAX_HEADERS,
        // Its absence is answered in our words.
        requireHostHeader: false,
      },
      listener,
    )
    server.maxConnections = MAX_CONNECTIONS
    answerMalformed(server)
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject)
      server.listen(port, host, resolve)
    })
    const address = server.address() as AddressInfo
    const name = address.family === "IPv6" ? `[${address.address}]` : address.address
    return new NodeServer(server, served, `http://${name}:${address.port}`)
  }

  /**
   * Accepts no connections any more. Requests that are being answered have so many milliseconds, and are then ended with an error.
   * Resolves when all connections are closed.
   */
  stop(timeout: number): Promise<void> {
    this.stopping ??= this.drain(timeout)
    return this.stopping
  }

  private async drain(timeout: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()))
    await this.served.open.drain(timeout)
    // The last bytes may still be on their way.
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 250))])
    this.server.closeIdleConnections()
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 1000))])
    this.server.closeAllConnections()
    await closed
  }
}

/** What cannot be made a `Request` of, such as a path that is no path. */
function unfitRequest(error: unknown): Response {
  const fault =
    (error as Error).name === "RequestError" && !(error instanceof RequestError)
      ? new RequestError("invalid_request", (error as Error).message)
      : asRequestError(error)
  const { status, body } = shapedError("/", fault)
  return Response.json(body, { status })
}
