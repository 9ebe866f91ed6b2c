import { expect, it } from "vitest"
import { byteSize } from "./options.js"

it.each([
  ["16GB", 16e9],
  ["512MiB", 512 * 2 ** 20],
  ["1.5 kb", 1500],
  ["2KiB", 2048],
  ["1T", 1e12],
  ["4096", 4096],
  ["4096B", 4096],
])("%s is %d bytes", (text, bytes) => {
  expect(byteSize(text)).toBe(bytes)
})

it.each(["", "GB", "-1GB", "0", "16XB", "1e9", "16iB"])("%j is no size", (text) => {
  expect(() => byteSize(text)).toThrow("Expected a size")
})
