import type { LanguageModel } from "../engine/model.js"
import { parseSamplingParams, type SamplingOptions } from "../engine/sampling/params.js"
import { CounterRandom } from "../engine/sampling/random.js"
import { median } from "./median.js"
import { NO_STOPS, promptsOf } from "./prompt.js"
import { type Spread, spreadOf } from "./quantile.js"

export interface ArrivalsOptions {
  /** Requests per second on average. */
  readonly rate: number
  readonly requests: number
  /** Of when they come: the same seed, the same times. Each run takes the next one. */
  readonly seed: number
  /** Tokens of each prompt, of which none is cached. */
  readonly prompt_length: number
  /** Tokens drawn for each request. */
  readonly tokens: number
  readonly sampling: SamplingOptions
  readonly runs: number
  readonly onProgress?: (done: number, total: number) => void
}

export interface ArrivalsBench {
  /** Tokens drawn per second, from the first arrival to the last token. Median over runs, and the slowest and fastest. */
  readonly tps: number
  readonly tps_range: readonly [number, number]
  /** Of all requests of all runs, in milliseconds, from when a request was to come. */
  readonly first_token_ms: Spread
  /** From each token of a request to its next. */
  readonly next_token_ms: Spread
  /** Requests that waited at once at most, seen whenever a token came. */
  readonly most_waiting: number
}

/** Times requests that come one by one, as from many users who know nothing of each other. One run warms up. */
export async function benchArrivals(
  model: Pick<LanguageModel, "scheduler" | "store">,
  options: ArrivalsOptions,
): Promise<ArrivalsBench> {
  const { runs, seed, requests, onProgress } = options
  await serve(model, { ...options, seed })
  const served: Served[] = []
  for (let run = 0; run < runs; run++) {
    const report = (done: number) => onProgress?.(run * requests + done, runs * requests)
    served.push(await serve(model, { ...options, seed: seed + run }, report))
  }
  const rates = served.map(({ tps }) => tps)
  const times = served.flatMap(({ times }) => times)
  return {
    tps: median(rates),
    tps_range: [Math.min(...rates), Math.max(...rates)],
    first_token_ms: spreadOf(times.map(({ due, tokens }) => tokens[0] - due)),
    next_token_ms: spreadOf(times.flatMap(({ tokens }) => tokens.slice(1).map((time, i) => time - tokens[i]))),
    most_waiting: Math.max(...served.map(({ most_waiting }) => most_waiting)),
  }
}

/** Milliseconds after the start when requests come: a Poisson process, in which gaps are distributed exponentially. */
export function arrivalTimes(requests: number, rate: number, seed: number): number[] {
  const random = new CounterRandom(seed)
  let at = 0
  return Array.from({ length: requests }, (_, i) => {
    at -= (Math.log(1 - random.uniform(i)) * 1000) / rate
    return at
  })
}

interface Served {
  readonly tps: number
  readonly most_waiting: number
  /** By request: when it was to come, and when its tokens came. */
  readonly times: readonly { readonly due: number; readonly tokens: readonly number[] }[]
}

async function serve(
  { scheduler, store }: Pick<LanguageModel, "scheduler" | "store">,
  { rate, requests, seed, prompt_length, tokens: max_tokens, sampling }: ArrivalsOptions,
  onServed?: (done: number) => void,
): Promise<Served> {
  store.clear()
  const prompts = promptsOf(requests, prompt_length, scheduler.vocab_size)
  const start = performance.now()
  let most_waiting = 0
  let done = 0
  const times = await Promise.all(
    arrivalTimes(requests, rate, seed).map(async (at, i) => {
      const due = start + at
      await new Promise((resolve) => setTimeout(resolve, due - performance.now()))
      const params = parseSamplingParams({ ...sampling, seed: i })
      const { events } = scheduler.submit({ prompt: prompts[i], params, stopTokens: NO_STOPS, max_tokens })
      const tokens: number[] = []
      for await (const _ of events.read()) {
        tokens.push(performance.now())
        most_waiting = Math.max(most_waiting, scheduler.load.waiting)
      }
      onServed?.(++done)
      return { due, tokens }
    }),
  )
  const last = Math.max(...times.map(({ tokens }) => tokens[tokens.length - 1]))
  return { tps: (requests * max_tokens * 1000) / (last - times[0].due), most_waiting, times }
}
