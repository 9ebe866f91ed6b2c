import { readFile } from "node:fs/promises"
import { Command, InvalidArgumentError } from "commander"
import type { Backend } from "../../../backends/backend.js"
import { benchKv, type KvBits, type KvFormatPoint, type OpenWith } from "../../../bench/kv.js"
import { type DeviceInfo, deviceInfo } from "../../../bench/node_device_info.js"
import type { LanguageModel } from "../../../engine/model.js"
import { formatBytes } from "../../../tensor/bytes.js"
import { withModel, withProgress } from "../../load.js"
import { type DeviceFlags, modelOption, wholeNumber, withDeviceOptions } from "../../options.js"
import { formatFacts, formatTable } from "../../ui/format.js"
import { type BenchFlags, formatRange, printResult, wholeNumbers, withBenchOptions } from "./setting.js"

interface KvFlags extends DeviceFlags, BenchFlags {
  readonly model: string
  readonly bits: readonly KvBits[]
  readonly contexts: readonly number[]
  readonly tokens: number
  readonly file?: string
  readonly window: number
}

export const kvCommand = withBenchOptions(withDeviceOptions(new Command("kv").addOption(modelOption())), 3)
  .description("size, speed and perplexity of KV caches in 16, 8 and 4 bits")
  .option(
    "--bits <list>",
    "bits of a cached value; the first is what perplexity is compared with",
    bitsList,
    [16, 8, 4],
  )
  .option("--contexts <list>", "tokens of the prompt, and cached when decoding starts", wholeNumbers(1), [1024, 4096])
  .option("--tokens <n>", "tokens decoded per run", wholeNumber(1), 64)
  .option("-f, --file <text>", "a UTF-8 text file, for perplexity")
  .option("--window <tokens>", "the text is cut into windows of this many tokens", wholeNumber(2), 2048)
  .action(async (flags: KvFlags) => {
    const { bits, contexts, tokens, runs, window } = flags
    const content = flags.file === undefined ? undefined : await readFile(flags.file, "utf8")
    const options = { bits, contexts, tokens, runs, ...(content !== undefined && { text: { content, window } }) }
    const longest = Math.max(...contexts) + tokens + 1
    const max_context = content === undefined ? longest : Math.max(longest, window)
    let device: DeviceInfo = { backend: flags.device }
    let model = ""
    const open: OpenWith = (kv_bits, use) => {
      const measure = (loaded: LanguageModel, backend: Backend) => {
        device = deviceInfo(backend, flags)
        model = loaded.info.name
        return use(loaded)
      }
      return withModel({ ...flags, kvBits: kv_bits, text: content !== undefined }, measure, { max_context })
    }
    const formats = await withProgress(
      "measuring",
      (onProgress) => benchKv(open, { ...options, onProgress }),
      (done, total) => `${done} of ${total}`,
    )
    const { file } = flags
    await printResult(flags, { bench: "kv", device, model }, { tokens, runs, file, window, formats }, () =>
      [
        sizesOf(formats),
        "",
        speedsOf(formats),
        "",
        formatFacts([
          ["runs", `${runs}, of ${tokens} tokens after each prompt; medians`],
          ...(file === undefined ? [] : [["text", `${file}, windows of ${window} tokens`] as [string, string]]),
        ]),
      ].join("\n"),
    )
  })

function sizesOf(formats: readonly KvFormatPoint[]): string {
  const { contexts, text } = formats[0]
  const perplexity = text ? ["perplexity", `to ${formats[0].bits} bits`] : []
  return formatTable(
    ["bits", "format", "a token", ...contexts.map(({ context }) => `${context} tokens`), ...perplexity],
    formats.map(({ bits, format, bytes_per_token, contexts, text, perplexity_change }) => [
      bits,
      format,
      formatBytes(bytes_per_token),
      ...contexts.map(({ held_bytes }) => formatBytes(held_bytes)),
      ...(text ? [text.perplexity.toFixed(4), formatChange(perplexity_change!)] : []),
    ]),
  )
}

function speedsOf(formats: readonly KvFormatPoint[]): string {
  return formatTable(
    ["bits", "prompt", "prefill tokens/s", "decode tokens/s"],
    formats.flatMap(({ bits, contexts }) =>
      contexts.map((point) => [
        bits,
        point.context,
        formatRange(point.prefill_tps, point.prefill_tps_range),
        formatRange(point.decode_tps, point.decode_tps_range),
      ]),
    ),
  )
}

/** `+0.123 %` */
function formatChange(change: number): string {
  return `${change < 0 ? "" : "+"}${(100 * change).toFixed(3)} %`
}

function bitsList(text: string): readonly KvBits[] {
  return text.split(",").map((item) => {
    const bits = ([16, 8, 4] as const).find((known) => String(known) === item.trim())
    if (bits === undefined) throw new InvalidArgumentError("Expected a list of 16, 8 and 4.")
    return bits
  })
}
