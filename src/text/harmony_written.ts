import { LRUCache } from "lru-cache"
import type { AssistantMessage, Message } from "./messages.js"

/** Token ids, of all turns together, that are remembered: 4 bytes each, twice. */
const MOST_TOKENS = 2 ** 20

/** Characters of reasoning, of all calls together, that are remembered. */
const MOST_CHARACTERS = 2 ** 22

/**
 * Turns as the model wrote them, by how they would be rendered. A model cuts words into other tokens than the tokenizer, puts the
 * recipient elsewhere, or leaves out a content type: rendered anew, its turn would differ from the one whose keys and values are there
 * already, and everything after that place would be computed again.
 */
export class WrittenTurns {
  private readonly thoughts = new LRUCache<string, string>({
    maxSize: MOST_CHARACTERS,
    sizeCalculation: (text) => Math.max(1, text.length),
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

  /** Notes what was thought before a message's calls. */
  rememberThoughts({ reasoning, tool_calls = [] }: AssistantMessage): void {
    for (const { id } of tool_calls) if (id && reasoning) this.thoughts.set(id, reasoning)
  }

  /**
   * Gives calls back the reasoning before them, which many clients leave out: the model expects it until its answer is there
   * (openai/harmony, docs/format.md, "Handling tool calls").
   */
  withThoughts(message: Message): Message {
    if (message.role !== "assistant" || message.reasoning) return message
    const reasoning = message.tool_calls?.map(({ id }) => id && this.thoughts.get(id)).find(Boolean)
    return reasoning ? { ...message, reasoning } : message
  }

  /** A turn as it was written, if it is remembered; else as it is rendered. */
  asWritten(rendered: readonly number[]): readonly number[] {
    return this.turns.get(keyOf(rendered)) ?? rendered
  }
}

function keyOf(tokens: readonly number[]): string {
  return tokens.join()
}
