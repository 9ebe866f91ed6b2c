import { afterEach, expect, it, vi } from "vitest"
import { KvStore } from "../cache/kv_store.js"
import type { LanguageModel } from "../engine/model.js"
import { Sequence, type SequenceRequest } from "../engine/sequence.js"
import { benchKv, type KvBits } from "./kv.js"

afterEach(() => vi.restoreAllMocks())

const LAYERS = [null, 128].map((window) => ({ num_key_value_heads: 2, head_dim: 64, window }))
const FORMATS = { 16: "float16", 8: "int8", 4: "int4" } as const
const PERPLEXITY = { 16: 20, 8: 20, 4: 21 }

it("loads each format anew, and tells size, speeds on empty caches, and perplexity beside the first", async () => {
  let now = 0
  vi.spyOn(performance, "now").mockImplementation(() => now)
  const calls: string[] = []
  /** A prompt takes 10 ms a token, as does decoding; half of that in 4 bits. */
  const modelOf = (bits: KvBits) => {
    const store = new KvStore(LAYERS, { size: { pages: 8 }, max_context: 512, format: FORMATS[bits] })
    vi.spyOn(store, "clear").mockImplementation(() => void calls.push("clear"))
    const ms = bits === 4 ? 5 : 10
    const scheduler = {
      vocab_size: 50,
      submit(request: SequenceRequest) {
        calls.push(`${bits}: ${request.prompt.length}`)
        const sequence = new Sequence(request, 50, () => {})
        sequence.times.admitted = now
        now += ms * request.prompt.length
        while (!sequence.isOver) {
          sequence.submitted(1, true, true)
          if (sequence.take({ token: 1 }, true)) sequence.end()
          now += ms
        }
        // Compiling, while it warms up.
        now += 16_000
        return sequence
      },
    }
    const perplexity = async (text: string, { window }: { window: number }) => {
      calls.push(`${bits}: ${text}, ${window}`)
      return { perplexity: PERPLEXITY[bits], nll: Math.log(PERPLEXITY[bits]), scored_tokens: 3 }
    }
    return { scheduler, store, perplexity } as unknown as LanguageModel
  }
  const open = async <T>(bits: KvBits, use: (model: LanguageModel) => Promise<T>) => {
    calls.push(`open ${bits}`)
    const result = await use(modelOf(bits))
    calls.push(`close ${bits}`)
    return result
  }
  const progress: number[][] = []
  const points = await benchKv(open, {
    bits: [16, 4],
    contexts: [100, 300],
    tokens: 4,
    runs: 2,
    text: { content: "a text", window: 64 },
    onProgress: (...at) => void progress.push(at),
  })
  const runsOf = (bits: KvBits) =>
    [100, 300].flatMap((n) =>
      Array(3)
        .fill(["clear", `${bits}: ${n}`])
        .flat(),
    )
  expect(calls).toEqual(
    ([16, 4] as const).flatMap((bits) => [`open ${bits}`, ...runsOf(bits), `${bits}: a text, 64`, `close ${bits}`]),
  )
  expect(progress).toEqual(Array.from({ length: 10 }, (_, i) => [i + 1, 10]))
  // A token of a layer: 2 heads of 64 keys and values. The window of 128 lies in 3 pages of 64, ends included.
  const expected = (bits: KvBits) => {
    const layer = (2 * 2 * 64 * bits) / 8
    return {
      bits,
      format: FORMATS[bits],
      bytes_per_token: 2 * layer,
      held: [64 * layer * (2 + 2), 64 * layer * (5 + 3)],
    }
  }
  const tps = { 16: 100, 4: 200 }
  expect(points).toEqual(
    ([16, 4] as const).map((bits) => {
      const { held, ...sizes } = expected(bits)
      const speed = { prefill_tps: tps[bits], prefill_tps_range: [tps[bits], tps[bits]] }
      const decode = { decode_tps: tps[bits], decode_tps_range: [tps[bits], tps[bits]] }
      return {
        ...sizes,
        contexts: [100, 300].map((context, i) => ({ context, held_bytes: held[i], ...speed, ...decode })),
        text: { perplexity: PERPLEXITY[bits], nll: Math.log(PERPLEXITY[bits]), scored_tokens: 3 },
        perplexity_change: bits === 4 ? expect.closeTo(0.05) : 0,
      }
    }),
  )
  const [untold] = await benchKv(open, { bits: [8], contexts: [], tokens: 1, runs: 1 })
  expect(untold).toEqual({ bits: 8, format: "int8", bytes_per_token: 512, contexts: [] })
})
