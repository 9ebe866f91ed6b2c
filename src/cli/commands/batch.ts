import { setMaxListeners } from "node:events"
import { readFile } from "node:fs/promises"
import { Command } from "commander"
import { KvCapacityError } from "../../cache/kv_errors.js"
import { ContextLengthError, LogitsError, ParameterError } from "../../engine/errors.js"
import type { LanguageModel } from "../../engine/model.js"
import { TokenizerError } from "../../text/tokenizer_error.js"
import { Journal } from "../batch/journal.js"
import { answerRequest, customId, parseRequest, readLine } from "../batch/request.js"
import { withModel } from "../load.js"
import { type ModelFlags, withModelOptions } from "../options.js"
import { UsageError } from "../ui/errors.js"
import { formatDuration } from "../ui/format.js"
import { printNote } from "../ui/output.js"
import { Progress } from "../ui/progress.js"
import { readStdin, textOf } from "../ui/stdin.js"

interface Flags extends ModelFlags {
  readonly out?: string
}

/** Requests that wait beside those that run, so that none of these wait for us. */
const LOOK_AHEAD = 64

/** What is a line's own fault, or the model's with it. Anything else stops the batch: the lines left are for the next run. */
const ERRORS_OF_LINES = [ParameterError, ContextLengthError, KvCapacityError, LogitsError, TokenizerError]

export const batchCommand = withModelOptions(new Command("batch"))
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
    const text = file === "-" ? ((await readStdin()) ?? "") : textOf(await readFile(file), file)
    const lines = text.split("\n").filter((line) => line.trim() !== "")
    if (lines.length === 0) throw new UsageError(`${file}: there are no requests in it`)
    await withModel(flags, async (model) => {
      if (flags.out === undefined) return runAll(model, lines, new InOrder())
      const journal = await Journal.open(flags.out, text, model.info.name)
      if (journal.finished.size > 0) printNote(`${journal.finished.size} of ${lines.length} answered before`)
      try {
        await runAll(model, lines, journal)
      } catch (error) {
        await journal.close()
        printNote(`${journal.finished.size} of ${lines.length} answered; the same command goes on with the others`)
        throw error
      }
      await journal.finish(lines.length)
    })
  })

/** Where results go. */
interface Sink {
  /** By the place in the input: not to be answered again. */
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
      this.finished.delete(this.written)
    }
  }
}

/** Answers the lines that are left, side by side. What stops one for another reason than itself stops all. */
async function runAll(model: LanguageModel, lines: readonly string[], sink: Sink): Promise<void> {
  const left = [...lines.keys()].filter((index) => !sink.finished.has(index))
  let done = lines.length - left.length
  const { signal, stop } = interruptions()
  const start = performance.now()
  let tokens = 0
  const rate = () => `${((tokens * 1000) / (performance.now() - start)).toFixed(1)} tokens/s`
  const progress = new Progress("answering", (done, total) => `${done} of ${total}, ${rate()}`)
  const work = async () => {
    for (let index = left.shift(); index !== undefined; index = left.shift()) {
      const result = await answerLine(model, lines[index], signal)
      await sink.add(index, result)
      tokens += result.response?.body.usage.completion_tokens ?? 0
      progress.update(++done, lines.length)
    }
  }
  const workers = Math.min(model.scheduler.max_sequences + LOOK_AHEAD, left.length)
  const ends = await Promise.allSettled(Array.from({ length: workers }, () => work().catch(stop)))
  stop()
  progress.stop()
  for (const end of ends) if (end.status === "rejected") throw end.reason
  printNote(`${done} answered, ${tokens} tokens in ${formatDuration(performance.now() - start)}, ${rate()}`)
}

/** A signal for Ctrl-C and the like, the first time. */
function interruptions() {
  const controller = new AbortController()
  // All requests listen.
  setMaxListeners(0, controller.signal)
  const interrupt = () => controller.abort(new Error("interrupted"))
  const names = ["SIGINT", "SIGTERM"] as const
  for (const name of names) process.once(name, interrupt)
  return {
    signal: controller.signal,
    /** Aborts it, and listens no more. @throws the reason, if there is one */
    stop(reason?: unknown): void {
      for (const name of names) process.off(name, interrupt)
      if (reason === undefined) return
      controller.abort(reason)
      throw reason
    },
  }
}

/** An answer, or the line's own error: one that cannot be answered does not stop the others. */
async function answerLine(model: LanguageModel, text: string, signal: AbortSignal) {
  let custom_id: string | null = null
  try {
    const line = readLine(text)
    custom_id = customId(line)
    const body = await answerRequest(model, parseRequest(line), signal)
    return { custom_id, response: { status_code: 200, body }, error: null }
  } catch (error) {
    signal.throwIfAborted()
    if (!ERRORS_OF_LINES.some((type) => error instanceof type)) throw error
    const { name, message } = error as Error
    return { custom_id, response: null, error: { code: name, message } }
  }
}
