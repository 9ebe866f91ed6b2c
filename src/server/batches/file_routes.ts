import type { Hono } from "hono"
import * as z from "zod"
import { parseBody, readBytes } from "../body.js"
import { describeRoute } from "../openapi.js"
import { RequestError } from "../request_error.js"
import type { Files } from "./files.js"
import { PURPOSES } from "./objects.js"
import { listOf, page, wholeNumber } from "./page.js"
import { expiry } from "./expiry.js"

/** Bytes of an upload beside the file, and its parts, at most. */
const MOST_AROUND = 64 * 1024
const MOST_PARTS = 16

const oneOf = `expected one of ${PURPOSES.join(", ")}`

const upload = z.object({
  file: z.instanceof(File, { error: "expected a file" }),
  purpose: z.enum(PURPOSES, { error: oneOf }),
  expires_after: expiry.optional(),
})

const fileQuery = z.object({
  purpose: z.enum([...PURPOSES, "batch_output"], { error: oneOf }).optional(),
  limit: wholeNumber(1, 10_000).default(10_000),
  order: z.enum(["asc", "desc"], { error: "expected asc or desc" }).default("desc"),
  after: z.string().optional(),
})

export function addFileRoutes(app: Hono, files: Files): void {
  app.post("/v1/files", describeRoute({ summary: "Uploads a file, as multipart/form-data" }), async (c) => {
    const { file, purpose, expires_after } = parseBody(upload, await readForm(c.req.raw, files.limits.max_file_bytes))
    const bytes = new Uint8Array(await file.arrayBuffer())
    return c.json(await files.create(file.name, purpose, bytes, expires_after?.seconds))
  })
  app.get("/v1/files", describeRoute({ summary: "The files", query: fileQuery }), async (c) => {
    const { purpose, ...query } = parseBody(fileQuery, c.req.query())
    const all = (await files.list()).filter((file) => purpose === undefined || file.purpose === purpose)
    return c.json(listOf(page(all, query)))
  })
  app.get("/v1/files/:id", describeRoute({ summary: "A file" }), async (c) =>
    c.json(await files.get(c.req.param("id"))),
  )
  app.delete("/v1/files/:id", describeRoute({ summary: "Deletes a file" }), async (c) => {
    const id = c.req.param("id")
    await files.delete(id)
    return c.json({ id, object: "file", deleted: true })
  })
  const content = describeRoute({ summary: "What is in a file", content_type: "application/octet-stream" })
  app.get("/v1/files/:id/content", content, async (c) => {
    const { id, bytes, filename } = await files.get(c.req.param("id"))
    return new Response(streamOf(files.content(id)), {
      headers: {
        "content-type": "application/octet-stream",
        "content-length": String(bytes),
        // Whatever it is, no browser shows it as a page of ours.
        "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(filename)}`,
        "x-content-type-options": "nosniff",
      },
    })
  })
}

/** The fields of an upload; those named like `expires_after[seconds]` in an object. @throws {RequestError} for what is none */
async function readForm(request: Request, most: number): Promise<Record<string, unknown>> {
  const type = request.headers.get("content-type") ?? ""
  const boundary = /^\s*multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(type)
  if (!boundary) {
    const message = `content-type: expected multipart/form-data with a boundary, found ${type.slice(0, 80) || "none"}`
    throw new RequestError("unsupported_media_type", message)
  }
  const bytes = await readBytes(request, most + MOST_AROUND)
  requireFewParts(bytes, boundary[1] ?? boundary[2])
  const form = await new Response(bytes, { headers: { "content-type": type } }).formData().catch((error: unknown) => {
    const message = "the body: expected the parts of a form, as multipart/form-data has them"
    throw new RequestError("invalid_request", message, { cause: error })
  })
  const fields: Record<string, unknown> = Object.create(null)
  for (const [name, value] of form) {
    const [, outer, inner] = /^(\w+)\[(\w+)\]$/.exec(name) ?? []
    if (outer === "expires_after") fields[outer] = { ...(fields[outer] as object), [inner]: value }
    else if (name in fields) throw new RequestError("invalid_request", `${name}: expected once`, { param: name })
    else fields[name] = value
  }
  const { file } = fields
  if (file instanceof File && file.size > most) {
    throw new RequestError("too_large", `the file is larger than ${most} bytes, which is the limit here`)
  }
  return { ...fields }
}

/** Each part costs as much as a small file does. */
function requireFewParts(bytes: Uint8Array, boundary: string): void {
  const [body, delimiter] = [
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    Buffer.from(`--${boundary}`),
  ]
  let parts = 0
  for (let at = body.indexOf(delimiter); at !== -1; at = body.indexOf(delimiter, at + delimiter.byteLength)) {
    if (++parts > MOST_PARTS + 1)
      throw new RequestError("invalid_request", `the body has more than ${MOST_PARTS} parts`)
  }
}

/** Read as it is asked for. */
function streamOf(chunks: AsyncGenerator<Uint8Array, void, undefined>): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await chunks.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      async cancel() {
        await chunks.return()
      },
    },
    { highWaterMark: 0 },
  )
}
