import type { Hono } from "hono"
import { expect } from "vitest"
import { openaiError } from "../../../src/server/openai/errors.js"
import type { Item, OutputItem } from "../../../src/server/responses/items.js"
import type { ResponseObject } from "../../../src/server/responses/response.js"
import { responsesRoutes } from "../../../src/server/responses/routes.js"
import { BackgroundResponses } from "../../../src/server/responses/background.js"
import type { ResponseStore } from "../../../src/server/responses/store.js"
import type { ServedModel } from "../../../src/server/served_model.js"
import { faceOf, post } from "../face.js"
import { expectOpenAI } from "../openai_schemas.js"

const SCHEMAS: Record<string, string> = {
  error: "ResponseErrorEvent",
  "response.created": "ResponseCreatedEvent",
  "response.in_progress": "ResponseInProgressEvent",
  "response.output_item.added": "ResponseOutputItemAddedEvent",
  "response.output_item.done": "ResponseOutputItemDoneEvent",
  "response.content_part.added": "ResponseContentPartAddedEvent",
  "response.content_part.done": "ResponseContentPartDoneEvent",
  "response.reasoning_text.delta": "ResponseReasoningTextDeltaEvent",
  "response.reasoning_text.done": "ResponseReasoningTextDoneEvent",
  "response.output_text.delta": "ResponseTextDeltaEvent",
  "response.output_text.done": "ResponseTextDoneEvent",
  "response.function_call_arguments.delta": "ResponseFunctionCallArgumentsDeltaEvent",
  "response.function_call_arguments.done": "ResponseFunctionCallArgumentsDoneEvent",
  "response.custom_tool_call_input.delta": "ResponseCustomToolCallInputDeltaEvent",
  "response.custom_tool_call_input.done": "ResponseCustomToolCallInputDoneEvent",
  "response.completed": "ResponseCompletedEvent",
  "response.incomplete": "ResponseIncompleteEvent",
  "response.failed": "ResponseFailedEvent",
}

/** An event as a client reads it. */
export interface ReadEvent {
  readonly type: string
  readonly sequence_number: number
  readonly output_index?: number
  readonly delta?: string
  readonly logprobs?: readonly object[]
  readonly item?: OutputItem
  readonly text?: string
  readonly arguments?: string
  readonly input?: string
  readonly response?: ResponseObject
}

export function appOf(model: ServedModel, store?: ResponseStore): Hono {
  return faceOf(
    (context) => responsesRoutes({ ...context, responses: new BackgroundResponses(store) }),
    openaiError,
    model,
  )
}

export function ask(app: Hono, body: object, path = "/v1/responses"): Promise<Response> {
  return post(app, path, body)
}

/** A response that came with status 200, and is what OpenAI's document says. */
export async function answer(app: Hono, body: object): Promise<ResponseObject> {
  const response = await ask(app, body)
  const json = (await response.json()) as ResponseObject
  expect({ status: response.status, ...(response.status !== 200 && { json }) }).toEqual({ status: 200 })
  expectOpenAI("Response", json)
  return json
}

/** OpenAI's document has no code for a conversation that is too long, though clients know it. */
export function isTooLong(response: ResponseObject | undefined): boolean {
  return response?.error?.code === "context_length_exceeded"
}

/** The error of a request that is refused. */
export async function refusal(app: Hono, body: object) {
  const response = await ask(app, body)
  const { error } = (await response.json()) as { error: { message: string; param: string | null; code: string | null } }
  return { status: response.status, ...error }
}

/** The events of a stream, each what OpenAI's document says, and all of them in order. */
export async function events(app: Hono, body: object): Promise<ReadEvent[]> {
  const response = await ask(app, { ...body, stream: true })
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8")
  const messages = (await response.text()).split("\n\n")
  expect(messages.pop()).toBe("")
  const read = messages.map((message, i) => {
    const [, event, data] = /^event: (.*)\ndata: (.*)$/.exec(message)!
    const parsed = JSON.parse(data) as ReadEvent
    expect(parsed).toMatchObject({ type: event, sequence_number: i })
    if (!isTooLong(parsed.response)) expectOpenAI(SCHEMAS[event], parsed)
    return parsed
  })
  expect(read.slice(0, 2).map(({ type }) => type)).toEqual(["response.created", "response.in_progress"])
  return read
}

/** What a client has that listens to deltas alone, checked against what the events that end them say. */
export function followed(read: readonly ReadEvent[]): (OutputItem & { readonly streamed: string })[] {
  const items: { item: OutputItem; streamed: string; logprobs: object[]; done: boolean }[] = []
  for (const event of read) {
    if (event.output_index === undefined) continue
    if (event.type === "response.output_item.added") {
      expect(event.output_index).toBe(items.length)
      expect(items.every(({ done }) => done)).toBe(true)
      items.push({ item: event.item!, streamed: "", logprobs: [], done: false })
      continue
    }
    const open = items[event.output_index]
    expect(open.done).toBe(false)
    if (event.type.endsWith(".delta")) {
      expect(event.delta).not.toBe("")
      open.streamed += event.delta
      open.logprobs.push(...(event.logprobs ?? []))
    }
    if (/(text|arguments|input)\.done$/.test(event.type)) {
      expect(event.text ?? event.arguments ?? event.input).toBe(open.streamed)
      if (event.logprobs) expect(event.logprobs).toEqual(open.logprobs)
    }
    if (event.type === "response.output_item.done") {
      expect(textOf(event.item!)).toBe(open.streamed)
      expect(event.item).toMatchObject({ id: open.item.id, type: open.item.type })
      Object.assign(open, { item: event.item, done: true })
    }
  }
  expect(items.every(({ done }) => done)).toBe(true)
  return items.map(({ item, streamed }) => ({ ...item, streamed }))
}

export function textOf(item: Item): string {
  if (item.type === "function_call") return item.arguments
  if (item.type === "custom_tool_call") return item.input
  if (!("content" in item)) return item.output
  return item.content.map(({ text }) => text).join("")
}

/** A response without what is drawn at random: ids and times. */
export function withoutIds(value: unknown): unknown {
  const json = JSON.stringify(value, (key, value) => (/^(created_at|completed_at)$/.test(key) ? 0 : value))
  const ids = new Map<string, string>()
  return JSON.parse(json.replace(/[0-9a-f]{24,32}/g, (id) => ids.set(id, ids.get(id) ?? `#${ids.size}`).get(id)!))
}
