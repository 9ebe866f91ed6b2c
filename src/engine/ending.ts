import type { CancelSignal } from "../backends/backend.js"

/** What an `AbortSignal` is, but for as many listeners as there are requests: Node warns of more than ten. */
export class Ending implements CancelSignal {
  reason: unknown = undefined
  private readonly listeners = new Set<() => void>()

  get aborted(): boolean {
    return this.reason !== undefined
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason
  }

  addEventListener(_type: "abort", listener: () => void): void {
    this.listeners.add(listener)
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    this.listeners.delete(listener)
  }

  abort(reason: Error): void {
    if (this.aborted) return
    this.reason = reason
    for (const listener of [...this.listeners]) listener()
  }
}

/** Aborted when one of two is. Who listens does so to both, and is forgotten by both. */
export function anyOf(a: CancelSignal, b: CancelSignal): CancelSignal {
  return {
    get aborted() {
      return a.aborted || b.aborted
    },
    get reason() {
      return a.aborted ? a.reason : b.reason
    },
    throwIfAborted() {
      a.throwIfAborted()
      b.throwIfAborted()
    },
    addEventListener(type, listener) {
      for (const signal of [a, b]) signal.addEventListener(type, listener)
    },
    removeEventListener(type, listener) {
      for (const signal of [a, b]) signal.removeEventListener(type, listener)
    },
  }
}
