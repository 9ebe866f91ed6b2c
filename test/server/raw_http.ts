import { connect, type Socket } from "node:net"

/** A connection on which anything can be said. */
export class RawConnection {
  text = ""
  closed = false
  private constructor(readonly socket: Socket) {
    socket.on("data", (chunk) => {
      this.text += chunk.toString("latin1")
    })
    socket.on("close", () => {
      this.closed = true
    })
    socket.on("error", () => {})
  }

  static async to(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject))
    return new RawConnection(socket)
  }

  write(text: string): void {
    this.socket.write(text)
  }

  /** The status of every answer so far. */
  get statuses(): number[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
  }

  /** Waits for an answer, or the end. */
  async answeredWithin(milliseconds: number): Promise<void> {
    const late = performance.now() + milliseconds
    while (!this.closed && this.statuses.length === 0 && performance.now() < late) {
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  leave(): void {
    this.socket.destroy()
  }
}

/** A request with a JSON body, as it goes over the wire. */
export function rawPost(path: string, body: object, headers = ""): string {
  const text = JSON.stringify(body)
  const length = Buffer.byteLength(text)
  return `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n${headers}\r\n${text}`
}
