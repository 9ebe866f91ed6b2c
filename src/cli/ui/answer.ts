import type { ChatEvent, ChatSummary } from "../../engine/chat.js"
import { colors, writeModelText } from "./output.js"

/**
 * Streams answers to the terminal: the answer on standard output, the reasoning dimmed on standard error and only if that
 * is a terminal, so that `minerva generate ... > file` holds the answer alone.
 */
export class AnswerView {
  private readonly showsReasoning = Boolean(process.stderr.isTTY)
  private readonly dim = colors(process.stderr).dim
  private open: "reasoning" | "content" | undefined
  private atLineStart = true

  show(event: Exclude<ChatEvent, ChatSummary>): void {
    switch (event.type) {
      case "reasoning":
        if (!this.showsReasoning) break
        this.turnTo("reasoning", event.text)
        writeModelText(process.stderr, event.text, this.dim)
        break
      case "content":
        this.turnTo("content", event.text)
        writeModelText(process.stdout, event.text)
        break
      case "tool_call": {
        this.finish()
        const call = `${event.name}(${event.arguments})`
        this.turnTo("content", call)
        writeModelText(process.stdout, call)
        break
      }
      case "start":
      case "token":
      case "tool_call_start":
      case "tool_arguments":
        break
      default:
        event satisfies never
    }
  }

  /** Ends the last line. */
  finish(): void {
    if (!this.atLineStart) (this.open === "reasoning" ? process.stderr : process.stdout).write("\n")
    this.atLineStart = true
    this.open = undefined
  }

  private turnTo(stream: "reasoning" | "content", text: string): void {
    if (this.open !== stream) this.finish()
    this.open = stream
    if (text !== "") this.atLineStart = text.endsWith("\n")
  }
}
