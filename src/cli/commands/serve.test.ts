import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, afterEach, describe, expect, it, vi } from "vitest"

const main = fileURLToPath(new URL("../../../bundle/cli/main.js", import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), "minerva-serve-"))
const running: ChildProcess[] = []

afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL")
})
afterAll(() => rmSync(scratch, { recursive: true }))

const environment = (env: Record<string, string>) => ({ ...process.env, MINERVA_DEBUG: "", NO_COLOR: "1", ...env })

function minerva(args: string[], env: Record<string, string> = {}) {
  const result = spawnSync(process.execPath, [main, "serve", ...args], { encoding: "utf8", env: environment(env) })
  return { code: result.status, out: result.stdout, err: result.stderr }
}

/** A server on a port of its own, once it listens. */
async function serving(args: string[], env: Record<string, string> = {}) {
  const all = [main, "serve", "-d", "cpu", "--threads", "1", "--port", "0", ...args]
  const child = spawn(process.execPath, all, { env: environment(env) })
  running.push(child)
  const said = { out: "", err: "" }
  child.stdout.on("data", (chunk) => (said.out += chunk))
  child.stderr.on("data", (chunk) => (said.err += chunk))
  const code = new Promise<number | null>((resolve) => child.on("close", resolve))
  await vi.waitFor(() => expect(said.out).toMatch(/"listening"/), 20_000)
  const lines = () =>
    said.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
  const { url } = lines().find(({ msg }) => msg === "listening") as { url: string }
  return { child, code, said, lines, url }
}

describe("minerva serve", () => {
  it("puts its settings together, and shows them without keys", () => {
    const config = join(scratch, "config.json")
    writeFileSync(config, JSON.stringify({ port: 1, host: "from-file", max_body: "2KiB", drain_timeout: "1m" }))
    const args = ["one", "-m", "two", "--port", "3", "--api-key", "secret-a", "--api-key", "secret-b", "--print-config"]
    const env = { MINERVA_PORT: "2", MINERVA_HOST: "from-environment" }
    for (const [more, variables] of [
      [["--config", config], env],
      [[], { ...env, MINERVA_CONFIG: config }],
    ] as const) {
      const { out, code } = minerva([...args, ...more], variables)
      expect(code).toBe(0)
      expect(JSON.parse(out)).toMatchObject({
        models: ["one", "two"],
        port: 3,
        host: "from-environment",
        max_body: 2048,
        drain_timeout: 60,
        api_keys: ["***", "***"],
      })
      expect(out).not.toMatch(/secret/)
    }
  })

  it.each<[string[], Record<string, string>, RegExp]>([
    [["--port", "no"], {}, /^error: --port: expected a whole number, from 0 to 65535, found "no"\n$/],
    [["--kv-bits", "5"], {}, /^error: --kv-bits: expected 16, 8 or 4, found "5"\n$/],
    [[], { MINERVA_MAX_BODY: "x" }, /^error: MINERVA_MAX_BODY: expected a size/],
    [["--config", "/nowhere.json"], {}, /^error: \/nowhere.json: no such file/],
  ])("%j %j is refused with one line", (args, env, line) => {
    const { code, out, err } = minerva(args, env)
    expect({ code, out }).toEqual({ code: 2, out: "" })
    expect(err).toMatch(line)
  })

  it("ends with an error where there is no model, or the port is taken", async () => {
    const missing = minerva(["/no/such/folder"])
    expect(missing.code).toBe(1)
    expect(missing.err).toMatch(/error: .*no such folder/)
    const other = createServer().listen(0, "127.0.0.1")
    await new Promise((resolve) => other.once("listening", resolve))
    const { port } = other.address() as AddressInfo
    const taken = minerva(["--port", String(port), "-d", "cpu", "--threads", "1"])
    other.close()
    expect(taken.code).toBe(1)
    expect(taken.err).toMatch(new RegExp(`error: .*127.0.0.1:${port}.*in use.*--port`))
  })

  it("says where it listens and how to get there, is ready soon, and stops when it is told to", async () => {
    const { child, code, said, lines, url } = await serving(["--api-key", "k"])
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect((await fetch(`${url}/health`)).status).toBe(200)
    await vi.waitFor(async () => expect((await fetch(`${url}/ready`)).status).toBe(200), 20_000)
    expect((await fetch(`${url}/metrics`)).status).toBe(401)
    const metrics = await fetch(`${url}/metrics`, { headers: { authorization: "Bearer k" } })
    expect(await metrics.text()).toMatch(/minerva_kv_pages\{model="minerva-tiny"\} [1-9]/)
    expect(said.err).toContain(`serves minerva-tiny on ${url}\n`)
    for (const client of [`OPENAI_BASE_URL=${url}/v1 `, `ANTHROPIC_BASE_URL=${url} `, `OLLAMA_HOST=${url}\n`]) {
      expect(said.err).toContain(client)
    }
    child.kill("SIGTERM")
    expect(await code).toBe(0)
    expect(lines().at(-1)).toMatchObject({ msg: "stopped" })
  })

  it("stops at once the second time", async () => {
    const { child, code, said, url } = await serving(["--drain-timeout", "1h"])
    // A request that is being received keeps the connection busy.
    const { port } = new URL(url)
    const socket = (await import("node:net")).connect(Number(port), "127.0.0.1")
    socket.on("error", () => {})
    socket.write("POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n")
    child.kill("SIGINT")
    await vi.waitFor(() => expect(said.err).toMatch(/Stopping/))
    child.kill("SIGINT")
    expect(await code).toBe(130)
    socket.destroy()
  })
})
