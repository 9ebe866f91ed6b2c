import { type Attributes, type Context, type Span, type SpanOptions, trace } from "@opentelemetry/api"
import { afterAll, expect, it } from "vitest"
import { PatientModel } from "../../test/server/patient_model.js"
import { PATHS, plainRoutes } from "../../test/server/plain_protocol.js"
import { directoryOf } from "../../test/server/scripted_model.js"
import { createApp } from "./app.js"

/** What an SDK would send somewhere. */
class Recorded {
  name: string
  attributes: Attributes
  isOver = false
  constructor(
    name: string,
    { attributes = {} }: SpanOptions,
    readonly parent: Span | undefined,
  ) {
    this.name = name
    this.attributes = { ...attributes }
  }
  updateName(name: string) {
    this.name = name
  }
  setAttributes(attributes: Attributes) {
    Object.assign(this.attributes, attributes)
  }
  setStatus() {}
  end() {
    this.isOver = true
  }
}

const spans: Recorded[] = []
const startSpan = (name: string, options: SpanOptions, parent: Context) => {
  const span = new Recorded(name, options, trace.getSpan(parent))
  spans.push(span)
  return span as unknown as Span
}
afterAll(() => trace.disable())

it("a request is a span, and what is generated for it is one below", async () => {
  trace.setGlobalTracerProvider({ getTracer: () => ({ startSpan, startActiveSpan: () => undefined as never }) })
  const patient = new PatientModel()
  const models = directoryOf(patient.served)
  const app = createApp({ models, max_body: 1000, version: "1" }, { protocols: [plainRoutes] })
  const headers = { "content-type": "application/json" }
  patient.say("word", "end")
  await (await app.request(PATHS[0], { method: "POST", headers, body: '{"content": "Hi", "stream": true}' })).text()
  expect(spans).toEqual([
    expect.objectContaining({
      name: `POST ${PATHS[0]}`,
      isOver: true,
      attributes: expect.objectContaining({ "http.route": PATHS[0], "http.response.status_code": 200 }),
    }),
    expect.objectContaining({
      name: "chat patient",
      isOver: true,
      parent: spans[0],
      attributes: expect.objectContaining({
        "gen_ai.request.model": "patient",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.response.finish_reasons": ["stop"],
      }),
    }),
  ])
})
