import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { linesOf, LineError, parseRequest } from "./input.js"

async function* chunked(bytes: Uint8Array, sizes: readonly number[]) {
  for (let at = 0, n = 0; at < bytes.byteLength; n++) {
    const size = sizes[n % sizes.length]
    yield bytes.subarray(at, at + size)
    at += size
  }
}

async function lines(text: string, sizes = [1000], longest = 1000) {
  const found = []
  for await (const line of linesOf(chunked(Buffer.from(text), sizes), longest)) found.push(line)
  return found
}

describe("lines of a file", () => {
  const text = fc
    .array(fc.constantFrom("a", "é", "\n", "\r\n", " ", "{}", "\n\n"), { maxLength: 40 })
    .map((p) => p.join(""))

  it("are those between newlines that are not blank, however the bytes come", async () => {
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 }),
        async (text, sizes) => {
          const expected = text.split("\n").map((line, index) => ({ line: index + 1, text: line }))
          const found = await lines(text, sizes)
          expect(found.map(({ line, bytes }) => ({ line, text: String(bytes) }))).toEqual(
            expected.filter(({ text }) => text.trim() !== ""),
          )
          for (const { from, to, bytes } of found)
            expect(Buffer.from(text).subarray(from, to).equals(bytes!)).toBe(true)
        },
      ),
    )
  })

  it("are told to be too long without being kept", async () => {
    const found = await lines(`ab\n${"x".repeat(5000)}\ncd`, [7], 10)
    expect(found.map(({ line, from, to, bytes }) => [line, from, to, bytes && String(bytes)])).toEqual([
      [1, 0, 2, "ab"],
      [2, 3, 5003, null],
      [3, 5004, 5006, "cd"],
    ])
  })
})

describe("a line of a batch", () => {
  const request = { custom_id: "a", method: "POST", url: "/v1/responses", body: { model: "m" } }
  const parse = (line: unknown) =>
    parseRequest(Buffer.from(typeof line === "string" ? line : JSON.stringify(line)), "/v1/responses")

  it("is a request", () => {
    expect(parse(request)).toEqual({ custom_id: "a", url: "/v1/responses", body: '{"model":"m"}', model: "m" })
    expect(parse(`\uFEFF${JSON.stringify(request)}\r`).custom_id).toBe("a")
    expect(parse({ ...request, body: { model: 7, x: "\ud800" } })).toMatchObject({ model: null })
  })

  it.each([
    ["invalid_json_line", null, "{"],
    ["invalid_json_line", null, "[]"],
    ["invalid_json_line", null, "null"],
    ["invalid_json_line", null, `{"custom_id": "a" "method": 1}`],
    ["missing_required_parameter", "custom_id", { ...request, custom_id: undefined }],
    ["missing_required_parameter", "custom_id", { ...request, custom_id: 7 }],
    ["missing_required_parameter", "custom_id", { ...request, custom_id: "" }],
    ["missing_required_parameter", "custom_id", { ...request, custom_id: "x".repeat(513) }],
    ["invalid_method", "method", { ...request, method: "GET" }],
    ["invalid_url", "url", { ...request, url: "/v1/chat/completions" }],
    ["invalid_url", "url", { ...request, url: "/v1/responses/../batches" }],
    ["missing_required_parameter", "body", { ...request, body: "text" }],
    ["missing_required_parameter", "body", { ...request, body: [] }],
    ["invalid_request", "body.stream", { ...request, body: { stream: true } }],
  ])("is refused as %s (%s)", (code, param, line) => {
    try {
      parse(line)
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(LineError)
      expect(error).toMatchObject({ code, param })
    }
  })

  it("is refused where it is not UTF-8, too long, or too deep", () => {
    expect(() => parseRequest(new Uint8Array([0x22, 0xff, 0x22]), "/")).toThrow(/not UTF-8/)
    expect(() => parseRequest(null, "/")).toThrow(/longer than/)
    const deep = `${"[".repeat(10_000)}${"]".repeat(10_000)}`
    const line = `{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"a":${deep}}}`
    try {
      expect(parse(line).body).toBe(`{"a":${deep}}`)
    } catch (error) {
      expect(error).toBeInstanceOf(LineError)
    }
  })

  it("is a request or a LineError, whatever it is", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.json(), fc.string(), fc.record({ custom_id: fc.jsonValue(), body: fc.jsonValue() })),
        (line) => {
          try {
            parse(line)
          } catch (error) {
            expect(error).toBeInstanceOf(LineError)
          }
        },
      ),
    )
  })
})
