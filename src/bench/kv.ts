import { pagesHeld } from "../cache/kv_size.js"
import type { LanguageModel } from "../engine/model.js"
import type { LoadModelOptions } from "../engine/load_model.js"
import type { Perplexity } from "../engine/perplexity.js"
import type { KvFormat } from "../tensor/kv_format.js"
import { median } from "./median.js"
import { answer, tokenIds } from "./prompt.js"
import { warmUp } from "./warm_up.js"

export type KvBits = NonNullable<LoadModelOptions["kv_bits"]>

/** Loads the model anew with caches of so many bits a value, and closes it after `use`. */
export type OpenWith = <T>(kv_bits: KvBits, use: (model: LanguageModel) => Promise<T>) => Promise<T>

export interface KvBenchOptions {
  readonly bits: readonly KvBits[]
  /** Tokens of the prompts that are read, and in the cache before decoding starts. */
  readonly contexts: readonly number[]
  /** Tokens decoded per run. */
  readonly tokens: number
  readonly runs: number
  /** For perplexity, in windows of so many tokens; without, it is not measured. */
  readonly text?: { readonly content: string; readonly window: number }
  readonly onProgress?: (done: number, total: number) => void
}

export interface KvContextPoint {
  readonly context: number
  /** Bytes of the pages that a sequence of this length holds. */
  readonly held_bytes: number
  /** Tokens per second, of which nothing was cached. Median over runs, and the slowest and fastest. */
  readonly prefill_tps: number
  readonly prefill_tps_range: readonly [number, number]
  readonly decode_tps: number
  readonly decode_tps_range: readonly [number, number]
}

export interface KvFormatPoint {
  readonly bits: KvBits
  readonly format: KvFormat
  /** Of keys and values of all layers, as the pool lays them out. */
  readonly bytes_per_token: number
  readonly contexts: readonly KvContextPoint[]
  readonly text?: Perplexity
  /** Perplexity over that of the first format, less 1. */
  readonly perplexity_change?: number
}

/** Compares formats of the KV caches: size, speed at several contexts, and what they do to predictions. */
export async function benchKv(open: OpenWith, options: KvBenchOptions): Promise<KvFormatPoint[]> {
  const { bits, contexts, runs, text, onProgress } = options
  const total = bits.length * (contexts.length * runs + Number(text !== undefined))
  let done = 0
  const report = () => onProgress?.(++done, total)
  const points: KvFormatPoint[] = []
  for (const kv_bits of bits) {
    const point = await open(kv_bits, (model) => measure(model, kv_bits, options, report))
    const first = points[0] ?? point
    const perplexity_change = point.text && point.text.perplexity / first.text!.perplexity - 1
    points.push({ ...point, ...(perplexity_change !== undefined && { perplexity_change }) })
  }
  return points
}

async function measure(
  model: LanguageModel,
  bits: KvBits,
  { contexts, tokens, runs, text }: KvBenchOptions,
  report: () => void,
): Promise<KvFormatPoint> {
  const { layout, format, page_bytes, page_size } = model.store
  const speeds: KvContextPoint[] = []
  for (const context of contexts) {
    const speed = await timeContext(model, context, tokens, runs, report)
    speeds.push({ context, held_bytes: pagesHeld(layout, context, 1) * page_bytes, ...speed })
  }
  const bytes_per_token = (layout.groups.length * page_bytes) / page_size
  const point = { bits, format, bytes_per_token, contexts: speeds }
  if (!text) return point
  const scored = await model.perplexity(text.content, { window: text.window })
  report()
  return { ...point, text: scored }
}

/** Each run reads the whole prompt and decodes after it. */
async function timeContext(
  { scheduler, store }: LanguageModel,
  context: number,
  tokens: number,
  runs: number,
  report: () => void,
): Promise<Omit<KvContextPoint, "context" | "held_bytes">> {
  const prompt = tokenIds(context, scheduler.vocab_size)
  const run = () => {
    store.clear()
    return answer(scheduler, prompt, tokens)
  }
  await warmUp(run)
  const prefill: number[] = []
  const decode: number[] = []
  for (let i = 0; i < runs; i++) {
    const { prefill_ms, decode_ms } = await run()
    prefill.push((context * 1000) / prefill_ms)
    decode.push((tokens * 1000) / decode_ms)
    report()
  }
  return {
    prefill_tps: median(prefill),
    prefill_tps_range: [Math.min(...prefill), Math.max(...prefill)],
    decode_tps: median(decode),
    decode_tps_range: [Math.min(...decode), Math.max(...decode)],
  }
}
