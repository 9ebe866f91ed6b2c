import { expect } from "vitest"
import { expectOpenAI } from "./openai_schemas.js"

interface CallPiece {
  index: number
  id?: string
  type?: string
  function?: { name?: string; arguments?: string }
  custom?: { name?: string; input?: string }
}

interface Piece {
  role?: string
  content?: string
  reasoning?: string
  reasoning_content?: string
  tool_calls?: readonly CallPiece[]
  function_call?: { name?: string; arguments?: string }
}

export interface ChatChunk {
  id: string
  created: number
  choices: readonly {
    index: number
    delta: Piece
    logprobs: { content: readonly unknown[] } | null
    finish_reason: string | null
  }[]
  usage?: object | null
}

/** The data of a stream that ends as OpenAI's do. */
export async function dataOf(response: Response): Promise<unknown[]> {
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8")
  const messages = (await response.text()).split("\n\n")
  expect(messages.pop()).toBe("")
  expect(messages.pop()).toBe("data: [DONE]")
  return messages.map((message) => {
    expect(message).toMatch(/^data: \{.*\}$/)
    return JSON.parse(message.slice("data: ".length))
  })
}

/** A streamed answer's choices as they would be if it were not streamed; checks what every chunk has to have. */
export function joined(chunks: readonly ChatChunk[]): object[] {
  const [{ id, created }] = chunks
  const choices = new Map<number, ReturnType<typeof emptyChoice>>()
  for (const chunk of chunks) {
    expectOpenAI("CreateChatCompletionStreamResponse", chunk)
    expect(chunk).toMatchObject({ id, created })
    for (const { index, delta, logprobs, finish_reason } of chunk.choices) {
      const isFirst = !choices.has(index)
      if (isFirst) choices.set(index, emptyChoice(index))
      expect(delta.role).toBe(isFirst ? "assistant" : undefined)
      const choice = choices.get(index)!
      expect(choice.finish_reason).toBeNull()
      choice.finish_reason = finish_reason
      if (logprobs) choice.logprobs = [...(choice.logprobs ?? []), ...logprobs.content]
      add(choice.message, delta)
    }
  }
  return [...choices.values()].sort((a, b) => a.index - b.index)
}

interface JoinedCall {
  id?: string
  type: string
  name: string
  text: string
}

function emptyChoice(index: number) {
  const message = { content: "", reasoning: "", calls: [] as JoinedCall[] }
  return { index, message, logprobs: null as unknown[] | null, finish_reason: null as string | null }
}

function add(message: ReturnType<typeof emptyChoice>["message"], delta: Piece): void {
  for (const text of [delta.content, delta.reasoning]) expect(text ?? "").not.toMatch(/\p{Cs}/u)
  expect(delta.reasoning_content).toBe(delta.reasoning)
  message.content += delta.content ?? ""
  message.reasoning += delta.reasoning ?? ""
  const old: CallPiece[] = delta.function_call ? [{ index: 0, function: delta.function_call, type: "old" }] : []
  for (const { index, id, type, function: called, custom } of [...(delta.tool_calls ?? []), ...old]) {
    const name = called?.name ?? custom?.name
    const text = called?.arguments ?? custom?.input ?? ""
    const isNew = index === message.calls.length
    // Names come once.
    expect(name !== undefined).toBe(isNew)
    if (isNew) message.calls.push({ id, name: name!, type: custom ? "custom" : type!, text: "" })
    message.calls[index].text += text
  }
}

export interface ChatAnswer {
  choices: readonly {
    index: number
    message: {
      content: string | null
      reasoning?: string
      reasoning_content?: string
      tool_calls?: readonly {
        id: string
        type: string
        function?: { name: string; arguments: string }
        custom?: { name: string; input: string }
      }[]
      function_call?: { name: string; arguments: string }
    }
    logprobs: { content: readonly unknown[] } | null
    finish_reason: string
  }[]
  usage: object
}

/** An answer's choices in the form that `joined` gives. */
export function whole(answer: ChatAnswer): object[] {
  expectOpenAI("CreateChatCompletionResponse", answer)
  return answer.choices.map(({ index, message, logprobs, finish_reason }) => {
    expect(message.reasoning_content).toBe(message.reasoning)
    const calls = (message.tool_calls ?? []).map(({ id, type, function: called, custom }) => ({
      id,
      type,
      name: called?.name ?? custom?.name,
      text: called?.arguments ?? custom?.input,
    }))
    const old = message.function_call
    return {
      index,
      message: {
        content: message.content ?? "",
        reasoning: message.reasoning ?? "",
        calls: old ? [{ id: undefined, type: "old", name: old.name, text: old.arguments }] : calls,
      },
      logprobs: logprobs?.content ?? null,
      finish_reason,
    }
  })
}

/** Without the ids of calls, which are drawn anew each time. */
export function withoutIds(choices: object[]): unknown {
  return JSON.parse(JSON.stringify(choices), (key, value) => (key === "id" ? undefined : value))
}
