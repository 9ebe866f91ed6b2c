import { Command } from "commander"
import { benchGpu, needGpu } from "../../../bench/gpu.js"
import { measureGpuReadBandwidth } from "../../../bench/gpu_read_bandwidth.js"
import { deviceInfo } from "../../../bench/node_device_info.js"
import { formatBytes } from "../../../tensor/bytes.js"
import { withModel, withProgress } from "../../load.js"
import { type ModelFlags, wholeNumber, withModelOptions } from "../../options.js"
import { formatFacts, formatTable } from "../../ui/format.js"
import { type BenchFlags, formatRate, formatShare, printResult, withBenchOptions } from "./setting.js"

interface GpuFlags extends ModelFlags, BenchFlags {
  readonly promptLength: number
  readonly rows: number
}

export const gpuCommand = withBenchOptions(withModelOptions(new Command("gpu")), 10)
  .description("the kernels of one step on the GPU: time, bytes, share of the memory's speed")
  .option("--prompt-length <n>", "tokens in the cache before the step", wholeNumber(1), 128)
  .option("--rows <n>", "tokens of the step: 1 as in decoding, more as in prefill", wholeNumber(1), 1)
  .action((flags: GpuFlags) =>
    withModel({ ...flags, text: false }, async (model, backend) => {
      const { promptLength: context, rows, runs } = flags
      const gpu = needGpu(backend)
      const roofline = () => measureGpuReadBandwidth(gpu.gpu)
      const result = await withProgress(
        "measuring",
        (onProgress) => benchGpu(model, gpu, { context, rows, runs, roofline, onProgress }),
        (done, total) => `step ${done} of ${total}`,
      )
      const setting = { bench: "gpu", device: deviceInfo(backend, flags), model: model.info.name }
      await printResult(flags, setting, result, (step) => {
        const known = (bytes: number, text: string) => (bytes > 0 ? text : "")
        const kernels = step.kernels.map(({ label, dispatches, us, bytes, bandwidth, roofline_share }) => [
          label,
          String(dispatches),
          us.toFixed(1),
          (us / dispatches).toFixed(2),
          known(bytes, formatBytes(bytes)),
          known(bytes, formatRate(bandwidth)),
          known(bytes, formatShare(roofline_share)),
        ])
        return [
          formatTable(["kernel", "dispatches", "us", "us each", "bytes", "read", "share of streaming"], kernels),
          "",
          formatFacts([
            ["step", `${rows} ${rows === 1 ? "token" : "tokens"} after ${context}; medians of ${runs} runs`],
            ["dispatches", `${step.dispatches}, ${step.dispatches_per_layer.toFixed(2)} a layer`],
            ["sum of kernels", `${step.sum_us.toFixed(1)} us, each in a pass of its own`],
            ["whole step", `${step.step_us.toFixed(1)} us in one pass, ${(1e6 / step.step_us).toFixed(1)} steps/s`],
            ["read by the step", `${formatBytes(step.bytes)}, ${formatRate((step.bytes * 1e6) / step.step_us)}`],
            ["streaming read", `${formatRate(step.read_bandwidth)}, measured in this run`],
            ["share of it", formatShare(step.roofline_share)],
          ]),
        ].join("\n")
      })
    }),
  )
