import { Command } from "commander"
import { deviceInfo } from "../../../bench/node_device_info.js"
import { benchPrefill } from "../../../bench/prefill.js"
import { withModel, withProgress } from "../../load.js"
import { type ModelFlags, withModelOptions } from "../../options.js"
import { formatDuration, formatTable } from "../../ui/format.js"
import { type BenchFlags, formatRange, printResult, wholeNumbers, withBenchOptions } from "./setting.js"

interface PrefillFlags extends ModelFlags, BenchFlags {
  readonly lengths: readonly number[]
}

export const prefillCommand = withBenchOptions(withModelOptions(new Command("prefill")), 3)
  .description("prompt tokens per second, on empty caches")
  .option("--lengths <list>", "prompt lengths in tokens", wholeNumbers(1), [128, 512])
  .action((flags: PrefillFlags) =>
    withModel({ ...flags, text: false }, async (model, backend) => {
      const points = await withProgress(
        "reading prompts",
        (onProgress) => benchPrefill(model, { ...flags, onProgress }),
        (done, total) => `run ${done} of ${total}`,
      )
      const setting = { bench: "prefill", device: deviceInfo(backend, flags), model: model.info.name }
      await printResult(flags, setting, { points }, () =>
        formatTable(
          ["prompt", "tokens/s", "to the last token's logits"],
          points.map(({ length, tps, tps_range, ms }) => [length, formatRange(tps, tps_range), formatDuration(ms)]),
        ),
      )
    }),
  )
