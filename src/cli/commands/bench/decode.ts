import { Command } from "commander"
import { benchDecode, type DecodeBench } from "../../../bench/decode.js"
import { deviceInfo, threadsOf } from "../../../bench/node_device_info.js"
import { measureRoofline } from "../../../bench/node_roofline.js"
import type { PeerInfo } from "../../../bench/peer.js"
import { formatBytes } from "../../../tensor/bytes.js"
import { withModel, withProgress } from "../../load.js"
import { type ModelFlags, wholeNumber, withModelOptions } from "../../options.js"
import { formatFacts, formatTable } from "../../ui/format.js"
import { peakRssBytes } from "../../ui/output.js"
import { type PeerFlags, peerCells, peerColumns, withPeer, withPeerOptions } from "./peer.js"
import {
  type BenchFlags,
  formatRange,
  formatRate,
  formatShare,
  printResult,
  wholeNumbers,
  withBenchOptions,
} from "./setting.js"

interface DecodeFlags extends ModelFlags, BenchFlags, PeerFlags {
  readonly promptLength: readonly number[]
  readonly tokens: number
}

export const decodeCommand = withPeerOptions(withBenchOptions(withModelOptions(new Command("decode")), 5))
  .description("tokens per second of one sequence, and the share of the memory's speed they reach")
  .option("--prompt-length <list>", "tokens in the cache before decoding starts: 128,4096", wholeNumbers(1), [128])
  .option("--tokens <n>", "tokens decoded per run", wholeNumber(1), 64)
  .action((flags: DecodeFlags) =>
    withPeer(flags, Math.max(...flags.promptLength) + flags.tokens + 1, (peer) =>
      withModel({ ...flags, text: false }, async (model, backend) => {
        const { promptLength: prompt_lengths, tokens, runs } = flags
        const roofline = () => measureRoofline(backend, threadsOf(flags))
        const decoded = await withProgress(
          "decoding",
          (onProgress) => benchDecode(model, backend, { prompt_lengths, tokens, runs, roofline, peer, onProgress }),
          (done, total) => `run ${done} of ${total}`,
        )
        const result = { ...decoded, peak_rss_bytes: peakRssBytes() }
        const device = deviceInfo(backend, flags)
        const setting = { bench: "decode", device, model: model.info.name, peer: peer?.info }
        await printResult(flags, setting, result, () => report(result, peer?.info))
      }),
    ),
  )

function report(bench: DecodeBench & { peak_rss_bytes: number }, peer: PeerInfo | undefined): string {
  const { points, runs, tokens, read_bandwidth, peak_rss_bytes } = bench
  const speeds = points.map((point) => [
    point.prompt_length,
    formatRange(point.decode_tps, point.decode_tps_range),
    ...peerCells(point.peer),
    formatBytes(point.bytes_per_token),
    formatRate(point.decode_bandwidth),
    formatShare(point.roofline_share),
  ])
  const memory = points.map(({ prompt_length, memory: [before, after] }) => [
    prompt_length,
    `${formatBytes(before.rss)} to ${formatBytes(after.rss)}`,
    `${formatBytes(before.device)} to ${formatBytes(after.device)}`,
  ])
  const columns = [
    "prompt",
    "tokens/s",
    ...peerColumns(peer),
    "read per token",
    "read by decoding",
    "share of streaming",
  ]
  return [
    formatTable(columns, speeds),
    "",
    formatTable(["prompt", "resident memory, first to last run", "device memory"], memory),
    "",
    formatFacts([
      ["runs", `${runs} of ${tokens} tokens`],
      ["streaming read", `${formatRate(read_bandwidth)}, measured in this run`],
      ["peak memory", formatBytes(peak_rss_bytes)],
    ]),
  ].join("\n")
}
