import { writeFile } from "node:fs/promises"
import { Command, InvalidArgumentError, Option } from "commander"
import { openModel } from "../../checkpoint/node_find_model.js"
import { storeFor } from "../../engine/memory_plan.js"
import { DECODING, traceStep } from "../../engine/step.js"
import { PASSES } from "../../graph/optimise.js"
import { dot } from "../../graph/view/dot.js"
import { reportOf } from "../../graph/view/report.js"
import { FUSED_KINDS, type FusedKind } from "../../ir/operations.js"
import type { GptOss } from "../../models/gpt_oss.js"
import { loadGptOss } from "../../models/load.js"
import type { KvFormat } from "../../tensor/kv_format.js"
import { Storage } from "../../tensor/storage.js"
import { htmlOf } from "../graph/html.js"
import { type Subject, titleOf } from "../graph/subject.js"
import { textOf } from "../graph/text.js"
import { modelOption, wholeNumber } from "../options.js"
import { UsageError } from "../ui/errors.js"

/** What a step depends on of the backends; asking one itself would open a GPU. */
export const DEVICES = {
  gpu: { fusions: new Set(FUSED_KINDS), kvFormat: "float16" },
  cpu: { fusions: new Set(), kvFormat: "float32" },
  reference: { fusions: new Set(FUSED_KINDS), kvFormat: "float32" },
} as const satisfies Record<string, { fusions: Set<FusedKind>; kvFormat: KvFormat }>

interface Flags {
  readonly model: string
  readonly device: keyof typeof DEVICES
  readonly rows: number
  readonly context: number
  readonly optimise: boolean
  readonly without?: readonly string[]
  readonly format: "text" | "dot" | "html"
  readonly out?: string
}

export const graphCommand = new Command("graph")
  .argument("[model]", "the same as --model")
  .addOption(modelOption())
  .addOption(
    new Option("-d, --device <name>", "whose step; it is not opened, and no weights are read")
      .choices(Object.keys(DEVICES))
      .default("gpu"),
  )
  .option("--rows <n>", "tokens of the step: 1 as in decoding, more as in prefill", wholeNumber(1), 1)
  .option("--context <tokens>", "tokens that the caches have room for, at most the model's", wholeNumber(1), 4096)
  .option("--no-optimise", "show the step as it was traced")
  .option("--without <pass,...>", "passes to leave out", passNames)
  .addOption(
    new Option("--format <format>", "dot is Graphviz' language, html one page")
      .choices(["text", "dot", "html"])
      .default("text"),
  )
  .option("-o, --out <file>", "write there instead of to standard output")
  .addHelpText(
    "after",
    "\nA launch is an instruction of the program; a device may run several as one, or one as several.\nBytes and operations are estimates from shapes.\n\nExample:\n  minerva graph openai/gpt-oss-20b --format html --out step.html",
  )
  .action(async (model: string | undefined, flags: Flags, command: Command) => {
    const isNamed = command.getOptionValueSource("model") !== "default"
    if (model !== undefined && isNamed && model !== flags.model) {
      throw new UsageError(`two models: ${model}, and --model ${flags.model}; give one`)
    }
    const { name, checkpoint } = await openModel(model ?? flags.model)
    try {
      const subject = look(name, await loadGptOss(checkpoint), flags)
      const text = draw(subject, flags)
      if (flags.out === undefined) process.stdout.write(text)
      else await writeFile(flags.out, text)
    } finally {
      await checkpoint.close()
    }
  })

/** Traces and optimises one step of a model, as a runner on the device would. */
export function look(
  name: string,
  model: GptOss,
  { device, rows, context, without = [] }: Pick<Flags, "device" | "rows" | "context" | "without">,
): Subject {
  const { fusions, kvFormat: format } = DEVICES[device]
  const most = Math.min(context, model.config.max_position_embeddings)
  if (rows > most) throw new UsageError(`--rows ${rows}: caches of ${most} tokens have no room for so many`)
  const kind = rows === 1 ? DECODING : { ...DECODING, rows: { name: "rows", max: rows }, wanted: 1 }
  const store = storeFor(model, { prefillChunk: rows }, { format, max_context: most })
  const states = { store, drawn: new Storage("drawn ids", "uint32", [1], null) }
  return {
    ...reportOf(traceStep(kind, model, states), fusions, without),
    model: name,
    step: rows === 1 ? "decoding a token" : `up to ${rows} tokens of a prompt`,
    device,
    context: most,
    without,
  }
}

function draw(subject: Subject, { format, optimise }: Flags): string {
  const shown = optimise ? "optimised" : "traced"
  if (format === "dot") return dot(titleOf(subject), subject[shown].folds)
  return format === "html" ? htmlOf(subject, shown) : `${textOf(subject, shown)}\n`
}

/** A commander parser for passes' names. */
function passNames(text: string): string[] {
  const known = PASSES.map(({ name }) => name)
  return text.split(",").map((part) => {
    const name = part.trim()
    if (known.includes(name)) return name
    throw new InvalidArgumentError(`There is no pass ${JSON.stringify(name)}; there are ${known.join(", ")}.`)
  })
}
