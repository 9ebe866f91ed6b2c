import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { createCpuBackend } from "../../backends/cpu/node_cpu.js"
import { ReferenceBackend } from "../../backends/reference/backend.js"
import { openCheckpoint } from "../../checkpoint/checkpoint.js"
import { nodeDirectory } from "../../checkpoint/node_directory.js"
import { nodeWritableDirectory } from "../../checkpoint/node_writable_directory.js"
import { dot } from "../../graph/view/dot.js"
import { edgesOf } from "../../graph/view/edges.js"
import type { GptOss } from "../../models/gpt_oss.js"
import { weightBytesPerToken } from "../../models/gpt_oss_footprint.js"
import { loadGptOss } from "../../models/load.js"
import { PRESETS } from "../../models/presets.js"
import { synthesize } from "../../models/synth.js"
import { htmlOf } from "../graph/html.js"
import type { Subject } from "../graph/subject.js"
import { textOf } from "../graph/text.js"
import { DEVICES, look } from "./graph.js"

const LAYERS = 24
const DECODE = { rows: 1, context: 512, without: [] }

let folder: string
let model: GptOss
let sizes: [string, number][]
let onGpu: Subject
let prompt: Subject
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "minerva-graph-"))
  const small = { hidden_size: 64, intermediate_size: 64, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 32 }
  const config = { ...PRESETS.tiny, ...small, num_local_experts: 4, vocab_size: 64 }
  await synthesize(nodeWritableDirectory(folder), { config, format: "mlx", layers: LAYERS })
  const checkpoint = await openCheckpoint(nodeDirectory(folder))
  model = await loadGptOss(checkpoint)
  sizes = [...checkpoint.tensors.values()].map(({ name, byteLength }) => [name, byteLength])
  await checkpoint.close() // nothing is read from here on
  onGpu = look("m", model, { ...DECODE, device: "gpu" })
  prompt = look("m", model, { ...DECODE, rows: 9, device: "cpu" })
})
afterAll(() => rm(folder, { recursive: true }))

describe("24 alternating layers", () => {
  it("fold as pairs: six launches a layer on a GPU", () => {
    const { optimised, traced } = onGpu
    expect(optimised.folds.map(({ times, items }) => [times, items.length])).toEqual([
      [1, 2],
      [LAYERS / 2, 12],
      [1, 3],
    ])
    expect(optimised.launches).toBe(2 + 6 * LAYERS + 3)
    expect(traced.folds.map(({ times }) => times)).toEqual([1, LAYERS / 2, 1])
    expect(traced.launches).toBe(2 + 22 * LAYERS + 4)
  })

  it("come to the bytes of their weights and caches", () => {
    const { config } = model
    const at = (context: number) => look("m", model, { ...DECODE, context, device: "reference" })
    const [{ traced, optimised }, longer] = [at(1024), at(1536)]
    const cacheRow = 2 * config.num_key_value_heads * config.head_dim * 4
    const full = config.layer_types.filter((type) => type === "full_attention").length
    const pageNumbers = LAYERS * (512 / 64) * 4
    expect(longer.optimised.read - optimised.read).toBe(full * 512 * cacheRow + pageNumbers)
    expect(optimised.read).toBeGreaterThan(weightBytesPerToken(config, sizes))
    expect(optimised.read).toBeLessThan(
      weightBytesPerToken(config, sizes) * 1.1 + config.num_hidden_layers * 1024 * cacheRow,
    )
    expect(optimised.written).toBeLessThan(traced.written)
    expect(optimised.flops).toBe(traced.flops)
    expect(optimised.arena).toBeLessThan(optimised.arenaApart)
  })

  it("need more launches without a pass, as the pass's share says", () => {
    const { optimised, passes } = onGpu
    const without = (pass: string) => look("m", model, { ...DECODE, without: [pass], device: "gpu" })
    expect(passes).toHaveLength(7)
    expect(passes[1].arena).toBeGreaterThan(0)
    for (const { pass, launches, arena } of [passes[1], passes[2], passes[4]]) {
      const other = without(pass)
      expect(other.passes.map((one) => one.pass)).not.toContain(pass)
      expect([launches, arena]).toEqual([
        other.optimised.launches - optimised.launches,
        other.optimised.arena - optimised.arena,
      ])
      expect(launches).toBeGreaterThanOrEqual(LAYERS)
    }
  })
})

describe("what a step depends on of its device", () => {
  it("is what the backends say", async () => {
    const cpu = await createCpuBackend({ threads: 1 })
    for (const [name, backend] of [
      ["cpu", cpu],
      ["reference", new ReferenceBackend()],
    ] as const) {
      const { fusions, kvFormats } = backend
      expect(DEVICES[name]).toEqual({ fusions, kvFormat: kvFormats[0] })
    }
    await cpu.close()
  })
})

/** Checks statements line by line, and that edges are between nodes that there are. */
function parseDot(text: string) {
  const string = String.raw`"(?:[^"\\\n]|\\.)*"`
  const attributes = String.raw`\[(?:\w+=(?:${string}|\w+)(?:, )?)+\]`
  const nodes = new Set<string>()
  const edges: [string, string][] = []
  let depth = 0
  for (const line of text
    .trimEnd()
    .split("\n")
    .map((line) => line.trim())) {
    const node = new RegExp(`^(n\\d+) ${attributes};$`).exec(line)
    const edge = new RegExp(`^(n\\d+) -> (n\\d+)(?: ${attributes})?;$`).exec(line)
    if (node) nodes.add(node[1])
    else if (edge) edges.push([edge[1], edge[2]])
    else if (/^(digraph|subgraph) \w+ \{$/.test(line)) depth++
    else if (line === "}") depth--
    else expect(line).toMatch(new RegExp(`^label=${string}; (labelloc=t; node ${attributes}|style=rounded);$`))
  }
  expect(depth).toBe(0)
  for (const end of edges.flat()) expect(nodes).toContain(end)
  return { nodes, edges }
}

describe("the formats", () => {
  const hostile = `</title><script src="https://example.com/x.js">"&\\`
  const subjects = () => [onGpu, prompt].map((subject) => ({ ...subject, model: hostile }))

  it("dot: a box for each launch of a unit, wired as they read", () => {
    for (const subject of subjects()) {
      for (const step of [subject.traced, subject.optimised]) {
        const { nodes, edges } = parseDot(dot(`${hostile}\nsecond line`, step.folds))
        expect(nodes.size).toBe(step.folds.reduce((sum, { items }) => sum + items.length, 0))
        expect(edges).toHaveLength(edgesOf(step.folds).length)
      }
    }
    const [{ optimised }] = subjects()
    const { edges } = parseDot(dot("", optimised.folds))
    // Every launch but the first reads one; none but the last, which draws, goes unread.
    expect(new Set(edges.map(([, to]) => to)).size).toBe(16)
    expect(new Set(edges.map(([from]) => from)).size).toBe(16)
  })

  it("html: one page that asks for nothing else and shows every kind of operation", () => {
    for (const subject of subjects()) {
      const page = htmlOf(subject, "optimised")
      expect(page).not.toMatch(/<script|<link|<img|<iframe|@import|url\(/i)
      expect(page).not.toMatch(/<[^>]*\b(?:src|href|action|srcset)\s*=/i)
      for (const { folds } of [subject.traced, subject.optimised]) {
        for (const { kind } of folds.flatMap(({ items }) => items)) expect(page).toContain(`>${kind}</span>`)
      }
      expect(page.match(/<details class="unit">/g)).toHaveLength(2)
      for (const tag of ["table", "tr", "td", "details", "svg", "div", "span"]) {
        const count = (pattern: string) => page.match(new RegExp(pattern, "g"))?.length
        expect([tag, count(`<${tag}[ >]`)]).toEqual([tag, count(`</${tag}>`)])
      }
    }
  })

  it("text: fits a terminal, and says why not", () => {
    const text = textOf(onGpu, "optimised")
    expect(text.split("\n").length).toBeLessThan(60)
    expect(text).toMatch(/^12 x 12 launches +in all/m)
    expect(text).toMatch(/^fuse_norm_matmul +matmul +24 +its rows are not those of a norm$/m)
    expect(textOf(prompt, "traced")).toContain("as traced\n")
  })
})

it("refuses more rows than the caches hold", () => {
  expect(() => look("m", model, { ...DECODE, rows: 513, device: "cpu" })).toThrow(/--rows 513: caches of 512 tokens/)
})
