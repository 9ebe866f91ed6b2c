import { type ChildProcess, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, it, vi } from "vitest"

const main = fileURLToPath(new URL("../main.js", import.meta.url))
let folder: string
let input: string

const lines = Array.from({ length: 40 }, (_, i) =>
  i % 4 === 3
    ? { prompt: `Number ${i} is`, max_tokens: 6, temperature: 0 }
    : {
        custom_id: `sum ${i}`,
        method: "POST",
        url: "/v1/chat/completions",
        body: { model: "any", messages: [{ role: "user", content: `What is ${i} + ${i + 7}?` }], temperature: 0 },
      },
)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "minerva-batch-"))
  input = join(folder, "in.jsonl")
  await writeFile(input, lines.map((line) => JSON.stringify(line)).join("\n"))
})
afterAll(() => rm(folder, { recursive: true }))

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [main, "batch", ...args, "-d", "cpu", "--context", "512"])
}

async function run(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = start(...args)
  const text = { stdout: "", stderr: "" }
  for (const name of ["stdout", "stderr"] as const) child[name]!.on("data", (data) => (text[name] += data))
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve))
  return { status, ...text }
}

/** Answers without the ids that are drawn at random. */
const read = async (path: string) =>
  (await readFile(path, "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
const gist = (answers: Awaited<ReturnType<typeof read>>) =>
  answers.map(({ custom_id, response, error }) => {
    const [choice] = response.body.choices
    return [custom_id, choice.text ?? choice.message.content, choice.finish_reason, error]
  })

it("answers every line in order, and goes on after a kill with what is left", async () => {
  const [whole, killed] = ["whole.jsonl", "killed.jsonl"].map((name) => join(folder, name))
  expect(await run(input, "-o", whole)).toMatchObject({ status: 0, stdout: "" })
  const expected = gist(await read(whole))
  expect(expected).toHaveLength(lines.length)
  expect(expected[5]).toEqual(["sum 5", expect.stringContaining("17"), "stop", null])

  const child = start(input, "-o", killed)
  const journal = `${killed}.partial`
  await vi.waitUntil(
    async () => existsSync(journal) && (await readFile(journal, "utf8")).split("\n").length > 6,
    30_000,
  )
  child.kill("SIGKILL")
  await new Promise((resolve) => child.on("close", resolve))
  expect(existsSync(killed)).toBe(false)
  await writeFile(journal, `${await readFile(journal, "utf8")}{"index":39,"resu`)
  const { status, stderr } = await run(input, "-o", killed)
  expect(status, stderr).toBe(0)
  expect(stderr).toMatch(/\d+ of 40 answered before/)
  expect(gist(await read(killed))).toEqual(expected)
  expect(existsSync(journal)).toBe(false)
})

it("answers a line that is wrong with its error, and the others on standard output", async () => {
  const file = join(folder, "wrong.jsonl")
  const wrong = [
    "{",
    '{"custom_id":"a","url":"/v1/embeddings","body":{}}',
    '{"custom_id":"b","body":{"messages":[{"role":"x"}]}}',
  ]
  await writeFile(file, [...wrong, JSON.stringify(lines[0])].join("\n"))
  const { status, stdout } = await run(file)
  expect(status).toBe(0)
  const answers = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
  expect(answers.map(({ custom_id, error }) => [custom_id, error?.message.split(":")[0]])).toEqual([
    [null, "line"],
    [null, "url"],
    ["b", "messages.0.role"],
    ["sum 0", undefined],
  ])
  expect(answers[3].response.body.usage.total_tokens).toBeGreaterThan(10)
})
