import { readFile } from "node:fs/promises"
import { Command } from "commander"
import { withModel, withProgress } from "../load.js"
import { type ModelFlags, wholeNumber, withModelOptions } from "../options.js"
import { formatDuration, formatFacts } from "../ui/format.js"
import { printJson, printLine } from "../ui/output.js"

interface Flags extends ModelFlags {
  readonly file: string
  readonly window: number
  readonly json?: boolean
}

export const perplexityCommand = withModelOptions(new Command("perplexity"))
  .requiredOption("-f, --file <text>", "a UTF-8 text file")
  .option(
    "--window <tokens>",
    "the text is cut into windows of this many tokens, which do not overlap",
    wholeNumber(2),
    2048,
  )
  .option("--json", "print one JSON document")
  .action(async (flags: Flags) => {
    const bytes = await readFile(flags.file)
    await withModel(flags, async (model) => {
      const tokens = Uint32Array.from(model.text.encode(bytes.toString("utf8")))
      const window = Math.min(flags.window, model.info.max_context)
      const start = performance.now()
      const result = await withProgress(
        "reading",
        (onProgress) => model.perplexity(tokens, { window, onProgress }),
        (done, total) => `${done} of ${total} tokens`,
      )
      const elapsed_ms = performance.now() - start
      // Comparable between tokenizers, as perplexity per token is not.
      const bits_per_byte = (result.nll * result.scored_tokens) / Math.LN2 / bytes.byteLength
      const { name, backend } = model.info
      if (flags.json) {
        printJson({
          model: name,
          backend,
          file: flags.file,
          tokens: tokens.length,
          window,
          ...result,
          bits_per_byte,
          elapsed_ms,
        })
        return
      }
      printLine(
        formatFacts([
          ["perplexity", result.perplexity.toFixed(4)],
          ["nats per token", result.nll.toFixed(4)],
          ["bits per byte", bits_per_byte.toFixed(4)],
          ["tokens scored", `${result.scored_tokens} of ${tokens.length}, windows of ${window}`],
          ["time", `${formatDuration(elapsed_ms)} on ${backend}`],
        ]),
      )
    })
  })
