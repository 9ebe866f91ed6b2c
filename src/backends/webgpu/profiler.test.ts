import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as mx from "../../array/mx.js"
import type { MxArray } from "../../array/mx_array.js"
import { apply, input } from "../../graph/build.js"
import { lower } from "../../graph/lower.js"
import { WebGpuBackend } from "./backend.js"
import { nodeGpu } from "./node_gpu.js"
import type { Profile, ProfileDetail } from "./profiler.js"

let backend: WebGpuBackend
beforeAll(async () => {
  backend = await WebGpuBackend.open(await nodeGpu({ validate: true }))
})
afterAll(() => backend.close())

/** |x| `times` times, then a square root: every value is 2. */
async function profiled(detail: ProfileDetail, times: number): Promise<Profile> {
  let x: MxArray = mx.array(new Float32Array(1000).fill(-4))
  for (let i = 0; i < times; i++) x = mx.abs(x)
  x = mx.sqrt(x)
  const profiler = await backend.profile(detail)
  await mx.evaluate([x], backend)
  expect([...((await x.data()) as Float32Array)].every((value) => value === 2)).toBe(true)
  return profiler.stop()
}

describe("profiles", () => {
  it.each([1, 2100])("times every dispatch of %i and one, in order, inside the replay", async (times) => {
    const start = performance.now()
    const { replays, host } = await profiled("dispatch", times)
    const end = performance.now()
    expect(replays).toHaveLength(1)
    const [{ gpu, dispatches }] = replays
    expect(dispatches.map(({ name }) => name)).toEqual([...Array(times).fill("unary abs"), "unary sqrt"])
    expect(dispatches.every(({ ms, workgroups }) => ms >= 0 && workgroups.join() === "4,1,1")).toBe(true)
    let previous = gpu.start_ms
    for (const { start_ms, ms } of dispatches) {
      expect(start_ms).toBeGreaterThanOrEqual(previous)
      previous = start_ms + ms
    }
    expect(previous).toBeCloseTo(gpu.start_ms + gpu.ms, 3)
    expect(gpu.ms).toBeGreaterThan(0)
    expect(gpu.ms).toBeLessThan(end - start)
    expect(host.map(({ name }) => name)).toEqual(["encode", "submit", "read"])
  })

  it("times a replay as a whole", async () => {
    const { replays } = await profiled("replay", 3)
    expect(replays).toHaveLength(1)
    expect(replays[0].dispatches).toEqual([])
    expect(replays[0].gpu.ms).toBeGreaterThan(0)
  })

  it("knows the workgroups of each replay, whatever rows the next one has", async () => {
    const x = input("x", [{ name: "rows", max: 1000 }, 1], "float32")
    const program = lower({ outputs: [apply({ kind: "unary", fn: "abs" }, { x }).y] })
    const executable = await backend.compile(program)
    const profiler = await backend.profile("dispatch")
    for (const rows of [1000, 10, 500]) await executable.replay({ x: new Float32Array(rows) })
    const { replays } = await profiler.stop()
    expect(replays.map(({ dispatches: [{ workgroups }] }) => workgroups.join())).toEqual(["4,1,1", "1,1,1", "2,1,1"])
    executable.dispose()
  })

  it("takes over from the one before, which still tells what it saw", async () => {
    const roots = () => [mx.sqrt(mx.array(Float32Array.of(4)))]
    const first = await backend.profile("dispatch")
    await mx.evaluate(roots(), backend)
    const second = await backend.profile("replay")
    await mx.evaluate(roots(), backend)
    await mx.evaluate(roots(), backend)
    expect((await first.stop()).replays).toHaveLength(1)
    await mx.evaluate(roots(), backend)
    expect((await second.stop()).replays).toHaveLength(3)
  })

  it("leaves programs alone once it has stopped", async () => {
    const profiler = await backend.profile("dispatch")
    await profiler.stop()
    const x = mx.sqrt(mx.array(Float32Array.of(4)))
    await mx.evaluate([x], backend)
    expect((await profiler.stop()).replays).toEqual([])
  })
})
