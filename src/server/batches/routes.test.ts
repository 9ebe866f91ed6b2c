import { Ajv2020 } from "ajv/dist/2020.js"
import fc from "fast-check"
import type { Hono } from "hono"
import { readFileSync } from "node:fs"
import OpenAI, { toFile } from "openai"
import { afterEach, describe, expect, it, vi } from "vitest"
import { batchesApp, chatCompletions, inputOf, listen } from "../../../test/server/batches/serving.js"
import type { Dispatch } from "./answer.js"
import type { Batches } from "./batches.js"
import { FILE_LIMITS } from "./files.js"
import type { BatchObject } from "./objects.js"
import { DataFolder } from "../node_data_folder.js"
import { openBatches } from "./open.js"

const fixture = new URL("../../../../test/server/batches/fixtures/openai_schemas.json", import.meta.url)
const ajv = new Ajv2020({ strict: false })
ajv.addSchema(JSON.parse(readFileSync(fixture, "utf8")), "openai")

/** As OpenAI's document describes it. */
function expectShape(name: string, value: unknown): void {
  const validate = ajv.getSchema(`openai#/components/schemas/${name}`)!
  expect(validate(value), JSON.stringify(validate.errors)).toBe(true)
}

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const instant: Dispatch = async (request) => Response.json({ object: "x", said: await request.json() })

/** The routes over a store in memory. Errors of the server fail the test. */
async function opened(
  dispatch: Dispatch = instant,
  limits = {},
  concurrency = 4,
): Promise<{ app: Hono; batches: Batches }> {
  const errors: unknown[] = []
  const folder = await DataFolder.open(null)
  const batches = await openBatches(dispatch, folder.database, {
    ...FILE_LIMITS,
    ...limits,
    max_body: 1 << 16,
    queue: null,
    concurrency,
    onError: (error) => errors.push(error),
  })
  closing.push(async () => {
    await batches.close()
    await folder.close()
    expect(errors).toEqual([])
  })
  return { app: batchesApp(batches, 1 << 16), batches }
}

function upload(
  app: Hono,
  content: string | Uint8Array<ArrayBuffer>,
  fields: Record<string, string> = {},
  name = "in.jsonl",
) {
  const form = new FormData()
  form.set("file", new File([content], name))
  for (const [key, value] of Object.entries({ purpose: "batch", ...fields })) form.set(key, value)
  return app.request("/v1/files", { method: "POST", body: form })
}

async function uploaded(app: Hono, content: string): Promise<string> {
  return ((await (await upload(app, content)).json()) as { id: string }).id
}

function create(app: Hono, body: Record<string, unknown>) {
  const defaults = { endpoint: "/v1/chat/completions", completion_window: "24h" }
  return app.request("/v1/batches", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...defaults, ...body }),
  })
}

async function json<T = Record<string, unknown>>(response: Response | Promise<Response>, status = 200): Promise<T> {
  const answered = await response
  const body = await answered.json()
  expect(answered.status, JSON.stringify(body)).toBe(status)
  if (status >= 400) expectShape("ErrorResponse", body)
  return body as T
}

async function created(app: Hono, content: string, fields = {}): Promise<BatchObject> {
  return json<BatchObject>(create(app, { input_file_id: await uploaded(app, content), ...fields }))
}

/** The batch once it has a status. */
async function until(app: Hono, id: string, ...wanted: BatchObject["status"][]): Promise<BatchObject> {
  return await vi.waitFor(
    async () => {
      const batch = await json<BatchObject>(app.request(`/v1/batches/${id}`))
      expectShape("Batch", batch)
      expect(wanted).toContain(batch.status)
      return batch
    },
    { timeout: 10_000, interval: 5 },
  )
}

interface OutputLine {
  readonly custom_id: string
  readonly response: { readonly status_code: number; readonly body: unknown } | null
  readonly error: { readonly code: string } | null
}

interface Listed {
  readonly data: readonly { readonly id: string }[]
  readonly has_more: boolean
}

/** The error with which a request is refused. */
async function refusal(response: Promise<Response> | Response, status = 400) {
  const { error } = await json<{ error: { message: string; param: string | null; code: string | null } }>(
    response,
    status,
  )
  return error
}

async function linesOf(app: Hono, file: string | undefined): Promise<OutputLine[]> {
  const text = await (await app.request(`/v1/files/${file}/content`)).text()
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
}

const line = (fields: object) =>
  `${JSON.stringify({ custom_id: "a", method: "POST", url: "/v1/chat/completions", body: { model: "m" }, ...fields })}\n`

describe("OpenAI's client", () => {
  it("has a batch answered", async () => {
    const { app } = await opened(chatCompletions())
    const { url, close } = await listen(app)
    closing.push(close)
    const client = new OpenAI({ apiKey: "none", baseURL: url, maxRetries: 0 })
    const file = await client.files.create({
      file: await toFile(Buffer.from(inputOf(5)), "in.jsonl"),
      purpose: "batch",
    })
    expectShape("OpenAIFile", file)
    const short = { anchor: "created_at", seconds: 7200 } as const
    const brief = await client.files.create({
      file: await toFile(Buffer.from("x"), "x"),
      purpose: "user_data",
      expires_after: short,
    })
    expect(brief.expires_at! - brief.created_at).toBe(7200)
    await client.files.delete(brief.id)
    const endpoint = "/v1/chat/completions"
    const metadata = { night: "one" }
    const begun = await client.batches.create({ input_file_id: file.id, endpoint, completion_window: "24h", metadata })
    const batch = await until(app, begun.id, "completed")
    expect(batch).toMatchObject({
      model: "scripted",
      metadata,
      request_counts: { total: 5, completed: 5, failed: 0 },
      usage: { input_tokens: 25, output_tokens: 15, output_tokens_details: { reasoning_tokens: 5 }, total_tokens: 40 },
    })
    expect(batch).not.toHaveProperty("error_file_id")
    const [first] = await linesOf(app, batch.output_file_id)
    expect(first).toMatchObject({
      custom_id: "request-0",
      response: { status_code: 200, body: { choices: [{ message: { content: "You said line 0" } }] } },
      error: null,
    })
    const text = await (await client.files.content(batch.output_file_id!)).text()
    expect(text.trimEnd().split("\n")).toHaveLength(5)
    const files = []
    for await (const { purpose, bytes } of client.files.list({ limit: 1 })) files.push({ purpose, bytes })
    expect(files).toEqual([
      { purpose: "batch_output", bytes: text.length },
      { purpose: "batch", bytes: inputOf(5).length },
    ])
    const second = await client.batches.create({ input_file_id: file.id, endpoint, completion_window: "24h" })
    await until(app, second.id, "completed")
    const ids = []
    for await (const { id } of client.batches.list({ limit: 1 })) ids.push(id)
    expect(ids).toEqual([second.id, begun.id])
    await expect(client.batches.cancel(begun.id)).rejects.toThrow(/completed cannot be cancelled/)
    expect(await client.files.delete(file.id)).toEqual({ id: file.id, object: "file", deleted: true })
    await expect(client.files.retrieve(file.id)).rejects.toThrow(OpenAI.NotFoundError)
  })
})

describe("files", () => {
  it.each([
    ["../../etc/passwd", "passwd"],
    ["C:\\temp\\a.jsonl", "a.jsonl"],
    ["a\r\nx-evil: 1\u0000.jsonl", "ax-evil: 1.jsonl"],
    ["..", "file"],
    ["", "file"],
    ["\u202Egpj.exe", "gpj.exe"],
    [`${"é".repeat(400)}`, "é".repeat(255)],
    ["__proto__", "__proto__"],
  ])("named %j are called %j", async (name, filename) => {
    const { app, batches } = await opened()
    const { id } = await batches.files.create(name, "user_data", Buffer.from("x"))
    const file = await json(app.request(`/v1/files/${id}`))
    expectShape("OpenAIFile", file)
    expect(file.filename).toBe(filename)
    const content = await app.request(`/v1/files/${id}/content`)
    expect(content.headers.get("content-disposition")).toBe(
      `attachment; filename*=UTF-8''${encodeURIComponent(filename)}`,
    )
    expect(await content.text()).toBe("x")
  })

  it("come back byte by byte", async () => {
    const { app } = await opened()
    const bytes = Uint8Array.from({ length: 700_000 }, (_, at) => (at * 31) >> 3)
    const { id, bytes: length } = await json(upload(app, bytes, { purpose: "user_data" }))
    expect(length).toBe(700_000)
    const content = await app.request(`/v1/files/${id}/content`)
    expect(Buffer.from(await content.arrayBuffer()).equals(bytes)).toBe(true)
  })

  it("are kept as long as is asked", async () => {
    const { app } = await opened()
    const expiry = { "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600" }
    const file = await json<{ created_at: number; expires_at: number }>(upload(app, "x", expiry))
    expect(file.expires_at - file.created_at).toBe(3600)
    const { param } = await refusal(upload(app, "x", { ...expiry, "expires_after[seconds]": "60" }))
    expect(param).toBe("expires_after.seconds")
  })

  it("are refused beyond the limits", async () => {
    const { app } = await opened(instant, { max_file_bytes: 1000, max_files: 3, max_total_bytes: 1500 })
    await json(upload(app, "x".repeat(1001)), 413)
    await json(upload(app, "x".repeat(100_000)), 413)
    await json(upload(app, "x".repeat(1000)))
    expect(await refusal(upload(app, "x".repeat(501)))).toMatchObject({ code: "storage_full" })
    await json(upload(app, "x"))
    await json(upload(app, "x"))
    expect(await refusal(upload(app, "x"))).toMatchObject({ code: "storage_full" })
  })

  it.each([
    ["no purpose", { purpose: "" }, "purpose"],
    ["a purpose of none", { purpose: "__proto__" }, "purpose"],
    ["a purpose that only outputs have", { purpose: "batch_output" }, "purpose"],
  ])("are refused with %s", async (_, fields, param) => {
    const { app } = await opened()
    expect(await refusal(upload(app, "x", fields))).toMatchObject({
      param,
      type: "invalid_request_error",
    })
  })

  it("are refused as what they are not", async () => {
    const { app } = await opened()
    const post = (body: BodyInit, type?: string) =>
      app.request("/v1/files", { method: "POST", body, ...(type && { headers: { "content-type": type } }) })
    await json(post("{}", "application/json"), 415)
    await json(post("x", "multipart/form-data"), 415)
    await json(post("no part", "multipart/form-data; boundary=b"), 400)
    await json(
      post(
        '--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\nunended',
        "multipart/form-data; boundary=b",
      ),
      400,
    )
    const twice = new FormData()
    for (const name of ["a", "b"]) twice.append("file", new File(["x"], name))
    expect((await refusal(post(twice))).param).toBe("file")
    const text = new FormData()
    text.set("file", "a string")
    text.set("purpose", "batch")
    expect((await refusal(post(text))).param).toBe("file")
    const many = new FormData()
    for (let n = 0; n < 20; n++) many.set(`field-${n}`, "x")
    expect((await refusal(post(many))).message).toMatch(/more than 16 parts/)
  })

  it("are listed by purpose, in either order, behind one that is deleted too", async () => {
    const { app } = await opened()
    const ids: string[] = []
    for (const purpose of ["batch", "user_data", "batch", "batch"]) {
      ids.push((await json<{ id: string }>(upload(app, "x", { purpose }))).id)
    }
    const listed = async (query: string) => {
      const list = await json<Listed>(app.request(`/v1/files?${query}`))
      expectShape("ListFilesResponse", list)
      return [list.data.map(({ id }) => ids.indexOf(id)), list.has_more]
    }
    expect(await listed("")).toEqual([[3, 2, 1, 0], false])
    expect(await listed("purpose=batch&order=asc&limit=2")).toEqual([[0, 2], true])
    await json(app.request(`/v1/files/${ids[2]}`, { method: "DELETE" }))
    expect(await listed(`after=${ids[2]}`)).toEqual([[1, 0], false])
    expect(await listed("purpose=vision")).toEqual([[], false])
    for (const query of ["limit=0", "limit=x", "order=up", "purpose=x"])
      await json(app.request(`/v1/files?${query}`), 400)
  })
})

describe("batches", () => {
  it("are refused for what they are not", async () => {
    const { app } = await opened()
    const input_file_id = await uploaded(app, inputOf(1))
    const other = (await json<{ id: string }>(upload(app, "x", { purpose: "user_data" }))).id
    const refused: [Record<string, unknown>, string][] = [
      [{}, "input_file_id"],
      [{ input_file_id: 7 }, "input_file_id"],
      [{ input_file_id: "file-none" }, "input_file_id"],
      [{ input_file_id: other }, "input_file_id"],
      [{ input_file_id, endpoint: "/v1/embeddings" }, "endpoint"],
      [{ input_file_id, endpoint: "/v1/batches" }, "endpoint"],
      [{ input_file_id, completion_window: "1 day" }, "completion_window"],
      [{ input_file_id, completion_window: "999h" }, "completion_window"],
      [{ input_file_id, metadata: { a: 1 } }, "metadata"],
      [{ input_file_id, metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [n, ""])) }, "metadata"],
      [{ input_file_id, output_expires_after: { anchor: "now", seconds: 3600 } }, "output_expires_after.anchor"],
      [{ input_file_id, colour: "red" }, "colour"],
    ]
    for (const [body, param] of refused) {
      expect(await refusal(create(app, body))).toMatchObject({ param, type: "invalid_request_error" })
    }
    await json(app.request("/v1/batches/batch_none"), 404)
    await json(app.request("/v1/batches/batch_none/cancel", { method: "POST" }), 404)
    await json(app.request("/v1/files/file-none/content"), 404)
  })

  it("whose input has faults fail, and tell where", async () => {
    const { app } = await opened()
    const input = [line({}), "\n", "{broken\n", line({ custom_id: "b", url: "/v1/responses" }), line({}), "no"].join("")
    const { id } = await created(app, input)
    const { errors, request_counts } = await until(app, id, "failed")
    expect(errors!.data.map(({ code, line, param }) => [code, line, param])).toEqual([
      ["invalid_json_line", 3, null],
      ["invalid_url", 4, "url"],
      ["duplicate_custom_id", 5, "custom_id"],
      ["invalid_json_line", 6, null],
    ])
    expect(request_counts).toEqual({ total: 0, completed: 0, failed: 0 })
    const empty = await created(app, "\n  \n")
    expect((await until(app, empty.id, "failed")).errors!.data).toMatchObject([{ code: "empty_file", line: null }])
    const many = await created(app, "x\n".repeat(500))
    expect((await until(app, many.id, "failed")).errors!.data).toHaveLength(100)
  })

  it("tell what went wrong with a request in the error file", async () => {
    const dispatch: Dispatch = async (request) => {
      const { n } = (await request.json()) as { n: number }
      return n % 2 === 0 ? Response.json({ n }) : Response.json({ error: { message: "odd" } }, { status: 400 })
    }
    const { app } = await opened(dispatch)
    const { id } = await created(app, [0, 1, 2, 3, 4].map((n) => line({ custom_id: `${n}`, body: { n } })).join(""))
    const batch = await until(app, id, "completed")
    expect(batch.request_counts).toEqual({ total: 5, completed: 3, failed: 2 })
    const ids = async (file?: string) => (await linesOf(app, file)).map(({ custom_id }) => custom_id)
    expect(await ids(batch.output_file_id)).toEqual(["0", "2", "4"])
    expect(await ids(batch.error_file_id)).toEqual(["1", "3"])
    const [odd] = await linesOf(app, batch.error_file_id)
    expect(odd).toMatchObject({ response: { status_code: 400, body: { error: { message: "odd" } } }, error: null })
  })

  it("wait for a place while the server is overloaded", async () => {
    let tries = 0
    const dispatch = async () => (++tries < 3 ? new Response("{}", { status: 429 }) : Response.json({}))
    const { app } = await opened(dispatch)
    const { id } = await created(app, line({}))
    expect((await until(app, id, "completed")).request_counts.completed).toBe(1)
    expect(tries).toBe(3)
  })

  it("take what is no JSON as text", async () => {
    const { app } = await opened(async () => new Response("out of order", { status: 500 }))
    const { id } = await created(app, line({}))
    const [failed] = await linesOf(app, (await until(app, id, "completed")).error_file_id)
    expect(failed).toMatchObject({ response: { status_code: 500, body: "out of order" } })
  })

  /** Answers the first requests and waits with the others, until they are aborted. */
  function stuckAfter(first: number) {
    const state = { begun: 0, aborted: 0 }
    const dispatch: Dispatch = async (request) => {
      if (state.begun++ < first) return Response.json({})
      await new Promise((resolve) => request.signal.addEventListener("abort", resolve))
      state.aborted++
      return Response.json({ error: { message: "left" } }, { status: 499 })
    }
    return { dispatch, state }
  }

  it("that are cancelled abort what is under way and tell of the rest", async () => {
    const { dispatch, state } = stuckAfter(3)
    const { app } = await opened(dispatch)
    const { id } = await created(app, inputOf(20))
    await vi.waitFor(async () => {
      expect((await json<BatchObject>(app.request(`/v1/batches/${id}`))).request_counts.completed).toBe(3)
    })
    await vi.waitFor(() => expect(state.begun).toBe(7))
    const cancelling = await json<BatchObject>(app.request(`/v1/batches/${id}/cancel`, { method: "POST" }))
    expect(["cancelling", "cancelled"]).toContain(cancelling.status)
    await vi.waitFor(() => expect(state.aborted).toBe(4), { timeout: 1000 })
    const batch = await until(app, id, "cancelled")
    expect(batch.request_counts).toEqual({ total: 20, completed: 3, failed: 17 })
    expect(await linesOf(app, batch.output_file_id)).toHaveLength(3)
    const left = await linesOf(app, batch.error_file_id)
    expect(left).toHaveLength(17)
    expect(left[16]).toMatchObject({ custom_id: "request-19", response: null, error: { code: "batch_cancelled" } })
    expect(await json(app.request(`/v1/batches/${id}/cancel`, { method: "POST" }))).toEqual(batch)
  })

  it("hold their input while they read it, and are limited in number", async () => {
    const { app } = await opened(stuckAfter(0).dispatch)
    const input_file_id = await uploaded(app, inputOf(1))
    for (let n = 0; n < 20; n++) await json(create(app, { input_file_id }))
    expect((await refusal(create(app, { input_file_id }), 429)).code).toBe("rate_limit_exceeded")
    const deleting = app.request(`/v1/files/${input_file_id}`, { method: "DELETE" })
    expect((await refusal(deleting)).message).toMatch(/still reads this file/)
    const list = await json<Listed>(app.request("/v1/batches?limit=7"))
    expectShape("ListBatchesResponse", list)
    expect(list.data).toHaveLength(7)
    expect(list.has_more).toBe(true)
    for (const query of ["limit=0", "limit=101", "limit=1.5"]) await json(app.request(`/v1/batches?${query}`), 400)
  })

  it("that are not through in time expire with what they have", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] })
    closing.push(() => vi.useRealTimers())
    const { app } = await opened(stuckAfter(2).dispatch)
    const { id } = await created(app, inputOf(6), { completion_window: "1h" })
    await vi.waitUntil(
      async () => (await json<BatchObject>(app.request(`/v1/batches/${id}`))).request_counts.completed === 2,
    )
    vi.setSystemTime(Date.now() + 3601 * 1000)
    vi.advanceTimersByTime(5000)
    const batch = await until(app, id, "expired")
    expect(batch.request_counts).toEqual({ total: 6, completed: 2, failed: 4 })
    const [left] = await linesOf(app, batch.error_file_id)
    expect(left).toMatchObject({ response: null, error: { code: "batch_expired" } })
  })

  it("answer no request with a failure of the server, whatever it is", async () => {
    const { app } = await opened()
    const hostile = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom('{"__proto__":{"a":1}}', "[".repeat(10_000), '{"a":1e999}'),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("input_file_id", "metadata", "endpoint", "__proto__"),
        hostile,
        async (key, value) => {
          const text = `{"endpoint":"/v1/responses","completion_window":"24h","${key}":${typeof value === "string" ? value : JSON.stringify(value)}}`
          const headers = { "content-type": "application/json" }
          const response = await app.request("/v1/batches", { method: "POST", headers, body: text })
          expect(response.status).toBe(400)
        },
      ),
      { numRuns: 200 },
    )
    for (const id of ["%00", "..%2f..", "__proto__", "x".repeat(5000), "%ff", "'; DROP TABLE files; --"]) {
      for (const path of [`/v1/files/${id}`, `/v1/files/${id}/content`, `/v1/batches/${id}`]) {
        expect((await app.request(path)).status).toBe(404)
      }
      expect((await app.request(`/v1/files?after=${id}`)).status).toBe(200)
    }
  })
})
