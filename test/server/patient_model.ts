import type { ServedModel, TurnEvent, TurnOptions } from "../../src/server/served_model.js"
import { scriptedModel } from "./scripted_model.js"

/** A model that says a word when it is told to, and tells what became of those who asked. */
export class PatientModel {
  started = 0
  /** Iterations that ended, for whatever reason. */
  ended = 0
  readonly served: ServedModel
  private words: string[] = []
  private readonly waiting = new Set<() => void>()

  constructor() {
    const chat = (_: unknown, options: TurnOptions) => this.answer(options)
    this.served = { ...scriptedModel(() => "", "patient"), info: scriptedModel(() => "", "patient").info, chat }
  }

  say(...words: string[]): void {
    this.words.push(...words)
    this.wake()
  }

  private wake(): void {
    for (const resolve of this.waiting) resolve()
    this.waiting.clear()
  }

  private async *answer({ signal }: TurnOptions): AsyncGenerator<TurnEvent, void, undefined> {
    this.started++
    const abort = () => this.wake()
    signal?.addEventListener("abort", abort)
    try {
      yield { type: "start", prompt_tokens: 7, cached_tokens: 3 }
      for (;;) {
        signal?.throwIfAborted()
        const word = this.words.shift()
        if (word === "end") break
        if (word === undefined) await new Promise<void>((resolve) => this.waiting.add(resolve))
        else yield { type: "content", text: word }
      }
      const message = { role: "assistant", content: "" } as const
      const rates = { prompt_tps: 1, generation_tps: 1, seed: 0 }
      const tokens = { prompt_tokens: 7, cached_tokens: 3, completion_tokens: 2, reasoning_tokens: 0 }
      yield { type: "summary", finish_reason: "stop", message, ...tokens, ...rates }
    } finally {
      signal?.removeEventListener("abort", abort)
      this.ended++
    }
  }
}
