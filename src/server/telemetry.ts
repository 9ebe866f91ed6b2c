import { type Context, context, propagation, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api"
import type { GenerationSummary } from "../engine/generation.js"
import type { ServedRequest } from "./served_request.js"

/** Without an SDK, which is the user's to load (`node --import`), all of this does nothing. */
const tracer = () => trace.getTracer("minerva")

const spans = new WeakMap<ServedRequest, Context>()

/** The span of a request, a child of what its headers say. */
export function requestSpan(request: ServedRequest, method: string, path: string, headers: Headers) {
  const parent = propagation.extract(context.active(), headers, {
    get: (carrier, key) => carrier.get(key) ?? undefined,
    keys: (carrier) => [...carrier.keys()],
  })
  const attributes = { "http.request.method": method, "url.path": path }
  const span = tracer().startSpan(method, { kind: SpanKind.SERVER, attributes }, parent)
  spans.set(request, trace.setSpan(parent, span))
  return {
    end(route: string, status: number): void {
      span.updateName(`${method} ${route}`)
      span.setAttributes({ "http.route": route, "http.response.status_code": status })
      if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
      span.end()
    },
  }
}

/** The span of a generation, in OpenTelemetry's conventions for generative models. */
export function generationSpan(operation: string, model: string, request: ServedRequest | undefined) {
  const attributes = {
    "gen_ai.operation.name": operation,
    "gen_ai.provider.name": "minerva",
    "gen_ai.request.model": model,
  }
  const parent = (request && spans.get(request)) ?? context.active()
  const span: Span = tracer().startSpan(`${operation} ${model}`, { attributes }, parent)
  return {
    done({ prompt_tokens, cached_tokens, completion_tokens, finish_reason }: GenerationSummary): void {
      span.setAttributes({
        "gen_ai.usage.input_tokens": prompt_tokens,
        "gen_ai.usage.cache_read.input_tokens": cached_tokens,
        "gen_ai.usage.output_tokens": completion_tokens,
        "gen_ai.response.finish_reasons": [finish_reason],
      })
    },
    failed(error: unknown): void {
      span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message })
    },
    end: () => span.end(),
  }
}
