import { LRUCache } from "lru-cache"
import type { AssistantMessage, Message, ToolCall } from "./messages.js"

/** Token ids, of all turns together, that are remembered: some 20 bytes each, with those of the keys. */
const MOST_TOKENS = 2 ** 20

/** Characters of arguments and reasoning, of all calls together, that are remembered. */
const MOST_CHARACTERS = 2 ** 23

/** What clients may not send back as it was. */
interface WrittenCall {
  /** Before the call. */
  readonly reasoning: string
  readonly arguments: string
}

/**
 * Turns as the model wrote them, by how they would be rendered. A model cuts words into other tokens than the tokenizer, puts the
 * recipient elsewhere, or leaves out a content type: rendered anew, its turn would differ from the one whose keys and values are there
 * already, and everything after that place would be computed again.
 */
export class WrittenTurns {
  private readonly calls = new LRUCache<string, WrittenCall>({
    maxSize: MOST_CHARACTERS,
    sizeCalculation: (call) => Math.max(1, call.reasoning.length + call.arguments.length),
  })
  private readonly turns = new LRUCache<string, readonly number[]>({
    maxSize: MOST_TOKENS,
    sizeCalculation: (written) => Math.max(1, written.length),
  })

  /**
   * @param rendered the turn's token ids as its messages are rendered
   * @param written those of the model
   */
  remember(rendered: readonly number[], written: readonly number[]): void {
    const key = keyOf(rendered)
    if (key !== keyOf(written)) this.turns.set(key, written)
  }

  /** Notes a message's calls, and what was thought before them. */
  rememberCalls({ reasoning = "", tool_calls = [] }: AssistantMessage): void {
    for (const { id, arguments: args } of tool_calls) if (id) this.calls.set(id, { reasoning, arguments: args })
  }

  /**
   * Gives calls back the spelling of their arguments, which clients that hold them as an object lose, and the reasoning before them,
   * which many leave out: the model expects it until its answer is there (openai/harmony, docs/format.md, "Handling tool calls").
   * OpenAI's client keeps the last piece of a streamed one, so that an end of it stands for the whole.
   */
  asCalled(message: Message): Message {
    if (message.role !== "assistant" || !message.tool_calls) return message
    const { tool_calls } = message
    const thought = tool_calls.map(({ id }) => id && this.calls.get(id)?.reasoning).find(Boolean)
    const reasoning = thought?.endsWith(message.reasoning ?? "") ? thought : message.reasoning
    return {
      ...message,
      ...(reasoning && { reasoning }),
      tool_calls: tool_calls.map((call) => ({ ...call, arguments: this.spelled(call) })),
    }
  }

  /** A call's arguments as the model wrote them, if the client did not change what they say. */
  private spelled({ id, arguments: args }: ToolCall): string {
    const written = id === undefined ? undefined : this.calls.get(id)?.arguments
    return written !== undefined && normalized(written) === normalized(args) ? written : args
  }

  /** A turn as it was written, if it is remembered; else as it is rendered. */
  asWritten(rendered: readonly number[]): readonly number[] {
    return this.turns.get(keyOf(rendered)) ?? rendered
  }
}

/** JSON without the liberties that it leaves to who writes it; text that is none as it is. */
function normalized(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return text
  }
}

function keyOf(tokens: readonly number[]): string {
  return tokens.join()
}
