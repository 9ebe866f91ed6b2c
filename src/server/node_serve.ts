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

/** The address cannot be listened on. */
export class ListenError extends Error {
  override readonly name = "ListenError"

  constructor(host: string, port: number, cause: Error) {
    const reason = ADDRESS_ERRORS[(cause as NodeJS.ErrnoException).code ?? ""] ?? cause.message
    super(`cannot listen on ${host}:${port}: ${reason}`, { cause })
  }
}

const ADDRESS_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is in use, perhaps by another server: choose another one with --port",
  EACCES: "the port is not for everybody: choose one above 1023 with --port",
  EADDRNOTAVAIL: "no interface of this machine has the address: choose another one with --host",
  ENOTFOUND: "the name has no address: choose another one with --host",
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

  /** @throws {ListenError} */
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
      server.once("error", (cause) => reject(new ListenError(host, port, cause)))
      server.listen(port, host, resolve)
    })
    const address = server.address() as AddressInfo
    return new NodeServer(server, served, `http://${reachable(address)}:${address.port}`)
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

/** An address that clients of this machine can use: 0.0.0.0 is none. */
function reachable({ address, family }: AddressInfo): string {
  if (family === "IPv6") return `[${address === "::" ? "::1" : address}]`
  return address === "0.0.0.0" ? "127.0.0.1" : address
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
