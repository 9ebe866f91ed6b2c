/** What one side makes and another takes, in order; it ends or fails once. */
export class Channel<T> {
  private readonly items: T[] = []
  private outcome: { readonly error?: unknown } | null = null
  private wake: (() => void) | null = null

  /** @param onTaken called when the other side has taken something, or has left */
  constructor(private readonly onTaken: (hasLeft: boolean) => void = () => {}) {}

  /** Items that nobody has taken yet. */
  get length(): number {
    return this.items.length
  }

  push(item: T): void {
    if (this.outcome) return
    this.items.push(item)
    this.wake?.()
  }

  end(): void {
    this.outcome ??= {}
    this.wake?.()
  }

  /** Told after the items before it. */
  fail(error: unknown): void {
    this.outcome ??= { error }
    this.wake?.()
  }

  /** For one reader. */
  async *read(): AsyncGenerator<T, void> {
    try {
      for (;;) {
        while (this.items.length > 0) {
          const item = this.items.shift()!
          this.onTaken(false)
          yield item
        }
        if (this.outcome) break
        await new Promise<void>((resolve) => {
          this.wake = resolve
        })
        this.wake = null
      }
      if ("error" in this.outcome) throw this.outcome.error
    } finally {
      this.onTaken(true)
    }
  }
}
