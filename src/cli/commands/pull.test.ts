import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, expect, it } from "vitest"
import { COMMIT, FakeHub, filesOf, REPOSITORY } from "../../../test/hub/fake_hub.js"
import { EMBEDDED_MODEL } from "../options.js"

const files = filesOf(EMBEDDED_MODEL)
const main = fileURLToPath(new URL("../../../bundle/cli/main.js", import.meta.url))
let hub: FakeHub
let home: string
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "minerva-pull-"))
  hub = await FakeHub.open(files)
})
afterEach(async () => {
  await hub.close()
  rmSync(home, { recursive: true })
})

function start(...args: string[]) {
  const env = { ...process.env, HOME: home, HF_HOME: home, HF_ENDPOINT: hub.url, HF_TOKEN: "", NO_COLOR: "1" }
  for (const name of ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"]) delete env[name as keyof typeof env]
  const child = spawn(process.execPath, [main, ...args], { env, stdio: ["ignore", "pipe", "pipe"] })
  let [out, err] = ["", ""]
  child.stdout.on("data", (chunk) => (out += chunk))
  child.stderr.on("data", (chunk) => (err += chunk))
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve))
  return { child, ended: ended.then((code) => ({ code, out, err })) }
}
const minerva = (...args: string[]) => start(...args).ended

it("a model is pulled, listed, run and removed by its name", async () => {
  const folder = join(home, "hub/models--someone--some-model/snapshots", COMMIT)
  const missing = await minerva("inspect", REPOSITORY)
  expect(missing).toMatchObject({ code: 1, err: expect.stringContaining(`minerva pull ${REPOSITORY}`) })
  expect(await minerva("pull", REPOSITORY)).toMatchObject({ code: 0, out: `${folder}\n` })

  const { models } = JSON.parse((await minerva("models", "--json")).out)
  const facts = { model_type: "gpt_oss", quantization: "mxfp4 4-bit, affine 8-bit", max_context: 16384, problem: null }
  expect(models).toMatchObject([
    { name: "minerva-tiny", place: "embedded", fits: true, ...facts },
    { name: REPOSITORY, place: "hub", folder, fits: true, fitting_context: 16384, ...facts },
  ])
  expect((await minerva("models")).out).toMatch(/^someone\/some-model +[\d.]+ MB +mxfp4 .* 16384 tokens +yes$/m)
  expect((await minerva("What is 17 + 25?", "-m", REPOSITORY, "-d", "cpu")).out).toContain("42")

  expect(await minerva("rm", REPOSITORY)).toMatchObject({ code: 2, err: expect.stringContaining("--yes") })
  expect(existsSync(folder)).toBe(true)
  expect((await minerva("rm", REPOSITORY, "--yes")).out).toMatch(/^removed .*: [\d.]+ MB are free\n$/)
  expect(existsSync(folder)).toBe(false)
})

it("Ctrl-C keeps what came and says how to go on", async () => {
  const silent = { kind: "silent", after: 100_000 } as const
  // Of the small files nothing is held back.
  hub.fileFaults.push(...files.slice(1).map(() => silent))
  const { child, ended } = start("pull", REPOSITORY)
  const parts = () => {
    const blobs = join(home, "hub/models--someone--some-model/blobs")
    return existsSync(blobs) ? readdirSync(blobs).filter((name) => name.endsWith(".incomplete")) : []
  }
  while (parts().length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
  child.kill("SIGINT")
  expect(await ended).toMatchObject({
    code: 130,
    out: "",
    err: expect.stringMatching(/stopped; .*minerva pull someone\/some-model goes on from there\n$/),
  })
  hub.fileFaults.length = 0
  expect(await minerva("pull", REPOSITORY)).toMatchObject({ code: 0 })
})

it("a model of another kind is refused before its weights come", async () => {
  const config = { path: "config.json", content: Buffer.from('{"model_type": "llama"}') }
  hub.files = [config, ...files.filter(({ path }) => path !== "config.json")]
  expect(await minerva("pull", REPOSITORY)).toMatchObject({ code: 1, err: expect.stringContaining("llama") })
  expect(hub.seen.filter(({ server }) => server === "storage")).toEqual([])
})
