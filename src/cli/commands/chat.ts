import { createInterface, type Interface } from "node:readline"
import { Command } from "commander"
import type { ChatMessage } from "../../engine/chat_messages.js"
import type { LanguageModel } from "../../engine/model.js"
import { withModel } from "../load.js"
import {
  type ChatFlags,
  chatOptions,
  type ModelFlags,
  type SamplingFlags,
  samplingOptions,
  withChatOptions,
  withModelOptions,
  withSamplingOptions,
} from "../options.js"
import { AnswerView } from "../ui/answer.js"
import { reportError } from "../ui/errors.js"
import { colors, printNote } from "../ui/output.js"

export interface ConversationFlags extends ModelFlags, SamplingFlags, ChatFlags {}

export const chatCommand = withChatOptions(withSamplingOptions(withModelOptions(new Command("chat")))).action(
  (flags: ConversationFlags) => withModel(flags, (model) => chat(model, flags)),
)

const HELP = `Type a message and press Enter. Besides:
  /reset               start the conversation anew
  /system TEXT         set the instructions and start anew; without TEXT, remove them
  /reasoning EFFORT    low, medium or high
  /help                this
  /exit                leave; so does Ctrl-D, and Ctrl-C twice at the empty prompt
Ctrl-C stops an answer. The arrow keys bring back earlier messages.`

/** A conversation on the terminal, or with lines of standard input as the user's turns. */
export async function chat(model: LanguageModel, flags: ConversationFlags): Promise<void> {
  const terminal = Boolean(process.stdin.isTTY && process.stdout.isTTY)
  const { bold } = colors(process.stdout)
  const readline = createInterface({ input: process.stdin, output: process.stdout, terminal, prompt: bold("> ") })
  const conversation = new Conversation(model, flags)
  const onInterrupt = interruptHandler(readline, conversation)
  readline.on("SIGINT", onInterrupt)
  if (terminal) printNote(`${model.info.name} on ${model.info.backend}. /help lists what can be typed, /exit leaves.`)
  const ask = () => terminal && readline.prompt()
  ask()
  try {
    for await (const line of readline) {
      const text = line.trim()
      if (text === "/exit" || text === "/quit") break
      if (text.startsWith("/")) conversation.command(text)
      else if (text !== "") await conversation.say(text)
      ask()
    }
  } finally {
    readline.close()
  }
}

/** Ctrl-C: stops an answer; else clears the line; else, the second time, leaves. */
function interruptHandler(readline: Interface, conversation: Conversation): () => void {
  let asked = false
  readline.on("line", () => {
    asked = false
  })
  return () => {
    if (conversation.stop()) return
    const wasEmpty = readline.line === ""
    process.stdout.write("\n")
    if (wasEmpty && asked) return readline.close()
    asked = wasEmpty
    if (wasEmpty) printNote("(Ctrl-C again or /exit leaves)")
    // Drops what was typed.
    readline.write(null, { ctrl: true, name: "e" })
    readline.write(null, { ctrl: true, name: "u" })
    readline.prompt()
  }
}

class Conversation {
  private messages: ChatMessage[] = []
  private answering: AbortController | undefined
  private flags: ConversationFlags

  constructor(
    private readonly model: LanguageModel,
    flags: ConversationFlags,
  ) {
    this.flags = flags
  }

  /** Asks and streams the answer. Of an answer that is stopped the conversation keeps what was said until then. */
  async say(content: string): Promise<void> {
    const view = new AnswerView()
    this.answering = new AbortController()
    const { signal } = this.answering
    const messages: ChatMessage[] = [...this.messages, { role: "user", content }]
    let said = ""
    try {
      const options = { ...samplingOptions(this.flags, this.model.sampling), ...chatOptions(this.flags), signal }
      for await (const event of this.model.chat(messages, options)) {
        if (event.type === "summary") this.messages = [...messages, event.message]
        else view.show(event)
        if (event.type === "content") said += event.text
      }
    } catch (error) {
      view.finish()
      if (!signal.aborted) return void reportError(error)
      this.messages = [...messages, { role: "assistant", content: said }]
      printNote("(stopped)")
    } finally {
      view.finish()
      this.answering = undefined
    }
  }

  /** Stops the answer that is streaming; false when there is none. */
  stop(): boolean {
    this.answering?.abort()
    return this.answering !== undefined
  }

  /** `/name argument` */
  command(line: string): void {
    const [, name, argument] = /^\/(\S*)\s*(.*)$/s.exec(line) ?? []
    switch (name) {
      case "help":
        printNote(HELP)
        break
      case "reset":
        this.restart("conversation forgotten")
        break
      case "system":
        this.flags = { ...this.flags, system: argument || undefined }
        this.restart(argument ? "new instructions, new conversation" : "no instructions, new conversation")
        break
      case "reasoning":
        if (argument === "low" || argument === "medium" || argument === "high") {
          this.flags = { ...this.flags, reasoning: argument }
          printNote(`(reasoning effort: ${argument})`)
        } else {
          printNote(`(expected low, medium or high, found ${argument || "nothing"})`)
        }
        break
      default:
        printNote(`(no command /${name}; /help lists them)`)
    }
  }

  private restart(note: string): void {
    this.messages = []
    printNote(`(${note})`)
  }
}
