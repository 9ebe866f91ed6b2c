import type { Precision } from "../backends/backend.js"
import { fileURLToPath } from "node:url"
import { type Command, InvalidArgumentError, Option } from "commander"
import type { ChatOptions } from "../engine/chat.js"
import type { GenerateOptions } from "../engine/generate.js"
import type { SamplingDefaults } from "../models/sampling_defaults.js"
import { parseBytes } from "../tensor/bytes.js"

/** The model that comes with the package. */
export const EMBEDDED_MODEL = fileURLToPath(new URL("../../../models/minerva-tiny", import.meta.url))

export interface DeviceFlags {
  readonly device: "auto" | "gpu" | "cpu" | "reference"
  readonly threads?: number
  readonly precision?: Precision
}

export interface PoolFlags {
  readonly kvBits?: 16 | 8 | 4
  /** Bytes. */
  readonly kvMemory?: number
  readonly maxSequences?: number
}

export interface ModelFlags extends DeviceFlags, PoolFlags {
  readonly model: string
  readonly context?: number
  /** Bytes. */
  readonly memoryLimit?: number
  readonly kvCacheDir?: string
}

/** Options of every command that runs a model. */
export function withModelOptions(command: Command): Command {
  return withLoadOptions(command).option(
    "--context <tokens>",
    "longest conversation, prompt and answer (default: the model's)",
    wholeNumber(2),
  )
}

/** Options of commands that load a model and know themselves how long conversations are. */
export function withLoadOptions(command: Command): Command {
  withDeviceOptions(command.addOption(modelOption())).option(
    "--memory-limit <size>",
    "memory for the model; refuse to load one that takes more than this: 16GB, 512MiB",
    byteSize,
  )
  return withPoolOptions(command).option(
    "--kv-cache-dir <folder>",
    "keep what prompts begin with in this folder, for the next time",
  )
}

/** Options that say how large the pool of keys and values is. */
export function withPoolOptions(command: Command): Command {
  return command
    .option(
      "--kv-bits <bits>",
      "bits per value of the KV caches: 16, 8 or 4 (default: what the device computes with)",
      kvBits,
    )
    .option(
      "--kv-memory <size>",
      "memory that KV caches share (default: what --memory-limit leaves, or what one conversation takes)",
      byteSize,
    )
    .option(
      "--max-sequences <n>",
      "answers at once at most, others wait (default: 64 on a GPU, else 16)",
      wholeNumber(1),
    )
}

/** `--model`: what `findModel` understands. */
export function modelOption(): Option {
  return new Option(
    "-m, --model <model>",
    "folder with config.json, tokenizer.json and safetensors, or a name in the Hugging Face cache: openai/gpt-oss-20b",
  ).default(EMBEDDED_MODEL, "the embedded minerva-tiny")
}

/** Options of every command that computes. */
export function withDeviceOptions(command: Command): Command {
  return command
    .addOption(
      new Option("-d, --device <name>", "where to run: auto takes the GPU if there is one, reference is slow and plain")
        .choices(["auto", "gpu", "cpu", "reference"])
        .default("auto"),
    )
    .option(
      "--threads <n>",
      "the most threads of the cpu device (default, and limit: one per core that affinity and CPU quotas leave)",
      wholeNumber(1, 1024),
    )
    .addOption(
      new Option(
        "--precision <mode>",
        "exact keeps activations in float32, fast may round them: to float16 on the GPU, to int8 or int16 on the CPU; " +
          "int16 rounds them to no less than 16 bits",
      ).choices(["fast", "int16", "exact"]),
    )
}

/** As commander hands them over. */
export interface SamplingFlags {
  maxTokens?: number
  temperature?: number
  topK?: number
  topP?: number
  minP?: number
  repetitionPenalty?: number
  frequencyPenalty?: number
  presencePenalty?: number
  logitBias?: Record<string, number>
  seed?: number
  stop?: string[]
  logprobs?: number | true
}

/** Options of every command that samples. The engine checks their ranges. */
export function withSamplingOptions(command: Command): Command {
  return command
    .option(
      "-n, --max-tokens <n>",
      "longest answer, reasoning included (default: until the context is full)",
      wholeNumber(1),
    )
    .option(
      "-t, --temperature <t>",
      "0 takes the most likely token always, 1 samples what the model learned (default: as generation_config.json says, else 0)",
      number,
    )
    .option("--top-k <k>", "sample from the k most likely tokens", wholeNumber(0))
    .option("--top-p <p>", "sample from the most likely tokens that reach probability p together", number)
    .option("--min-p <p>", "drop tokens less likely than p times the most likely", number)
    .option("--repetition-penalty <x>", "above 1: avoid tokens that are in the context", number)
    .option("--frequency-penalty <x>", "lower a token's logit by x each time it is generated", number)
    .option("--presence-penalty <x>", "lower the logit of every token generated so far by x", number)
    .option("--logit-bias <id:bias,...>", "add to the logits of these token ids", logitBias)
    .option("-s, --seed <n>", "the same seed gives the same answer", wholeNumber(Number.MIN_SAFE_INTEGER))
    .option("--stop <text>", "end the answer before this text (repeatable)", collect)
}

/** The same under the engine's names; what is left open is as the model's `defaults` say, else greedy. */
export function samplingOptions(flags: SamplingFlags, defaults: SamplingDefaults): GenerateOptions {
  const { logprobs } = flags
  return {
    max_tokens: flags.maxTokens,
    stop: flags.stop,
    temperature: flags.temperature ?? defaults.temperature ?? 0,
    top_k: flags.topK,
    top_p: flags.topP,
    min_p: flags.minP,
    repetition_penalty: flags.repetitionPenalty,
    frequency_penalty: flags.frequencyPenalty,
    presence_penalty: flags.presencePenalty,
    logit_bias: flags.logitBias,
    seed: flags.seed,
    ...(logprobs !== undefined && { logprobs: true, top_logprobs: logprobs === true ? 0 : logprobs }),
  }
}

export interface ChatFlags {
  readonly system?: string
  readonly reasoning?: "low" | "medium" | "high"
}

/** Options of every command that renders a conversation. */
export function withChatOptions(command: Command): Command {
  return command
    .option("--system <text>", "instructions to the model, ahead of the conversation")
    .addOption(new Option("--reasoning <effort>", "how long the model may think").choices(["low", "medium", "high"]))
}

/** The same under the engine's names. */
export function chatOptions({ system, reasoning }: ChatFlags): Pick<ChatOptions, "instructions" | "reasoning_effort"> {
  return { instructions: system, reasoning_effort: reasoning }
}

/** A commander parser for whole numbers from `min` to `max`. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === "" || !Number.isSafeInteger(value) || value < min || value > max) {
      const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `from ${min} to ${max}`
      throw new InvalidArgumentError(`Expected a whole number, ${range}.`)
    }
    return value
  }
}

function kvBits(text: string): 16 | 8 | 4 {
  const bits = Number(text)
  if (bits === 16 || bits === 8 || bits === 4) return bits
  throw new InvalidArgumentError("Expected 16, 8 or 4.")
}

/** A commander parser for 16GB (decimal), 512MiB (binary) and plain bytes. */
export function byteSize(text: string): number {
  const bytes = parseBytes(text)
  if (bytes === undefined) throw new InvalidArgumentError("Expected a size such as 16GB, 512MiB or bytes.")
  return bytes
}

export function number(text: string): number {
  const value = Number(text)
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.")
  return value
}

function logitBias(text: string): Record<string, number> {
  const pairs = text.split(",").map((pair) => /^(\d+):([-+\d.e]+)$/i.exec(pair.trim()))
  if (!pairs.every((pair) => pair !== null)) throw new InvalidArgumentError("Expected pairs such as 17:-100,42:5.")
  return Object.fromEntries(pairs.map(([, id, bias]) => [Number(id), number(bias)]))
}

function collect(text: string, before: string[] = []): string[] {
  return [...before, text]
}
