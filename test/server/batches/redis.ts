import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { type AddressInfo, createServer } from "node:net"
import { tmpdir } from "node:os"

export const hasRedis = spawnSync("redis-server", ["--version"]).status === 0

/** What tests are named that need one. */
export const withRedis = (name: string) => (hasRedis ? name : `${name} (skipped: there is no redis-server here)`)

/** Starts a Redis of one's own, which keeps nothing. */
export async function startRedis(): Promise<{ url: string; stop: () => void }> {
  const free = createServer().listen(0, "127.0.0.1")
  await once(free, "listening")
  const { port } = free.address() as AddressInfo
  await new Promise((resolve) => free.close(resolve))
  const child = spawn("redis-server", ["--port", String(port), "--save", "", "--dir", tmpdir()], { stdio: "pipe" })
  let told = ""
  for await (const data of child.stdout.iterator({ destroyOnReturn: false })) {
    told += data
    if (told.includes("Ready to accept connections")) break
  }
  child.stdout.resume()
  return { url: `redis://127.0.0.1:${port}`, stop: () => child.kill("SIGKILL") }
}
