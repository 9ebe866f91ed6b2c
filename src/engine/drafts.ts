/** Tokens that must match for a draft: the shortest that are seldom a coincidence. */
const MATCH = 3
/** Tokens drafted at most. Each is a row of the step. */
export const DRAFT = 3
/** How much the latest observation counts. */
const WEIGHT = 1 / 16
/** What drafts must gain before they are used, and when they are given up. */
const [BEGIN, END] = [1.05, 1]

/**
 * Drafts by prompt lookup (Saxena 2023; Yang et al. 2023, arXiv 2304.04487): where the last tokens stood before, what came after
 * them there. Watches how often it would have been right, which costs nothing, and drafts only while that is a gain.
 */
export class Drafts {
  /** Where each run of `MATCH` tokens ended last. */
  private readonly ends = new Map<string, number>()
  private indexed = 0
  /** How many of a draft's tokens come true: watched. */
  private hits = 0
  private watched: { readonly draft: readonly number[]; readonly at: number } | null = null
  private isOn = false

  /** Whether drafts are worth it now. @param cost a step with a draft in steps without */
  areWorth(cost: number): boolean {
    const gain = (1 + this.hits) / cost
    if (gain > BEGIN) this.isOn = true
    else if (gain < END) this.isOn = false
    return this.isOn
  }

  /** What may follow `tokens`; empty where they end in nothing that stood before. */
  next(tokens: readonly number[]): readonly number[] {
    this.index(tokens)
    if (tokens.length < MATCH) return []
    const at = this.ends.get(keyAt(tokens, tokens.length))
    return at === undefined ? [] : tokens.slice(at, at + DRAFT)
  }

  /** Looks whether drafts would have come true, now that there are these tokens. */
  watch(tokens: readonly number[]): void {
    const { watched } = this
    if (watched && tokens.length < watched.at + watched.draft.length) return
    if (watched) {
      const { draft, at } = watched
      let right = 0
      while (right < draft.length && tokens[at + right] === draft[right]) right++
      this.hits += (right - this.hits) * WEIGHT
    }
    const draft = this.next(tokens)
    if (draft.length === 0) this.hits -= this.hits * WEIGHT
    this.watched = draft.length > 0 ? { draft, at: tokens.length } : null
  }

  /** Runs of tokens that others follow. */
  private index(tokens: readonly number[]): void {
    for (let end = Math.max(this.indexed, MATCH); end < tokens.length; end++) this.ends.set(keyAt(tokens, end), end)
    this.indexed = Math.max(this.indexed, tokens.length)
  }
}

/** The `MATCH` tokens before `end`. */
function keyAt(tokens: readonly number[], end: number): string {
  return `${tokens[end - 3]} ${tokens[end - 2]} ${tokens[end - 1]}`
}
