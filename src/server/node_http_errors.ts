import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { shapedError } from "./error_shapes.js"
import { RequestError } from "./request_error.js"

/** What Node finds wrong with the bytes of a request, by its code; everything else is 400. */
const FAULTS: Readonly<Record<string, readonly [line: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "the headers are too large"],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ["413 Payload Too Large", "the chunks' extensions are too large"],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the request did not arrive in time"],
}

/** Answers what is no HTTP, in words, and closes the connection: where it ends and the next request begins nobody can tell. */
export function answerMalformed(server: Server): void {
  // Of a connection that breaks, some responses are never closed.
  const underway = new WeakMap<Socket, Set<Exchange>>()
  server.on("request", (request, response) => {
    const { socket } = request
    const exchange = { request, response }
    const exchanges = underway.get(socket) ?? new Set()
    underway.set(socket, exchanges.add(exchange))
    response.on("close", () => exchanges.delete(exchange))
  })
  server.on("clientError", (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket
    const isReadable = socket.writable && error.code !== "ECONNRESET"
    if (!isReadable || !isNext([...(underway.get(socket) ?? [])])) return void socket.destroy()
    const [line, message] = FAULTS[error.code ?? ""] ?? ["400 Bad Request", "this is no request of HTTP/1.1"]
    const { body } = shapedError("/", new RequestError("invalid_request", message))
    const text = JSON.stringify(body)
    socket.end(
      `HTTP/1.1 ${line}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n` +
        `connection: close\r\n\r\n${text}`,
    )
    // Not before the answer is on its way, and not much later if the other side keeps its end open.
    socket.setTimeout(1000, () => socket.destroy())
  })
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

/**
 * Whether what is written now is read as the answer to what was malformed: nothing else is to be answered before it, or between the
 * bytes of whose answer it would be.
 */
function isNext(underway: readonly Exchange[]): boolean {
  return (
    underway.length === 0 ||
    (underway.length === 1 && !underway[0].request.complete && !underway[0].response.headersSent)
  )
}
