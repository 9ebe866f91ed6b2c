import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { generate } from "./generate.js"
import type { GenerationOptions } from "./generation.js"
import { MarkovRunner } from "../../test/engine/markov_runner.js"
import type { DecodeOptions } from "./model_runner.js"
import { perplexity } from "./perplexity.js"
import { Session } from "./session.js"

const silent = { push: () => "", end: () => "" }
const ask = (session: Session, prompt: number[], options: GenerationOptions = {}) =>
  generate(session, prompt, silent, new Set(), { temperature: 0, max_tokens: 3, ...options })

async function tokensOf(answer: ReturnType<typeof ask>): Promise<number[]> {
  const tokens: number[] = []
  for await (const result of answer) if (result.type === "token") tokens.push(result.token)
  return tokens
}

const settled = () => new Promise((resolve) => setTimeout(resolve))

/** Draws as a device would, and says when it was told to stop. */
class DrawingRunner extends MarkovRunner {
  stopped = false

  async *decode(tokens: Uint32Array, { limit = 8 }: DecodeOptions): AsyncGenerator<number, void> {
    try {
      await this.forward(tokens)
      for (let i = 0; i < limit; i++) yield i
    } finally {
      this.stopped = true
    }
  }
}

describe("requests on one session", () => {
  it("wait for each other, and each gets what it would get alone", async () => {
    const requests = fc.array(fc.array(fc.nat({ max: 31 }), { minLength: 1, maxLength: 9 }), {
      minLength: 2,
      maxLength: 6,
    })
    await fc.assert(
      fc.asyncProperty(requests, async (prompts) => {
        const session = new Session(new MarkovRunner())
        const answers = await Promise.all(prompts.map((prompt) => tokensOf(ask(session, prompt))))
        const alone = prompts.map((prompt) => tokensOf(ask(new Session(new MarkovRunner()), prompt)))
        expect(answers).toEqual(await Promise.all(alone))
      }),
    )
  })

  it("come in the order in which they were first asked for a result", async () => {
    const session = new Session(new MarkovRunner())
    const [a, b, c] = [1, 2, 3].map((token) => ask(session, [token]))
    const order: string[] = []
    const run = (name: string, answer: typeof a) => tokensOf(answer).then(() => order.push(name))
    await Promise.all([run("c", c), run("a", a), run("b", b)])
    expect(order).toEqual(["c", "a", "b"])
  })

  it("do not wait for one that is never iterated, nor for one that was left", async () => {
    const session = new Session(new MarkovRunner())
    ask(session, [1])
    for await (const _ of ask(session, [2])) break
    expect(await tokensOf(ask(session, [3]))).toHaveLength(3)
  })

  it("do not wait for one that failed", async () => {
    const session = new Session(new MarkovRunner())
    const [failed, next] = [tokensOf(ask(session, [99])), tokensOf(ask(session, [3]))]
    await expect(failed).rejects.toThrow("prompt.0")
    expect(await next).toHaveLength(3)
  })

  it("leave the queue at once when they are aborted, and let nobody past", async () => {
    const runner = new MarkovRunner()
    const session = new Session(runner)
    const first = ask(session, [1])
    await first.next()
    const stop = new AbortController()
    const second = tokensOf(ask(session, [2], { signal: stop.signal }))
    const third = tokensOf(ask(session, [3]))
    const reason = new Error("changed my mind")
    stop.abort(reason)
    await expect(second).rejects.toBe(reason)
    await settled()
    expect(runner.ran).toEqual([1])
    await first.return()
    expect(await third).toHaveLength(3)
    expect(runner.ran).not.toContain(2)
  })

  it("refuse bad options without waiting", async () => {
    const session = new Session(new MarkovRunner())
    const first = ask(session, [1])
    await first.next()
    await expect(tokensOf(ask(session, [2], { top_k: -1 }))).rejects.toThrow("top_k")
    await first.return()
  })

  it("wait for a text's perplexity, which leaves nothing in the caches", async () => {
    const session = new Session(new MarkovRunner(8))
    const text = Uint32Array.of(1, 5, 2, 7)
    const [{ nll }, tokens] = await Promise.all([perplexity(session, text), tokensOf(ask(session, [1, 5, 2]))])
    expect(nll).toBe((await perplexity(new Session(new MarkovRunner(8)), text)).nll)
    expect(tokens).toEqual(await tokensOf(ask(new Session(new MarkovRunner(8)), [1, 5, 2])))
    await perplexity(session, text)
    expect(session.tokens).toHaveLength(0)
  })
})

describe("closing a session", () => {
  it.each([
    ["the host samples", new MarkovRunner()],
    ["the device draws", new DrawingRunner()],
  ])("ends the request that runs, read or not, and those that wait: %s", async (_, runner) => {
    const session = new Session(runner)
    const unread = ask(session, [1])
    await unread.next()
    const waiting = tokensOf(ask(session, [2]))
    await session.close()
    if (runner instanceof DrawingRunner) expect(runner.stopped).toBe(true)
    expect(runner.isDisposed).toBe(true)
    await expect(waiting).rejects.toThrow("model.createSession()")
    await expect(unread.next()).rejects.toThrow("closed")
    await expect(tokensOf(ask(session, [3]))).rejects.toThrow("closed")
    expect(runner.ran).toEqual([1])
    await session.close()
  })

  it("waits for what is being computed", async () => {
    const runner = new MarkovRunner()
    const session = new Session(runner)
    const reading = tokensOf(ask(session, [1, 2, 3, 4, 5, 6, 7, 8, 9]))
    while (runner.ran.length === 0) await Promise.resolve()
    const closing = session.close().then(() => runner.ran.length)
    await expect(reading).rejects.toThrow("closed")
    const ran = await closing
    await settled()
    expect(runner.ran).toHaveLength(ran)
  })
})
