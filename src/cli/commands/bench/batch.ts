import { Command, InvalidArgumentError } from "commander"
import type { Backend } from "../../../backends/backend.js"
import { benchArrivals } from "../../../bench/arrivals.js"
import { benchBatch } from "../../../bench/batch.js"
import { deviceInfo } from "../../../bench/node_device_info.js"
import type { Spread } from "../../../bench/quantile.js"
import type { LanguageModel } from "../../../engine/model.js"
import { withModel, withProgress } from "../../load.js"
import { type ModelFlags, number, wholeNumber, withLoadOptions } from "../../options.js"
import { formatFacts, formatTable } from "../../ui/format.js"
import { type BenchFlags, formatRange, printResult, wholeNumbers, withBenchOptions } from "./setting.js"

interface BatchFlags extends Omit<ModelFlags, "context">, BenchFlags {
  readonly sequences: readonly number[]
  readonly promptLength: number
  readonly tokens: number
  readonly temperature: number
  readonly topP: number
  readonly rate?: number
  readonly requests: number
  readonly seed: number
}

export const batchCommand = withBenchOptions(withLoadOptions(new Command("batch")), 3)
  .description("tokens per second of several sequences that decode together, or of requests that come one by one")
  .option(
    "--sequences <list>",
    "sequences at once; with --rate the largest of these at most",
    wholeNumbers(1),
    [1, 8, 32],
  )
  .option("--prompt-length <n>", "tokens of each prompt", wholeNumber(1), 128)
  .option("--tokens <n>", "tokens decoded per sequence and run", wholeNumber(1), 64)
  .option("--temperature <t>", "of every sequence: 0 takes the most likely token", number, 0)
  .option("--top-p <p>", "of every sequence: sample from the most likely tokens that reach p together", number, 1)
  .option("--rate <requests/s>", "requests come at random, so many a second on average", aboveZero)
  .option("--requests <n>", "with --rate: requests of a run", wholeNumber(1), 64)
  .option("--seed <n>", "with --rate: when they come", wholeNumber(0), 0)
  .action((flags: BatchFlags) => {
    const max_context = flags.promptLength + flags.tokens + 1
    const sequences = Math.max(...flags.sequences)
    const bench = flags.rate === undefined ? together : oneByOne
    return withModel({ ...flags, text: false }, (model, backend) => bench(model, backend, flags), {
      max_context,
      sequences,
    })
  })

async function together(model: LanguageModel, backend: Backend, flags: BatchFlags): Promise<void> {
  const { sequences, ...setting } = optionsOf(flags)
  const points = await withProgress(
    "decoding",
    (onProgress) => benchBatch(model, { ...setting, sequences, onProgress }),
    (done, total) => `run ${done} of ${total}`,
  )
  await printResult(flags, settingOf(model, backend, flags), { ...setting, points }, () =>
    formatTable(
      ["sequences", "tokens/s together", "tokens/s each"],
      points.map(({ sequences, tps, tps_range, steps_per_second }) => [
        sequences,
        formatRange(tps, tps_range),
        steps_per_second.toFixed(1),
      ]),
    ),
  )
}

async function oneByOne(model: LanguageModel, backend: Backend, flags: BatchFlags): Promise<void> {
  const { sequences, ...options } = optionsOf(flags)
  const { rate = 0, requests, seed } = flags
  const setting = { ...options, rate, requests, seed }
  const served = await withProgress(
    "serving",
    (onProgress) => benchArrivals(model, { ...setting, onProgress }),
    (done, total) => `request ${done} of ${total}`,
  )
  const max_sequences = Math.max(...sequences)
  await printResult(flags, settingOf(model, backend, flags), { ...setting, max_sequences, ...served }, () =>
    formatFacts([
      ["requests", `${requests}, ${rate} a second, at most ${max_sequences} at once; ${options.runs} runs`],
      ["each", `${options.prompt_length} tokens, and ${options.tokens} drawn`],
      ["tokens/s", formatRange(served.tps, served.tps_range)],
      ["to the first token", formatSpread(served.first_token_ms)],
      ["to the next token", formatSpread(served.next_token_ms)],
      ["waited at once", `${served.most_waiting} at most`],
    ]),
  )
}

function optionsOf({ sequences, promptLength: prompt_length, tokens, runs, temperature, topP: top_p }: BatchFlags) {
  return { sequences, prompt_length, tokens, runs, sampling: { temperature, top_p } }
}

function settingOf({ info }: LanguageModel, backend: Backend, flags: BatchFlags) {
  return { bench: "batch", device: deviceInfo(backend, flags), model: info.name }
}

function formatSpread({ p50, p95 }: Spread): string {
  return `${p50.toFixed(1)} ms for half, ${p95.toFixed(1)} ms for 95 %`
}

function aboveZero(text: string): number {
  const value = number(text)
  if (!(value > 0)) throw new InvalidArgumentError("Expected a number above 0.")
  return value
}
