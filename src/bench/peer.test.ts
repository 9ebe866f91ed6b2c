import { expect, it } from "vitest"
import { inTurn, peerSpeed, speedOf } from "./peer.js"

it("runs contenders in turn and keeps their times apart", async () => {
  const runs: string[] = []
  const contender = (name: string, ms: readonly number[]) => {
    let next = 0
    return async () => {
      runs.push(name)
      return ms[next++]
    }
  }
  const done: number[] = []
  const times = await inTurn([contender("ours", [1, 2, 3]), contender("theirs", [10, 20, 30])], 3, (run) =>
    done.push(run),
  )
  expect(runs).toEqual(["ours", "theirs", "ours", "theirs", "ours", "theirs"])
  expect(times).toEqual([
    [1, 2, 3],
    [10, 20, 30],
  ])
  expect(done).toEqual([1, 2, 3])
})

it("tells speeds by the median run, and the ratio of ours to theirs", () => {
  const ours = speedOf(128, [1000, 4000, 2000])
  expect(ours).toEqual({ tps: 64, tps_range: [32, 128] })
  expect(peerSpeed(128, ours, [1000, 500, 8000])).toEqual({ tps: 128, tps_range: [16, 256], ratio: 0.5 })
})
