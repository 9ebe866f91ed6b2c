import { Command } from "commander"
import { CheckpointError } from "../../checkpoint/errors.js"
import { findModel, repositoryNamed } from "../../checkpoint/node_find_model.js"
import { isRepositoryId } from "../../checkpoint/node_hub.js"
import { pull } from "../../hub/node_pull.js"
import { parseGptOssConfig } from "../../models/config.js"
import { formatBytes } from "../../tensor/bytes.js"
import { confirm } from "../ui/confirm.js"
import { formatDuration } from "../ui/format.js"
import { printLine, printNote } from "../ui/output.js"
import { Progress } from "../ui/progress.js"
import { RateMeter } from "../ui/rate.js"

export const pullCommand = new Command("pull")
  .argument("<model>", "ORG/NAME, or ORG/NAME@REVISION for a branch, a tag or a commit")
  .addHelpText(
    "after",
    `
What was interrupted goes on where it stopped. The folder that holds the model is printed on standard output.

Environment, as with Hugging Face's own tools:
  HF_TOKEN                    a token, for gated and private models (or ~/.cache/huggingface/token)
  HF_ENDPOINT                 another address of the Hub
  HF_HUB_CACHE, HF_HOME       where the cache is
  HF_HUB_OFFLINE=1            ask nobody

Examples:
  minerva pull openai/gpt-oss-20b
  minerva pull mlx-community/gpt-oss-20b-MXFP4-Q8 && minerva chat -m mlx-community/gpt-oss-20b-MXFP4-Q8`,
  )
  .action(async (model: string) => {
    const folder = await pullNamed(model)
    if (folder !== undefined) printLine(folder)
  })

/** Pulls with a bar; Ctrl-C keeps what came. @returns undefined when it was stopped */
async function pullNamed(model: string): Promise<string | undefined> {
  const { repository, revision } = repositoryNamed(model)
  const stopped = new AbortController()
  const stop = (signal: NodeJS.Signals) => stopped.abort(signal)
  // Once: whoever presses it again wants out at once.
  process.once("SIGINT", stop).once("SIGTERM", stop)
  const rate = new RateMeter()
  const bar = new Progress(`pulling ${repository}`, (done, total) => {
    const perSecond = rate.perSecond()
    const left = perSecond
      ? `, ${formatBytes(perSecond)}/s, ${formatDuration(((total - done) / perSecond) * 1000)} left`
      : ""
    return `${formatBytes(done)} of ${formatBytes(total)}${left}`
  })
  let arrived = ""
  try {
    const { folder, fetched, bytes } = await pull(repository, {
      revision,
      signal: stopped.signal,
      check: parseGptOssConfig,
      onStart: ({ files, bytes, missing, cache }) => {
        const here = missing < bytes ? `, ${formatBytes(bytes - missing)} of it are here` : ""
        if (missing > 0) printNote(`${repository}: ${files} files, ${formatBytes(bytes)}${here}; into ${cache}`)
      },
      onProgress: (done, total) => {
        arrived = `${formatBytes(done)} of ${formatBytes(total)} are here; `
        rate.add(done)
        bar.update(done, total)
      },
      onWait: (reason, ms) => {
        bar.stop()
        printNote(`${reason}: trying again in ${formatDuration(ms)}`)
      },
    })
    bar.stop()
    printNote(
      fetched > 0
        ? `${formatBytes(bytes)} are here: minerva chat -m ${model}`
        : `${model} is here, and nothing has changed`,
    )
    return folder
  } catch (error) {
    bar.stop()
    if (!stopped.signal.aborted) throw error
    printNote(`stopped; ${arrived}minerva pull ${model} goes on from there`)
    process.exitCode = stopped.signal.reason === "SIGTERM" ? 143 : 130
    return undefined
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop)
  }
}

/**
 * Before a command runs: asks whether to pull the model that it is about, where that is on the Hub alone and somebody is there to
 * answer. Otherwise the command's own error says how to get it.
 */
export async function offerPull(command: Command): Promise<void> {
  if (!command.options.some((option) => option.attributeName() === "model")) return
  const at = command.registeredArguments.findIndex((argument) => argument.name() === "model")
  const model: unknown = command.processedArgs[at] ?? command.opts().model
  if (typeof model !== "string" || !(await isElsewhere(model))) return
  if (!(await confirm(`${model} is not on this machine. Pull it from the Hugging Face Hub?`, true))) return
  if ((await pullNamed(model)) === undefined) process.exit()
}

/** Whether a model may be on the Hub, and is not here. */
async function isElsewhere(model: string): Promise<boolean> {
  const { repository } = repositoryNamed(model)
  if (!isRepositoryId(repository) || !repository.includes("/")) return false
  return findModel(model).then(
    () => false,
    (error) => error instanceof CheckpointError && error.code === "file_missing",
  )
}
