import { describe, expect, it } from "vitest"
import { BrokenRun, Claims } from "./claims.js"

const STATE_WORDS = Claims.BYTES / 4
const sharedState = () => new Int32Array(new SharedArrayBuffer(Claims.BYTES))

/** Runs on this thread alone; returns the parts done, in order, and whether it was told that it did the last. */
function alone(claims: Claims, parts: readonly number[], first: number) {
  const done: string[] = []
  const last = claims.run(parts, first, (section, part) => done.push(`${section}.${part}`))
  return { done, last }
}

describe("claims", () => {
  it("let one thread do everything, in order", () => {
    const claims = new Claims(new Int32Array(STATE_WORDS))
    expect(alone(claims, [1, 3, 2], 0)).toEqual({ done: ["0.0", "1.0", "1.1", "1.2", "2.0", "2.1"], last: true })
    expect(alone(claims, [2], 6)).toEqual({ done: ["0.0", "0.1"], last: true })
  })

  it("leave a thread that comes late nothing to do, however many runs it has missed", () => {
    const state = sharedState()
    const [early, late] = [new Claims(state), new Claims(state)]
    alone(early, [1, 3], 0)
    alone(early, [5], 4)
    expect(alone(late, [1, 3], 0)).toEqual({ done: [], last: false })
    expect(alone(late, [5], 4)).toEqual({ done: [], last: false })
    expect(alone(late, [2], 9)).toEqual({ done: ["0.0", "0.1"], last: true })
  })

  it("stop at a break, before anything else is claimed, and start anew after a reset", () => {
    const state = sharedState()
    const claims = new Claims(state)
    const done: string[] = []
    const run = () =>
      claims.run([1, 1, 1], 0, (section) => {
        done.push(`${section}`)
        if (section === 1) new Claims(state).break()
      })
    expect(run).toThrow(BrokenRun)
    expect(done).toEqual(["0", "1"])
    expect(() => alone(claims, [2], 3)).toThrow(BrokenRun)
    claims.reset()
    expect(alone(claims, [2], 0)).toEqual({ done: ["0.0", "0.1"], last: true })
  })

  it("count on past 2^31", () => {
    const first = 2 ** 31 - 3
    const state = new Int32Array(STATE_WORDS).fill(first, 0, 2)
    const claims = new Claims(state)
    expect(alone(claims, [2, 4], first)).toEqual({ done: ["0.0", "0.1", "1.0", "1.1", "1.2", "1.3"], last: true })
    expect(alone(new Claims(state), [2, 4], first)).toEqual({ done: [], last: false })
    expect(alone(claims, [1], (first + 6) | 0)).toEqual({ done: ["0.0"], last: true })
  })
})
