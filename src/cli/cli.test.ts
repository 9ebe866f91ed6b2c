import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"
import { openCheckpoint } from "../checkpoint/checkpoint.js"
import { nodeDirectory } from "../checkpoint/node_directory.js"
import { readHeader } from "../checkpoint/safetensors.js"
import { modelFolder, tinyJson } from "../engine/model_folder.test.helper.js"
import { openFixture, relativeError } from "../models/fixtures.test.helper.js"
import { EMBEDDED_MODEL } from "./options.js"

const main = fileURLToPath(new URL("./main.js", import.meta.url))
const fixture = fileURLToPath(new URL("../../src/models/fixtures/three-of-ten/hf", import.meta.url))
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

function minerva(args: string[], { input = "", env = {} }: { input?: string; env?: Record<string, string> } = {}) {
  const result = spawnSync(process.execPath, [main, ...args], {
    input,
    encoding: "utf8",
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
    for (const command of ["generate", "chat", "inspect", "logits", "perplexity", "synth", "bench"]) {
      expect(out).toMatch(new RegExp(`^  ${command}\\b`, "m"))
    }
  })
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
    [1, ["logits", "--model", fixture, "-d", "reference", "--tokens", "99999", "--out", join(scratch, "x")], "99999"],
  ])("exit code %i: minerva %j", (expected, args, text) => {
    const { code, out, err } = minerva(args)
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
