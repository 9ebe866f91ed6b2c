import { afterEach, beforeEach, expect, it } from "vitest"
import { ReferenceBackend } from "../backends/reference/backend.js"
import * as mx from "./mx.js"
import type { MxArray } from "./mx_array.js"

const [small, large] = [new ReferenceBackend(), new ReferenceBackend()]
const random = (...shape: number[]) =>
  mx.array(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i)),
    shape,
  )
const homes = ({ storage }: MxArray) =>
  [small, large]
    .filter((backend) => storage.replicaIn(backend))
    .map((backend) => (backend === small ? "small" : "large"))
const product = (x: MxArray, weight: MxArray) => mx.matmul(x, { weight, quantization: null })

beforeEach(() => mx.setDefaultDevice(mx.autoDevice({ small, large })))
afterEach(() => mx.setDefaultDevice(undefined))

it("runs tiny work on the small device and large work on the large one", async () => {
  const tiny = mx.add(random(8), random(8))
  const big = product(random(128, 256), random(256, 256))
  await mx.evaluate([tiny])
  await mx.evaluate([big])
  expect([homes(tiny), homes(big)]).toEqual([["small"], ["large"]])
})

it("copies an array once to where it is used, however often that is", async () => {
  const [x, weight] = [random(128, 256), random(256, 256)]
  const copies = async (...arrays: MxArray[]) => {
    const before = mx.memory.stats().bytes_copied
    await mx.evaluate(arrays)
    return mx.memory.stats().bytes_copied - before
  }
  expect(await copies(product(x, weight))).toBe(4 * (128 * 256 + 256 * 256))
  expect(await copies(product(x, weight))).toBe(0)
  // What is on the large device stays there, tiny work too.
  const row = mx.slice(x, [0, 0], [1, 256])
  const sum = mx.sum(row)
  expect(await copies(sum)).toBe(0)
  expect(homes(sum)).toEqual(["large"])
})

it("takes a device that is named", async () => {
  const tiny = mx.negative(random(8))
  await mx.evaluate([tiny], large)
  expect(homes(tiny)).toEqual(["large"])
})

it("places compiled functions too, by the sizes of their inputs", async () => {
  const double = (rows: number) =>
    mx.compile({ x: { shape: [rows, 256], dtype: "float32" } }, ({ x }) => ({ outputs: [mx.add(x, x)] }))
  const [few, many] = [await double(1), await double(1000)]
  await few.replay({ x: new Float32Array(256) })
  await many.replay({ x: new Float32Array(256_000) })
  expect([homes(few.outputs[0]), homes(many.outputs[0])]).toEqual([["small"], ["large"]])
})
