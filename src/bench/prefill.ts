import type { LanguageModel } from "../engine/model.js"
import { median } from "./median.js"
import { tokenIds } from "./prompt.js"
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
  /** Until the last token's logits are here. Median over runs. */
  readonly ms: number
  /** Tokens per second: median, and the slowest and fastest. */
  readonly tps: number
  readonly tps_range: readonly [number, number]
}

/** Times running whole prompts on empty caches; each length warms up before. */
export async function benchPrefill({ runner }: LanguageModel, options: PrefillBenchOptions): Promise<PrefillBench[]> {
  const { lengths, runs, onProgress } = options
  const results: PrefillBench[] = []
  for (const [i, length] of lengths.entries()) {
    const prompt = tokenIds(length, runner.vocab_size)
    const times: number[] = []
    const run = async () => {
      runner.reset()
      const start = performance.now()
      await runner.forward(prompt)
      return performance.now() - start
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
