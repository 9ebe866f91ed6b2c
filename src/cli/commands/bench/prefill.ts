import { Command } from "commander"
import { deviceInfo } from "../../../bench/node_device_info.js"
import { benchPrefill } from "../../../bench/prefill.js"
import { withModel, withProgress } from "../../load.js"
import { type ModelFlags, withModelOptions } from "../../options.js"
import { formatDuration, formatTable } from "../../ui/format.js"
import { type PeerFlags, peerCells, peerColumns, withPeer, withPeerOptions } from "./peer.js"
import { type BenchFlags, formatRange, printResult, wholeNumbers, withBenchOptions } from "./setting.js"

interface PrefillFlags extends ModelFlags, BenchFlags, PeerFlags {
  readonly lengths: readonly number[]
}

export const prefillCommand = withPeerOptions(withBenchOptions(withModelOptions(new Command("prefill")), 3))
  .description("prompt tokens per second, on empty caches")
  .option("--lengths <list>", "prompt lengths in tokens", wholeNumbers(1), [128, 512])
  .action((flags: PrefillFlags) =>
    withPeer(flags, Math.max(...flags.lengths) + 1, (peer) =>
      withModel({ ...flags, text: false }, async (model, backend) => {
        const { lengths, runs } = flags
        const points = await withProgress(
          "reading prompts",
          (onProgress) => benchPrefill(model, { lengths, runs, peer, onProgress }),
          (done, total) => `run ${done} of ${total}`,
        )
        const device = deviceInfo(backend, flags)
        const setting = { bench: "prefill", device, model: model.info.name, peer: peer?.info }
        await printResult(flags, setting, { points }, () =>
          formatTable(
            ["prompt", "tokens/s", ...peerColumns(peer?.info), "to the last token's logits"],
            points.map(({ length, tps, tps_range, peer, ms }) => [
              length,
              formatRange(tps, tps_range),
              ...peerCells(peer),
              formatDuration(ms),
            ]),
          ),
        )
      }),
    ),
  )
