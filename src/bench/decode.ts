import type { LanguageModel } from "../engine/model.js"
import { median } from "./median.js"
import { measureReadBandwidth } from "./node_read_bandwidth.js"

export interface DecodeBenchOptions {
  /** Tokens in the cache before decoding starts. */
  readonly prompt_length: number
  /** Tokens decoded per run. */
  readonly tokens: number
  readonly runs: number
  /** Threads that measure the roofline; take as many as the backend uses. */
  readonly threads: number
  readonly onProgress?: (done: number, total: number) => void
}

export interface DecodeBench {
  readonly prompt_length: number
  readonly tokens: number
  readonly runs: number
  /** Tokens per second of the prefill. Median over runs. */
  readonly prefill_tps: number
  /** Tokens per second of decoding. Median over runs, and the slowest and fastest. */
  readonly decode_tps: number
  readonly decode_tps_range: readonly [number, number]
  /** Bytes of weights that a token reads; the KV cache, small at short contexts, is left out. */
  readonly bytes_per_token: number
  /** Bytes per second that decoding reads. */
  readonly decode_bandwidth: number
  /** Bytes per second that as many threads stream from memory, measured before and after the runs; the better one. */
  readonly read_bandwidth: number
  /** `decode_bandwidth / read_bandwidth` */
  readonly roofline_share: number
}

/**
 * Times prefill and greedy decoding on token ids that depend on nothing but their position: speed does not depend on
 * sense, and every machine runs the same. One run warms up.
 */
export async function benchDecode(model: LanguageModel, options: DecodeBenchOptions): Promise<DecodeBench> {
  const { prompt_length, tokens, runs, threads, onProgress } = options
  const { runner, info } = model
  const prompt = Uint32Array.from({ length: prompt_length }, (_, i) => (i * 7919 + 13) % runner.vocab_size)
  const before = await measureReadBandwidth(threads)
  const prefill: number[] = []
  const decode: number[] = []
  for (let run = 0; run <= runs; run++) {
    runner.reset()
    const start = performance.now()
    await runner.forward(prompt)
    const middle = performance.now()
    for (let i = 0; i < tokens; i++) await runner.forward(Uint32Array.of((i * 104729 + 7) % runner.vocab_size))
    const end = performance.now()
    onProgress?.(run + 1, runs + 1)
    if (run === 0) continue
    prefill.push((prompt_length * 1000) / (middle - start))
    decode.push((tokens * 1000) / (end - middle))
  }
  const read_bandwidth = Math.max(before, await measureReadBandwidth(threads))
  const decode_tps = median(decode)
  const bytes_per_token = info.weight_bytes_per_token
  return {
    prompt_length,
    tokens,
    runs,
    prefill_tps: median(prefill),
    decode_tps,
    decode_tps_range: [Math.min(...decode), Math.max(...decode)],
    bytes_per_token,
    decode_bandwidth: decode_tps * bytes_per_token,
    read_bandwidth,
    roofline_share: (decode_tps * bytes_per_token) / read_bandwidth,
  }
}
