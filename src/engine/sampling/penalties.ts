/** Tokens seen so far, counted as they come so that a penalty touches only the ids that occurred. */
export class TokenHistory {
  /** Prompt and generated tokens, in order. */
  readonly tokens: number[] = []
  /** How often each generated id occurred. */
  readonly generated = new Map<number, number>()

  constructor(prompt: ArrayLike<number> = []) {
    for (let i = 0; i < prompt.length; i++) this.tokens.push(prompt[i])
  }

  append(token: number): void {
    this.tokens.push(token)
    this.generated.set(token, (this.generated.get(token) ?? 0) + 1)
  }
}

/** Adds each bias to its id's logit, in place. */
export function applyLogitBias(logits: Float32Array, bias: ReadonlyMap<number, number>): void {
  for (const [token, value] of bias) logits[token] += value
}

/**
 * `l > 0 ? l / penalty : l * penalty`, once for every id among the last `context_size` tokens, in place
 * (Keskar et al. 2019; transformers' `RepetitionPenaltyLogitsProcessor`).
 *
 * @param seen scratch set, emptied first
 */
export function applyRepetitionPenalty(
  logits: Float32Array,
  tokens: readonly number[],
  penalty: number,
  context_size: number,
  seen: Set<number>,
): void {
  seen.clear()
  for (let i = Math.max(0, tokens.length - context_size); i < tokens.length; i++) {
    const token = tokens[i]
    if (seen.has(token)) continue
    seen.add(token)
    logits[token] = logits[token] < 0 ? logits[token] * penalty : logits[token] / penalty
  }
}

/**
 * `l[j] -= count[j] * frequency_penalty + (count[j] > 0) * presence_penalty`, in place
 * (OpenAI API reference, "Frequency and presence penalties").
 */
export function applyCountPenalties(
  logits: Float32Array,
  counts: ReadonlyMap<number, number>,
  frequency_penalty: number,
  presence_penalty: number,
): void {
  for (const [token, count] of counts) logits[token] -= count * frequency_penalty + presence_penalty
}
