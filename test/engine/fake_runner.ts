import type { Sampled } from "../../src/engine/sampling/sampler.js"
import { Sequence, type SequenceRequest } from "../../src/engine/sequence.js"
import type { SequenceRunner } from "../../src/engine/session.js"

const later = () => new Promise<void>((resolve) => setTimeout(resolve))

/** Runs sequences without a model, side by side, a token each in turn. */
abstract class FakeRunner implements SequenceRunner {
  readonly submitted: Sequence[] = []
  /** Prompt tokens between two reports of progress. */
  readonly chunk: number

  constructor(
    readonly vocab_size: number,
    readonly max_context: number,
  ) {
    this.chunk = Math.max(4, max_context >> 10)
  }

  protected abstract next(sequence: Sequence): Sampled

  submit(request: SequenceRequest): Sequence {
    const sequence: Sequence = new Sequence(request, this.vocab_size, (hasLeft) => {
      if (hasLeft && !sequence.isOver) sequence.end()
    })
    this.submitted.push(sequence)
    this.run(sequence).catch((error: unknown) => {
      sequence.events.fail(error)
      sequence.end()
    })
    return sequence
  }

  private async run(sequence: Sequence): Promise<void> {
    const { prompt, onProgress, signal } = sequence.request
    sequence.cached_tokens = 0
    sequence.times.admitted = performance.now()
    for (let done = 0; done < prompt.length; done += this.chunk) {
      await later()
      signal?.throwIfAborted()
      onProgress?.(Math.min(done + this.chunk, prompt.length), prompt.length)
    }
    while (!sequence.isOver) {
      await later()
      signal?.throwIfAborted()
      sequence.submitted(1, true, true)
      if (sequence.take(this.next(sequence), true)) sequence.end()
    }
  }
}

/** Draws from logits that depend on the last two tokens alone, so that a wrong or missing token shows. */
export class MarkovRunner extends FakeRunner {
  constructor(vocab_size = 32, max_context = 64) {
    super(vocab_size, max_context)
  }

  protected next({ tokens, sampler }: Sequence): Sampled {
    const [before, last] = [tokens.at(-2) ?? 0, tokens.at(-1) ?? 0]
    const logitOf = (_: unknown, id: number) => Math.sin(before * 7.3 + last * 3.1 + id * 1.7) * 3
    return sampler.next(Float32Array.from({ length: this.vocab_size }, logitOf))
  }
}

/** Says the same whatever the prompt. */
export class ScriptedRunner extends FakeRunner {
  constructor(private readonly script: readonly number[]) {
    super(512, 4096)
  }

  protected next({ drawn }: Sequence): Sampled {
    return { token: this.script[drawn] }
  }
}

/** Says what a function makes of the prompt. */
export class AnsweringRunner extends FakeRunner {
  private readonly scripts = new WeakMap<Sequence, readonly number[]>()

  constructor(
    private readonly answer: (prompt: ArrayLike<number>) => readonly number[],
    max_context = 4096,
  ) {
    super(512, max_context)
  }

  protected next(sequence: Sequence): Sampled {
    const script = this.scripts.get(sequence) ?? this.answer(sequence.request.prompt)
    this.scripts.set(sequence, script)
    return {
      token: script[sequence.drawn],
      ...(sequence.request.params.logprobs && { logprob: -0.5, top_logprobs: [] }),
    }
  }
}
