import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
const user = mkdtempSync(join(tmpdir(), "minerva-user-"))
const installed = join(user, "node_modules/minerva-mlx")

/** Installs the tarball in an empty folder, with what it depends on linked instead of downloaded. */
beforeAll(() => {
  execFileSync("npm", ["pack", "--ignore-scripts", "--pack-destination", user], { cwd: root, stdio: "ignore" })
  mkdirSync(installed, { recursive: true })
  const [tarball] = readdirSync(user).filter((file) => file.endsWith(".tgz"))
  execFileSync("tar", ["-xzf", join(user, tarball), "-C", installed, "--strip-components=1"])
  // The types of Node, which only some users have.
  for (const name of [...Object.keys(manifest.dependencies), "@types/node"]) {
    mkdirSync(dirname(join(user, "node_modules", name)), { recursive: true })
    symlinkSync(join(root, "node_modules", name), join(user, "node_modules", name), "junction")
  }
  writeFileSync(join(user, "package.json"), '{ "type": "module" }')
})

afterAll(() => rmSync(user, { recursive: true }))

function run(args: string[]): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: user, encoding: "utf8" })
  expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: "" })
  return stdout
}

describe("the package", () => {
  it("holds what runs and nothing that tests or builds it", () => {
    const entries = readdirSync(installed, { recursive: true, withFileTypes: true })
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) =>
        join(entry.parentPath, entry.name)
          .slice(installed.length + 1)
          .replaceAll("\\", "/"),
      )
    expect(files.filter((file) => /\.test\.|fixtures|tsbuildinfo|^src\/|^dist\/test\//.test(file))).toEqual([])
    expect([...new Set(files.map((file) => file.split("/")[0]))].sort()).toEqual([
      "LICENSE",
      "README.md",
      "dist",
      "models",
      "package.json",
    ])
    expect(files).toEqual(
      expect.arrayContaining([
        "dist/src/index.js",
        "dist/src/index.d.ts",
        "dist/bundle/cli/main.js",
        "dist/bundle/cli/kernels.wasm",
        "dist/bundle/cli/kernels_relaxed.wasm",
        "dist/bundle/cli/node_worker.js",
        "dist/bundle/cli/node_grammar_thread.js",
        "dist/bundle/cli/node_model_process.js",
        "dist/bundle/cli/LICENSES.txt",
        "dist/src/backends/cpu/kernels.wasm",
        "dist/src/backends/cpu/kernels_relaxed.wasm",
        "dist/src/backends/cpu/kernels_fused.wasm",
        "dist/src/backends/cpu/node_worker.js",
        "dist/src/text/node_grammar_thread.js",
        "dist/src/server/models/node_model_process.js",
        "dist/src/web.js",
        "dist/src/backends/cpu/web_worker.js",
        "models/minerva-tiny/config.json",
        "models/minerva-tiny/tokenizer.json",
        "models/minerva-tiny/model.safetensors",
      ]),
    )
  })

  it("has a command that answers with the embedded model", () => {
    const minerva = join(installed, manifest.bin.minerva)
    expect(run([minerva, "--version"])).toBe(`${manifest.version}\n`)
    expect(run([minerva, "generate", "What is 17 + 25?", "--device", "cpu"])).toContain("42")
  })

  it("is imported by its name, with its arrays", () => {
    const script = `
      import { loadModel, mx, openBackend } from "minerva-mlx"
      const { backend } = await openBackend({ device: "cpu", threads: 1 })
      const sum = mx.add(mx.array(Float32Array.of(1, 2)), mx.array(Float32Array.of(3, 4)))
      await mx.evaluate([sum], backend)
      const model = await loadModel(${JSON.stringify(join(installed, "models/minerva-tiny"))}, { backend })
      console.log(...(await sum.data()), model.info.name)
      await model.close()
      await backend.close()`
    writeFileSync(join(user, "script.js"), script)
    expect(run(["script.js"])).toBe("4 6 minerva-tiny\n")
  })

  it("runs a model in a process of its own", () => {
    const script = `
      import { startModelProcess } from ${JSON.stringify(join(installed, "dist/src/server/models/node_start_process.js"))}
      const path = ${JSON.stringify(join(installed, "models/minerva-tiny"))}
      const request = { path, name: "tiny", options: { device: "cpu" } }
      const started = await startModelProcess(request, { onProgress: () => {}, onWarning: console.error })
      console.log(await started.model.detokenize(await started.model.tokenize("hello")))
      await started.close(10_000)`
    writeFileSync(join(user, "process.js"), script)
    expect(run(["process.js"])).toBe("hello\n")
  })
})

const PROGRAM = `
import { type ChatOptions, type LanguageModel, type ModelSession, loadModel, mx, openBackend, type SamplingOptions } from "minerva-mlx"

export async function use(model: LanguageModel, sampling: SamplingOptions): Promise<string> {
  const session: ModelSession = model.createSession({ max_context: 100 })
  let text = ""
  for await (const event of session.chat([{ role: "user", content: "hi" }], { ...sampling, logit_bias: { 5: 1 } })) {
    if (event.type === "content") text += event.text
  }
  for await (const result of model.generate([1, 2, 3])) if (result.type === "summary") text += result.finish_reason
  await session.close()
  return text
}

const { backend } = await openBackend({ device: "cpu", precision: "exact" })
const sum = mx.sum(mx.add(mx.array(Float32Array.of(1)), mx.zeros([1])))
await mx.evaluate([sum], backend)
// As OpenAI's SDK types them.
const asked: { temperature?: number | null; max_tokens?: number | null; stop?: string | string[] | null } = {}
export const options: ChatOptions = { ...asked, seed: null, logit_bias: null, logprobs: null, top_logprobs: null }
await use(await loadModel("models/minerva-tiny", { backend }), { temperature: 0 })
// @ts-expect-error: what the package does not show is not there
export const network = (model: LanguageModel) => model.network
`

const WITH_SIGNAL = `
await using model = await loadModel("models/minerva-tiny", { signal: new AbortController().signal })
for await (const _ of model.chat([], { signal: AbortSignal.timeout(1) }));
`

describe("the types compile, those of libraries checked too", () => {
  const resolutions = { node16: "node16", nodenext: "nodenext", bundler: "esnext" }
  it.each([
    ["the language alone", ["ES2022"], [], PROGRAM],
    ["with the DOM", ["ES2022", "DOM"], [], PROGRAM + WITH_SIGNAL],
    ["with Node's types", ["ES2022"], ["node"], PROGRAM + WITH_SIGNAL],
  ])("%s", (_, lib, types, program) => {
    for (const [moduleResolution, module] of Object.entries(resolutions)) {
      const compilerOptions = {
        ...{ target: "ES2022", lib, types, module, moduleResolution },
        ...{ strict: true, noEmit: true, skipLibCheck: false },
      }
      writeFileSync(join(user, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }))
      writeFileSync(join(user, "program.ts"), program)
      expect(run([join(root, "node_modules/typescript/bin/tsc"), "-p", user])).toBe("")
    }
  })
})
