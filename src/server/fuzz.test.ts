import * as fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { failingRoutes, PATHS, plainRoutes } from "../../test/server/plain_protocol.js"
import { RawConnection, rawPost } from "../../test/server/raw_http.js"
import { directoryOf, scriptedModel } from "../../test/server/scripted_model.js"
import { createServerApp } from "./app.js"
import { NodeServer } from "./node_serve.js"

const hello = scriptedModel(() => "<|channel|>final<|message|>Hi<|return|>")
const options = { protocols: [plainRoutes, failingRoutes], api_keys: ["k"], cors_origins: ["https://a.example"] }
const served = createServerApp({ models: directoryOf(hello), max_body: 2000, version: "1" }, options)

const NAMES = ["__proto__", "constructor", "content", "model", "stream", "toString"]
const json = fc.oneof(
  fc.json({ maxDepth: 4 }),
  fc.dictionary(fc.oneof(fc.constantFrom(...NAMES), fc.string()), fc.jsonValue()).map((value) => JSON.stringify(value)),
  fc.constantFrom('{"__proto__":{"content":"x"}}', '{"content":"\\ud800"}', '{"content":1e999}', "[".repeat(1900)),
)
/** Text, some of it cut, some with other bytes in it. */
const mutated = (texts: fc.Arbitrary<string>) =>
  fc.tuple(texts, fc.nat(), fc.nat(255), fc.constantFrom("as it is", "cut", "changed")).map(([text, at, byte, how]) => {
    const bytes = Buffer.from(text)
    const place = at % (bytes.length + 1)
    if (how === "cut") return bytes.subarray(0, place)
    if (how === "changed" && place < bytes.length) bytes[place] = byte
    return bytes
  })
const latin = fc.string({ unit: fc.integer({ min: 32, max: 255 }).map((code) => String.fromCharCode(code)) })
const headers = fc.record(
  {
    "content-type": fc.oneof(fc.constantFrom("application/json", "application/json; charset=x", "text/html"), latin),
    "content-length": fc.oneof(fc.nat().map(String), latin),
    host: fc.oneof(fc.constant("localhost"), latin),
    origin: fc.oneof(fc.constantFrom("https://a.example", "null", "https://b.example"), latin),
    authorization: fc.oneof(fc.constantFrom("Bearer k", "Bearer"), latin),
    "x-api-key": fc.oneof(fc.constant("k"), latin),
    "x-request-id": latin,
    accept: latin,
    traceparent: latin,
    "access-control-request-method": latin,
  },
  { requiredKeys: [] },
)
const path = fc.oneof(
  fc.constantFrom(...PATHS, "/health", "/ready", "/metrics", "/openapi.json", "/v1/fail/not_found"),
  fc.webPath(),
  fc.string().map((text) => `/${encodeURIComponent(text)}`),
  latin.map((text) => `/${text.replace(/[#?\\]/g, "")}`),
)
const method = fc.constantFrom("POST", "POST", "POST", "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "QUERY")

describe("whatever is sent", () => {
  it("is answered, and never with a fault of ours", async () => {
    await fc.assert(
      fc.asyncProperty(method, path, headers, mutated(json), async (method, path, headers, body) => {
        const init = { method, headers, ...(!["GET", "HEAD"].includes(method) && { body: new Uint8Array(body) }) }
        const response = await served.app.request(path, init)
        const text = await response.text()
        expect(response.status).toBeLessThan(500)
        if (response.status >= 400 && method !== "HEAD") expect(JSON.parse(text)).toHaveProperty("error")
        expect(served.open.size).toBe(0)
      }),
      { numRuns: 500 },
    )
    // What a request named may not have become everybody's.
    expect({}).not.toHaveProperty("content")
  })

  describe("over a socket", () => {
    let server: NodeServer
    beforeAll(async () => {
      server = await NodeServer.listen(served, { host: "127.0.0.1", port: 0 })
    })
    afterAll(() => server.stop(0))

    it("is answered or cut off, and others are served", async () => {
      const request = fc
        .tuple(fc.constantFrom(...PATHS), fc.string(), fc.boolean())
        .map(([path, content, stream]) => rawPost(path, { content, stream }, "x-api-key: k\r\n"))
      const requests = fc.array(request, { minLength: 1, maxLength: 3 }).map((all) => all.join(""))
      await fc.assert(
        fc.asyncProperty(mutated(requests), async (bytes) => {
          const raw = await RawConnection.to(server.url)
          raw.socket.write(bytes)
          await raw.answeredWithin(50)
          raw.leave()
          expect(raw.statuses.filter((status) => status >= 500)).toEqual([])
          const response = await fetch(`${server.url}/health`)
          expect(await response.json()).toEqual({ status: "ok" })
        }),
        { numRuns: 100 },
      )
      await expect.poll(() => served.open.size).toBe(0)
    })
  })
})
