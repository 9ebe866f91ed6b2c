import type { LanguageModel } from "../engine/model.js"
import { median } from "./median.js"
import { inTurn, type Peer, type PeerSpeed, peerSpeed, type Speed, speedOf } from "./peer.js"
import { answer, tokenIds } from "./prompt.js"
import { warmUp } from "./warm_up.js"

export interface PrefillBenchOptions {
  /** Prompt lengths in tokens. */
  readonly lengths: readonly number[]
  readonly runs: number
  /** Reads the same prompts, run by run in turn with the model. */
  readonly peer?: Peer
  readonly onProgress?: (done: number, total: number) => void
}

export interface PrefillBench extends Speed {
  readonly length: number
  readonly runs: number
  /** Until the token after it is here. Median over runs. */
  readonly ms: number
  readonly peer?: PeerSpeed
}

/** Times running whole prompts of which nothing is cached; each length warms up before. */
export async function benchPrefill(
  { scheduler, store }: LanguageModel,
  options: PrefillBenchOptions,
): Promise<PrefillBench[]> {
  const { lengths, runs, peer, onProgress } = options
  const results: PrefillBench[] = []
  for (const [i, length] of lengths.entries()) {
    const prompt = tokenIds(length, scheduler.vocab_size)
    const run = async () => {
      store.clear()
      return (await answer(scheduler, prompt, 0)).prefill_ms
    }
    const contenders = [run, ...(peer ? [() => peer.prefill(prompt)] : [])]
    for (const contender of contenders) await warmUp(contender)
    const [ours, theirs] = await inTurn(contenders, runs, (done) =>
      onProgress?.(i * runs + done, lengths.length * runs),
    )
    const speed = speedOf(length, ours)
    const beside = theirs && { peer: peerSpeed(length, speed, theirs) }
    results.push({ length, runs, ms: median(ours), ...speed, ...beside })
  }
  return results
}
