import type { Backend } from "../../src/backends/backend.js"
import { Generation, type GenerationOptions } from "../../src/engine/generation.js"
import { storeFor } from "../../src/engine/memory_plan.js"
import { Scheduler, type SchedulerOptions } from "../../src/engine/scheduler.js"
import { score } from "../../src/engine/score.js"
import type { SequenceRunner } from "../../src/engine/session.js"
import type { CausalLM } from "../../src/engine/step.js"

export interface Setting extends SchedulerOptions {
  /** The model's own limit by default. */
  readonly max_context?: number
  /** That the pool has room for; 1 by default. */
  readonly sequences?: number
}

/** A scheduler over a pool of its own; `close` frees both. */
export function schedulerOf(model: CausalLM, backend: Backend, setting: Setting = {}) {
  const { max_context = model.config.max_position_embeddings, sequences, ...options } = setting
  const store = storeFor(model, backend, { format: backend.kvFormats[0], max_context, sequences })
  const scheduler = new Scheduler(model, backend, store, options)
  const close = async () => {
    await scheduler.close()
    for (const storage of store.storages) storage.dispose()
  }
  return { scheduler, store, close }
}

/** Logits of every token, `[tokens, vocab_size]`. */
export async function logitsOf(
  model: CausalLM,
  backend: Backend,
  tokens: ArrayLike<number>,
  setting: Setting = {},
): Promise<Float32Array> {
  const { scheduler, close } = schedulerOf(model, backend, { max_sequences: 1, ...setting })
  const logits = new Float32Array(tokens.length * scheduler.vocab_size)
  let at = 0
  for await (const rows of score(scheduler, tokens)) {
    logits.set(rows, at)
    at += rows.length
  }
  await close()
  return logits
}

/** What a generation gives, leaving it after `leave` tokens. */
export async function generated(
  runner: SequenceRunner,
  prompt: ArrayLike<number>,
  {
    stops = [],
    leave,
    ...options
  }: GenerationOptions & { readonly stops?: readonly number[]; readonly leave?: number },
) {
  const generation = new Generation(runner, prompt, new Set(stops), options)
  const tokens: number[] = []
  for await (const { token } of generation) if (tokens.push(token) === leave) break
  const { finish_reason, cached_tokens, completion_tokens } = generation.summary()
  return { tokens, finish_reason, cached_tokens, completion_tokens }
}
