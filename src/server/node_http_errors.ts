import type { Socket } from "node:net"
import type { ServerResponse } from "node:http"
import type { Server } from "node:http"
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
  /** Answers in the making: what is written between their bytes would be taken for a part of them. */
  const answering = new Map<Socket, Set<ServerResponse>>()
  server.on("request", ({ socket }, response) => {
    const responses = answering.get(socket) ?? new Set()
    answering.set(socket, responses.add(response))
    response.on("close", () => {
      responses.delete(response)
      if (responses.size === 0) answering.delete(socket)
    })
  })
  server.on("clientError", (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket
    if (!socket.writable || error.code === "ECONNRESET" || answering.has(socket)) return void socket.destroy()
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
