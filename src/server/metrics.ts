import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client"
import type { ModelDirectory, ServedLoad } from "./served_model.js"

/** Seconds. */
const LATENCIES = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]

/** What is measured, for Prometheus: docs/serving.md says what each name means. */
export class ServerMetrics {
  private readonly registry = new Registry()
  private readonly requests = this.counter("http_requests_total", "Requests answered.", ["method", "route", "status"])
  private readonly durations = this.histogram("http_request_duration_seconds", "To the last byte of the answer.", [
    "route",
  ])
  private readonly firstToken = this.histogram("time_to_first_token_seconds", "From the request to its first token.", [
    "model",
  ])
  private readonly generations = this.histogram("generation_duration_seconds", "From a request to its last token.", [
    "model",
  ])
  private readonly promptTokens = this.counter("prompt_tokens_total", "Tokens of prompts, cached ones included.", [
    "model",
  ])
  private readonly cachedTokens = this.counter("prompt_tokens_cached_total", "Those found in the cache.", ["model"])
  private readonly generatedTokens = this.counter("generation_tokens_total", "Tokens of answers that were finished.", [
    "model",
  ])

  constructor(models: Pick<ModelDirectory, "loads">, open: () => number) {
    const { registry } = this
    collectDefaultMetrics({ register: registry })
    const collect = function (this: Gauge) {
      this.set(open())
    }
    new Gauge({ name: "minerva_http_requests_open", help: "Requests being answered.", registers: [registry], collect })
    const loads = oncePerScrape(() => models.loads())
    const ofModels = (name: string, help: string, amount: (load: ServedLoad) => number) =>
      new Gauge({
        name: `minerva_${name}`,
        help,
        labelNames: ["model"],
        registers: [registry],
        async collect() {
          this.reset()
          for (const [model, load] of await loads()) this.set({ model }, amount(load))
        },
      })
    ofModels("requests_running", "Sequences that run.", ({ running }) => running)
    ofModels("requests_waiting", "Sequences that wait.", ({ waiting }) => waiting)
    ofModels("kv_pages", "Pages of the pool of keys and values.", ({ pages }) => pages)
    ofModels("kv_pages_free", "Pages that no running sequence holds.", ({ free_pages }) => free_pages)
    ofModels("model_resident_memory_bytes", "Resident memory of the process that runs the model.", ({ rss }) => rss)
  }

  get contentType(): string {
    return this.registry.contentType
  }

  /** All of it, in Prometheus' text format. */
  text(): Promise<string> {
    return this.registry.metrics()
  }

  /** @param seconds from the first byte asked to the last one answered */
  answered(method: string, route: string, status: number, seconds: number): void {
    this.requests.inc({ method, route, status })
    this.durations.observe({ route }, seconds)
  }

  /** Follows an answer of a model. @param started when it was asked for, in `performance.now()`'s time */
  generation(model: string, started = performance.now()) {
    const seconds = () => (performance.now() - started) / 1000
    let hasBegun = false
    return {
      read: (prompt_tokens: number, cached_tokens: number) => {
        this.promptTokens.inc({ model }, prompt_tokens)
        this.cachedTokens.inc({ model }, cached_tokens)
      },
      begun: () => {
        if (!hasBegun) this.firstToken.observe({ model }, seconds())
        hasBegun = true
      },
      ended: (completion_tokens: number) => {
        this.generatedTokens.inc({ model }, completion_tokens)
        this.generations.observe({ model }, seconds())
      },
    }
  }

  private counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name: `minerva_${name}`, help, labelNames, registers: [this.registry] })
  }

  private histogram<Label extends string>(name: string, help: string, labelNames: Label[]): Histogram<Label> {
    return new Histogram({
      name: `minerva_${name}`,
      help,
      labelNames,
      buckets: LATENCIES,
      registers: [this.registry],
    })
  }
}

/** All gauges of a scrape show one moment, for which the models are asked once. */
function oncePerScrape<T>(read: () => Promise<T>): () => Promise<T> {
  let reading: Promise<T> | null = null
  return () => {
    reading ??= read().finally(() => {
      reading = null
    })
    return reading
  }
}
