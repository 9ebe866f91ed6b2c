import { Command } from "commander"
import { benchBatch } from "../../../bench/batch.js"
import { deviceInfo } from "../../../bench/node_device_info.js"
import { withModel, withProgress } from "../../load.js"
import { type ModelFlags, wholeNumber, withLoadOptions } from "../../options.js"
import { formatTable } from "../../ui/format.js"
import { type BenchFlags, formatRange, printResult, wholeNumbers, withBenchOptions } from "./setting.js"

interface BatchFlags extends Omit<ModelFlags, "context">, BenchFlags {
  readonly sequences: readonly number[]
  readonly promptLength: number
  readonly tokens: number
}

export const batchCommand = withBenchOptions(withLoadOptions(new Command("batch")), 3)
  .description("tokens per second of several sequences that decode together")
  .option("--sequences <list>", "sequences at once", wholeNumbers(1), [1, 8, 32])
  .option("--prompt-length <n>", "tokens in each cache before decoding starts", wholeNumber(1), 128)
  .option("--tokens <n>", "tokens decoded per sequence and run", wholeNumber(1), 64)
  .action((flags: BatchFlags) => {
    const { sequences, promptLength: prompt_length, tokens, runs } = flags
    const max_context = prompt_length + tokens + 1
    return withModel(
      flags,
      async (model, backend) => {
        const options = { sequences, prompt_length, tokens, runs }
        const points = await withProgress(
          "decoding",
          (onProgress) => benchBatch(model, { ...options, onProgress }),
          (done, total) => `run ${done} of ${total}`,
        )
        const setting = { bench: "batch", device: deviceInfo(backend, flags), model: model.info.name }
        await printResult(flags, setting, { prompt_length, tokens, runs, points }, () =>
          formatTable(
            ["sequences", "tokens/s together", "tokens/s each"],
            points.map(({ sequences, tps, tps_range, steps_per_second }) => [
              sequences,
              formatRange(tps, tps_range),
              steps_per_second.toFixed(1),
            ]),
          ),
        )
      },
      { max_context, sequences: Math.max(...sequences) },
    )
  })
