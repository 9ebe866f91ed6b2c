import type { Command } from "commander"
import type { DeviceInfo } from "../../../bench/node_device_info.js"
import { environment } from "../../../bench/node_environment.js"
import type { PeerInfo } from "../../../bench/peer.js"
import { formatBytes } from "../../../tensor/bytes.js"
import { wholeNumber } from "../../options.js"
import { formatFacts } from "../../ui/format.js"
import { printJson, printLine } from "../../ui/output.js"

/** Options of every benchmark. */
export interface BenchFlags {
  readonly runs: number
  readonly json?: boolean
}

/** What ran where: every benchmark says it. */
export interface Setting {
  readonly bench: string
  readonly device: DeviceInfo
  /** The model's name, where there is one. */
  readonly model?: string
  /** What ran in turn with it. */
  readonly peer?: PeerInfo
}

export function withBenchOptions(command: Command, runs: number): Command {
  return command
    .option("--runs <n>", "timed runs after those that warm up; medians are reported", wholeNumber(1), runs)
    .option("--json", "print one JSON document")
}

/** A commander parser for lists such as 1,8,32. */
export function wholeNumbers(min: number): (text: string) => readonly number[] {
  return (text) => text.split(",").map(wholeNumber(min))
}

/** Prints a result with its setting, as one JSON document or as the lines of `report`. */
export async function printResult<T extends object>(
  { json }: BenchFlags,
  { bench, device, model, peer }: Setting,
  result: T,
  report: (result: T) => string,
): Promise<void> {
  const where = await environment()
  if (json) return printJson({ bench, ...device, model, peer, ...result, environment: where })
  const { backend, threads, relaxed_simd, adapter, tier } = device
  const simd = relaxed_simd === undefined ? "" : `, ${relaxed_simd ? "relaxed" : "baseline"} SIMD`
  const facts: [string, string][] = [
    ["machine", `${where.cpu}, ${where.cores} cores, ${formatBytes(where.memory_bytes)}, ${where.os}, ${where.node}`],
    ["device", adapter ? `${backend} on ${adapter}, ${tier} kernels` : `${backend}, ${threads} threads${simd}`],
    ...(model ? [["model", model] as [string, string]] : []),
    ...(peer ? [["peer", describePeer(peer)] as [string, string]] : []),
    ["minerva", `${where.version}${where.commit ? `, commit ${where.commit}` : ""}, ${where.date}`],
  ]
  printLine(`${formatFacts(facts)}\n\n${report(result)}`)
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`
}

/** `63.2 %` */
export function formatShare(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}

/** `450.1 (448.0 to 451.9)` */
export function formatRange(median: number, [slowest, fastest]: readonly [number, number]): string {
  return `${median.toFixed(1)} (${slowest.toFixed(1)} to ${fastest.toFixed(1)})`
}

function describePeer({ name, version, threads, file, weight_bytes, setting }: PeerInfo): string {
  return `${name} ${version}, cpu, ${threads} threads, ${setting}; ${file}, ${formatBytes(weight_bytes)} of weights`
}
