import { median } from "./median.js"

/** Another engine, which runs the same work as ours on the same kind of weights, in a process of its own. */
export interface Peer {
  readonly info: PeerInfo
  /** Milliseconds from a prompt of which nothing is cached to the token after it. */
  prefill(prompt: Uint32Array): Promise<number>
  /** Milliseconds that `tokens` more tokens take after a prompt and a first one, each drawn greedily from all logits. */
  decode(prompt: Uint32Array, tokens: number): Promise<number>
  /** Ends its process. */
  close(): Promise<void>
}

/** What ran beside ours. */
export interface PeerInfo {
  readonly name: string
  /** Its own release, and what it came with. */
  readonly version: string
  readonly threads: number
  readonly file: string
  /** Of the file's tensors. */
  readonly weight_bytes: number
  /** How it was set up, in words. */
  readonly setting: string
}

/** Tokens per second: median over runs, and the slowest and fastest. */
export interface Speed {
  readonly tps: number
  readonly tps_range: readonly [number, number]
}

export interface PeerSpeed extends Speed {
  /** Ours over the peer's. */
  readonly ratio: number
}

/** @param ms of each run, in which so many tokens were read or drawn */
export function speedOf(tokens: number, ms: readonly number[]): Speed {
  const rate = (ms: number) => (tokens * 1000) / ms
  return { tps: rate(median(ms)), tps_range: [rate(Math.max(...ms)), rate(Math.min(...ms))] }
}

export function peerSpeed(tokens: number, ours: Speed, ms: readonly number[]): PeerSpeed {
  const theirs = speedOf(tokens, ms)
  return { ...theirs, ratio: ours.tps / theirs.tps }
}

/**
 * Runs each of `contenders` once, then each again, so that whatever else the machine does meets all of them.
 *
 * @param contenders run once, and tell how many milliseconds that took
 * @returns milliseconds of each run, by contender
 */
export async function inTurn(
  contenders: readonly (() => Promise<number>)[],
  runs: number,
  onRun: (run: number) => void,
): Promise<number[][]> {
  const times = contenders.map((): number[] => [])
  for (let run = 1; run <= runs; run++) {
    for (const [i, contender] of contenders.entries()) times[i].push(await contender())
    onRun(run)
  }
  return times
}
