import type { ModelRunner } from "../engine/model_runner.js"

/** Ids that depend on nothing but their position: speed does not depend on sense, and every machine runs the same. */
export function tokenIds(count: number, vocab_size: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => (i * 7919 + 13) % vocab_size)
}

/** Brings the caches back to exactly `prompt`, which was run before: by stepping back where they can. */
export async function returnTo(runner: ModelRunner, prompt: Uint32Array): Promise<void> {
  const kept = runner.trim(prompt.length)
  if (kept < prompt.length) await runner.forward(prompt.subarray(kept))
}
