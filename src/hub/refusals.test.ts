import { expect, it } from "vitest"
import { retryAfter } from "./refusals.js"

it.each([
  ["120", 120_000],
  ["0", 0],
  // RFC 9110, 10.2.3.
  ["Fri, 31 Dec 1999 23:59:59 GMT", 9000],
  ["Fri, 31 Dec 1999 23:00:00 GMT", 0],
  ["soon", undefined],
  ["-5", undefined],
])("Retry-After: %s", (text, ms) => {
  const now = Date.parse("Fri, 31 Dec 1999 23:59:50 GMT")
  expect(retryAfter(new Headers({ "Retry-After": text }), now)).toBe(ms)
})
