import { afterEach, describe, expect, it, vi } from "vitest"
import { PatientModel } from "../../test/server/patient_model.js"
import { failingRoutes, PATHS, plainRoutes } from "../../test/server/plain_protocol.js"
import { RawConnection, rawPost } from "../../test/server/raw_http.js"
import { directoryOf } from "../../test/server/scripted_model.js"
import { loadModel } from "../engine/node_model.js"
import { type AppOptions, createServerApp } from "./app.js"
import { LocalModel } from "./local_model.js"
import { NodeServer } from "./node_serve.js"
import type { ServedModel } from "./served_model.js"

const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const close of cleanup.splice(0).reverse()) await close()
})

async function listen(model: ServedModel, options: Partial<AppOptions> = {}) {
  const served = createServerApp(
    { models: directoryOf(model), max_body: 10_000, version: "1" },
    { protocols: [plainRoutes, failingRoutes], ...options },
  )
  const server = await NodeServer.listen(served, { host: "127.0.0.1", port: 0 })
  cleanup.push(() => server.stop(0))
  const connection = async () => {
    const raw = await RawConnection.to(server.url)
    cleanup.push(() => raw.leave())
    return raw
  }
  return { server, open: served.open, url: server.url, connection }
}

const GET = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
const chat = (body: object, headers?: string) => rawPost(PATHS[0], { content: "Hi", ...body }, headers)

describe("HTTP", () => {
  it("takes requests one after the other, without waiting for answers", async () => {
    const patient = new PatientModel()
    const { connection } = await listen(patient.served)
    const raw = await connection()
    patient.say("one", "end", "two", "end")
    const none = GET.replace("/health", "/none")
    raw.write([chat({}), GET, chat({ stream: true }), none, GET].join(""))
    await vi.waitFor(() => expect(raw.statuses).toEqual([200, 200, 200, 404, 200]))
    expect(raw.text.indexOf('{"text":"one"}')).toBeLessThan(raw.text.indexOf("data: two"))
  })

  it.each([
    ["nonsense", "nonsense\r\n\r\n", 400],
    ["another protocol", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    ["no host", "GET /health HTTP/1.1\r\n\r\n", 400],
    ["a header without a name", "GET /health HTTP/1.1\r\nhost: localhost\r\n: x\r\n\r\n", 400],
    ["two lengths", "POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 400],
    ["a length that is none", "POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n", 400],
    [
      "a length and chunks",
      "POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    [
      "a chunk whose size is no number",
      `POST ${PATHS[0]} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n`,
      400,
    ],
    ["headers without an end", `GET /health HTTP/1.1\r\nhost: localhost\r\nx: ${"x".repeat(40_000)}`, 431],
    ["a path that is none", "GET http://[/ HTTP/1.1\r\nhost: localhost\r\n\r\n", 400],
    ["a star", "OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n", 400],
    ["a host with a path", "GET /health HTTP/1.1\r\nhost: evil/localhost\r\n\r\n", 400],
    ["a host of spaces", "GET /health HTTP/1.1\r\nhost: a b\r\n\r\n", 400],
  ])("%s is answered in words", async (_, bytes, status) => {
    const { connection } = await listen(new PatientModel().served)
    const raw = await connection()
    raw.write(bytes)
    await vi.waitFor(() => expect(raw.text).toMatch(/\}$/))
    expect(raw.statuses).toEqual([status])
    const body = JSON.parse(raw.text.slice(raw.text.indexOf("\r\n\r\n")))
    expect(body).toMatchObject({ error: { message: expect.any(String), type: "invalid_request_error" } })
    const other = await connection()
    other.write(GET)
    await vi.waitFor(() => expect(other.statuses).toEqual([200]))
  })

  it("does not write into an answer when what follows is malformed", async () => {
    const patient = new PatientModel()
    const { connection } = await listen(patient.served)
    const raw = await connection()
    patient.say("word")
    raw.write(chat({ stream: true }))
    await vi.waitFor(() => expect(raw.text).toMatch(/word/))
    raw.write("nonsense\r\n\r\n")
    await vi.waitFor(() => expect(raw.closed).toBe(true))
    expect(raw.statuses).toEqual([200])
    await vi.waitFor(() => expect(patient.ended).toBe(1))
  })

  it.each(["stream", "first"])("says nothing of why a stream breaks off: %s", async (path) => {
    const quiet = vi.spyOn(console, "error").mockImplementation(() => {})
    cleanup.push(() => quiet.mockRestore())
    const { connection } = await listen(new PatientModel().served)
    const raw = await connection()
    raw.write(`GET /v1/fail/${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`)
    await vi.waitFor(() => expect(raw.closed).toBe(true))
    // Without the chunk that ends a body, so that nobody takes it for whole.
    expect(raw.text).toMatch(path === "stream" ? /data: word\n\n\r\n$/ : /\r\n\r\n$/)
    expect(raw.text).not.toMatch(/secret|\r\n0\r\n\r\n$/)
    const other = await connection()
    other.write(GET)
    await vi.waitFor(() => expect(other.statuses).toEqual([200]))
  })

  it("limits bodies with and without a length", async () => {
    const { connection } = await listen(new PatientModel().served)
    const head = `POST ${PATHS[0]} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`
    const told = await connection()
    told.write(`${head}content-length: 20000\r\n\r\n`)
    await vi.waitFor(() => expect(told.statuses).toEqual([413]))
    const chunked = await connection()
    chunked.write(`${head}transfer-encoding: chunked\r\n\r\n`)
    for (let i = 0; i < 6; i++) chunked.write(`7d0\r\n${" ".repeat(2000)}\r\n`)
    await vi.waitFor(() => expect(chunked.statuses).toEqual([413]))
  })

  it("reads a body in chunks", async () => {
    const patient = new PatientModel()
    const { connection } = await listen(patient.served)
    const raw = await connection()
    raw.write(`POST ${PATHS[0]} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n`)
    for (const byte of '{"content": "Hi"}') raw.write(`1\r\n${byte}\r\n`)
    raw.write("0\r\n\r\n")
    patient.say("word", "end")
    await vi.waitFor(() => expect(raw.text).toMatch(/\{"text":"word"\}/))
  })
})

describe("a client that leaves", () => {
  it.each([
    ["before the first byte", {}, undefined],
    ["before the first byte of a stream", { stream: true }, undefined],
    ["in the middle of a stream", { stream: true }, "word"],
  ])("%s ends the iteration", async (_, body, word) => {
    const patient = new PatientModel()
    const { connection, open } = await listen(patient.served)
    const raw = await connection()
    if (word) patient.say(word)
    raw.write(chat(body))
    await vi.waitFor(() => expect(patient.started).toBe(1))
    if (word) await vi.waitFor(() => expect(raw.text).toMatch(word))
    raw.leave()
    await vi.waitFor(() => expect(patient.ended).toBe(1))
    expect(open.size).toBe(0)
  })

  it("frees its sequence, whether that waits or runs", async () => {
    const model = await loadModel("models/minerva-tiny", { device: "cpu", threads: 1, max_sequences: 1 })
    cleanup.push(() => model.close())
    const { connection } = await listen(new LocalModel(model))
    const [running, waiting] = [await connection(), await connection()]
    running.write(chat({ stream: true, content: "Count from 1 to 100000." }))
    await vi.waitFor(() => expect(model.load.running).toBe(1))
    waiting.write(chat({}))
    await vi.waitFor(() => expect(model.load.waiting).toBe(1))
    waiting.leave()
    await vi.waitFor(() => expect(model.load).toMatchObject({ running: 1, waiting: 0 }))
    running.leave()
    await vi.waitFor(() => expect(model.load).toMatchObject({ running: 0, waiting: 0 }))
    expect(model.load.free_pages).toBe(model.load.pages)
  })

  it("by reading nothing loses its place and its connection when its time is up", async () => {
    const patient = new PatientModel()
    const { connection, open } = await listen(patient.served, { request_timeout: 0.2 })
    const raw = await connection()
    raw.socket.pause()
    patient.say(...Array.from({ length: 300 }, () => "x".repeat(100_000)))
    raw.write(chat({ stream: true }))
    await vi.waitFor(() => expect(open.size).toBe(1))
    await vi.waitFor(() => expect(open.size).toBe(0), 8000)
    expect(patient.ended).toBe(1)
  })
})

describe("a server that stops", () => {
  it("lets streams come to their end, and takes nothing new", async () => {
    const patient = new PatientModel()
    const { connection, server, url } = await listen(patient.served)
    const [raw, idle] = [await connection(), await connection()]
    patient.say("one")
    raw.write(chat({ stream: true }))
    idle.write(GET)
    await vi.waitFor(() => expect(raw.text).toMatch(/one/))
    await vi.waitFor(() => expect(idle.statuses).toEqual([200]))
    const stopped = server.stop(10_000)
    await vi.waitFor(() => expect(idle.closed).toBe(true))
    await expect(RawConnection.to(url)).rejects.toThrow(/ECONNREFUSED/)
    patient.say("two", "end")
    await stopped
    await vi.waitFor(() => expect(raw.closed).toBe(true))
    expect(raw.text).toMatch(/data: one\n\n.*data: two\n\n.*0\r\n\r\n$/s)
  })

  it("says so on connections that are busy", async () => {
    const patient = new PatientModel()
    const { connection, server } = await listen(patient.served)
    const raw = await connection()
    raw.write(chat({}))
    await vi.waitFor(() => expect(patient.started).toBe(1))
    const stopped = server.stop(10_000)
    raw.write(`GET /ready HTTP/1.1\r\nhost: localhost\r\n\r\n`)
    patient.say("one", "end")
    await stopped
    await vi.waitFor(() => expect(raw.closed).toBe(true))
    // Node answers what came before it closed the connection, or nothing.
    expect([[200], [200, 503]]).toContainEqual(raw.statuses)
  })

  it("ends streams with an error when their time is up", async () => {
    const patient = new PatientModel()
    const { connection, server } = await listen(patient.served)
    const [stream, whole] = [await connection(), await connection()]
    patient.say("one")
    stream.write(chat({ stream: true }))
    await vi.waitFor(() => expect(stream.text).toMatch(/one/))
    whole.write(chat({}))
    await vi.waitFor(() => expect(patient.started).toBe(2))
    await server.stop(50)
    await vi.waitFor(() => expect([stream.closed, whole.closed]).toEqual([true, true]))
    expect(stream.text).toMatch(/data: one\n\n.*event: error\ndata: the server is stopping.*0\r\n\r\n$/s)
    expect(whole.statuses).toEqual([503])
    expect(whole.text).toMatch(/retry-after: 5\r\n/)
    expect(patient.ended).toBe(2)
  })
})
