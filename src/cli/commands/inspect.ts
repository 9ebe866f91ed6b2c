import { Command } from "commander"
import type { Backend } from "../../backends/backend.js"
import { bytesPerToken } from "../../cache/kv_size.js"
import type { Checkpoint, TensorInfo } from "../../checkpoint/checkpoint.js"
import { CheckpointError } from "../../checkpoint/errors.js"
import { openModel } from "../../checkpoint/node_find_model.js"
import { inferQuantization, readQuantizationConfig } from "../../checkpoint/quantization_config.js"
import { fitPool } from "../../engine/kv_pool.js"
import { MemoryLimitError } from "../../engine/memory_check.js"
import { cacheMemoryAt, planMemory, storeFor } from "../../engine/memory_plan.js"
import { openBackend } from "../../engine/node_backend.js"
import type { OpenedBackend } from "../../engine/open_backend.js"
import { boundsOf, kvNeeds } from "../../engine/load_model.js"
import { type GptOssConfig, parseGptOssConfig } from "../../models/config.js"
import { readGenerationConfig } from "../../models/generation_config.js"
import { GptOss } from "../../models/gpt_oss.js"
import { weightBytesPerToken } from "../../models/gpt_oss_footprint.js"
import { countParameters, gptOssWeights } from "../../models/layout.js"
import { loadGptOss } from "../../models/load.js"
import { formatBytes } from "../../tensor/bytes.js"
import type { KvFormat } from "../../tensor/kv_format.js"
import type { Quantization } from "../../tensor/quantization.js"
import { formatShape } from "../../tensor/shape.js"
import { poolOptions } from "../load.js"
import {
  byteSize,
  type DeviceFlags,
  modelOption,
  type PoolFlags,
  wholeNumber,
  withDeviceOptions,
  withPoolOptions,
} from "../options.js"
import { UsageError } from "../ui/errors.js"
import { formatCount, formatFacts, formatTable } from "../ui/format.js"
import { colors, printJson, printLine } from "../ui/output.js"

const CONTEXTS = [1024, 4096, 16384, 65536, 131072]

interface Flags extends DeviceFlags, PoolFlags {
  readonly model: string
  readonly tensors?: boolean
  readonly json?: boolean
  readonly context?: number
  readonly memoryLimit?: number
}

export const inspectCommand = withPoolOptions(withDeviceOptions(new Command("inspect")))
  .argument("[model]", "the same as --model")
  .addOption(modelOption())
  .option("--tensors", "list every tensor instead of one line per kind")
  .option("--context <tokens>", "plan memory for conversations of this length (default: the model's)", wholeNumber(2))
  .option("--memory-limit <size>", "say whether the model fits into this: 16GB, 512MiB", byteSize)
  .option("--json", "print one JSON document, with every tensor")
  .action(async (model: string | undefined, flags: Flags, command: Command) => {
    const isNamed = command.getOptionValueSource("model") !== "default"
    if (model !== undefined && isNamed && model !== flags.model) {
      throw new UsageError(`two models: ${model}, and --model ${flags.model}; give one`)
    }
    const { name, checkpoint } = await openModel(model ?? flags.model)
    try {
      const { device, threads, precision } = flags
      const opened = await openBackend({ device, threads, precision })
      try {
        const report = await inspect(name, checkpoint, opened, flags)
        if (flags.json) printJson(report)
        else print(report, Boolean(flags.tensors))
      } finally {
        await opened.backend.close()
      }
    } finally {
      await checkpoint.close()
    }
  })

type RoomFlags = PoolFlags & Pick<Flags, "context" | "memoryLimit">

type Report = Awaited<ReturnType<typeof inspect>>

/** What the command prints. Caches are those that a conversation on the device keeps. */
export async function inspect(
  model: string,
  checkpoint: Checkpoint,
  { backend, reason }: OpenedBackend,
  flags: RoomFlags = {},
) {
  const config = parseGptOssConfig(checkpoint.config)
  const quantization = readQuantizationConfig(checkpoint.config)
  const generation = await readGenerationConfig(checkpoint.directory, config.vocab_size)
  const infos = [...checkpoint.tensors.values()].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }))
  const network = new GptOss(config)
  const kv_cache_bytes = []
  for (const length of contexts(config)) {
    const needs = kvNeeds(network, backend, { max_context: length })
    kv_cache_bytes.push({ context: length, bytes: (await cacheMemoryAt(network, backend, needs)).bytes })
  }
  const quantizationOf = quantizations(checkpoint, config)
  const sizes = infos.map(({ name, byteLength }) => [name, byteLength] as const)
  return {
    model,
    model_type: config.model_type,
    format: quantization.format ?? "unquantized",
    config,
    generation: {
      eos_token_ids: [...new Set([...config.eos_token_ids, ...generation.eos_token_ids])],
      sampling: generation.sampling,
    },
    parameters: countParameters(config),
    files: new Set(infos.map(({ file }) => file)).size,
    memory: {
      device: reason,
      weight_bytes: checkpoint.byteLength,
      weight_bytes_per_token: Math.round(weightBytesPerToken(config, sizes)),
      kv_cache_dtype: backend.kvFormats[0],
      kv_cache_bytes,
      ...(await planOf(checkpoint, backend, flags)),
    },
    tensors: infos.map((info) => ({
      name: info.name,
      dtype: info.dtype,
      shape: info.shape,
      bytes: info.byteLength,
      quantization: quantizationLabel(quantizationOf(info)),
      file: info.file,
    })),
  }
}

/** What running the model takes, the pool in each format, and why it cannot run if it cannot. */
async function planOf(checkpoint: Checkpoint, backend: Backend, flags: RoomFlags) {
  try {
    const network = await loadGptOss(checkpoint)
    const pools = []
    for (const kv_bits of backend.kvFormats.flatMap((format) => BITS[format] ?? [])) {
      pools.push({ kv_bits, ...(await poolOf(network, backend, { ...flags, kvBits: kv_bits })) })
    }
    const { needs, plan, refusal } = await poolOf(network, backend, flags)
    return {
      plan: plan ?? (await planMemory(network, backend, needs)),
      refusal,
      pools: pools.map(({ needs: _needs, plan: _plan, ...pool }) => pool),
    }
  } catch (error) {
    // What is there can be told of a checkpoint that is incomplete, too.
    if (error instanceof CheckpointError) return { plan: null, refusal: error.message, pools: [] }
    throw error
  }
}

const BITS: Partial<Record<KvFormat, 16 | 8 | 4>> = { float16: 16, int8: 8, int4: 4 }

/** The pool that a model would get as the flags say. */
export async function poolOf(network: GptOss, backend: Backend, flags: RoomFlags) {
  const { context, memoryLimit: limit } = flags
  const wanted = kvNeeds(network, backend, { max_context: context, ...poolOptions(flags) })
  const { layout, page_bytes } = storeFor(network, backend, { ...wanted, bytes: undefined })
  const sizes = { bytes_per_token: bytesPerToken(layout, wanted.format), page_bytes }
  try {
    const { needs, plan } = await fitPool(
      network,
      backend,
      wanted,
      { limit, ...boundsOf(backend) },
      context === undefined,
    )
    const { pages, max_context } = storeFor(network, backend, needs)
    return { ...sizes, pages, max_context, needs, plan, refusal: null }
  } catch (error) {
    if (!(error instanceof MemoryLimitError)) throw error
    return { ...sizes, pages: 0, max_context: 0, needs: wanted, plan: error.plan, refusal: error.message }
  }
}

/** The usual lengths below the model's own, and that. */
function contexts({ max_position_embeddings }: GptOssConfig): number[] {
  return [...CONTEXTS.filter((context) => context < max_position_embeddings), max_position_embeddings]
}

/** How a packed weight is stored; null for what is stored as it is. Where config.json does not say, the shapes do. */
export function quantizations({ tensors, config: json }: Checkpoint, config: GptOssConfig) {
  const quantization = readQuantizationConfig(json)
  const rowLengths = new Map(gptOssWeights(config).map(({ path, input_dims }) => [path, input_dims]))
  return ({ name, ...weight }: TensorInfo): Quantization | null => {
    if (name.endsWith("_blocks")) return quantization.quantizationOf(name.replace(/_blocks$/, ""))
    const path = name.replace(/\.weight$/, "")
    const scales = tensors.get(`${path}.scales`)
    if (path === name || !scales) return null
    const rowLength = rowLengths.get(path)
    const inferred = rowLength === undefined ? null : inferQuantization(weight, scales, rowLength)
    return (!quantization.names(path) && inferred) || quantization.quantizationOf(path)
  }
}

/** `affine 8-bit, groups of 64` */
function quantizationLabel(quantization: Quantization | null): string | null {
  return quantization && `${quantization.mode} ${quantization.bits}-bit, groups of ${quantization.group_size}`
}

function print(report: Report, everyTensor: boolean): void {
  const { bold } = colors(process.stdout)
  const { config, generation, parameters, memory } = report
  const sliding = config.layer_types.filter((type) => type === "sliding_attention").length
  const { num_attention_heads, num_key_value_heads, head_dim, rope_scaling } = config
  printLine(bold(`${report.model} (${report.model_type}, ${report.format})`))
  printLine(
    formatFacts([
      ["layers", `${config.num_hidden_layers}, of which ${sliding} see a window of ${config.sliding_window} tokens`],
      ["hidden size", `${config.hidden_size}, experts ${config.intermediate_size}`],
      ["attention", `${num_attention_heads} heads of ${head_dim}, ${num_key_value_heads} of keys and values`],
      ["experts", `${config.num_local_experts}, ${config.num_experts_per_tok} per token`],
      ["vocabulary", `${config.vocab_size} tokens`],
      ["context", `${config.max_position_embeddings} tokens${rope_scaling ? ` (YaRN x${rope_scaling.factor})` : ""}`],
      ["end tokens", generation.eos_token_ids.join(", ") || "those of the chat format"],
      [
        "sampling",
        Object.entries(generation.sampling)
          .map((pair) => pair.join(" "))
          .join(", ") || "left to the caller",
      ],
      ["parameters", `${formatCount(parameters.total)}, active per token ${formatCount(parameters.active)}`],
    ]),
  )
  printLine(`\n${bold("memory")}`)
  printLine(
    formatFacts([
      ["device", memory.device],
      [`weights, ${report.files} file${report.files === 1 ? "" : "s"}`, formatBytes(memory.weight_bytes)],
      ["weights read per token", formatBytes(memory.weight_bytes_per_token)],
      ...memory.kv_cache_bytes.map(
        ({ context, bytes }) =>
          [`KV cache at ${context} tokens`, `${formatBytes(bytes)} in ${memory.kv_cache_dtype}`] as const,
      ),
      ...memory.pools.map(
        ({ kv_bits, bytes_per_token, page_bytes, pages, max_context, refusal }) =>
          [
            `KV cache in ${kv_bits} bits`,
            `${formatBytes(bytes_per_token)} a token, pages of ${formatBytes(page_bytes)}; ` +
              (refusal === null ? `${pages} pages, ${max_context} tokens fit` : "does not fit"),
          ] as const,
      ),
      ...planFacts(memory),
    ]),
  )
  printLine(`\n${bold(`${report.tensors.length} tensors`)}`)
  const rows: string[][] = everyTensor
    ? report.tensors.map((t) => [t.name, t.dtype, formatShape(t.shape), formatBytes(t.bytes), t.quantization ?? ""])
    : kinds(report.tensors)
  const header = [everyTensor ? "tensor" : "tensor, * for each layer", "dtype", "shape", "bytes", "quantization"]
  printLine(formatTable(header, rows))
}

function planFacts({ plan, refusal }: Report["memory"]): [string, string][] {
  const verdict: [string, string][] = refusal === null ? [] : [["does not fit", refusal]]
  if (!plan) return [["cannot be loaded", refusal]]
  return [
    ["weights on the device", formatBytes(plan.weights)],
    [`intermediate values, ${plan.max_sequences} sequences at once`, formatBytes(plan.working)],
    ...(plan.staging > 0 ? [["buffers for loading", formatBytes(plan.staging)] as [string, string]] : []),
    [`in all, ${plan.max_context} tokens`, formatBytes(plan.total)],
    ...verdict,
  ]
}

/** One row for the tensors that differ only in their layer. */
function kinds(tensors: Report["tensors"]): string[][] {
  const groups = new Map<string, { first: Report["tensors"][number]; count: number; bytes: number; label: string }>()
  for (const tensor of tensors) {
    const label = tensor.name.replace(/\.\d+\./g, ".*.")
    const key = JSON.stringify([label, tensor.dtype, tensor.shape, tensor.quantization])
    const group = groups.get(key) ?? { first: tensor, count: 0, bytes: 0, label }
    groups.set(key, { ...group, count: group.count + 1, bytes: group.bytes + tensor.bytes })
  }
  return [...groups.values()].map(({ first, count, bytes, label }) => [
    count > 1 ? `${count} x ${label}` : label,
    first.dtype,
    formatShape(first.shape),
    formatBytes(bytes),
    first.quantization ?? "",
  ])
}
