import { describe, expect, it } from "vitest"
import { apply, input } from "../graph/build.js"
import { lower } from "../graph/lower.js"
import type { Dim } from "../ir/dim.js"
import { BackendError, type HostArray } from "./backend.js"
import { replayBuffers } from "./replay_buffers.js"
import { inputBytes, rowsOf, sameRows } from "./step_inputs.js"

describe("what is fed to a program", () => {
  const rows = { name: "rows", max: 4 }
  const pages = { name: "pages", max: 9 }

  /** A program that reads `[first, 3]` as `a` and as `b`, and `[9 pages]` as `table`. */
  function program(first: Dim, second: Dim = first) {
    const outputs = [
      apply({ kind: "unary", fn: "neg" }, { x: input("a", [first, 3], "float32") }).y,
      apply({ kind: "unary", fn: "neg" }, { x: input("b", [second, 3], "float32") }).y,
      apply({ kind: "unary", fn: "neg" }, { x: input("table", [pages], "float32") }).y,
    ]
    return lower({ outputs })
  }

  const floats = (length: number) => new Float32Array(length)
  const told = (a: HostArray | undefined, b: HostArray | undefined, table: HostArray = floats(2)) =>
    rowsOf(replayBuffers(program(rows), []).inputs, { a, b, table } as Record<string, HostArray>)

  it("tells each symbol's rows", () => {
    for (const n of [1, 2, 4]) {
      expect(told(floats(3 * n), floats(3 * n))).toEqual(
        new Map([
          [rows, n],
          [pages, 2],
        ]),
      )
    }
    expect(rowsOf(replayBuffers(program(2), []).inputs, { a: floats(6), b: floats(6), table: floats(9) })).toEqual(
      new Map([[pages, 9]]),
    )
  })

  it.each<[string, HostArray | undefined, string]>([
    ["no rows", floats(0), "float32 of 0"],
    ["a part of a row", floats(4), "float32 of 4"],
    ["more than the most rows", floats(15), "float32 of 15"],
    ["another dtype", new Uint32Array(6), "uint32 of 6"],
    ["nothing", undefined, "nothing"],
    ["what is no array of ours", new Float64Array(6) as unknown as HostArray, "Float64Array of 6"],
  ])("refuses %s, and names the input, what it takes and what it was given", (_, given, found) => {
    const message = `input b: expected float32 of 3 to 12, a multiple of 3, found ${found}`
    expect(() => told(floats(6), given)).toThrow(new BackendError(message))
  })

  it("takes a flat input of one element a row", () => {
    expect(() => told(floats(3), floats(3), floats(10))).toThrow(
      new BackendError("input table: expected float32 of 1 to 9, found float32 of 10"),
    )
  })

  it("refuses two inputs that tell different numbers, and names both", () => {
    expect(() => told(floats(6), floats(9))).toThrow(new BackendError("input b has 3 rows, expected 2 as input a has"))
  })

  it("takes fixed inputs at their length alone, and windows of larger arrays", () => {
    const [a] = program(2).buffers.filter((buffer) => buffer.kind === "input")
    expect(() => inputBytes(a, floats(3))).toThrow(
      new BackendError("input a: expected float32 of 6, found float32 of 3"),
    )
    const window = Float32Array.from({ length: 9 }, (_, i) => i).subarray(2, 8)
    expect(new Float32Array(inputBytes(a, window).slice().buffer)).toEqual(Float32Array.of(2, 3, 4, 5, 6, 7))
  })

  it("knows equal numbers of rows", () => {
    const of = (...entries: [typeof rows, number][]) => new Map(entries)
    expect(sameRows(of([rows, 2], [pages, 1]), of([pages, 1], [rows, 2]))).toBe(true)
    expect(sameRows(of([rows, 2]), of([rows, 3]))).toBe(false)
    expect(sameRows(of(), of([rows, 3]))).toBe(false)
    expect(sameRows(of([rows, 2]), of([{ ...rows }, 2]))).toBe(false)
  })
})
