import { answer, type Dispatch, unanswered } from "./answer.js"
import type { Files } from "./files.js"
import { type BatchRequest, type InputLine, LineError, linesOf, parseRequest } from "./input.js"
import { type BatchError, type BatchUsage, type Ending, isFinished, newId, now, type StoredBatch } from "./objects.js"
import type { Task, TaskQueue, TaskWorker } from "./queue.js"
import type { BatchStore } from "./store.js"
import { addUsage, NO_USAGE } from "./usage.js"

/** Requests of a batch, at most. */
export const MOST_REQUESTS = 50_000
/** Errors of an input that are told, at most. */
const MOST_ERRORS = 100
/** Tasks and results that are handled at once. */
const AT_ONCE = 500

interface Input {
  readonly lines: readonly Pick<InputLine, "from" | "to">[]
  readonly errors: readonly BatchError[]
  readonly model: string | null
}

/** Does what is to be done for batches. Every step looks first at what is done already, so that whoever takes over goes on from there. */
export class BatchRunner implements TaskWorker {
  /** What this process is answering, by batch. */
  private readonly running = new Map<string, Set<AbortController>>()

  /** @param longest bytes of a line, at most */
  constructor(
    private readonly store: BatchStore,
    private readonly files: Files,
    private readonly queue: TaskQueue,
    private readonly dispatch: Dispatch,
    private readonly longest: number,
  ) {}

  perform(task: Task, signal: AbortSignal): Promise<void> {
    if (task.type === "prepare") return this.prepare(task.batch)
    if (task.type === "finish") return this.finish(task.batch)
    return this.answer(task, signal)
  }

  async giveUp(task: Task, error: unknown): Promise<void> {
    const message = `the server failed: ${error instanceof Error ? error.message.slice(0, 300) : "its log says more"}`
    if (task.type === "answer") {
      const custom_id = (await this.requestOf(task)).custom_id
      await this.store.addResult(task.batch, task.index, unanswered(idOf(task), custom_id, "server_error", message))
      await this.endIfAnswered(task.batch)
    } else {
      // Of a batch whose requests are known nothing is thrown away: it is finished with a later sweep.
      await this.fail(task.batch, [{ code: "server_error", message, param: null, line: null }])
    }
  }

  /** Ends a batch that is in progress; what it has not answered then is told to be unanswered. */
  async end(id: string, how: Ending): Promise<StoredBatch | null> {
    const ended = await this.store.changeBatch(id, (batch) => {
      if (batch.status === "validating" && how !== "completed") {
        return { ...batch, status: how, [`${how}_at`]: now() }
      }
      if (batch.status !== "in_progress") return null
      const status = how === "cancelled" ? "cancelling" : "finalizing"
      const ending = { status: how, output: newId("file-"), error: newId("file-") }
      return { ...batch, status, [`${status}_at`]: now(), ending }
    })
    if (ended && !isFinished(ended)) await this.queue.add([{ type: "finish", batch: id }])
    if (ended) this.stop(id)
    return ended
  }

  /** Sees to what time brings, and to what another process began and did not go on with. */
  async sweep(): Promise<void> {
    for (const batch of await this.store.batches("unfinished")) {
      if (batch.ending) {
        this.stop(batch.id)
        await this.queue.add([{ type: "finish", batch: batch.id }])
      } else if (batch.expires_at <= now()) {
        await this.end(batch.id, "expired")
      } else if (batch.status === "validating") {
        await this.queue.add([{ type: "prepare", batch: batch.id }])
      }
    }
  }

  private stop(id: string): void {
    for (const line of this.running.get(id) ?? []) line.abort(new Error("the batch is over"))
  }

  private async prepare(id: string): Promise<void> {
    const found = await this.store.batch(id)
    if (!found || isFinished(found)) return
    if (found.ending) return this.queue.add([{ type: "finish", batch: id }])
    const { lines, errors, model } = await this.read(found)
    if (errors.length > 0) return await this.fail(id, errors)
    await this.store.changeBatch(id, (batch) => {
      if (batch.status !== "validating") return null
      const request_counts = { total: lines.length, completed: 0, failed: 0 }
      return { ...batch, status: "in_progress", in_progress_at: now(), request_counts, ...(model && { model }) }
    })
    const answered = await this.store.answered(id)
    const tasks = lines.map(({ from, to }, index): Task => ({ type: "answer", batch: id, index, from, to }))
    const left = tasks.filter((_, index) => !answered.has(index))
    for (let at = 0; at < left.length; at += AT_ONCE) await this.queue.add(left.slice(at, at + AT_ONCE))
    await this.endIfAnswered(id)
  }

  private async read({ input_file_id, endpoint }: StoredBatch): Promise<Input> {
    const lines: Pick<InputLine, "from" | "to">[] = []
    const errors: BatchError[] = []
    const ids = new Map<string, number>()
    let model: string | null = null
    for await (const { line, from, to, bytes } of linesOf(this.files.content(input_file_id), this.longest)) {
      try {
        const request = parseRequest(bytes, endpoint)
        const before = ids.get(request.custom_id)
        if (before !== undefined)
          throw new LineError("duplicate_custom_id", `line ${before} has it already`, "custom_id")
        ids.set(request.custom_id, line)
        model ??= request.model
      } catch (error) {
        if (!(error instanceof LineError)) throw error
        errors.push(error.at(line))
      }
      lines.push({ from, to })
      if (lines.length > MOST_REQUESTS) {
        const message = `a batch has ${MOST_REQUESTS} requests at most`
        errors.push({ code: "too_many_requests", message, param: null, line })
      }
      if (errors.length >= MOST_ERRORS || lines.length > MOST_REQUESTS) break
    }
    if (lines.length === 0) {
      errors.push({ code: "empty_file", message: "the input file has no requests", param: "input_file_id", line: null })
    }
    return { lines, errors, model }
  }

  private async answer(task: Extract<Task, { type: "answer" }>, signal: AbortSignal): Promise<void> {
    const { batch: id, index } = task
    await this.whileGoingOn(id, signal, async (signal) => {
      if ((await this.store.batch(id))?.status !== "in_progress") return
      const [known] = await this.store.results(id, index, index + 1)
      if (known) return
      const request = await this.requestOf(task)
      signal.throwIfAborted()
      await this.store.addResult(id, index, await answer(request, idOf(task), this.dispatch, signal))
    })
    await this.endIfAnswered(id)
  }

  /** @param work given a signal that is aborted with `signal`, and when the batch is over, which is no fault */
  private async whileGoingOn(id: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>) {
    const line = new AbortController()
    const lines = this.running.get(id) ?? new Set()
    this.running.set(id, lines.add(line))
    const abort = () => line.abort(signal.reason)
    signal.addEventListener("abort", abort)
    try {
      signal.throwIfAborted()
      await work(line.signal)
    } catch (error) {
      if (signal.aborted || !line.signal.aborted) throw error
    } finally {
      signal.removeEventListener("abort", abort)
      lines.delete(line)
      if (lines.size === 0) this.running.delete(id)
    }
  }

  private async requestOf({ batch, from, to }: Extract<Task, { type: "answer" }>): Promise<BatchRequest> {
    const { input_file_id, endpoint } = (await this.store.batch(batch))!
    const parts: Uint8Array[] = []
    for await (const part of this.files.content(input_file_id, from, to)) parts.push(part)
    return parseRequest(Buffer.concat(parts), endpoint)
  }

  private async endIfAnswered(id: string): Promise<void> {
    const batch = await this.store.batch(id)
    const { completed, failed } = await this.store.counts(id)
    if (batch?.status === "in_progress" && completed + failed === batch.request_counts.total) {
      await this.end(id, "completed")
    }
  }

  private async finish(id: string): Promise<void> {
    const batch = await this.store.batch(id)
    if (!batch?.ending || isFinished(batch)) return
    const { ending, keep_output } = batch
    if (ending.status !== "completed") await this.fill(batch, ending.status)
    const told = { usage: NO_USAGE as BatchUsage }
    const output = await this.files.write(
      ending.output,
      `${id}_output.jsonl`,
      this.linesOf(batch, true, told),
      keep_output,
    )
    const error = await this.files.write(ending.error, `${id}_error.jsonl`, this.linesOf(batch, false), keep_output)
    const counts = await this.store.counts(id)
    await this.store.changeBatch(id, (batch) => {
      if (isFinished(batch)) return null
      return {
        ...batch,
        status: ending.status,
        [`${ending.status}_at`]: now(),
        ...(output > 0 && { output_file_id: ending.output }),
        ...(error > 0 && { error_file_id: ending.error }),
        request_counts: { ...batch.request_counts, ...counts },
        usage: told.usage,
      }
    })
    await this.store.removeResults(id)
  }

  /** Tells of every request that has no answer why. */
  private async fill(batch: StoredBatch, ending: "expired" | "cancelled"): Promise<void> {
    const answered = await this.store.answered(batch.id)
    const why = {
      expired: "This request could not be executed before the completion window expired.",
      cancelled: "This request was not executed: the batch was cancelled.",
    }
    let index = 0
    for await (const { bytes } of linesOf(this.files.content(batch.input_file_id), this.longest)) {
      if (!answered.has(index)) {
        const { custom_id } = parseRequest(bytes, batch.endpoint)
        const id = idOf({ batch: batch.id, index })
        await this.store.addResult(batch.id, index, unanswered(id, custom_id, `batch_${ending}`, why[ending]))
      }
      index++
    }
  }

  private async *linesOf(
    { id, request_counts: { total } }: StoredBatch,
    ok: boolean,
    told?: { usage: BatchUsage },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    for (let from = 0; from < total; from += AT_ONCE) {
      for (const result of await this.store.results(id, from, Math.min(total, from + AT_ONCE))) {
        if (!result) throw new Error(`${id} is finished by somebody else`)
        if (result.ok !== ok) continue
        if (told) told.usage = addUsage(told.usage, result.text)
        yield Buffer.from(`${result.text}\n`)
      }
    }
  }

  /** Of a batch whose requests cannot be found out. */
  private async fail(id: string, data: readonly BatchError[]): Promise<void> {
    await this.store.changeBatch(id, (batch) =>
      batch.status === "validating"
        ? { ...batch, status: "failed", failed_at: now(), errors: { object: "list", data } }
        : null,
    )
  }
}

/** The same however often it is asked. */
const idOf = ({ batch, index }: { readonly batch: string; readonly index: number }) =>
  `batch_req_${batch.slice("batch_".length)}_${index}`
