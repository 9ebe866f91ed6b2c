import { median } from "./median.js"
import { tokenIds } from "./prompt.js"
import { warmUp } from "./warm_up.js"

/** Several sequences of one model that decode together. */
export interface Batch {
  readonly vocab_size: number
  /** Runs a prompt per sequence on empty caches. */
  prefill(prompts: readonly Uint32Array[]): Promise<void>
  /** Decodes `tokens` tokens of every sequence, greedily, and waits for them. */
  decode(tokens: number): Promise<void>
  /** Frees the caches. */
  dispose(): void
}

export interface BatchBenchOptions {
  /** Numbers of sequences, one measurement each. */
  readonly sequences: readonly number[]
  /** Tokens in each sequence's cache before decoding starts. */
  readonly prompt_length: number
  /** Tokens decoded per sequence and run. */
  readonly tokens: number
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
  open: (sequences: number) => Promise<Batch>,
  options: BatchBenchOptions,
): Promise<BatchPoint[]> {
  const { sequences, prompt_length, tokens, runs, onProgress } = options
  const points: BatchPoint[] = []
  for (const [i, count] of sequences.entries()) {
    const batch = await open(count)
    const ids = tokenIds(count * prompt_length, batch.vocab_size)
    const prompts = Array.from({ length: count }, (_, s) => ids.subarray(s * prompt_length, (s + 1) * prompt_length))
    const rates: number[] = []
    const run = async () => {
      await batch.prefill(prompts)
      const start = performance.now()
      await batch.decode(tokens)
      return (count * tokens * 1000) / (performance.now() - start)
    }
    try {
      await warmUp(run)
      for (let done = 1; done <= runs; done++) {
        rates.push(await run())
        onProgress?.(i * runs + done, sequences.length * runs)
      }
    } finally {
      batch.dispose()
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
