import { resolve } from "node:path"
import { type Command, Option } from "commander"
import { threadsOf } from "../../../bench/node_device_info.js"
import { ggufShape, startLlamaCpp } from "../../../bench/node_llama_cpp.js"
import type { Peer, PeerInfo, PeerSpeed } from "../../../bench/peer.js"
import { openModel } from "../../../checkpoint/node_find_model.js"
import { parseGptOssConfig } from "../../../models/config.js"
import type { ModelFlags } from "../../options.js"
import { UsageError } from "../../ui/errors.js"
import { formatRange } from "./setting.js"

export interface PeerFlags {
  readonly peer?: "llama.cpp"
  readonly gguf?: string
}

/** Options of benchmarks that another engine can run in turn with ours. */
export function withPeerOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--peer <name>", "with --device cpu: another engine that runs in turn, on the same threads").choices([
        "llama.cpp",
      ]),
    )
    .addOption(
      new Option(
        "--gguf <file>",
        "the peer's weights, as tools/write-gguf.mjs writes them (default: MODEL.gguf beside the model's folder)",
      ).implies({ peer: "llama.cpp" }),
    )
}

/** Starts the peer that the flags name, if they do, runs `use` and ends it. @param context tokens of the longest sequence */
export async function withPeer<T>(
  flags: ModelFlags & PeerFlags,
  context: number,
  use: (peer?: Peer) => Promise<T>,
): Promise<T> {
  if (flags.peer === undefined) return use()
  if (flags.device !== "cpu") throw new UsageError("the peer computes on the CPU: give --device cpu too")
  const { folder, checkpoint } = await openModel(flags.model)
  await checkpoint.close()
  const peer = await startLlamaCpp({
    file: flags.gguf ?? `${resolve(folder)}.gguf`,
    threads: threadsOf(flags),
    context,
    shape: ggufShape(parseGptOssConfig(checkpoint.config)),
  })
  try {
    return await use(peer)
  } finally {
    await peer.close()
  }
}

/** The columns that a peer adds to a table of speeds. */
export function peerColumns(peer: PeerInfo | undefined): string[] {
  return peer ? [peer.name, "ratio"] : []
}

/** What stands in them. */
export function peerCells(speed: PeerSpeed | undefined): string[] {
  return speed ? [formatRange(speed.tps, speed.tps_range), speed.ratio.toFixed(2)] : []
}
