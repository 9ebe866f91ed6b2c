import { expect, it } from "vitest"
import { chromeTrace } from "./trace.js"

const dispatch = (name: string, start_ms: number, ms: number, bytes: number) => ({
  name,
  start_ms,
  ms,
  bytes,
  workgroups: [4, 2, 1] as const,
})

const profile = {
  replays: [
    {
      gpu: { name: "replay", start_ms: 1000.5, ms: 0.05 },
      dispatches: [dispatch("matvec", 1000.5, 0.02, 40_000), dispatch("norm", 1000.53, 0.02, 0)],
    },
    { gpu: { name: "replay", start_ms: 1001, ms: 0.25 }, dispatches: [dispatch("matvec", 1001, 0.25, 0)] },
  ],
  host: [
    { name: "encode", start_ms: 1000, ms: 0.25 },
    { name: "submit", start_ms: 1000.25, ms: 0.125 },
    { name: "read", start_ms: 1000.5, ms: 1 },
    { name: "read", start_ms: 1000.75, ms: 1 },
  ],
}

it("puts each span on its track, in microseconds from the first", () => {
  const { traceEvents } = chromeTrace(profile, "SomeGPU 9000")
  const on = (track: string) => {
    const named = traceEvents.find(({ ph, args }) => ph === "M" && args?.name === track)
    const spans = traceEvents.filter(({ ph, pid, tid }) => ph === "X" && pid === named?.pid && tid === named?.tid)
    return spans.map(({ name, ts, dur }) => [name, Math.round(ts ?? -1), Math.round(dur ?? -1)])
  }
  expect(on("dispatches")).toEqual([
    ["matvec", 500, 20],
    ["norm", 530, 20],
    ["matvec", 1000, 250],
  ])
  expect(on("steps")).toEqual([
    ["replay", 500, 50],
    ["replay", 1000, 250],
  ])
  expect(on("encode and submit")).toEqual([
    ["encode", 0, 250],
    ["submit", 250, 125],
  ])
  expect(traceEvents.filter(({ ph, args }) => ph === "M" && args?.name === "SomeGPU 9000")).toHaveLength(1)
})

it("says bytes and rate where they are known, and the grid", () => {
  const [first, second] = chromeTrace(profile, "gpu").traceEvents.filter(({ args }) => args?.workgroups)
  expect(first.args).toEqual({ bytes: 40_000, "GB/s": expect.closeTo(2, 6), workgroups: "4 x 2 x 1" })
  expect(second.args).toEqual({ bytes: 0, workgroups: "4 x 2 x 1" })
})

it("pairs the ends of reads that overlap", () => {
  const reads = chromeTrace(profile, "gpu").traceEvents.filter(({ name }) => name === "read")
  const ids = new Set(reads.map(({ id }) => id))
  expect(ids.size).toBe(2)
  for (const id of ids) {
    const [begin, end] = reads.filter((event) => event.id === id)
    expect([begin.ph, end.ph]).toEqual(["b", "e"])
    expect((end.ts ?? 0) - (begin.ts ?? 0)).toBeCloseTo(1000)
  }
})
