import { argumentsOf, inputOf } from "./call_input.js"

/** UTF-16 units kept at most: of thousands of calls, or of a few that write long files. */
const CAPACITY = 16 << 20

/** What a call was in the model's own words. */
export interface RememberedCall {
  /** As the model spelled them. */
  readonly arguments: string
  /** What it thought before it called, where that was not told to the client. */
  readonly reasoning: string
}

/**
 * What clients of some protocols cannot send back: how the model spelled a call's arguments, and reasoning they were not shown. With
 * it a conversation that is resent renders to the tokens that are in the caches already, and a model in a tool loop knows what it
 * had in mind. The oldest calls are forgotten; a conversation then renders as the client has it.
 */
export class RememberedCalls {
  private readonly calls = new Map<string, RememberedCall>()
  private size = 0

  constructor(private readonly capacity = CAPACITY) {}

  add(id: string, call: RememberedCall): void {
    this.forget(id)
    this.calls.set(id, call)
    this.size += sizeOf(id, call)
    for (const oldest of this.calls.keys()) {
      if (this.size <= this.capacity) break
      this.forget(oldest)
    }
  }

  /** The arguments as the model spelled them, if the client sends what they say; otherwise as the client has them. */
  argumentsOf(id: string | undefined, sent: string): string {
    const own = this.calls.get(id ?? "")?.arguments
    return own !== undefined && argumentsOf(inputOf(own)) === sent ? own : sent
  }

  /** Empty where nothing is known. */
  reasoningOf(id: string | undefined): string {
    return this.calls.get(id ?? "")?.reasoning ?? ""
  }

  private forget(id: string): void {
    const call = this.calls.get(id)
    if (!call) return
    this.calls.delete(id)
    this.size -= sizeOf(id, call)
  }
}

function sizeOf(id: string, call: RememberedCall): number {
  return id.length + call.arguments.length + call.reasoning.length
}
