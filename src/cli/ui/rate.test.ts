import { expect, it } from "vitest"
import { RateMeter } from "./rate.js"

it("a rate is that of the last ten seconds, and nothing at first", () => {
  const rate = new RateMeter()
  expect(rate.perSecond()).toBeUndefined()
  rate.add(5000, 0)
  rate.add(5100, 100)
  expect(rate.perSecond()).toBeUndefined()
  for (let second = 1; second <= 60; second++) rate.add(5000 + 10 * second, 1000 * second)
  expect(rate.perSecond()).toBeCloseTo(10)
  for (let second = 61; second <= 72; second++) rate.add(5600 + 300 * (second - 60), 1000 * second)
  expect(rate.perSecond()).toBeCloseTo(300)
})

it("a rate is never negative when something is begun anew", () => {
  const rate = new RateMeter()
  rate.add(1000, 0)
  rate.add(0, 1000)
  expect(rate.perSecond()).toBeUndefined()
  rate.add(500, 2000)
  expect(rate.perSecond()).toBe(500)
})
