import type { LanguageModel } from "../engine/model.js"
import { median } from "./median.js"
import { answer, tokenIds } from "./prompt.js"
import { warmUp } from "./warm_up.js"

export interface PrefillBenchOptions {
  /** Prompt lengths in tokens. */
  readonly lengths: readonly number[]
  readonly runs: number
  readonly onProgress?: (done: number, total: number) => void
}

export interface PrefillBench {
  readonly length: number
  readonly runs: number
  /** Until the token after it is here. Median over runs. */
  readonly ms: number
  /** Tokens per second: median, and the slowest and fastest. */
  readonly tps: number
  readonly tps_range: readonly [number, number]
}

/** Times running whole prompts of which nothing is cached; each length warms up before. */
export async function benchPrefill(
  { scheduler, store }: LanguageModel,
  options: PrefillBenchOptions,
): Promise<PrefillBench[]> {
  const { lengths, runs, onProgress } = options
  const results: PrefillBench[] = []
  for (const [i, length] of lengths.entries()) {
    const prompt = tokenIds(length, scheduler.vocab_size)
    const times: number[] = []
    const run = async () => {
      store.clear()
      return (await answer(scheduler, prompt, 0)).prefill_ms
    }
    await warmUp(run)
    for (let done = 1; done <= runs; done++) {
      times.push(await run())
      onProgress?.(i * runs + done, lengths.length * runs)
    }
    const rate = (ms: number) => (length * 1000) / ms
    const ms = median(times)
    results.push({ length, runs, ms, tps: rate(ms), tps_range: [rate(Math.max(...times)), rate(Math.min(...times))] })
  }
  return results
}
