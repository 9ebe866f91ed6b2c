import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { StopStrings } from "./stop.js"

function stream(stops: string[], deltas: string[]) {
  const watch = new StopStrings(stops)
  const text = deltas.map((delta) => watch.push(delta)).join("") + watch.end()
  return { text, matched: watch.matched }
}

/** The plain definition: the stop string that ends first, the longest of those. */
function oracle(stops: string[], text: string) {
  for (let end = 1; end <= text.length; end++) {
    const matched = stops.filter((stop) => text.slice(0, end).endsWith(stop)).sort((a, b) => b.length - a.length)[0]
    if (matched !== undefined) return { text: text.slice(0, end - matched.length), matched }
  }
  return { text, matched: undefined }
}

describe("StopStrings", () => {
  it("gives the same result for any split of the text", () => {
    // A small alphabet makes overlapping and self-overlapping stop strings likely.
    const piece = fc.string({ unit: fc.constantFrom("a", "b", "\n", "é", "😀"), maxLength: 4 })
    const stops = fc.array(
      piece.filter((s) => s.length > 0),
      { maxLength: 3 },
    )
    fc.assert(
      fc.property(stops, fc.array(piece, { maxLength: 12 }), (stops, deltas) => {
        expect(stream(stops, deltas)).toEqual(oracle(stops, deltas.join("")))
      }),
      { numRuns: 3000 },
    )
  })

  it("holds text back only while it could become a stop string", () => {
    const watch = new StopStrings(["END", "\n\n"])
    expect(watch.push("one E")).toBe("one ")
    expect(watch.push("x\n")).toBe("Ex")
    expect(watch.push("EN")).toBe("\n")
    expect(watch.push("D and more")).toBe("")
    expect(watch.matched).toBe("END")
    expect(watch.push("later")).toBe("")
    expect(watch.end()).toBe("")
  })

  it("finds a stop string that begins inside another one", () => {
    expect(stream(["aab"], ["aa", "ab!"])).toEqual({ text: "a", matched: "aab" })
    expect(stream(["abcd", "bc"], ["abcd"])).toEqual({ text: "a", matched: "bc" })
  })
})
