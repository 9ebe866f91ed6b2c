import { Command } from "commander"
import { benchGraph } from "../../../bench/graph.js"
import { deviceInfo } from "../../../bench/node_device_info.js"
import { withModel, withProgress } from "../../load.js"
import { type ModelFlags, wholeNumber, withModelOptions } from "../../options.js"
import { formatDuration, formatFacts, formatTable } from "../../ui/format.js"
import { type BenchFlags, printResult, withBenchOptions } from "./setting.js"

interface GraphFlags extends ModelFlags, BenchFlags {
  readonly promptLength: number
  readonly tokens: number
}

export const graphCommand = withBenchOptions(withModelOptions(new Command("graph")), 5)
  .description("time to trace, optimise, lower and compile a step, and what each pass makes decoding faster")
  .option("--prompt-length <n>", "tokens of the prompt, and in the cache before decoding", wholeNumber(2), 128)
  .option("--tokens <n>", "tokens decoded per run", wholeNumber(1), 32)
  .action((flags: GraphFlags) =>
    withModel({ ...flags, text: false }, async (model, backend) => {
      const { promptLength: prompt_length, tokens, runs } = flags
      const result = await withProgress(
        "measuring",
        (onProgress) => benchGraph(model, backend, { prompt_length, tokens, runs, onProgress }),
        (done, total) => `${done} of ${total}`,
      )
      const setting = { bench: "graph", device: deviceInfo(backend, flags), model: model.info.name }
      await printResult(flags, setting, result, ({ build, new_length_ratio, decode_tps, variants }) => {
        const steps = build.map((of) => [
          of.step,
          of.launches,
          formatDuration(of.trace_ms),
          formatDuration(of.optimise_ms),
          formatDuration(of.lower_ms),
          formatDuration(of.compile_ms),
          formatDuration(of.cached_ms),
        ])
        const passes = variants.map(({ without, launches, decode_tps, slowdown }) => [
          without === null ? "as traced" : `without ${without}`,
          launches,
          decode_tps.toFixed(1),
          slowdown.toFixed(3),
        ])
        passes.unshift(["optimised", build[0].launches, decode_tps.toFixed(1), "1"])
        const ratio = new_length_ratio === null ? "its class has no other length" : new_length_ratio.toFixed(3)
        return [
          formatTable(["step", "launches", "trace", "optimise", "lower", "compile", "again"], steps),
          "",
          formatTable(["decoding", "launches", "tokens/s", "time to the optimised step's"], passes),
          "",
          formatFacts([
            ["runs", `${runs} of ${tokens} tokens after ${prompt_length}; medians`],
            ["a prompt of a new length in a known class", `${ratio}, as time to that of the same length again`],
          ]),
        ].join("\n")
      })
    }),
  )
