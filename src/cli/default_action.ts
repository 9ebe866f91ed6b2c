import { chat } from "./commands/chat.js"
import { type AnswerFlags, answer } from "./commands/generate.js"
import { withModel } from "./load.js"
import { printLine, printNote } from "./ui/output.js"
import { readStdin } from "./ui/stdin.js"

export type DefaultFlags = Omit<AnswerFlags, "raw">

const EXAMPLE = "What is 17 + 25?"

/** How long to wait for a question on a pipe before showing the example: an open pipe may never say anything. */
const PATIENCE_MS = 5000

/**
 * `minerva` without a command: answers the question given or piped in; on a terminal without one, chats; with neither,
 * answers an example and says what else there is.
 */
export async function defaultAction(question: string | undefined, flags: DefaultFlags): Promise<void> {
  if (question === undefined && process.stdin.isTTY) return withModel(flags, (model) => chat(model, flags))
  const asked = question ?? (await readStdin(PATIENCE_MS))
  await withModel(flags, async (model) => {
    if (asked) return answer(model, asked, flags)
    if (!flags.json) printLine(`> ${EXAMPLE}`)
    await answer(model, EXAMPLE, flags)
    printNote(
      'That was an example. Ask with: minerva "your question". On a terminal, minerva alone is a chat; ' +
        "minerva --help lists what else there is.",
    )
  })
}
