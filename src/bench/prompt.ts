import type { Draw, ModelRunner } from "../engine/model_runner.js"

/** Ids that depend on nothing but their position: speed does not depend on sense, and every machine runs the same. */
export function tokenIds(count: number, vocab_size: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => (i * 7919 + 13) % vocab_size)
}

/** Takes the most likely token always. */
export const GREEDY: Draw = { temperature: 0, uniform: () => 0 }

/** Appends a token and decodes greedily from there, where the runner decodes fastest: `tokens` steps. */
export async function decodeGreedily(runner: ModelRunner, token: number, tokens: number): Promise<void> {
  if (!runner.decode) {
    for (let i = 0; i < tokens; i++) await runner.forward(Uint32Array.of((token + i * 104729) % runner.vocab_size))
    return
  }
  const drawn = runner.decode(Uint32Array.of(token), { draw: GREEDY, limit: tokens })
  for await (const _ of drawn);
}

/** Brings the caches back to exactly `prompt`, which was run before: by stepping back where they can. */
export async function returnTo(runner: ModelRunner, prompt: Uint32Array): Promise<void> {
  const kept = runner.trim(prompt.length)
  if (kept < prompt.length) await runner.forward(prompt.subarray(kept))
}
