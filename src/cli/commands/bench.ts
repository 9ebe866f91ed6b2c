import os from "node:os"
import { Command } from "commander"
import { benchDecode } from "../../bench/decode.js"
import { benchKernels } from "../../bench/kernels.js"
import { benchLoad } from "../../bench/load.js"
import { environment } from "../../bench/node_environment.js"
import { measureReadBandwidth } from "../../bench/node_read_bandwidth.js"
import { openBackend } from "../../engine/node_backend.js"
import { withModel, withProgress } from "../load.js"
import { type DeviceFlags, type ModelFlags, wholeNumber, withDeviceOptions, withModelOptions } from "../options.js"
import { formatBytes, formatDuration, formatFacts } from "../ui/format.js"
import { peakRssBytes, printJson, printLine } from "../ui/output.js"

interface LoadFlags extends ModelFlags {
  readonly runs: number
  readonly json?: boolean
}

interface DecodeFlags extends LoadFlags {
  readonly promptLength: number
  readonly tokens: number
}

interface KernelFlags extends DeviceFlags {
  readonly rows: readonly number[]
  readonly runs: number
  readonly json?: boolean
}

const loadCommand = withModelOptions(new Command("load"))
  .description("time to open a checkpoint, and to load it, next to reading the same files")
  .option("--runs <n>", "timed runs; medians are reported", wholeNumber(1), 3)
  .option("--json", "print one JSON document")
  .action(async (flags: LoadFlags) => {
    const result = await benchLoad(flags)
    if (flags.json) return printJson({ bench: "load", model: flags.model, ...result, environment: await environment() })
    printLine(
      formatFacts([
        ["checkpoint", `${result.tensors} tensors, ${formatBytes(result.bytes)} in ${result.files} files`],
        ["open", `${formatDuration(result.open_ms)} (headers checked, tensors addressable)`],
        ["read the files", `${formatDuration(result.read_ms)} (${rate(result.bytes, result.read_ms)})`],
        ["load", `${formatDuration(result.load_ms)} on ${result.backend}, ${result.load_to_read.toFixed(2)} x reading`],
      ]),
    )
  })

const decodeCommand = withModelOptions(new Command("decode"))
  .description("tokens per second, and the share of the memory's speed they reach")
  .option("--prompt-length <n>", "tokens in the cache before decoding starts", wholeNumber(1), 128)
  .option("--tokens <n>", "tokens decoded per run", wholeNumber(1), 64)
  .option("--runs <n>", "timed runs after one that warms up; medians are reported", wholeNumber(1), 5)
  .option("--json", "print one JSON document")
  .action((flags: DecodeFlags) =>
    withModel(flags, async (model) => {
      const { promptLength: prompt_length, tokens, runs } = flags
      const threads = flags.threads ?? os.availableParallelism()
      const result = await withProgress(
        "decoding",
        (onProgress) => benchDecode(model, { prompt_length, tokens, runs, threads, onProgress }),
        (done, total) => `run ${done} of ${total}`,
      )
      const { name, backend } = model.info
      const where = await environment()
      if (flags.json) {
        const peak_rss_bytes = peakRssBytes()
        printJson({ bench: "decode", model: name, backend, threads, ...result, peak_rss_bytes, environment: where })
        return
      }
      const [slowest, fastest] = result.decode_tps_range.map((tps) => tps.toFixed(1))
      printLine(
        formatFacts([
          ["model", `${name} on ${backend}, ${where.cpu}, ${threads} threads`],
          ["prefill", `${result.prefill_tps.toFixed(1)} tokens/s, ${prompt_length} tokens`],
          ["decode", `${result.decode_tps.toFixed(1)} tokens/s, ${slowest} to ${fastest}; ${runs} runs of ${tokens}`],
          ["read per token", formatBytes(result.bytes_per_token)],
          ["read by decoding", `${formatBytes(result.decode_bandwidth)}/s`],
          ["streaming read", `${formatBytes(result.read_bandwidth)}/s, measured in this run`],
          ["share of it", `${(100 * result.roofline_share).toFixed(1)} %`],
        ]),
      )
    }),
  )

const rowCounts = (list: string) => list.split(",").map((item) => wholeNumber(1)(item))

const kernelsCommand = withDeviceOptions(new Command("kernels"))
  .description("speed of matrix products by weight format, next to streaming the memory")
  .option("--rows <list>", "activation rows: 1 as in decoding, more as in prefill", rowCounts, [1, 4, 128])
  .option("--runs <n>", "timed runs after one that warms up; medians are reported", wholeNumber(1), 7)
  .option("--json", "print one JSON document")
  .action(async (flags: KernelFlags) => {
    const threads = flags.threads ?? os.availableParallelism()
    const backend = await openBackend(flags)
    const products = await withProgress(
      "multiplying",
      (onProgress) => benchKernels(backend, { ...flags, onProgress }),
      (done, total) => `${done} of ${total}`,
    )
    await backend.close()
    const read_bandwidth = await measureReadBandwidth(threads)
    if (flags.json) {
      const where = await environment()
      return printJson({
        bench: "kernels",
        backend: backend.name,
        threads,
        products,
        read_bandwidth,
        environment: where,
      })
    }
    const lines = products.map(({ format, rows, bandwidth, macs }): [string, string] => [
      `${format}, ${rows} ${rows === 1 ? "row" : "rows"}`,
      `${formatBytes(bandwidth)}/s of weights, ${(macs / 1e9).toFixed(1)} billion multiply-adds/s`,
    ])
    printLine(formatFacts([...lines, ["streaming read", `${formatBytes(read_bandwidth)}/s, ${threads} threads`]]))
  })

export const benchCommand = new Command("bench")
  .description("measure loading, decoding and kernels")
  .addCommand(loadCommand)
  .addCommand(decodeCommand)
  .addCommand(kernelsCommand)

function rate(bytes: number, ms: number): string {
  return `${formatBytes((bytes * 1000) / ms)}/s`
}
