import type { Backend } from "../backends/backend.js"
import type { LanguageModel } from "../engine/model.js"
import { memoryStats } from "../tensor/storage.js"
import { inTurn, type Peer, type PeerSpeed, peerSpeed, speedOf } from "./peer.js"
import { answer, tokenIds } from "./prompt.js"
import { warmUp } from "./warm_up.js"

export interface DecodeBenchOptions {
  /** Tokens in the cache before decoding starts, one measurement each. */
  readonly prompt_lengths: readonly number[]
  /** Tokens decoded per run. */
  readonly tokens: number
  readonly runs: number
  /** Measures the bytes per second that the device streams from its memory. */
  readonly roofline: () => Promise<number>
  /** Decodes after the same prompts, run by run in turn with the model. */
  readonly peer?: Peer
  readonly onProgress?: (done: number, total: number) => void
}

/** What the process holds, in bytes. */
export interface MemoryUse {
  readonly rss: number
  /** Arrays on the device: weights, caches, results. */
  readonly device: number
}

/** Decoding after a prompt of one length. */
export interface DecodePoint {
  readonly prompt_length: number
  /** Tokens per second. Median over runs, and the slowest and fastest. */
  readonly decode_tps: number
  readonly decode_tps_range: readonly [number, number]
  readonly peer?: PeerSpeed
  /** Bytes of weights and of the KV caches that a token reads, halfway through a run. */
  readonly bytes_per_token: number
  /** Bytes per second that decoding reads. */
  readonly decode_bandwidth: number
  /** `decode_bandwidth / read_bandwidth` */
  readonly roofline_share: number
  /** Before the first timed run, which follows some that warm up, and after the last. */
  readonly memory: readonly [MemoryUse, MemoryUse]
}

export interface DecodeBench {
  readonly tokens: number
  readonly runs: number
  /** The roofline, measured before and after the runs; the better one. */
  readonly read_bandwidth: number
  readonly points: readonly DecodePoint[]
}

/** Times greedy decoding; each prompt length warms up before. */
export async function benchDecode(
  model: LanguageModel,
  backend: Backend,
  options: DecodeBenchOptions,
): Promise<DecodeBench> {
  const { prompt_lengths, tokens, runs, roofline, peer, onProgress } = options
  const before = await roofline()
  const timed: Timed[] = []
  for (const [i, length] of prompt_lengths.entries()) {
    const progress = (run: number) => onProgress?.(i * runs + run, prompt_lengths.length * runs)
    timed.push(await timeDecode(model, backend, peer, length, tokens, runs, progress))
  }
  const read_bandwidth = Math.max(before, await roofline())
  const points = timed.map(({ ms: [ours, theirs], ...measured }): DecodePoint => {
    const { info } = model
    const speed = speedOf(tokens, ours)
    const { tps: decode_tps, tps_range: decode_tps_range } = speed
    const context = measured.prompt_length + Math.ceil(tokens / 2)
    const bytes_per_token = info.weight_bytes_per_token + info.cache_bytes_per_token(context)
    const decode_bandwidth = decode_tps * bytes_per_token
    return {
      ...measured,
      decode_tps,
      decode_tps_range,
      ...(theirs && { peer: peerSpeed(tokens, speed, theirs) }),
      bytes_per_token,
      decode_bandwidth,
      roofline_share: decode_bandwidth / read_bandwidth,
    }
  })
  return { tokens, runs, read_bandwidth, points }
}

interface Timed extends Pick<DecodePoint, "prompt_length" | "memory"> {
  /** Of each run: of the model, and of its peer. */
  readonly ms: readonly (readonly number[])[]
}

async function timeDecode(
  { scheduler }: LanguageModel,
  backend: Backend,
  peer: Peer | undefined,
  prompt_length: number,
  tokens: number,
  runs: number,
  onProgress: (run: number) => void,
): Promise<Timed> {
  const prompt = tokenIds(prompt_length, scheduler.vocab_size)
  const memory = (): MemoryUse => ({
    rss: process.memoryUsage.rss(),
    device: memoryStats().resident[backend.name] ?? 0,
  })
  // All but the last tokens of the prompt stay cached from run to run.
  const ours = async () => (await answer(scheduler, prompt, tokens)).decode_ms
  const contenders = [ours, ...(peer ? [() => peer.decode(prompt, tokens)] : [])]
  for (const contender of contenders) await warmUp(contender)
  const first = memory()
  const ms = await inTurn(contenders, runs, onProgress)
  return { prompt_length, memory: [first, memory()], ms }
}
