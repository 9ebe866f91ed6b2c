import { expect, it } from "vitest"
import { formatBytes } from "../../tensor/bytes.js"
import { formatCount, formatDuration, formatTable } from "./format.js"

it.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.00 kB"],
  [999_600, "1.00 MB"],
  [13_761_264_768, "13.8 GB"],
])("%i bytes", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})

it("counts and durations", () => {
  expect(formatCount(20_914_757_184)).toBe("20.9B")
  expect([3.06, 840, 12_340, 245_000].map(formatDuration)).toEqual(["3.1 ms", "840 ms", "12.3 s", "4 min 5 s"])
  expect(formatDuration(59_999)).toBe("60.0 s")
  expect(formatDuration(119_900)).toBe("2 min 0 s")
})

it("tables stand quantities to the right", () => {
  const table = formatTable(
    ["tensor", "bytes"],
    [
      ["a", "1.02 kB"],
      ["long_name", "16 B"],
    ],
  )
  expect(table.split("\n")).toEqual(["tensor       bytes", "a          1.02 kB", "long_name     16 B"])
})
