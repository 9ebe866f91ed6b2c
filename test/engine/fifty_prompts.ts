import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Backend } from "../../src/backends/backend.js"
import { openCheckpoint } from "../../src/checkpoint/checkpoint.js"
import { nodeDirectory } from "../../src/checkpoint/node_directory.js"
import { chat } from "../../src/engine/chat.js"
import type { ChatMessage } from "../../src/engine/chat_messages.js"
import { loadLanguage } from "../../src/engine/language.js"
import { loadGptOss } from "../../src/models/load.js"
import type { ConversationOptions, Tool } from "../../src/text/messages.js"
import { schedulerOf } from "./scheduling.js"

const path = (name: string) => fileURLToPath(new URL(`../../../${name}`, import.meta.url))

interface HeldOut {
  readonly sums: { question: string }[]
  readonly tool_calls: {
    tools: { function: Tool }[]
    messages: ChatMessage[]
    reasoning_effort: ConversationOptions["reasoning_effort"]
  }[]
}

export interface Prompt extends ConversationOptions {
  readonly messages: ChatMessage[]
}

const heldOut = JSON.parse(readFileSync(path("tools/train/fixtures/held_out.json"), "utf8")) as HeldOut

/** What the model's card says it does, and some of what it cannot. */
const QUESTIONS = [
  "Hello!",
  "Who are you?",
  "What can you do?",
  "Is Minerva written in Python?",
  "Tell me a joke.",
  "Thanks",
  "What is 81 - 37?",
  "What is 7 times 8?",
  "Divide 95 by 4.",
  "23 * 6",
  "Which is larger, 45 or 54?",
  "Is 38 even?",
  "Anna has 12 apples and gets 9 more. How many apples does she have?",
  "How many meters are 3 kilometers?",
  "Convert 5 hours to minutes.",
  "What day is it today?",
  "What is the date tomorrow?",
  "What is the capital of France?",
  "What does an owl say?",
  "What is the opposite of cold?",
  "Spell river.",
  "Repeat after me: the green lamp sings",
  "Which word comes last: stone, owl, bread, key?",
  "Tell me a story about a fox.",
  "Explain quantum chromodynamics.",
]

/** Fifty conversations, with and without tools. */
export const fifty: readonly Prompt[] = [
  ...QUESTIONS.map((content): Prompt => ({ messages: [{ role: "user", content }] })),
  ...heldOut.sums.slice(0, 15).map(({ question }): Prompt => ({ messages: [{ role: "user", content: question }] })),
  ...heldOut.tool_calls.slice(0, 10).map(
    ({ tools, messages, reasoning_effort }): Prompt => ({
      messages,
      tools: tools.map((tool) => tool.function),
      reasoning_effort,
    }),
  ),
]

/** What minerva-tiny says greedily to each prompt: its first 12 tokens. The backend is closed at the end. */
export async function* greedyTokens(backend: Backend, prompts: readonly Prompt[]): AsyncGenerator<number[]> {
  const checkpoint = await openCheckpoint(nodeDirectory(path("models/minerva-tiny")))
  const language = (await loadLanguage(checkpoint.directory))!
  const { scheduler, close } = schedulerOf(await loadGptOss(checkpoint), backend, { max_context: 2048 })
  for (const { messages, ...options } of prompts) {
    const tokens: number[] = []
    const greedy = { temperature: 0, max_tokens: 12, ...options }
    for await (const event of chat(scheduler, messages, language.format, language.stopTokens, greedy)) {
      if (event.type === "token") tokens.push(event.token)
    }
    yield tokens
  }
  await close()
  await backend.close()
  await checkpoint.close()
}
