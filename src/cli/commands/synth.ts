import { readFile } from "node:fs/promises"
import { Command, Option } from "commander"
import type { Directory } from "../../checkpoint/byte_source.js"
import { nodeDirectory } from "../../checkpoint/node_directory.js"
import { findModel } from "../../checkpoint/node_find_model.js"
import { writeNodeDirectory } from "../../checkpoint/node_writable_directory.js"
import type { QuantizationFormat } from "../../checkpoint/quantization_config.js"
import { parseGptOssConfig } from "../../models/config.js"
import { type ConfigJson, PRESETS, type PresetName } from "../../models/presets.js"
import { type SynthSummary, synthesize } from "../../models/synth.js"
import { formatBytes } from "../../tensor/bytes.js"
import { loadTokenizer } from "../../engine/language.js"
import { TokenizerError } from "../../text/tokenizer_error.js"
import { withProgress } from "../load.js"
import { wholeNumber } from "../options.js"
import { UsageError } from "../ui/errors.js"
import { formatDuration } from "../ui/format.js"
import { printJson, printLine } from "../ui/output.js"

interface Flags {
  readonly preset?: PresetName
  readonly config?: string
  readonly format: QuantizationFormat
  readonly layers?: number
  readonly seed: number
  readonly shards?: number
  readonly routers: "random" | "decided"
  readonly tokenizer?: string
  readonly out: string
  readonly json?: boolean
}

export const synthCommand = new Command("synth")
  .addOption(new Option("-p, --preset <name>", "which model's shape").choices(Object.keys(PRESETS)))
  .addOption(new Option("-c, --config <file>", "a config.json of your own instead").conflicts("preset"))
  .addOption(new Option("--format <layout>", "whose names and files").choices(["mlx", "hf"]).default("mlx"))
  .option("--layers <n>", "keep only the first n layers", wholeNumber(1))
  .option("-s, --seed <n>", "the same seed writes the same bytes", wholeNumber(0), 0)
  .option("--shards <n>", "number of files (default: as published)", wholeNumber(1))
  .addOption(
    new Option("--routers <kind>", "decided: the same experts for every token, so that rounding cannot choose others")
      .choices(["random", "decided"])
      .default("random"),
  )
  .option("--tokenizer <model>", "a model to copy the tokenizer from")
  .requiredOption("-o, --out <dir>", "folder to write; must be new or empty")
  .option("--json", "print one JSON document")
  .addHelpText("after", "\nExample:\n  minerva synth --preset gpt-oss-20b --layers 6 --out /tmp/gpt-oss-6-layers")
  .action(async (flags: Flags) => {
    const { out, format, layers, seed, shards, routers } = flags
    const config = flags.preset ?? (flags.config && (await readConfig(flags.config)))
    if (!config) throw new UsageError(`give --preset (${Object.keys(PRESETS).join(", ")}) or --config`)
    const tokenizer =
      flags.tokenizer === undefined ? undefined : nodeDirectory((await findModel(flags.tokenizer)).folder)
    if (tokenizer) await checkTokenizer(tokenizer, config)
    const start = performance.now()
    let summary: SynthSummary | undefined
    await withProgress(
      "writing",
      (onProgress) =>
        writeNodeDirectory(out, async (directory) => {
          summary = await synthesize(directory, {
            config,
            format,
            layers,
            seed,
            shards,
            routers,
            tokenizer,
            onProgress,
          })
        }),
      (done, total) => `${formatBytes(done)} of ${formatBytes(total)}`,
    )
    const elapsed_ms = performance.now() - start
    if (flags.json) printJson({ out, format, seed, routers, ...summary, elapsed_ms })
    else if (summary) {
      const { tensors, bytes, files } = summary
      const size = `${tensors} tensors, ${formatBytes(bytes)} in ${files.length} file${files.length === 1 ? "" : "s"}`
      printLine(`${out}: ${size}, in ${formatDuration(elapsed_ms)}`)
    }
  })

/** Refuses, before anything is written, a tokenizer with ids that the model would have no weights for. */
async function checkTokenizer(directory: Directory, config: PresetName | ConfigJson): Promise<void> {
  const tokens = (await loadTokenizer(directory)).vocab_size
  const { vocab_size } = parseGptOssConfig(typeof config === "string" ? PRESETS[config] : config)
  if (tokens <= vocab_size) return
  throw new TokenizerError(
    `${directory.name}/tokenizer.json has ids up to ${tokens - 1}, the model's vocab_size is ${vocab_size}: ` +
      `give a --config with "vocab_size": ${tokens} or more, or another tokenizer`,
  )
}

async function readConfig(path: string): Promise<ConfigJson> {
  const text = await readFile(path, "utf8")
  try {
    return JSON.parse(text) as ConfigJson
  } catch (cause) {
    throw new Error(`${path}: not valid JSON (${(cause as Error).message})`, { cause })
  }
}
