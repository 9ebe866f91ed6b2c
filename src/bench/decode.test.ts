import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { loadModel } from "../engine/node_model.js"
import { benchDecode } from "./decode.js"
import type { Peer } from "./peer.js"
import { tokenIds } from "./prompt.js"

const fixture = fileURLToPath(new URL("../../../test/models/fixtures/three-of-ten/hf", import.meta.url))

it("measures each context with the caches it reads, and leaves no memory behind", async () => {
  const backend = new ReferenceBackend()
  const model = await loadModel(fixture, { backend })
  const options = { prompt_lengths: [3, 5], tokens: 2, runs: 2, roofline: async () => 1e9 }
  const { points, read_bandwidth } = await benchDecode(model, backend, options)
  await model.close()
  expect(points.map(({ prompt_length }) => prompt_length)).toEqual([3, 5])
  const { weight_bytes_per_token, cache_bytes_per_token } = model.info
  for (const { prompt_length, bytes_per_token, decode_tps, roofline_share, memory } of points) {
    expect(bytes_per_token).toBe(weight_bytes_per_token + cache_bytes_per_token(prompt_length + 1))
    expect(roofline_share).toBeCloseTo((decode_tps * bytes_per_token) / read_bandwidth)
    expect(memory[0].device).toBeGreaterThan(0)
    expect(memory[1].device).toBe(memory[0].device)
  }
})

it("has a peer decode after the same prompts, in turn", async () => {
  const backend = new ReferenceBackend()
  const model = await loadModel(fixture, { backend })
  const asked: [number, number][] = []
  const decode = async (prompt: Uint32Array, tokens: number) => {
    expect(prompt).toEqual(tokenIds(prompt.length, 97))
    asked.push([prompt.length, tokens])
    return 500
  }
  const peer = { decode } as unknown as Peer
  const options = { prompt_lengths: [3], tokens: 2, runs: 2, roofline: async () => 1e9, peer }
  const { points } = await benchDecode(model, backend, options)
  await model.close()
  expect(new Set(asked.map(String))).toEqual(new Set(["3,2"]))
  expect(points[0].peer).toEqual({ tps: 4, tps_range: [4, 4], ratio: points[0].decode_tps / 4 })
})
