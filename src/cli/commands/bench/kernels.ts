import { Command } from "commander"
import { benchKernels } from "../../../bench/kernels.js"
import { deviceInfo, threadsOf } from "../../../bench/node_device_info.js"
import { measureRoofline } from "../../../bench/node_roofline.js"
import { openDevice, withProgress } from "../../load.js"
import { type DeviceFlags, wholeNumber, withDeviceOptions } from "../../options.js"
import { formatFacts, formatTable } from "../../ui/format.js"
import { type BenchFlags, formatRate, printResult, wholeNumbers, withBenchOptions } from "./setting.js"

interface KernelFlags extends DeviceFlags, BenchFlags {
  readonly rows: readonly number[]
  readonly outputs?: number
}

export const kernelsCommand = withBenchOptions(withDeviceOptions(new Command("kernels")), 7)
  .description("speed of matrix products by weight format, next to streaming the memory")
  .option("--rows <list>", "activation rows: 1 as in decoding, more as in prefill", wholeNumbers(1), [1, 4, 128])
  .option("--outputs <n>", "rows of the weight, of 2880 each (default: 256 MB of them, beyond caches)", wholeNumber(1))
  .action(async (flags: KernelFlags) => {
    const backend = await openDevice(flags)
    try {
      const products = await withProgress(
        "multiplying",
        (onProgress) => benchKernels(backend, { ...flags, onProgress }),
        (done, total) => `${done} of ${total}`,
      )
      const read_bandwidth = await measureRoofline(backend, threadsOf(flags))
      const result = { products, read_bandwidth }
      await printResult(flags, { bench: "kernels", device: deviceInfo(backend, flags) }, result, () => {
        const rows = products.map(({ format, rows, outputs, ms, bandwidth, macs }) => [
          format,
          `${rows} x 2880 x ${outputs}`,
          `${ms.toPrecision(4)} ms`,
          formatRate(bandwidth),
          `${(macs / 1e9).toPrecision(4)} G/s`,
        ])
        return [
          formatTable(["weight", "product", "time", "weights read", "multiply-adds"], rows),
          "",
          formatFacts([["streaming read", formatRate(read_bandwidth)]]),
        ].join("\n")
      })
    } finally {
      await backend.close()
    }
  })
