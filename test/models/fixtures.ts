import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { openCheckpoint } from "../../src/checkpoint/checkpoint.js"
import { nodeDirectory } from "../../src/checkpoint/node_directory.js"
import { readHeader } from "../../src/checkpoint/safetensors.js"
import { loadGptOss } from "../../src/models/load.js"

/** Made by tools/reference/gpt_oss_logits.py. */
const FIXTURES = join(dirname(fileURLToPath(import.meta.url)), "../../../test/models/fixtures")

/** What transformers and mlx-lm say of a checkpoint. */
export interface Expected {
  readonly tokens: Uint32Array
  /** transformers in float32, `[length, vocab_size]` */
  readonly logits: Float32Array
  /** mlx-lm with float32 activations, where it reads the config as transformers does */
  readonly mlx_logits?: Float32Array
  readonly greedy_tokens: Uint32Array
  /** First minus second logit at each greedy token. */
  readonly greedy_margin: Float32Array
}

export const LAYOUTS = {
  "three-of-ten": ["hf", "hf-mxfp4", "mlx-q8"],
  "all-experts": ["hf", "mlx-q8"],
  clamped: ["hf", "mlx-q8"],
  tied: ["hf", "hf-mxfp4"],
  wide: ["mlx-q8"],
} as const

/** `[shape, layout]` of every fixture whose layout is among `layouts`. */
export function fixtures(...layouts: string[]): [string, string][] {
  return Object.entries(LAYOUTS).flatMap(([shape, has]) =>
    has.filter((layout) => layouts.includes(layout)).map((layout): [string, string] => [shape, layout]),
  )
}

/** The folder of a fixture. */
export function fixturePath(shape: string, layout: string): string {
  return join(FIXTURES, shape, layout)
}

export async function openFixture(shape: string, layout: string) {
  const directory = nodeDirectory(fixturePath(shape, layout))
  const checkpoint = await openCheckpoint(directory)
  return { checkpoint, model: await loadGptOss(checkpoint), expected: await readExpected(directory) }
}

async function readExpected(directory: ReturnType<typeof nodeDirectory>): Promise<Expected> {
  const source = await directory.open("expected.safetensors")
  const { tensors } = await readHeader(source)
  const values: Record<string, Float32Array | Uint32Array> = {}
  for (const [name, { dtype, offset, byteLength }] of tensors) {
    const bytes = new Uint8Array(byteLength)
    await source.read(offset, bytes)
    values[name] = dtype === "float32" ? new Float32Array(bytes.buffer) : new Uint32Array(bytes.buffer)
  }
  await source.close()
  return values as unknown as Expected
}

/** ||a - b|| / ||b|| */
export function relativeError(a: Float32Array, b: Float32Array): number {
  let difference = 0
  let norm = 0
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2
    norm += b[i] ** 2
  }
  return Math.sqrt(difference / norm)
}

/** Rows where the largest logit sits elsewhere although the expected first one leads by more than `margin`. */
export function argmaxDisagreements(a: Float32Array, b: Float32Array, vocab_size: number, margin: number): number[] {
  const rows: number[] = []
  for (let row = 0; row * vocab_size < b.length; row++) {
    const found = a.subarray(row * vocab_size, (row + 1) * vocab_size)
    const expected = b.subarray(row * vocab_size, (row + 1) * vocab_size)
    const [first, second] = [...expected].sort((x, y) => y - x)
    const agrees = found.indexOf(Math.max(...found)) === expected.indexOf(first)
    if (first - second > margin && !agrees) rows.push(row)
  }
  return rows
}
