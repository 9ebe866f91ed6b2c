import { type WritableDirectory, writeFile, writeJson } from "../checkpoint/byte_sink.js"
import type { Directory } from "../checkpoint/byte_source.js"
import { CheckpointError } from "../checkpoint/errors.js"
import { type QuantizationFormat, readQuantizationConfig } from "../checkpoint/quantization_config.js"
import { writeSafetensors } from "../checkpoint/safetensors_writer.js"
import { parseGptOssConfig } from "./config.js"
import { byteLengthOf, gptOssLayout, type LayoutTensor } from "./layout.js"
import { type ConfigJson, configText, PRESETS, type PresetName, publishedConfig } from "./presets.js"
import { decidedRouterBias, randomTensor } from "./random_tensor.js"

/** Shards are filled up to this size: mlx-lm's rule, and Hugging Face's. */
const SHARD_BYTES: Record<QuantizationFormat, number> = { mlx: 5 * 2 ** 30, hf: 5e9 }

const METADATA: Record<QuantizationFormat, string> = { mlx: "mlx", hf: "pt" }

const TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"]

export interface SynthOptions {
  /** A preset, or a config.json of one's own (a gpt-oss model). */
  readonly config: PresetName | ConfigJson
  readonly format: QuantizationFormat
  /** How many layers to keep; all by default. */
  readonly layers?: number
  /** Same seed, same bytes. Default 0. */
  readonly seed?: number
  /** How many files, at most; by default as many as the published rule makes. */
  readonly shards?: number
  /** Whether routers choose by random margins (the default) or the same experts for every token: {@link decidedRouterBias}. */
  readonly routers?: "random" | "decided"
  /** A model folder to copy the tokenizer from. */
  readonly tokenizer?: Directory
  /** Bytes of tensors written so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void
}

export interface SynthSummary {
  readonly tensors: number
  readonly bytes: number
  readonly files: readonly string[]
}

/**
 * Writes a checkpoint of random weights exactly in the published layout: names, shapes, dtypes, shards, index, config. The
 * weights are scaled so that activations stay of the order of one. For benchmarks without a download.
 *
 * @throws CheckpointError for an invalid config, a tokenizer folder without a tokenizer, or what `directory` throws;
 * RangeError unless `shards` is a positive integer
 */
export async function synthesize(directory: WritableDirectory, options: SynthOptions): Promise<SynthSummary> {
  const { format, seed = 0, shards: count, tokenizer, onProgress } = options
  if (count !== undefined && !(Number.isInteger(count) && count > 0)) {
    throw new RangeError(`shards must be a positive integer, found ${count}`)
  }
  const preset = typeof options.config === "string" ? PRESETS[options.config] : options.config
  const config = publishedConfig(preset, format, options.layers)
  const { quantizationOf } = readQuantizationConfig(config)
  const parsed = parseGptOssConfig(config)
  const layout = gptOssLayout(parsed, format, quantizationOf)
  const total = layout.reduce((sum, tensor) => sum + byteLengthOf(tensor), 0)
  const shards = count ? splitEvenly(layout, count, total) : splitBySize(layout, SHARD_BYTES[format])
  const files = shards.map((_, i) => shardName(format, i, shards.length))
  const isDecided = ({ name }: LayoutTensor) => options.routers === "decided" && name.endsWith(".mlp.router.bias")
  const contentsOf = (tensor: LayoutTensor) =>
    isDecided(tensor) ? decidedRouterBias(tensor, seed, parsed.num_experts_per_tok) : randomTensor(tensor, seed)

  let done = 0
  for (const [i, shard] of shards.entries()) {
    const tensors = shard.map((tensor) => ({ ...tensor, ...contentsOf(tensor) }))
    await writeSafetensors(directory, files[i], tensors, { format: METADATA[format] }, (bytes) => {
      done += bytes
      onProgress?.(done, total)
    })
  }
  const shardOf = new Map(shards.flatMap((shard, i) => shard.map(({ name }) => [name, files[i]])))
  const weight_map = Object.fromEntries([...shardOf].sort(([a], [b]) => (a < b ? -1 : 1)))
  await writeJson(directory, "model.safetensors.index.json", { metadata: { total_size: total }, weight_map })
  await writeFile(directory, "config.json", new TextEncoder().encode(configText(config)))
  if (tokenizer) await copyTokenizer(tokenizer, directory)
  return { tensors: layout.length, bytes: total, files }
}

/** In order, each filled until the next tensor would exceed the limit. */
function splitBySize(layout: readonly LayoutTensor[], limit: number): LayoutTensor[][] {
  const shards: LayoutTensor[][] = [[]]
  let size = 0
  for (const tensor of layout) {
    const bytes = byteLengthOf(tensor)
    if (size + bytes > limit && size > 0) {
      shards.push([])
      size = 0
    }
    shards[shards.length - 1].push(tensor)
    size += bytes
  }
  return shards
}

/** In order, about as many bytes in each. */
function splitEvenly(layout: readonly LayoutTensor[], count: number, total: number): LayoutTensor[][] {
  const shards = Array.from({ length: count }, (): LayoutTensor[] => [])
  let start = 0
  for (const tensor of layout) {
    const bytes = byteLengthOf(tensor)
    shards[Math.min(Math.floor(((start + bytes / 2) / total) * count), count - 1)].push(tensor)
    start += bytes
  }
  return shards.filter((shard) => shard.length > 0)
}

/** mlx-lm counts from one; OpenAI's files count from zero and name the last number, not the count. */
function shardName(format: QuantizationFormat, i: number, count: number): string {
  if (count === 1) return "model.safetensors"
  const [number, last] = format === "mlx" ? [i + 1, count] : [i, count - 1]
  return `model-${String(number).padStart(5, "0")}-of-${String(last).padStart(5, "0")}.safetensors`
}

async function copyTokenizer(from: Directory, to: WritableDirectory): Promise<void> {
  for (const file of TOKENIZER_FILES) {
    const source = await from.open(file).catch((error: unknown) => {
      const optional = file !== "tokenizer.json"
      if (optional && error instanceof CheckpointError && error.code === "file_missing") return null
      throw error
    })
    if (!source) continue
    const bytes = new Uint8Array(source.size)
    await source.read(0, bytes).finally(() => source.close())
    await writeFile(to, file, bytes)
  }
}
