import type { ForwardOptions, ModelRunner } from "../../src/engine/model_runner.js"

/**
 * A runner for tests: logits depend on the last two tokens alone, so that a wrong or missing token in the cache shows.
 * `ran` lists every token it was asked to run.
 */
export class MarkovRunner implements ModelRunner {
  readonly ran: number[] = []
  readonly chunk = 4
  isDisposed = false
  private cache: number[] = []

  /** @param window trimming back further than this many tokens keeps nothing, as in a rotating cache */
  constructor(
    readonly vocab_size = 32,
    readonly max_context = 64,
    private readonly window = Number.POSITIVE_INFINITY,
  ) {}

  get length(): number {
    return this.cache.length
  }

  async forward(tokens: Uint32Array, options: ForwardOptions = {}): Promise<Float32Array> {
    let last: Float32Array = new Float32Array()
    for await (const rows of this.logits(tokens, options)) last = rows.subarray(-this.vocab_size)
    return last
  }

  async *logits(tokens: Uint32Array, { onProgress, signal }: ForwardOptions = {}): AsyncGenerator<Float32Array> {
    if (tokens.length === 0) throw new Error("nothing to run")
    for (let start = 0; start < tokens.length; start += this.chunk) {
      await Promise.resolve()
      signal?.throwIfAborted()
      const part = tokens.subarray(start, start + this.chunk)
      const rows = new Float32Array(part.length * this.vocab_size)
      for (const [row, token] of part.entries()) {
        this.cache.push(token)
        this.ran.push(token)
        this.predict(rows.subarray(row * this.vocab_size, (row + 1) * this.vocab_size))
      }
      onProgress?.(start + part.length, tokens.length)
      yield rows
    }
  }

  trim(n: number): number {
    const kept = this.cache.length - n > this.window ? 0 : n
    this.cache.length = Math.min(kept, this.cache.length)
    return kept
  }

  reset(): void {
    this.cache = []
  }

  dispose(): void {
    this.isDisposed = true
  }

  private predict(logits: Float32Array): void {
    const [before, last] = [this.cache.at(-2) ?? 0, this.cache.at(-1) ?? 0]
    for (let id = 0; id < this.vocab_size; id++) logits[id] = Math.sin(before * 7.3 + last * 3.1 + id * 1.7) * 3
  }
}
