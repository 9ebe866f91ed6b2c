import { spawn, spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"
import { modelFolder, tinyJson } from "../../test/engine/model_folder.js"
import { openFixture, relativeError } from "../../test/models/fixtures.js"
import { openCheckpoint } from "../checkpoint/checkpoint.js"
import { nodeDirectory } from "../checkpoint/node_directory.js"
import { readHeader } from "../checkpoint/safetensors.js"
import { EMBEDDED_MODEL } from "./options.js"

const main = fileURLToPath(new URL("../../bundle/cli/main.js", import.meta.url))
const fixture = fileURLToPath(new URL("../../../test/models/fixtures/three-of-ten/hf", import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), "minerva-cli-"))

const edited = (edit: (added: { id: number; content: string; special: boolean }[]) => unknown) => {
  const json = tinyJson("tokenizer.json")
  edit(json.added_tokens)
  return { "tokenizer.json": json }
}
const noHarmony = modelFolder(edited((added) => added.splice(2)))
const wide = modelFolder(edited((added) => added.push({ ...added[0], id: 5000, content: "[wide]", special: false })))
const wideText = join(scratch, "wide.txt")
writeFileSync(wideText, "one [wide] two")
const sampling = modelFolder({
  "generation_config.json": { eos_token_id: [3065, 50], do_sample: true, temperature: 1.5, top_k: 40 },
})

afterAll(() => {
  rmSync(scratch, { recursive: true })
  for (const folder of [noHarmony, wide, sampling]) folder.remove()
})

interface Surroundings {
  input?: string
  env?: Record<string, string>
  /** A file or device for standard output or error. */
  out?: string
  err?: string
}

function minerva(args: string[], { input = "", env = {}, out, err }: Surroundings = {}) {
  const result = spawnSync(process.execPath, [main, ...args], {
    input,
    encoding: "utf8",
    stdio: ["pipe", out === undefined ? "pipe" : openSync(out, "w"), err === undefined ? "pipe" : openSync(err, "w")],
    env: { ...process.env, MINERVA_DEBUG: "", NO_COLOR: "1", ...env },
  })
  return { code: result.status, out: result.stdout, err: result.stderr }
}

const json = (args: string[]) => {
  const { code, out, err } = minerva([...args, "--json"])
  expect(err).toBe("")
  expect(code).toBe(0)
  return JSON.parse(out)
}

async function readF32(folder: string, file: string, name: string): Promise<Float32Array> {
  const source = await nodeDirectory(folder).open(file)
  const entry = (await readHeader(source)).tensors.get(name)
  if (!entry) throw new Error(`no ${name}`)
  const values = new Float32Array(entry.byteLength / 4)
  await source.read(entry.offset, new Uint8Array(values.buffer))
  await source.close()
  return values
}

describe("help", () => {
  it("lists every command on the first screen", () => {
    const { code, out } = minerva(["--help"])
    expect(code).toBe(0)
    for (const command of [
      "generate",
      "chat",
      "batch",
      "serve",
      "pull",
      "models",
      "rm",
      "inspect",
      "graph",
      "logits",
      "perplexity",
      "synth",
      "bench",
    ]) {
      expect(out).toMatch(new RegExp(`^  ${command}\\b`, "m"))
    }
  })
})

describe("what starts quickly because it loads little", () => {
  /** The sources that a command line loads, those of bundled packages too. */
  const loaded = (args: string[]) => {
    const list = join(scratch, "loaded.txt")
    writeFileSync(list, "")
    const hooks = `import { appendFileSync } from "node:fs"
      export function load(url, context, next) {
        appendFileSync(${JSON.stringify(list)}, url + "\\n")
        return next(url, context)
      }`
    const register = `import { register } from "node:module"
      register("data:text/javascript," + encodeURIComponent(${JSON.stringify(hooks)}))`
    const NODE_OPTIONS = `--import data:text/javascript,${encodeURIComponent(register)}`
    expect(minerva(args, { env: { NODE_OPTIONS } }).code).toBe(0)
    const chunks = readFileSync(list, "utf8").match(/^file:.*\/bundle\/.*\.js$/gm) ?? []
    return chunks.flatMap(
      (chunk) => JSON.parse(readFileSync(fileURLToPath(`${chunk}.map`), "utf8")).sources as string[],
    )
  }
  const tokens = ["logits", "--tokens", "1,2", "-o", join(scratch, "few.safetensors")]

  it.each([
    ["the help", ["--help"], /\/cli\/commands\/|\/engine\/|\/zod\//, /\/commander\//],
    ["the CPU", [...tokens, "-d", "cpu"], /\/webgpu\//, /\/backends\/cpu\//],
    ["a command", ["inspect", "-d", "cpu"], /\/commands\/(?!inspect|pull)|\/server\//, /\/commands\/inspect/],
    [
      "an answer",
      ["generate", "hi", "-d", "cpu", "-n", "1"],
      /\/webgpu\/|\/reference\/|\/server\/|\/bench\/|\/zod\/.*\/locales\/(?!en\.)|\/huggingface-hub|\/hub\//,
      /\/engine\/chat/,
    ],
  ])("%s", (_, args, nothingOf, something) => {
    const files = loaded(args)
    expect(files.filter((file) => nothingOf.test(file))).toEqual([])
    expect(files.some((file) => something.test(file))).toBe(true)
  })
})

it("commands that need no text read no tokenizer", () => {
  const broken = modelFolder({ "tokenizer.json": "5" })
  const out = join(scratch, "no_text.safetensors")
  expect(minerva(["logits", "--tokens", "1,2", "-o", out, "-m", broken.path, "-d", "cpu"]).code).toBe(0)
  const bench = ["bench", "decode", "--tokens", "2", "--runs", "1", "--prompt-length", "2", "-d", "cpu"]
  expect(minerva([...bench, "-m", broken.path]).code).toBe(0)
  expect(minerva(["generate", "Hello", "-m", broken.path, "-d", "cpu"]).err).toMatch(/tokenizer.json/)
  broken.remove()
})

it("help prints what a command does, and is no question", () => {
  expect(minerva(["help", "generate"]).out).toBe(minerva(["generate", "--help"]).out)
  expect(minerva(["help"])).toEqual(minerva(["--help"]))
})

describe("the device", () => {
  it("is named once on standard error where auto chose it, and the process ends", () => {
    const args = ["logits", "--model", fixture, "--tokens", "1,2", "--out", join(scratch, "auto.safetensors"), "--json"]
    const { code, out, err } = minerva(args)
    expect(code).toBe(0)
    expect(() => JSON.parse(out)).not.toThrow()
    expect(err).toMatch(/^(GPU|CPU): [^\n]+\n$/)
  })
})

describe("errors are one line", () => {
  it.each([
    [2, ["generate", "hi", "--device", "toaster"], "Allowed choices are"],
    [2, ["generate", "hi", "--max-tokens", "0"], "whole number, 1 or more"],
    [2, ["inspect", "--nonsense"], "unknown option"],
    [2, ["synth", "--out", join(scratch, "none")], "--preset"],
    [2, ["logits", "--tokens", "1,x", "--out", "x"], "token ids such as"],
    [1, ["inspect", join(scratch, "nothing here")], "config.json"],
    [1, ["generate", "hi", "--model", fixture, "-d", "reference", "--temperature", "3"], "tokenizer.json"],
    [2, ["generate", "hi", "--memory-limit", "much"], "Expected a size such as 16GB"],
    [2, ["chat", "--kv-memory", "much"], "Expected a size such as 16GB"],
    [2, ["chat", "--kv-bits", "5"], "16, 8 or 4"],
    [2, ["batch", "-", "--max-sequences", "0"], "whole number, 1 or more"],
    [2, ["batch", "-"], "there are no requests in it"],
    [1, ["batch", join(scratch, "none.jsonl")], "none.jsonl: no such file or folder"],
    [1, ["chat", "-d", "cpu", "--context", "4096", "--kv-memory", "1MB"], "kv_memory is 1.00 MB: lower the context"],
    [1, ["generate", "hi", "-d", "reference", "--memory-limit", "100kB"], "The memory limit is 100 kB"],
    [1, ["bench", "batch", "--memory-limit", "30MB", "-d", "cpu", "--sequences", "1,64"], "caches of 64 sequences"],
    [1, ["generate", "hi", "-d", "cpu", "--model", noHarmony.path], "<|start|>, <|message|>"],
    [1, ["generate", "hi", "-d", "cpu", "--model", noHarmony.path], "--raw"],
    [
      1,
      ["generate", "hi", "-d", "cpu", "--logit-bias", "3072:1"],
      "logit_bias.3072: expected a token id from 0 to 3071",
    ],
    [
      1,
      ["synth", "--preset", "tiny", "--tokenizer", EMBEDDED_MODEL, "--out", join(scratch, "none")],
      "vocab_size is 512",
    ],
    [1, ["perplexity", "-d", "cpu", "-m", wide.path, "-f", wideText], "found 5000"],
    [1, ["bench", "gpu", "--model", fixture, "-d", "reference"], "--device gpu"],
    [2, ["bench", "decode", "-d", "reference", "--peer", "llama.cpp"], "give --device cpu too"],
    [2, ["bench", "prefill", "-d", "cpu", "--peer", "toaster"], "Allowed choices are llama.cpp"],
    [1, ["bench", "prefill", "-d", "cpu", "--gguf", join(scratch, "x.gguf")], "node tools/write-gguf.mjs MODEL "],
    [1, ["bench", "prefill", "-d", "cpu", "--gguf", main], "not a GGUF that can be read"],
    [1, ["logits", "--model", fixture, "-d", "reference", "--tokens", "99999", "--out", join(scratch, "x")], "99999"],
    [2, ["inspect", "one", "--model", "two"], "one, and --model two"],
    [2, ["graph", "--without", "fuse_matmul,nope"], 'There is no pass "nope"; there are fuse_matmul, '],
    [1, ["graph", "--out", join(scratch, "missing", "step.html")], "no such file or folder"],
    [1, ["inspect", "-m", "openai/gpt-oss-20b"], "minerva pull openai/gpt-oss-20b"],
    [1, ["generate", "hi", "-m", main, "-d", "reference"], "holds no model"],
    [1, ["inspect", join(main, "x")], "no such folder"],
    [1, ["perplexity", "--file", join(main, "x")], "a file, not a folder (ENOTDIR)"],
    [1, ["logits", "-d", "reference", "--tokens", "1", "--out", join(main, "x")], "a file, not a folder (ENOTDIR)"],
    [1, ["synth", "--preset", "tiny", "--out", main], "a file, not a folder (ENOTDIR)"],
  ])("exit code %i: minerva %j", (expected, args, text) => {
    const { code, out, err } = minerva(args, { env: { HF_HOME: scratch } })
    expect(code).toBe(expected)
    expect(out).toBe("")
    expect(err).toMatch(/^error: [^\n]+\n$/)
    expect(err).toContain(text)
  })

  it("has the stack with MINERVA_DEBUG=1", () => {
    const { err } = minerva(["inspect", scratch], { env: { MINERVA_DEBUG: "1" } })
    expect(err).toMatch(/\n {4}at /)
  })
})

describe("generation_config.json", () => {
  const raw = ["generate", "--raw", "Once", "-d", "cpu", "-n", "8", "-m"]
  const ids = (folder: string, ...more: string[]) => json([...raw, folder, ...more]).token_ids

  it("gives the temperature where the command line does not; without one the answer is greedy", () => {
    expect(ids(sampling.path, "-s", "1")).not.toEqual(ids(sampling.path, "-s", "2"))
    expect(ids(sampling.path, "-s", "1", "-t", "0")).toEqual(ids(EMBEDDED_MODEL, "-s", "2"))
    expect(ids(noHarmony.path, "-s", "1")).toEqual(ids(EMBEDDED_MODEL, "-s", "2"))
  })

  it("ends answers, and its tokens are never printed", () => {
    const report = json([...raw, sampling.path, "--logit-bias", "50:100", "--logprobs"])
    expect(report).toMatchObject({ text: "", token_ids: [50], finish_reason: "stop" })
    const { out } = minerva([...raw, sampling.path, "--logit-bias", "50:100"])
    expect(out.trim()).toBe("")
    const { out: answer } = minerva(["generate", "Hi", "-d", "cpu", "-m", sampling.path, "--logit-bias", "50:100"])
    expect(answer.trim()).toBe("")
  })

  it("is shown by inspect", () => {
    const { generation } = json(["inspect", sampling.path, "-d", "reference"])
    expect(generation).toEqual({ eos_token_ids: [3065, 50], sampling: { temperature: 1.5, top_k: 40 } })
    const { out } = minerva(["inspect", sampling.path, "-d", "reference"])
    expect(out).toMatch(/^end tokens +3065, 50$/m)
    expect(out).toMatch(/^sampling +temperature 1.5, top_k 40$/m)
  })
})

describe("a prompt", () => {
  /** The prompt's tokens, and what was said on standard error. */
  async function ask(args: string[], input?: string) {
    const child = spawn(process.execPath, [main, ...args, "-d", "cpu", "-n", "1", "--json"])
    let [out, err] = ["", ""]
    child.stdout.on("data", (chunk) => (out += chunk))
    child.stderr.on("data", (chunk) => (err += chunk))
    // Without input the pipe stays open and says nothing.
    if (input !== undefined) child.stdin.end(input)
    const code = await new Promise((resolve) => child.on("close", resolve))
    expect(code).toBe(0)
    return { tokens: JSON.parse(out).prompt_tokens as number, err }
  }

  it.each([[["generate"]], [[]]])(
    "of minerva %j is the argument, an empty line, and what is piped in",
    async (command) => {
      const whole = await ask([...command, "Add these.\n\n17 and 25"], "")
      expect(await ask([...command, "Add these."], "17 and 25\n")).toEqual(whole)
      expect(await ask(command, "Add these.\n\n17 and 25\n")).toEqual(whole)
      const alone = await ask([...command, "Add these."], " \n\n")
      expect(alone).toEqual(await ask([...command, "Add these."], ""))
      expect(alone.tokens).toBeLessThan(whole.tokens)
    },
  )

  it.each<[string, string[], Buffer]>([
    ["text in UTF-16", ["generate", "Add these."], Buffer.from("\ufeffhello", "utf16le")],
    ["text in Latin-1", ["generate"], Buffer.from("caf\u00e9 au lait", "latin1")],
    ["bytes of a program", [], Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0])],
  ])("is not %s", (_, args, input) => {
    const { status, stderr } = spawnSync(process.execPath, [main, ...args, "-d", "cpu", "-n", "1"], {
      input,
      encoding: "utf8",
    })
    expect([status, stderr]).toEqual([2, expect.stringMatching(/^error: standard input is not text in UTF-8.*\n$/)])
  })

  it("is not white space alone", () => {
    const { code, err } = minerva(["generate"], { input: " \n\t\n" })
    expect([code, err]).toEqual([2, expect.stringContaining("no prompt")])
  })

  it("may be - for standard input alone", async () => {
    expect(await ask(["generate", "-"], "Add these.")).toEqual(await ask(["generate", "Add these."], ""))
  })

  it("does not wait for ever for a pipe that says nothing, and says so", async () => {
    const expected = await ask(["generate", "Add these."], "")
    const { tokens, err } = await ask(["generate", "Add these."])
    expect([tokens, expected.err]).toEqual([expected.tokens, ""])
    expect(err).toMatch(/^\(nothing came on standard input.*\n$/)
  })

  it("with an error leaves no pipe waiting", async () => {
    const child = spawn(process.execPath, [main, "generate", "hi", "-m", join(scratch, "none")])
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(1)
  })
})

describe("the version", () => {
  it.each(["--version", "-V"])("is printed by %s", (flag) => {
    const manifest = readFileSync(new URL("../../../package.json", import.meta.url), "utf8")
    expect(minerva([flag])).toEqual({ code: 0, out: `${JSON.parse(manifest).version}\n`, err: "" })
  })
})

describe.skipIf(process.platform !== "linux")("a disk that is full", () => {
  const full = { code: 1, out: null, err: "error: standard output: no space left on the device (ENOSPC)\n" }

  it.each([
    ["--help"],
    ["inspect", "-d", "reference"],
    ["inspect", "-d", "reference", "--json"],
    ["synth", "--preset", "tiny", "--out"],
  ])("under standard output is one line and no success: %s", (...args) => {
    const out = args.at(-1) === "--out" ? [join(scratch, "full-out")] : []
    expect(minerva([...args, ...out], { out: "/dev/full" })).toEqual(full)
  })

  it("under --out is one line, and leaves the device where it is", () => {
    symlinkSync("/dev/full", join(scratch, "full"))
    const { code, err } = minerva(["logits", "-d", "reference", "--tokens", "1", "--out", join(scratch, "full")])
    expect(code).toBe(1)
    expect(err).toMatch(/^error: full: .*\(ENOSPC\)\. To mend it, free some disk space[^\n]*\n$/)
  })

  it("under standard error loses notes, not answers", () => {
    const { code, out } = minerva(["generate", "hi", "-n", "1", "-d", "auto", "--json"], { err: "/dev/full" })
    expect(code).toBe(0)
    expect(JSON.parse(out).prompt_tokens).toBeGreaterThan(0)
  })
})

it("a reader that has seen enough is no error", () => {
  const command = `"${process.execPath}" "${main}" inspect --tensors -d reference | head -c 1; exit \${PIPESTATUS[0]}`
  const { status, stderr } = spawnSync("bash", ["-c", command], { encoding: "utf8" })
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
})

describe("a model", () => {
  it("is named by an option or an argument, as a folder, a file or a repository", () => {
    const snapshot = join(scratch, "hf/hub/models--openai--tiny/snapshots/abc")
    mkdirSync(join(snapshot, "../../refs"), { recursive: true })
    cpSync(fixture, snapshot, { recursive: true })
    writeFileSync(join(snapshot, "../../refs/main"), "abc")
    const env = { HF_HOME: join(scratch, "hf") }
    const names = ["openai/tiny", snapshot, join(snapshot, "../.."), join(snapshot, "model.safetensors")]
    for (const args of [...names.map((name) => ["-m", name]), ["openai/tiny"], ["x", "--model", "x"]]) {
      const { code, out, err } = minerva(["inspect", ...args, "-d", "reference", "--json"], { env })
      if (args[0] === "x") expect(err).toContain("there is no folder of this name")
      else expect([code, err, JSON.parse(out).model]).toEqual([0, "", "openai/tiny"])
    }
  })
})

describe("reports", () => {
  it("synth writes what inspect describes, the same again for the same seed", async () => {
    const [a, b] = ["a", "b"].map((name) => join(scratch, name))
    const written = json(["synth", "--preset", "tiny", "--seed", "3", "--out", a])
    json(["synth", "--preset", "tiny", "--seed", "3", "--out", b])
    const report = json(["inspect", a, "-d", "reference"])
    expect(report.tensors).toHaveLength(written.tensors)
    expect(report.memory.weight_bytes).toBe(written.bytes)
    expect(report).toEqual({ ...json(["inspect", b, "-d", "reference"]), model: "a" })
    expect(report.parameters.active).toBeLessThan(report.parameters.total)
    const text = minerva(["inspect", a, "-d", "cpu"]).out
    expect(text).toMatch(/^device +CPU: as asked$/m)
    expect(text).toMatch(/^KV cache at 1024 tokens .* in float32$/m)
    expect(text).toContain("mxfp4 4-bit, groups of 32")
    expect(text).toContain("2 x model.layers.*.self_attn.sinks")
  })

  it("logits are those of transformers", async () => {
    const { checkpoint, expected } = await openFixture("three-of-ten", "hf")
    await checkpoint.close()
    const out = join(scratch, "logits.safetensors")
    const report = json([
      "logits",
      "-m",
      fixture,
      "-d",
      "reference",
      "--tokens",
      expected.tokens.join(","),
      "--out",
      out,
    ])
    const found = await readF32(scratch, "logits.safetensors", "logits")
    expect(report.shape).toEqual([expected.tokens.length, 97])
    expect(found).toHaveLength(expected.logits.length)
    expect(relativeError(found, expected.logits)).toBeLessThan(1e-4)
  })

  it("bench load counts what the checkpoint holds", async () => {
    const checkpoint = await openCheckpoint(nodeDirectory(fixture))
    const report = json(["bench", "load", "-m", fixture, "-d", "reference", "--runs", "1"])
    expect(report).toMatchObject({ tensors: checkpoint.tensors.size, bytes: checkpoint.byteLength, files: 1 })
    await checkpoint.close()
  })
})
