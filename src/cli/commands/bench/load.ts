import { Command } from "commander"
import { benchLoad } from "../../../bench/load.js"
import { formatBytes } from "../../../tensor/bytes.js"
import { type ModelFlags, withModelOptions } from "../../options.js"
import { formatDuration, formatFacts } from "../../ui/format.js"
import { type BenchFlags, formatRate, printResult, withBenchOptions } from "./setting.js"

export const loadCommand = withBenchOptions(withModelOptions(new Command("load")), 3)
  .description("time to open a checkpoint, and to load it, next to reading the same files")
  .action(async (flags: ModelFlags & BenchFlags) => {
    const { model, threads, runs, context: max_context, memoryLimit: memory_limit } = flags
    const options = { model, threads, runs, max_context, memory_limit, device: flags.device }
    const { name, device, ...result } = await benchLoad(options)
    await printResult(flags, { bench: "load", device, model: name }, result, (r) =>
      formatFacts([
        ["checkpoint", `${r.tensors} tensors, ${formatBytes(r.bytes)} in ${r.files} files`],
        ["open", `${formatDuration(r.open_ms)} (headers checked, tensors addressable)`],
        ["read the files", `${formatDuration(r.read_ms)} (${formatRate((r.bytes * 1000) / r.read_ms)})`],
        ["load", `${formatDuration(r.load_ms)}, ${r.load_to_read.toFixed(2)} x reading`],
        ["first token", `${formatDuration(r.first_token_ms)}, ${r.first_token_to_read.toFixed(2)} x reading`],
        ["host memory", `${formatBytes(r.host_bytes)} at most above the empty process`],
      ]),
    )
  })
