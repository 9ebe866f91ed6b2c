import { basename, dirname, resolve } from "node:path"
import { Command, InvalidArgumentError } from "commander"
import { nodeWritableDirectory } from "../../checkpoint/node_writable_directory.js"
import { writeSafetensors } from "../../checkpoint/safetensors_writer.js"
import { argmax } from "../../engine/sampling/selection.js"
import { score } from "../../engine/score.js"
import { checkTokenIds } from "../../engine/token_ids.js"
import { withModel, withProgress } from "../load.js"
import { type ModelFlags, withModelOptions } from "../options.js"
import { formatDuration } from "../ui/format.js"
import { printJson, printLine } from "../ui/output.js"

interface Flags extends ModelFlags {
  readonly tokens: number[]
  readonly out: string
  readonly json?: boolean
}

export const logitsCommand = withModelOptions(new Command("logits"))
  .requiredOption("--tokens <ids>", "token ids with commas between them: 1,2,3", tokenList)
  .requiredOption("-o, --out <file>", 'safetensors file to write: "logits", f32 [length, vocab_size]')
  .option("--json", "print one JSON document, with the most likely token at each position")
  .action((flags: Flags) =>
    withModel({ ...flags, text: false }, async (model) => {
      const { tokens } = flags
      const { vocab_size } = model.scheduler
      checkTokenIds("--tokens", tokens, vocab_size)
      const start = performance.now()
      const logits = new Float32Array(tokens.length * vocab_size)
      await withProgress(
        "reading",
        async (onProgress) => {
          let at = 0
          for await (const rows of score(model.scheduler, tokens, { onProgress })) {
            logits.set(rows, at)
            at += rows.length
          }
        },
        (done, total) => `${done} of ${total} tokens`,
      )
      const elapsed_ms = performance.now() - start
      const shape = [tokens.length, vocab_size]
      await write(flags.out, logits, shape)
      const { name, backend } = model.info
      if (flags.json) {
        const best = tokens.map((_, row) => argmax(logits.subarray(row * vocab_size, (row + 1) * vocab_size)))
        printJson({ model: name, backend, out: flags.out, dtype: "float32", shape, argmax: best, elapsed_ms })
      } else {
        printLine(`${flags.out}: logits, f32 [${shape.join(", ")}], in ${formatDuration(elapsed_ms)} on ${backend}`)
      }
    }),
  )

async function write(path: string, logits: Float32Array, shape: readonly number[]): Promise<void> {
  const bytes = new Uint8Array(logits.buffer)
  const read = async (offset: number, into: Uint8Array) => into.set(bytes.subarray(offset, offset + into.byteLength))
  const directory = nodeWritableDirectory(dirname(resolve(path)))
  await writeSafetensors(directory, basename(path), [{ name: "logits", dtype: "float32", shape, read }])
}

function tokenList(text: string): number[] {
  const parts = text.split(",").map((part) => part.trim())
  if (!parts.every((part) => /^\d+$/.test(part))) throw new InvalidArgumentError("Expected token ids such as 1,2,3.")
  return parts.map(Number)
}
