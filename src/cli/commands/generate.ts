import { Command } from "commander"
import type { ChatSummary } from "../../engine/chat.js"
import type { SummaryResult } from "../../engine/generate.js"
import type { LanguageModel } from "../../engine/model.js"
import type { Sampled } from "../../engine/sampling/sampler.js"
import { withModel, withProgress } from "../load.js"
import {
  type ChatFlags,
  chatOptions,
  type ModelFlags,
  type SamplingFlags,
  samplingOptions,
  wholeNumber,
  withChatOptions,
  withModelOptions,
  withSamplingOptions,
} from "../options.js"
import { AnswerView } from "../ui/answer.js"
import { UsageError } from "../ui/errors.js"
import { peakRssBytes, printJson, printNote } from "../ui/output.js"
import { joinPrompt, readStdin, withPipedInput } from "../ui/stdin.js"

export interface AnswerFlags extends ModelFlags, SamplingFlags, ChatFlags {
  readonly raw?: boolean
  readonly json?: boolean
}

export const generateCommand = withChatOptions(withSamplingOptions(withModelOptions(new Command("generate"))))
  .argument("[prompt]", "the question; without one or with - standard input alone")
  .option("--raw", "continue the prompt as plain text, without the chat template")
  .option(
    "--logprobs [top]",
    "with --json: log-probabilities of the tokens, and of up to 20 most likely",
    wholeNumber(0, 20),
  )
  .option("--json", "print one JSON document: text, token ids, counts and speeds")
  .option("--trace <file>", "write a timeline of every GPU dispatch, for ui.perfetto.dev; slows the generation down")
  .addHelpText(
    "after",
    `
Examples:
  minerva generate "What is 17 + 25?"
  minerva generate "Tell me a story." --temperature 0.8 --seed 7
  minerva generate --raw "Once upon a time" --max-tokens 40
  minerva generate --json < question.txt
  cat notes.txt | minerva generate "Summarise this:"`,
  )
  .action(async (prompt: string | undefined, flags: AnswerFlags & { readonly trace?: string }) => {
    const run = (textOf: () => Promise<string>) =>
      withModel(flags, async (model, backend) => {
        const text = await textOf()
        const answerIt = () => answer(model, text, flags)
        if (!flags.trace) return answerIt()
        const { withTrace } = await import("../trace.js")
        return withTrace(backend, flags.trace, answerIt)
      })
    if (prompt?.trim() && prompt !== "-") {
      return withPipedInput((piped) => run(async () => joinPrompt(prompt, await piped())))
    }
    const text = prompt === "" && process.stdin.isTTY ? "" : await readStdin()
    if (!text?.trim()) throw new UsageError("no prompt: give one as an argument or on standard input")
    await run(async () => text)
  })

/** Answers one prompt on standard output, streamed or as one JSON document. */
export async function answer(model: LanguageModel, prompt: string, flags: AnswerFlags): Promise<void> {
  const view = flags.json ? undefined : new AnswerView()
  const tokens: Sampled[] = []
  let text = ""
  const summary = await withProgress("reading the prompt", async (onProgress) => {
    const options = { ...samplingOptions(flags, model.sampling), onProgress }
    const events = flags.raw
      ? model.generate(prompt, options)
      : model.chat([{ role: "user", content: prompt }], { ...options, ...chatOptions(flags) })
    for await (const event of events) {
      if (event.type === "summary") return event
      if (event.type === "token") {
        tokens.push(event)
        if (!("text" in event)) continue
        text += event.text
        view?.show({ type: "content", text: event.text })
      } else {
        view?.show(event)
      }
    }
    throw new Error("the generation ended without a summary")
  })
  view?.finish()
  if (flags.json) printJson(report(model, tokens, text, summary))
  else if (summary.finish_reason === "length") {
    printNote(`(cut off after ${summary.completion_tokens} tokens: raise --max-tokens or --context for more)`)
  }
}

function report(
  { info }: LanguageModel,
  tokens: readonly Sampled[],
  text: string,
  { type: _type, ...summary }: ChatSummary | SummaryResult,
) {
  const { message, ...counts } = { message: undefined, ...summary }
  const logprobs = tokens.map(({ token, logprob, top_logprobs }) => ({ token, logprob, top_logprobs }))
  return {
    model: info.name,
    backend: info.backend,
    text: message?.content ?? text,
    reasoning: message?.reasoning,
    tool_calls: message?.tool_calls,
    token_ids: tokens.map(({ token }) => token),
    ...(tokens[0]?.logprob !== undefined && { logprobs }),
    ...counts,
    load_ms: info.load_ms,
    peak_rss_bytes: peakRssBytes(),
  }
}
