import type { CancelSignal } from "../backends/backend.js"
import { KvCapacityError } from "../cache/kv_errors.js"
import { ContextLengthError } from "./errors.js"
import type { Scheduler } from "./scheduler.js"
import { checkTokenIds } from "./token_ids.js"

/** Rows whose logits are held at once at most. */
const MOST_ROWS = 128

export interface ScoreOptions {
  /** Called between chunks, with tokens done, of all given. */
  readonly onProgress?: (done: number, total: number) => void
  /** Checked between chunks: `score` then rejects with the signal's reason. */
  readonly signal?: CancelSignal
}

/**
 * The logits after every token of a text, f32 `[rows, vocab_size]` a chunk, each valid until the next is asked for. Runs between
 * the steps of the scheduler's sequences; its pages are given back at the end and shared with nobody.
 *
 * @throws {ContextLengthError}, {ParameterError} (for ids beyond the vocabulary) before anything runs
 */
export async function* score(
  scheduler: Scheduler,
  tokens: ArrayLike<number>,
  { onProgress, signal }: ScoreOptions = {},
): AsyncGenerator<Float32Array, void> {
  const { vocab_size, max_context } = scheduler
  if (tokens.length > max_context) throw new ContextLengthError(tokens.length, max_context)
  checkTokenIds("tokens", tokens, vocab_size)
  const ids = Array.from(tokens)
  const [kv, most] = await scheduler.between(async (_runner, rows, store) => {
    return [store.open([]), Math.min(MOST_ROWS, rows.most)] as const
  })
  try {
    for (let start = 0; start < ids.length; start += most) {
      signal?.throwIfAborted()
      const chunk = ids.slice(start, start + most)
      yield await scheduler.between(async (runner, rows, store) => {
        rows.clear()
        if (!kv.extend(chunk.length)) throw new KvCapacityError(ids.length, store.tokensThatFit(most))
        rows.add(kv, start, chunk.length, { ids: chunk })
        for (let row = 0; row < chunk.length; row++) rows.want({ lane: 0, choices: null, logits: true }, row)
        const flight = await runner.submit(rows)
        await flight.landed
        const logits = new Float32Array(chunk.length * vocab_size)
        for (let row = 0; row < chunk.length; row++) logits.set(flight.logitsOf(row), row * vocab_size)
        return logits
      })
      onProgress?.(start + chunk.length, ids.length)
    }
  } finally {
    kv.release()
  }
}
