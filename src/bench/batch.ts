import { median } from "./median.js"
import type { LanguageModel } from "../engine/model.js"
import { parseSamplingParams, type SamplingOptions } from "../engine/sampling/params.js"
import type { Scheduler } from "../engine/scheduler.js"
import { NO_STOPS, tokenIds } from "./prompt.js"
import { warmUp } from "./warm_up.js"

export interface BatchBenchOptions {
  /** Numbers of sequences, one measurement each. */
  readonly sequences: readonly number[]
  /** Tokens in each sequence's cache before decoding starts. */
  readonly prompt_length: number
  /** Tokens decoded per sequence and run. */
  readonly tokens: number
  /** How each sequence's tokens are drawn, with a seed of its own. */
  readonly sampling: SamplingOptions
  readonly runs: number
  readonly onProgress?: (done: number, total: number) => void
}

export interface BatchPoint {
  readonly sequences: number
  /** Tokens per second of all sequences together. Median over runs, and the slowest and fastest. */
  readonly tps: number
  readonly tps_range: readonly [number, number]
  /** Steps per second: tokens per second of one of the sequences. */
  readonly steps_per_second: number
}

/** Times decoding of several sequences at once, each with a prompt of its own. Each number warms up before. */
export async function benchBatch(
  { scheduler }: Pick<LanguageModel, "scheduler">,
  options: BatchBenchOptions,
): Promise<BatchPoint[]> {
  const { sequences, prompt_length, tokens, sampling, runs, onProgress } = options
  const points: BatchPoint[] = []
  for (const [i, count] of sequences.entries()) {
    const ids = tokenIds(count * prompt_length, scheduler.vocab_size)
    const prompts = Array.from({ length: count }, (_, s) => ids.subarray(s * prompt_length, (s + 1) * prompt_length))
    const rates: number[] = []
    const run = () => decodeTogether(scheduler, prompts, tokens, sampling)
    await warmUp(run)
    for (let done = 1; done <= runs; done++) {
      rates.push(await run())
      onProgress?.(i * runs + done, sequences.length * runs)
    }
    const tps = median(rates)
    points.push({
      sequences: count,
      tps,
      tps_range: [Math.min(...rates), Math.max(...rates)],
      steps_per_second: tps / count,
    })
  }
  return points
}

/** Tokens per second of all together, from when the last of them has its first token until the first one ends. */
async function decodeTogether(
  scheduler: Scheduler,
  prompts: readonly Uint32Array[],
  tokens: number,
  sampling: SamplingOptions,
): Promise<number> {
  const submitted = prompts.map((prompt, seed) => {
    const params = parseSamplingParams({ ...sampling, seed })
    return scheduler.submit({ prompt, params, stopTokens: NO_STOPS, max_tokens: tokens + 1 })
  })
  const arrivals = await Promise.all(
    submitted.map(async ({ events }) => {
      const times: number[] = []
      for await (const _ of events.read()) times.push(performance.now())
      return times
    }),
  )
  const start = Math.max(...arrivals.map(([first]) => first))
  const end = Math.min(...arrivals.map((times) => times[times.length - 1]))
  const drawn = arrivals.flat().filter((time) => time > start && time <= end).length
  return (drawn * 1000) / (end - start)
}
