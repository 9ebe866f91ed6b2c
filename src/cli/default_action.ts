import { chat } from "./commands/chat.js"
import { type AnswerFlags, answer } from "./commands/generate.js"
import { withModel } from "./load.js"
import { printLine, printNote } from "./ui/output.js"
import { joinPrompt, withPipedInput } from "./ui/stdin.js"

export type DefaultFlags = Omit<AnswerFlags, "raw">

const EXAMPLE = "What is 17 + 25?"

/**
 * `minerva` without a command: answers the question given, piped in or both; on a terminal without one, chats; with neither,
 * answers an example and says what else there is.
 */
export async function defaultAction(question: string | undefined, flags: DefaultFlags): Promise<void> {
  if (question === undefined && process.stdin.isTTY) return withModel(flags, (model) => chat(model, flags))
  await withPipedInput((piped) =>
    withModel(flags, async (model) => {
      const input = await piped()
      const asked = question === undefined ? input : joinPrompt(question, input)
      if (asked?.trim()) return answer(model, asked, flags)
      if (!flags.json) printLine(`> ${EXAMPLE}`)
      await answer(model, EXAMPLE, flags)
      printNote(
        'That was an example. Ask with: minerva "your question". On a terminal, minerva alone is a chat; ' +
          "minerva --help lists what else there is.",
      )
    }),
  )
}
