import type { KvStats } from "../cache/kv_store.js"
import type { LanguageModel } from "../engine/model.js"
import { parseSamplingParams } from "../engine/sampling/params.js"
import { memoryStats } from "../tensor/storage.js"
import { NO_STOPS, promptOf } from "./prompt.js"

export interface MemoryBenchOptions {
  /** At once. */
  readonly conversations: number
  /** Questions of each conversation, one after the other. */
  readonly turns: number
  /** Tokens that all conversations begin with. */
  readonly prompt_length: number
  /** Of each question, and of each answer. */
  readonly tokens: number
  readonly rounds: number
  readonly onProgress?: (done: number, total: number) => void
}

/** What is held while nothing runs. */
export interface HeldMemory {
  readonly pages: Pick<KvStats, "used" | "cached" | "shared" | "free">
  /** Bytes of arrays by memory. */
  readonly resident: Readonly<Record<string, number>>
  /** Bytes of the process. */
  readonly rss: number
}

export interface MemoryRound extends HeldMemory {
  /** While the round ran, seen whenever an answer began. */
  readonly most_used: number
  readonly most_shared: number
  /** Copies between memories that it made: of ids drawn, and of whatever is not where it is needed. */
  readonly copies: number
  readonly bytes_copied: number
}

export interface MemoryBench {
  /** After a first round, which compiles and fills. */
  readonly before: HeldMemory
  readonly rounds: readonly MemoryRound[]
}

type Model = Pick<LanguageModel, "scheduler" | "store">

/** Requests of a conversation that run at once: see `converse`. */
export const REQUESTS_AT_ONCE = 3

/** Tokens of the longest sequence that is run. */
export function longestConversation({ prompt_length, turns, tokens }: MemoryBenchOptions): number {
  return prompt_length + turns * 2 * tokens
}

/** What rounds of conversations leave behind, each with questions of its own. */
export async function benchMemory(model: Model, options: MemoryBenchOptions): Promise<MemoryBench> {
  await runRound(model, options, 0)
  const before = held(model)
  const rounds: MemoryRound[] = []
  for (let done = 1; done <= options.rounds; done++) {
    rounds.push(await runRound(model, options, done))
    options.onProgress?.(done, options.rounds)
  }
  return { before, rounds }
}

function held({ store }: Model): HeldMemory {
  const { used, cached, shared, free } = store.stats()
  return { pages: { used, cached, shared, free }, resident: memoryStats().resident, rss: process.memoryUsage.rss() }
}

async function runRound(model: Model, options: MemoryBenchOptions, round: number): Promise<MemoryRound> {
  const { conversations, turns } = options
  const most = { most_used: 0, most_shared: 0 }
  const look = () => {
    const { used, shared } = model.store.stats()
    most.most_used = Math.max(most.most_used, used)
    most.most_shared = Math.max(most.most_shared, shared)
  }
  const { copies, bytes_copied } = memoryStats()
  const first = (i: number) => (round * conversations + i) * turns + 1
  await Promise.all(Array.from({ length: conversations }, (_, i) => converse(model, options, first(i), look)))
  const now = memoryStats()
  return { ...held(model), ...most, copies: now.copies - copies, bytes_copied: now.bytes_copied - bytes_copied }
}

/**
 * One conversation. Each question gets two answers at once, of which it goes on with the first, and one that is left as soon
 * as it begins.
 */
async function converse(
  { scheduler }: Model,
  { prompt_length, turns, tokens }: MemoryBenchOptions,
  first: number,
  onBegun: () => void,
): Promise<void> {
  const { vocab_size } = scheduler
  const draw = async (prompt: readonly number[], seed: number, leave = tokens) => {
    const params = parseSamplingParams({ temperature: 1, seed })
    const { events } = scheduler.submit({ prompt, params, stopTokens: NO_STOPS, max_tokens: tokens })
    const drawn: number[] = []
    for await (const { token } of events.read()) {
      if (drawn.length === 0) onBegun()
      if (drawn.push(token) === leave) break
    }
    return drawn
  }
  let history = Array.from(promptOf(0, prompt_length, vocab_size))
  for (let turn = 0; turn < turns; turn++) {
    history = [...history, ...promptOf(first + turn, tokens, vocab_size)]
    const [answer] = await Promise.all([draw(history, 0), draw(history, 1), draw(history, 2, 1)])
    history = [...history, ...answer]
  }
}
