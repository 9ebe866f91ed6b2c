import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { serve } from "@hono/node-server"
import { serveStatic } from "@hono/node-server/serve-static"
import { Hono } from "hono"
import * as vite from "vite"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { findChromium, withPage } from "../test/web/chromium.js"
import * as node from "./index.js"
import * as web from "./web.js"

/** What a page sends back. */
interface Result {
  readonly error?: string
  readonly ids: readonly number[]
  readonly text: string
  /** How many workers the library started, and how many processors the browser tells of. */
  readonly workers: number
  readonly processors: number
  readonly canShare: boolean
}

interface Setting {
  /** Who asks the library: the page's own thread, or a worker's. */
  readonly where?: "page" | "worker"
  /** Whether the server lets its pages share memory. */
  readonly isolated?: boolean
  /** Files that the server does not have. */
  readonly missing?: RegExp
}

const QUESTION = "What is 17 + 25?"
const root = fileURLToPath(new URL("../..", import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), "minerva-web-"))
const built = join(scratch, "built")
const chromium = await findChromium()

/** A user's application: a page that asks the library itself, or from a worker, and sends the answer to its server. */
const FILES = {
  "package.json": '{ "type": "module" }',
  "index.html": '<!doctype html><script type="module" src="./page.js"></script>',
  "page.js": `
    import { answer } from "./answer.js"
    const { where, threads } = Object.fromEntries(new URLSearchParams(location.search))
    const send = (result) => fetch("/result", { method: "POST", body: JSON.stringify(result) })
    if (where === "page") send(await answer(Number(threads)))
    else {
      const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" })
      worker.onmessage = ({ data }) => send(data)
      worker.onerror = ({ message }) => send({ error: message ?? "the worker did not load" })
      worker.postMessage(Number(threads))
    }`,
  "worker.js": `
    import { answer } from "./answer.js"
    onmessage = async ({ data }) => postMessage(await answer(data))`,
  "answer.js": `
    import { loadModel } from "minerva-mlx"
    let workers = 0
    const { Worker } = globalThis
    globalThis.Worker = class extends Worker {
      constructor(...args) {
        super(...args)
        workers++
      }
    }
    export async function answer(threads) {
      try {
        const model = await loadModel("/models/minerva-tiny", { device: "cpu", threads })
        const ids = []
        let text = ""
        for await (const event of model.chat([{ role: "user", content: "${QUESTION}" }], { temperature: 0 })) {
          if (event.type === "token") ids.push(event.token)
          if (event.type === "content") text += event.text
        }
        await model.close()
        const processors = navigator.hardwareConcurrency
        return { ids, text, workers, processors, canShare: "SharedArrayBuffer" in globalThis }
      } catch (error) {
        return { error: String(error.stack) }
      }
    }`,
}

beforeAll(async () => {
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(scratch, name), text)
  mkdirSync(join(scratch, "node_modules"))
  symlinkSync(root, join(scratch, "node_modules/minerva-mlx"), "junction")
  await vite.build({
    configFile: false,
    root: scratch,
    logLevel: "error",
    build: { outDir: built, target: "es2022", minify: false },
    worker: { format: "es" },
  })
})

afterAll(() => rmSync(scratch, { recursive: true }))

/** Opens the application in Chromium, from a server of its own. */
async function ask(threads: number, { where = "worker", isolated = true, missing }: Setting): Promise<Result> {
  let received = (_: Result) => {}
  const result = new Promise<Result>((resolve) => {
    received = resolve
  })
  const app = new Hono()
  app.use(async (context, next) => {
    await next()
    if (!isolated) return
    context.header("Cross-Origin-Opener-Policy", "same-origin")
    context.header("Cross-Origin-Embedder-Policy", "require-corp")
  })
  app.post("/result", async (context) => {
    received(await context.req.json())
    return context.body(null, 204)
  })
  app.use(async (context, next) => (missing?.test(context.req.path) ? context.notFound() : next()))
  app.use("/models/*", serveStatic({ root }))
  app.use("*", serveStatic({ root: built }))
  const server = await new Promise<ReturnType<typeof serve>>((resolve) => {
    const opened = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, () => resolve(opened))
  })
  const { port } = server.address() as AddressInfo
  try {
    return await withPage(chromium!, `http://127.0.0.1:${port}/?where=${where}&threads=${threads}`, result)
  } finally {
    server.close()
  }
}

it("offers browsers what it offers Node", () => {
  expect(Object.keys(web).sort()).toEqual(Object.keys(node).sort())
})

it("refuses a folder to keep caches in", async () => {
  await expect(web.loadModel("/models/minerva-tiny", { kv_cache_dir: "kept" })).rejects.toThrow(
    expect.objectContaining({ name: "ParameterError", field: "kv_cache_dir" }),
  )
})

it("has nothing of Node's in what is built for browsers", () => {
  const scripts = readdirSync(join(built, "assets")).filter((name) => name.endsWith(".js"))
  expect(scripts.length).toBeGreaterThan(2)
  for (const name of scripts) {
    expect(readFileSync(join(built, "assets", name), "utf8"), name).not.toMatch(/["']node:|__vite-browser-external/)
  }
})

describe.skipIf(!chromium)("in Chromium, the embedded model answers as in Node", () => {
  let expected: Pick<Result, "ids" | "text">

  beforeAll(async () => {
    const model = await node.loadModel(join(root, "models/minerva-tiny"), { device: "cpu", threads: 1 })
    const ids: number[] = []
    let text = ""
    for await (const event of model.chat([{ role: "user", content: QUESTION }], { temperature: 0 })) {
      if (event.type === "token") ids.push(event.token)
      if (event.type === "content") text += event.text
    }
    await model.close()
    expected = { ids, text }
    expect(text).toBe("17 + 25 = 42.")
  })

  it.each<[string, number, Setting]>([
    ["in a worker, with 1 thread", 1, {}],
    ["in a worker, with 2 threads", 2, {}],
    ["in the page itself, with 2 threads", 2, { where: "page" }],
    ["in the page itself, on its own thread", 0, { where: "page" }],
    ["in a worker that may not share memory", 2, { isolated: false }],
    ["in a page that may not share memory", 2, { where: "page", isolated: false }],
  ])("%s", async (_, threads, setting) => {
    const { processors, ...result } = await ask(threads, setting)
    const canShare = setting.isolated ?? true
    expect(result).toEqual({ ...expected, canShare, workers: canShare ? Math.min(threads, processors) : 0 })
  })

  it.each(["kernels_fused", "web_worker"])("and says so where %s is missing", async (name) => {
    const { error } = await ask(2, { missing: new RegExp(name) })
    expect(error).toMatch(new RegExp(`${name}.* is missing: bundles of minerva-mlx`))
  })
})
