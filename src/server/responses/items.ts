import type { TokenLogprob } from "../openai/logprobs.js"

/** Items of the Responses API, as this server writes and keeps them. */

export type ItemStatus = "in_progress" | "completed" | "incomplete"

export interface OutputText {
  readonly type: "output_text"
  readonly text: string
  readonly annotations: readonly []
  readonly logprobs: readonly TokenLogprob[]
}

export interface ReasoningText {
  readonly type: "reasoning_text"
  readonly text: string
}

export interface ReasoningItem {
  readonly type: "reasoning"
  readonly id: string
  readonly summary: readonly []
  readonly content: readonly ReasoningText[]
  readonly encrypted_content?: string
  readonly status: ItemStatus
}

/** What the model says. `phase` is known when the message is done. */
export interface OutputMessage {
  readonly type: "message"
  readonly id: string
  readonly role: "assistant"
  readonly content: readonly OutputText[]
  readonly phase?: "commentary" | "final_answer"
  readonly status: ItemStatus
}

export interface FunctionCall {
  readonly type: "function_call"
  readonly id: string
  readonly call_id: string
  readonly name: string
  readonly arguments: string
  readonly status: ItemStatus
}

/** The call of a tool that takes text. */
export interface CustomCall {
  readonly type: "custom_tool_call"
  readonly id: string
  readonly call_id: string
  readonly name: string
  readonly input: string
  readonly status: ItemStatus
}

export type OutputItem = ReasoningItem | OutputMessage | FunctionCall | CustomCall

export interface InputMessage {
  readonly type: "message"
  readonly id: string
  readonly role: "user" | "system" | "developer"
  readonly content: readonly { readonly type: "input_text"; readonly text: string }[]
  readonly status: "completed"
}

export interface CallOutput {
  readonly type: "function_call_output" | "custom_tool_call_output"
  readonly id: string
  readonly call_id: string
  readonly output: string
  readonly status: "completed"
}

/** What a conversation consists of. */
export type Item = OutputItem | InputMessage | CallOutput

const PREFIXES: Record<Item["type"], string> = {
  reasoning: "rs",
  message: "msg",
  function_call: "fc",
  custom_tool_call: "ctc",
  function_call_output: "fco",
  custom_tool_call_output: "ctco",
}

/** `resp_` and the 32 hexadecimal digits of a random UUID. */
export function newResponseId(): string {
  return `resp_${crypto.randomUUID().replaceAll("-", "")}`
}

/** An item's id tells whose it is, so that references to it find the response. */
export function itemId(type: Item["type"], response: string, index: number | string): string {
  return `${PREFIXES[type]}_${response.slice("resp_".length)}_${index}`
}

/** The response that an item with this id is part of; undefined for ids that are not ours. */
export function responseOf(item: string): string | undefined {
  const digits = /^[a-z]+_([0-9a-f]{32})_\w+$/.exec(item)?.[1]
  return digits && `resp_${digits}`
}

/** Marks reasoning that went out as `encrypted_content`: it is no secret, but what comes back must be told from other servers'. */
const ENVELOPE = "minerva1."

/** Reasoning as `encrypted_content`: base64url of its UTF-8. */
export function sealed(reasoning: string): string {
  const bytes = new TextEncoder().encode(reasoning)
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")
  return ENVELOPE + btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
}

/** Undefined for what another server encrypted. */
export function unsealed(content: string): string | undefined {
  if (!content.startsWith(ENVELOPE)) return undefined
  try {
    const binary = atob(content.slice(ENVELOPE.length).replaceAll("-", "+").replaceAll("_", "/"))
    return new TextDecoder().decode(Uint8Array.from(binary, (char) => char.charCodeAt(0)))
  } catch {
    return undefined
  }
}
