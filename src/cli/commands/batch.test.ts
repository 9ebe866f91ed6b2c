import { type ChildProcess, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, it, vi } from "vitest"

const main = fileURLToPath(new URL("../../../bundle/cli/main.js", import.meta.url))
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

const run = (...args: string[]) => output(start(...args))

async function output(child: ChildProcess): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const text = { stdout: "", stderr: "" }
  for (const name of ["stdout", "stderr"] as const) child[name]!.on("data", (data) => (text[name] += data))
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve))
  return { status, ...text }
}

const readLines = async (path: string) => (await readFile(path, "utf8")).trim().split("\n")

/** Answers without the ids that are drawn at random. */
const read = async (path: string) => (await readLines(path)).map((line) => JSON.parse(line))
const gist = (answers: Awaited<ReturnType<typeof read>>) =>
  answers.map(({ custom_id, response, error }) => {
    const [choice] = response.body.choices
    return [custom_id, choice.text ?? choice.message.content, choice.finish_reason, error]
  })

/** Until so many lines of a journal, its first among them, are there. */
const grown = (journal: string, count: number) =>
  vi.waitUntil(async () => existsSync(journal) && (await readLines(journal)).length >= count, 30_000)

it("answers every line once and in order, also when it is killed, and then interrupted", async () => {
  const [whole, killed] = ["whole.jsonl", "killed.jsonl"].map((name) => join(folder, name))
  expect(await run(input, "-o", whole)).toMatchObject({ status: 0, stdout: "" })
  const expected = gist(await read(whole))
  expect(expected).toHaveLength(lines.length)
  expect(expected[5]).toEqual(["sum 5", expect.stringContaining("17"), "stop", null])

  const child = start(input, "-o", killed)
  const journal = `${killed}.partial`
  await grown(journal, 7)
  child.kill("SIGKILL")
  await new Promise((resolve) => child.on("close", resolve))
  expect(existsSync(killed)).toBe(false)
  // What is finished is not answered again: this would be lost.
  const [head, ...finished] = (await readFile(journal, "utf8")).split("\n").slice(0, -1)
  const marked = JSON.parse(finished[0])
  marked.result.response.body.choices[0].finish_reason = "marked"
  const whole40 = [head, JSON.stringify(marked), ...finished.slice(1), '{"index":39,"resu']
  await writeFile(journal, whole40.join("\n"))
  expected[marked.index][2] = "marked"

  const other = join(folder, "other.jsonl")
  await writeFile(other, JSON.stringify(lines[0]))
  expect(await run(other, "-o", killed)).toMatchObject({ status: 2, stderr: expect.stringContaining(journal) })

  const second = start(input, "-o", killed)
  const interrupted = output(second)
  // Two more than with the torn line, which goes.
  await grown(journal, finished.length + 3)
  second.kill("SIGINT")
  const { status, stderr } = await interrupted
  expect([status, stderr]).toEqual([1, expect.stringMatching(/answered before\n.*goes on with the others\nerror: int/)])
  const indices = (await readLines(journal)).slice(1).map((line) => JSON.parse(line).index)
  expect(new Set(indices).size).toBe(indices.length)
  expect(indices.length).toBeLessThan(lines.length)

  expect(await run(input, "-o", killed)).toMatchObject({
    status: 0,
    stderr: expect.stringContaining(`${indices.length} of 40 answered before`),
  })
  expect(gist(await read(killed))).toEqual(expected)
  expect(existsSync(journal)).toBe(false)
})

it("answers in OpenAI's shapes", async () => {
  const file = join(folder, "shapes.jsonl")
  const requests = [
    { ...lines[0], custom_id: "a" },
    { custom_id: "b", prompt: [1, 2, 3], max_tokens: 2, max_completion_tokens: null, user: "me", seed: 1 },
    { custom_id: "c", messages: [{ role: "user", content: "Hi" }], max_completion_tokens: 1, max_tokens: null },
  ]
  await writeFile(file, `\ufeff${requests.map((line) => JSON.stringify(line)).join("\r\n")}\r\n\r\n`)
  const { status, stdout } = await run(file)
  expect(status).toBe(0)
  const [chat, text, short] = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
  expect(chat).toMatchObject({
    custom_id: "a",
    response: {
      status_code: 200,
      body: {
        id: expect.stringMatching(/^chatcmpl-/),
        object: "chat.completion",
        created: expect.any(Number),
        model: "minerva-tiny",
        choices: [{ index: 0, message: { role: "assistant" }, finish_reason: "stop" }],
      },
    },
    error: null,
  })
  const { usage } = chat.response.body
  expect(usage.total_tokens).toBe(usage.prompt_tokens + usage.completion_tokens)
  expect(usage.completion_tokens_details.reasoning_tokens).toBeGreaterThan(0)
  expect(usage.completion_tokens_details.reasoning_tokens).toBeLessThan(usage.completion_tokens)
  expect(text).toMatchObject({
    custom_id: "b",
    response: {
      body: {
        id: expect.stringMatching(/^cmpl-/),
        object: "text_completion",
        choices: [{ text: expect.any(String) }],
        usage: { prompt_tokens: 3, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 0 } },
      },
    },
  })
  expect(short.response.body.choices[0].finish_reason).toBe("length")
})

it("answers a line that is wrong with its error, and the others on standard output", async () => {
  const file = join(folder, "wrong.jsonl")
  const wrong = [
    "{",
    '{"custom_id":"a","url":"/v1/embeddings","body":{}}',
    '{"custom_id":"b","body":{"messages":[{"role":"x"}]}}',
    '{"custom_id":"c","url":"/v1/chat/completions","body":{"prompt":"Once"}}',
    '{"custom_id":"d","messages":[{"role":"user","content":"Hi"}],"logprobs":true}',
    '{"custom_id":"e","prompt":"Once","temperatur":1}',
    '{"custom_id":"f","prompt":["Once","Twice"]}',
    `{"custom_id":"g","prompt":"${"Once upon a time ".repeat(400)}"}`,
    '{"custom_id":7,"prompt":"Once"}',
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
    ["a", "url"],
    ["b", "messages.0.role"],
    ["c", "messages"],
    ["d", "logprobs"],
    ["e", "temperatur"],
    ["f", "prompt.0"],
    ["g", expect.stringMatching(/^the sequence would be \d+ tokens long/)],
    [null, "custom_id"],
    ["sum 0", undefined],
  ])
  expect(answers[9].response.body.usage.total_tokens).toBeGreaterThan(10)
})
