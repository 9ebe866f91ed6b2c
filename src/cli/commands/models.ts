import { totalmem } from "node:os"
import { Command } from "commander"
import type { Backend } from "../../backends/backend.js"
import { type Checkpoint, openCheckpoint } from "../../checkpoint/checkpoint.js"
import { CheckpointError, quote } from "../../checkpoint/errors.js"
import { nodeDirectory } from "../../checkpoint/node_directory.js"
import { openBackend } from "../../engine/node_backend.js"
import { type InstalledModel, installedModels } from "../../hub/node_installed.js"
import { type GptOssConfig, parseGptOssConfig } from "../../models/config.js"
import { loadGptOss } from "../../models/load.js"
import { formatBytes } from "../../tensor/bytes.js"
import { EMBEDDED_MODEL } from "../options.js"
import { formatTable } from "../ui/format.js"
import { printJson, printLine, printNote } from "../ui/output.js"
import { poolOf, quantizations } from "./inspect.js"

export const modelsCommand = new Command("models")
  .option("--json", "print one JSON document")
  .action(async ({ json }: { readonly json?: boolean }) => {
    const memory = machineMemory()
    const { backend } = await openBackend({ device: "cpu" })
    try {
      const models = []
      for (const model of [await embedded(), ...(await installedModels())]) {
        models.push({ ...model, ...(await describe(model, backend, memory)) })
      }
      if (json) return printJson({ memory_bytes: memory, models })
      printLine(formatTable(["model", "on disk", "weights", "context", "fits"], models.map(row)))
      printNote(
        `fits: into the ${formatBytes(memory)} of memory here; minerva inspect MODEL says more, minerva pull gets one`,
      )
    } finally {
      await backend.close()
    }
  })

type Listed = Installed & Facts

interface Installed extends Omit<InstalledModel, "place"> {
  readonly place: InstalledModel["place"] | "embedded"
}

async function embedded(): Promise<Installed> {
  const checkpoint = await openCheckpoint(nodeDirectory(EMBEDDED_MODEL))
  await checkpoint.close()
  return {
    name: "minerva-tiny",
    place: "embedded",
    folder: EMBEDDED_MODEL,
    bytes: checkpoint.byteLength,
    unfinished: 0,
  }
}

/** What the memory of this machine, or of the container, is. */
function machineMemory(): number {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}

/** What is told of a model that can be opened. */
interface Facts {
  readonly model_type: string | null
  readonly quantization: string | null
  /** Tokens. */
  readonly max_context: number | null
  /** Tokens of the longest conversation that fits the memory. */
  readonly fitting_context: number
  readonly fits: boolean
  /** Why it cannot be run, or does not fit. */
  readonly problem: string | null
}

const UNKNOWN = { model_type: null, quantization: null, max_context: null, fitting_context: 0, fits: false }

/** What a model is, and how many tokens of conversation fit with it into so much memory. */
async function describe({ folder, name }: Installed, backend: Backend, memoryLimit: number): Promise<Facts> {
  if (folder === undefined) {
    return { ...UNKNOWN, problem: `the download is not finished: minerva pull ${name} goes on` }
  }
  let facts: Omit<Facts, "problem"> = UNKNOWN
  try {
    const checkpoint = await openCheckpoint(nodeDirectory(folder))
    try {
      const config = parseGptOssConfig(checkpoint.config)
      const { model_type, max_position_embeddings: max_context } = config
      facts = { ...UNKNOWN, model_type, max_context, quantization: storedAs(checkpoint, config) }
      const network = await loadGptOss(checkpoint)
      const { refusal, max_context: fitting_context } = await poolOf(network, backend, { memoryLimit })
      return { ...facts, fitting_context, fits: refusal === null, problem: refusal }
    } finally {
      await checkpoint.close()
    }
  } catch (error) {
    if (error instanceof CheckpointError) return { ...facts, problem: error.message }
    throw error
  }
}

/** How most of the weights are stored: `mxfp4 4-bit, affine 8-bit`, or their dtype. */
function storedAs(checkpoint: Checkpoint, config: GptOssConfig): string {
  const quantizationOf = quantizations(checkpoint, config)
  const bytes = new Map<string, number>()
  for (const info of checkpoint.tensors.values()) {
    const quantization = quantizationOf(info)
    const label = quantization ? `${quantization.mode} ${quantization.bits}-bit` : info.dtype
    bytes.set(label, (bytes.get(label) ?? 0) + info.byteLength)
  }
  // What takes less than a tenth, such as scales and norms, says little of a model.
  const labels = [...bytes].filter(([, size]) => size * 10 >= checkpoint.byteLength).sort(([, a], [, b]) => b - a)
  return labels.map(([label]) => label).join(", ")
}

function row({ name, bytes, quantization, max_context, fitting_context, fits, problem, folder }: Listed): string[] {
  const verdict = fits ? (fitting_context === max_context ? "yes" : `up to ${fitting_context} tokens`) : "no"
  const isOther = max_context === null && folder !== undefined
  return [
    quote(name),
    formatBytes(bytes),
    quantization ?? "",
    max_context === null ? "" : `${max_context} tokens`,
    folder === undefined ? "not finished" : isOther ? `cannot be run: ${shortened(problem)}` : verdict,
  ]
}

function shortened(problem: string | null): string {
  const [first] = (problem ?? "").split(/\. To mend it/)
  return first.length > 70 ? `${first.slice(0, 70)}...` : first
}
