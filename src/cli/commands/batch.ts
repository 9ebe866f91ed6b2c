import { readFile } from "node:fs/promises"
import { Command } from "commander"
import type { LanguageModel } from "../../engine/model.js"
import { Journal } from "../batch/journal.js"
import { answerRequest, parseRequest } from "../batch/request.js"
import { withModel } from "../load.js"
import { type ModelFlags, withModelOptions } from "../options.js"
import { UsageError } from "../ui/errors.js"
import { printNote } from "../ui/output.js"
import { Progress } from "../ui/progress.js"
import { readStdin } from "../ui/stdin.js"

interface Flags extends ModelFlags {
  readonly out?: string
}

/** Requests submitted before the first of them is answered: more than run at once, so that none of these wait for us. */
const LOOK_AHEAD = 128

export const batchCommand = withModelOptions(new Command("batch"))
  .description("answer many prompts: a JSON object a line, in OpenAI's batch format or with messages or a prompt alone")
  .argument("<file>", "JSONL; - for standard input")
  .option(
    "-o, --out <file>",
    "write the answers there, in the input's order; a run that is interrupted goes on where it was",
  )
  .addHelpText(
    "after",
    `
Lines such as
  {"custom_id": "1", "url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": "What is 17 + 25?"}]}}
  {"messages": [{"role": "user", "content": "Tell me a story."}], "temperature": 0.8, "seed": 7}
  {"prompt": "Once upon a time", "max_tokens": 40}
are answered together, as many at a time as fit; an answer is {"custom_id", "response": {"status_code", "body"}, "error"}.`,
  )
  .action(async (file: string, flags: Flags) => {
    const text = file === "-" ? ((await readStdin()) ?? "") : await readFile(file, "utf8")
    const lines = text.split("\n").filter((line) => line.trim() !== "")
    if (lines.length === 0) throw new UsageError(`${file}: there are no requests in it`)
    await withModel(flags, async (model) => {
      if (flags.out === undefined) return runAll(model, lines, new InOrder())
      const journal = await Journal.open(flags.out, text)
      if (journal.finished.size > 0) printNote(`${journal.finished.size} of ${lines.length} answered before`)
      try {
        await runAll(model, lines, journal)
      } catch (error) {
        await journal.close()
        throw error
      }
      await journal.finish(lines.length)
    })
  })

/** Where results go. */
interface Sink {
  readonly finished: ReadonlyMap<number, unknown>
  add(index: number, result: unknown): Promise<void>
}

/** Standard output, in the order of the input. */
class InOrder implements Sink {
  readonly finished = new Map<number, unknown>()
  private written = 0

  async add(index: number, result: unknown): Promise<void> {
    this.finished.set(index, result)
    for (; this.finished.has(this.written); this.written++) {
      process.stdout.write(`${JSON.stringify(this.finished.get(this.written))}\n`)
    }
  }
}

async function runAll(model: LanguageModel, lines: readonly string[], sink: Sink): Promise<void> {
  const left = [...lines.keys()].filter((index) => !sink.finished.has(index))
  const stop = new AbortController()
  const interrupt = () => stop.abort(new Error("interrupted"))
  process.once("SIGINT", interrupt)
  const start = performance.now()
  let tokens = 0
  const rate = () => ((tokens * 1000) / (performance.now() - start)).toFixed(1)
  const progress = new Progress("answering", (done, total) => `${done} of ${total}, ${rate()} tokens/s`)
  const work = async () => {
    for (let index = left.shift(); index !== undefined; index = left.shift()) {
      const result = await answerLine(model, lines[index], stop.signal)
      tokens += result.response?.body.usage.completion_tokens ?? 0
      await sink.add(index, result)
      progress.update(sink.finished.size, lines.length)
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(LOOK_AHEAD, left.length) }, work))
  } finally {
    progress.stop()
    process.off("SIGINT", interrupt)
  }
}

/** An answer, or the line's own error: one that cannot be answered does not stop the others. */
async function answerLine(model: LanguageModel, line: string, signal: AbortSignal) {
  let custom_id: string | null = null
  try {
    const request = parseRequest(line)
    custom_id = request.custom_id
    const body = await answerRequest(model, request, signal)
    return { custom_id, response: { status_code: 200, body }, error: null }
  } catch (error) {
    signal.throwIfAborted()
    const { name, message } = error as Error
    return { custom_id, response: null, error: { code: name, message } }
  }
}
