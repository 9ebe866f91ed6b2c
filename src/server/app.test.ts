import { afterEach, describe, expect, it, vi } from "vitest"
import { PatientModel } from "../../test/server/patient_model.js"
import { failingRoutes, PATHS, plainRoutes } from "../../test/server/plain_protocol.js"
import { directoryOf, scriptedModel } from "../../test/server/scripted_model.js"
import { type AppOptions, createApp, createServerApp } from "./app.js"
import { createLog } from "./log.js"
import { type ErrorKind, RequestError } from "./request_error.js"
import type { ServedModel } from "./served_model.js"

const hello = scriptedModel(() => "<|channel|>final<|message|>Hello there<|return|>")
const protocols = [plainRoutes, failingRoutes]

function appOf(options: Partial<AppOptions> = {}, model: ServedModel = hello, max_body = 1000) {
  return createApp({ models: directoryOf(model), max_body, version: "1.2.3" }, { protocols, ...options })
}

const json = { "content-type": "application/json" }
const ask = (body: object = {}, headers: Record<string, string> = {}) => ({
  method: "POST",
  headers: { ...json, ...headers },
  body: JSON.stringify({ content: "Hi", ...body }),
})

/** Lines of a log, as they are written. */
function logged() {
  const lines: Record<string, unknown>[] = []
  const log = createLog("debug", { write: (line) => void lines.push(JSON.parse(line)) })
  return { lines, log }
}

afterEach(() => {
  vi.useRealTimers()
})

it("finds a response that a batch stored where any request finds it", async () => {
  const { app, dispatch } = createServerApp({ models: directoryOf(hello), max_body: 1000, version: "1.2.3" })
  const post = ask({ input: "Hi" })
  const { id } = (await (await dispatch(new Request("http://localhost/v1/responses", post))).json()) as { id: string }
  const found = await app.request(`/v1/responses/${id}`)
  expect(await found.json()).toMatchObject({ id, status: "completed" })
})

describe("errors", () => {
  const KINDS: Record<ErrorKind, number> = {
    invalid_request: 400,
    authentication: 401,
    permission: 403,
    not_found: 404,
    method_not_allowed: 405,
    unsupported_media_type: 415,
    too_large: 413,
    context_length: 400,
    overloaded: 429,
    unavailable: 503,
    timeout: 504,
    not_implemented: 501,
    internal: 500,
  }

  describe.each(Object.entries(KINDS))("%s", (kind, status) => {
    it.each(["/v1", "/v1/messages", "/api"])("has the shape of the protocol under %s", async (prefix) => {
      const response = await appOf().request(`${prefix}/fail/${kind}`)
      const isTheirs = prefix === "/v1/messages" && kind === "unavailable"
      expect(response.status).toBe(isTheirs ? 529 : status)
      expect(response.headers.get("retry-after")).toBe("2")
      expect(response.headers.get("content-type")).toMatch(/^application\/json/)
      const body = await response.json()
      const message = "what went wrong"
      if (prefix === "/v1") {
        expect(body).toEqual({ error: { message, type: expect.any(String), param: "some.field", code: "some_code" } })
      } else if (prefix === "/v1/messages") {
        expect(body).toMatchObject({
          type: "error",
          error: { type: expect.stringMatching(/_error$|_large$/), message },
        })
      } else {
        expect(body).toEqual({ error: message })
      }
    })
  })

  it("say nothing of a fault of ours, which the log does", async () => {
    const { lines, log } = logged()
    const response = await appOf({ log }).request("/v1/fail/bug")
    expect(response.status).toBe(500)
    expect(await response.text()).not.toMatch(/secret|TypeError|\.js/)
    const [fault] = lines.filter(({ msg }) => msg === "fault")
    expect(fault).toMatchObject({ level: "error", request_id: response.headers.get("x-request-id") })
    expect(JSON.stringify(fault)).toMatch(/secrets of the house/)
  })

  it.each([
    ["/v1/nothing", (body: { error: { code: string } }) => body.error.code === "unknown_url"],
    ["/v1/messages/nothing", (body: { error: { type: string } }) => body.error.type === "not_found_error"],
    ["/api/nothing", (body: { error: unknown }) => typeof body.error === "string"],
    ["/%ff%00", (body: { error: { code: string } }) => body.error.code === "unknown_url"],
  ])("%s is an unknown route", async (path, fits) => {
    const response = await appOf().request(path)
    expect(response.status).toBe(404)
    expect(fits(await response.json())).toBe(true)
  })

  it.each(PATHS)("%s takes POST, and says so", async (path) => {
    for (const method of ["GET", "PUT", "DELETE", "PATCH", "TRACY"]) {
      const response = await appOf().request(path, { method })
      expect(response.status).toBe(405)
      expect(response.headers.get("allow")).toBe("POST, OPTIONS")
      expect(await response.json()).toHaveProperty("error")
    }
    const head = await appOf().request(path, { method: "HEAD" })
    expect([head.status, head.headers.get("allow"), await head.text()]).toEqual([405, "POST, OPTIONS", ""])
    const options = await appOf().request(path, { method: "OPTIONS" })
    expect([options.status, options.headers.get("allow")]).toEqual([204, "POST, OPTIONS"])
  })

  it("HEAD answers as GET without a body", async () => {
    const response = await appOf().request("/health", { method: "HEAD" })
    expect([response.status, await response.text()]).toEqual([200, ""])
    expect((await appOf().request("/health", { method: "OPTIONS" })).headers.get("allow")).toBe("GET, HEAD, OPTIONS")
    expect((await appOf().request("/nothing", { method: "OPTIONS" })).status).toBe(404)
  })
})

describe("bodies", () => {
  const post = (body: BodyInit, headers: Record<string, string> = json) =>
    appOf().request(PATHS[0], { method: "POST", headers, body, duplex: "half" } as RequestInit)
  const endless = () =>
    new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(300).fill(32)) })

  it("are answered", async () => {
    const response = await post(JSON.stringify({ content: "Hi" }))
    expect(await response.json()).toEqual({ text: "Hello there" })
  })

  it.each([
    ["too long by its own word", JSON.stringify({ content: "x".repeat(1000) }), json, 413],
    ["too long, in chunks without an end", endless(), json, 413],
    ["that lies about its length", "{}", { ...json, "content-length": "99999999" }, 413],
    ["no JSON", "{", json, 400],
    ["no UTF-8", new Uint8Array([0x7b, 0xff, 0x7d]), json, 400],
    ["no object", "[1]", json, 400],
    ["nested without an end", "[".repeat(900), json, 400],
    ["empty", "", json, 400],
    ["with a field of another type", '{"content": 1}', json, 400],
    ["of another type", "hi", { "content-type": "text/plain" }, 415],
  ])("%s", async (_, body, headers, status) => {
    const response = await post(body, headers as Record<string, string>)
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ error: { message: expect.any(String) } })
  })
})

describe("API keys", () => {
  const app = appOf({ api_keys: ["first-key", "second-key"] })
  const status = async (path: string, headers: Record<string, string>, method = "GET") =>
    (await app.request(path, { method, headers })).status

  it("are wanted by all but the probes", async () => {
    for (const path of ["/v1/nothing", "/metrics", "/openapi.json"]) expect(await status(path, {})).toBe(401)
    expect(await status(PATHS[0], {}, "POST")).toBe(401)
    for (const path of ["/health", "/ready"]) expect(await status(path, {})).toBe(200)
  })

  it.each<[Record<string, string>, number]>([
    [{ authorization: "Bearer first-key" }, 200],
    [{ authorization: "bearer second-key" }, 200],
    [{ "x-api-key": "second-key" }, 200],
    [{ "x-api-key": "second-key", authorization: "Bearer any" }, 200],
    [{ authorization: "Bearer first-key2" }, 401],
    [{ authorization: "Bearer first-ke" }, 401],
    [{ authorization: "Bearer FIRST-KEY" }, 401],
    [{ authorization: "first-key" }, 401],
    [{ authorization: "Basic first-key" }, 401],
    [{ authorization: "Bearer " }, 401],
    [{ authorization: "Bearer first-key,second-key" }, 401],
    [{ "x-api-key": "" }, 401],
  ])("%j: %i", async (headers, expected) => {
    expect(await status("/metrics", headers)).toBe(expected)
  })

  it("are refused in the protocol's shape", async () => {
    const openai = await app.request("/v1/chat/completions", ask())
    expect(openai.headers.get("www-authenticate")).toBe("Bearer")
    expect(await openai.json()).toMatchObject({ error: { code: "invalid_api_key" } })
    const anthropic = await app.request("/v1/messages", ask())
    expect(await anthropic.json()).toMatchObject({ type: "error", error: { type: "authentication_error" } })
  })
})

describe("the host", () => {
  const app = appOf({ allowed_hosts: ["Gpu.example.com", ".lan"] })

  it.each([
    ["localhost", 200],
    ["localhost:11435", 200],
    ["LOCALHOST.:80", 200],
    ["chat.localhost", 200],
    ["127.0.0.1:11435", 200],
    ["192.168.1.20", 200],
    ["[::1]:11435", 200],
    ["gpu.example.com", 200],
    ["box.lan:11435", 200],
    ["evil.example", 403],
    ["localhost.evil.example", 403],
    ["127.0.0.1.evil.example", 403],
    ["evil-gpu.example.com", 403],
    ["evillan", 403],
    ["a b", 400],
    ["evil.example/@localhost", 400],
    ["user@localhost", 400],
    ["", 400],
  ])("%s: %i", async (host, status) => {
    expect((await app.request("/health", { headers: { host } })).status).toBe(status)
  })

  it("may be any with *", async () => {
    const response = await appOf({ allowed_hosts: ["*"] }).request("/health", { headers: { host: "evil.example" } })
    expect(response.status).toBe(200)
  })
})

describe("pages of other sites", () => {
  const origin = "https://chat.example.com"
  const preflight = { method: "OPTIONS", headers: { origin, "access-control-request-method": "POST" } }

  it("read nothing, and make the model do nothing", async () => {
    const app = appOf()
    const asked = await app.request(PATHS[0], ask({}, { origin }))
    expect(asked.status).toBe(403)
    expect(asked.headers.get("access-control-allow-origin")).toBeNull()
    expect((await app.request(PATHS[0], preflight)).headers.get("access-control-allow-origin")).toBeNull()
    expect((await app.request(PATHS[0], ask({}, { origin: "null", "sec-fetch-site": "cross-site" }))).status).toBe(403)
    expect(
      (await app.request("/openapi.json", { headers: { origin } })).headers.has("access-control-allow-origin"),
    ).toBe(false)
  })

  it("are no others when they are ours, nor are programs", async () => {
    const own = { origin: "http://localhost:11435", host: "localhost:11435" }
    for (const headers of [own, { origin: "vscode-webview://x" }, { origin: "null" }]) {
      expect((await appOf().request(PATHS[0], ask({}, headers))).status).toBe(200)
    }
  })

  it("may ask when they are listed, also with a key", async () => {
    const app = appOf({ cors_origins: [origin], api_keys: ["k"] })
    const allowed = await app.request(PATHS[0], preflight)
    expect(allowed.status).toBe(204)
    expect(allowed.headers.get("access-control-allow-origin")).toBe(origin)
    const asked = await app.request(PATHS[0], ask({}, { origin, authorization: "Bearer k" }))
    expect([asked.status, asked.headers.get("access-control-allow-origin")]).toEqual([200, origin])
    const refused = await app.request(PATHS[0], ask({}, { origin }))
    expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([401, origin])
    const other = await app.request(PATHS[0], ask({}, { origin: `${origin}.evil.example`, authorization: "Bearer k" }))
    expect([other.status, other.headers.get("access-control-allow-origin")]).toEqual([403, null])
  })
})

describe("a request", () => {
  it("has an id: the client's if it is a word", async () => {
    const idOf = async (headers: Record<string, string>) =>
      (await appOf().request("/health", { headers })).headers.get("x-request-id")
    expect(await idOf({ "x-request-id": "mine-1" })).toBe("mine-1")
    for (const headers of [{}, { "x-request-id": "a b" }, { "x-request-id": "x".repeat(200) }]) {
      expect(await idOf(headers as Record<string, string>)).toMatch(/^req_[0-9a-f]{32}$/)
    }
  })

  it("has a line in the log, with its tokens and without its text", async () => {
    const { lines, log } = logged()
    const patient = new PatientModel()
    patient.say("secret answer", "end")
    const app = appOf({ log }, patient.served)
    const response = await app.request(PATHS[0], ask({ content: "secret question", stream: true }))
    expect(lines).toEqual([])
    await response.text()
    expect(lines).toEqual([
      {
        level: "info",
        time: expect.any(String),
        msg: "request",
        request_id: response.headers.get("x-request-id"),
        method: "POST",
        path: PATHS[0],
        status: 200,
        ms: expect.any(Number),
        model: "patient",
        prompt_tokens: 7,
        cached_tokens: 3,
        completion_tokens: 2,
      },
    ])
  })

  it("has its text in the log where that is asked for", async () => {
    const { lines, log } = logged()
    await appOf({ log, log_prompts: true }).request(PATHS[0], ask({ content: "secret question" }))
    expect(JSON.stringify(lines)).toMatch(/secret question/)
  })

  it("is one of so many", async () => {
    const patient = new PatientModel()
    const app = appOf({ max_requests: 1 }, patient.served)
    const first = await app.request(PATHS[0], ask({ stream: true }))
    const second = await app.request(PATHS[0], ask())
    expect([second.status, second.headers.get("retry-after")]).toEqual([429, "1"])
    expect((await app.request("/health")).status).toBe(200)
    patient.say("word", "end")
    expect(await first.text()).toBe("data: word\n\n")
    patient.say("word", "end")
    expect(await (await app.request(PATHS[0], ask())).json()).toEqual({ text: "word" })
  })

  it("that is refused, or whose answer nobody reads, leaves its place", async () => {
    const app = appOf({ max_requests: 1 })
    for (let i = 0; i < 3; i++) {
      expect((await app.request(PATHS[0], ask({ content: 1 }))).status).toBe(400)
      expect((await app.request("/v1/nothing")).status).toBe(404)
      expect((await app.request(PATHS[0], { method: "HEAD" })).status).toBe(405)
      const response = await app.request(PATHS[0], ask({ stream: true }))
      await response.body!.cancel()
    }
    expect((await app.request(PATHS[0], ask())).status).toBe(200)
  })

  it("has a time limit: an error before the answer begins", async () => {
    const patient = new PatientModel()
    const response = await appOf({ request_timeout: 0.02 }, patient.served).request(PATHS[0], ask())
    expect(response.status).toBe(504)
    expect(await response.json()).toMatchObject({ error: { message: expect.stringMatching(/0.02 s/) } })
    expect([patient.started, patient.ended]).toEqual([1, 1])
  })

  it("has a time limit: an error in the stream", async () => {
    const patient = new PatientModel()
    const { lines, log } = logged()
    patient.say("word")
    const response = await appOf({ log, request_timeout: 0.05 }, patient.served).request(
      PATHS[1],
      ask({ stream: true }),
    )
    expect(response.status).toBe(200)
    expect(await response.text()).toMatch(/^data: word\n\nevent: error\ndata: .* 0.05 s/)
    expect(lines).toMatchObject([{ status: 200, error: "timeout" }])
    expect([patient.started, patient.ended]).toEqual([1, 1])
  })

  it("ends for its model when its client leaves: before the first byte, and in the stream", async () => {
    const patient = new PatientModel()
    const { lines, log } = logged()
    const app = appOf({ log }, patient.served)
    const leaving = new AbortController()
    const answer = app.request(PATHS[0], { ...ask(), signal: leaving.signal })
    await vi.waitFor(() => expect(patient.started).toBe(1))
    leaving.abort()
    await vi.waitFor(() => expect(patient.ended).toBe(1))
    await answer
    const leavingLater = new AbortController()
    patient.say("word")
    const stream = await app.request(PATHS[0], { ...ask({ stream: true }), signal: leavingLater.signal })
    const reader = stream.body!.getReader()
    await reader.read()
    const next = reader.read()
    leavingLater.abort()
    await vi.waitFor(() => expect(patient.ended).toBe(2))
    await next
    patient.say("word")
    await (await app.request(PATHS[0], ask({ stream: true }))).body!.cancel()
    expect(lines.map(({ status }) => status)).toEqual([499, 499, 499])
  })
})

describe("what the server tells of itself", () => {
  it("is ready once the models are loaded, until it stops", async () => {
    let isLoaded = false
    const models = directoryOf(hello)
    const { app, open } = createServerApp({ models, max_body: 10, version: "1" }, { isLoaded: () => isLoaded })
    const ready = async () => {
      const response = await app.request("/ready")
      return [response.status, await response.json()]
    }
    expect(await ready()).toEqual([503, { status: "loading" }])
    isLoaded = true
    expect(await ready()).toEqual([200, { status: "ready" }])
    await open.drain(0)
    expect(await ready()).toEqual([503, { status: "draining" }])
    expect((await app.request("/health")).status).toBe(200)
    const refused = await app.request("/v1/models")
    expect([refused.status, refused.headers.get("connection")]).toEqual([503, "close"])
  })

  it("has measurements for Prometheus", async () => {
    const load = { running: 1, waiting: 2, pages: 30, free_pages: 4, asked_tokens: 0, hit_tokens: 0, rss: 500 }
    const patient = new PatientModel()
    const models = { ...directoryOf(patient.served), loads: async () => new Map([["patient", load]]) }
    const app = createApp({ models, max_body: 1000, version: "1" }, { protocols })
    patient.say("word", "end")
    await (await app.request(PATHS[0], ask())).text()
    await (await app.request("/v1/a/b/c")).text()
    const response = await app.request("/metrics")
    expect(response.headers.get("content-type")).toMatch(/^text\/plain/)
    const lines = (await response.text()).split("\n")
    for (const line of [
      `minerva_http_requests_total{method="POST",route="${PATHS[0]}",status="200"} 1`,
      'minerva_http_requests_total{method="GET",route="none",status="404"} 1',
      'minerva_prompt_tokens_total{model="patient"} 7',
      'minerva_prompt_tokens_cached_total{model="patient"} 3',
      'minerva_generation_tokens_total{model="patient"} 2',
      'minerva_time_to_first_token_seconds_count{model="patient"} 1',
      "minerva_http_requests_open 0",
      'minerva_requests_running{model="patient"} 1',
      'minerva_requests_waiting{model="patient"} 2',
      'minerva_kv_pages{model="patient"} 30',
      'minerva_kv_pages_free{model="patient"} 4',
      'minerva_model_resident_memory_bytes{model="patient"} 500',
    ]) {
      expect(lines).toContain(line)
    }
  })

  it("describes its routes with the schemas that check their bodies", async () => {
    const document = await (await appOf().request("/openapi.json")).json()
    expect(document).toMatchObject({
      openapi: "3.1.0",
      info: { version: "1.2.3" },
      paths: {
        [PATHS[0]]: {
          post: {
            summary: "Answers",
            requestBody: {
              content: {
                "application/json": { schema: { required: ["content"], properties: { content: { type: "string" } } } },
              },
            },
          },
        },
        "/health": { get: {} },
      },
    })
  })
})

it("an error of a model that was not asked for is no fault", async () => {
  const models = directoryOf(hello)
  const hold = async () => {
    throw new RequestError("unavailable", "no memory", { retry_after: 3 })
  }
  const app = createApp({ models: { ...models, hold }, max_body: 1000, version: "1" }, { protocols })
  const response = await app.request(PATHS[2], ask())
  expect([response.status, response.headers.get("retry-after")]).toEqual([503, "3"])
  expect(await response.json()).toEqual({ error: "no memory" })
})
