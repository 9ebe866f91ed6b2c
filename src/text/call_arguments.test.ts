import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { CallArguments } from "./call_arguments.js"

function pieces(inHeader: string, freeform: boolean, texts: readonly string[]): string[] {
  const call = new CallArguments(inHeader, freeform)
  return [...texts.map((text) => call.push(text)), call.end()]
}

const whole = (inHeader: string, freeform: boolean, text: string) => pieces(inHeader, freeform, [text]).join("")

describe("arguments of a call", () => {
  it("come as they form", () => {
    expect(pieces("", false, ['{"a', '":1', "}"])).toEqual(['{"a', '":1', "}", ""])
    expect(pieces("", true, ["*** Begin", " Patch"])).toEqual(["*** Begin", " Patch", ""])
  })

  it.each([
    ["", '{"a":1}', '{"a":1}'],
    ["", 'json{"a":1}', '{"a":1}'],
    ["", " code\n[1]", "[1]"],
    ["", "jsonish", "jsonish"],
    ["", "json", "json"],
    ["", "c", "c"],
    ["", "", ""],
    ['{"a":', "1}", '{"a":1}'],
    ['{"a":1}', "", '{"a":1}'],
    ["some words", '{"a":1}', '{"a":1}'],
    ["some words", "and more", "some wordsand more"],
  ])("are, with %j in the header, of %j: %j", (inHeader, text, expected) => {
    expect(whole(inHeader, false, text)).toBe(expected)
  })

  it.each([
    ['{"input":"a\\nb"}', "a\nb"],
    ['{ "input" : "" }', ""],
    ['{"input":1}', '{"input":1}'],
    ['{"input":"a","b":1}', '{"input":"a","b":1}'],
    ['{"input":"cut', '{"input":"cut'],
    ["{ let x = 1 }", "{ let x = 1 }"],
    ['json {"a":1}', 'json {"a":1}'],
  ])("of a tool that takes text, of %j: %j", (text, expected) => {
    expect(whole("", true, text)).toBe(expected)
  })

  it("are the same however the text is cut", () => {
    const text = fc.array(fc.constantFrom("json", " ", "{", '"input"', ":", '"x"', "}", "code", "\n", "a", "[", "]"))
    fc.assert(
      fc.property(
        text,
        fc.constantFrom("", "", "w", "{"),
        fc.boolean(),
        fc.array(fc.nat(9)),
        (parts, head, free, cuts) => {
          const joined = parts.join("")
          const cut: string[] = []
          for (let at = 0, i = 0; at < joined.length; i++) {
            const length = 1 + (cuts[i % Math.max(1, cuts.length)] ?? 0)
            cut.push(joined.slice(at, at + length))
            at += length
          }
          expect(pieces(head, free, cut).join("")).toBe(whole(head, free, joined))
        },
      ),
    )
  })
})
