/** Ids that depend on nothing but their position: speed does not depend on sense, and every machine runs the same. */
export function tokenIds(count: number, vocab_size: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => (i * 7919 + 13) % vocab_size)
}
