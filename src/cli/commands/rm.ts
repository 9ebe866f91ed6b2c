import { Command } from "commander"
import { repositoryNamed } from "../../checkpoint/node_find_model.js"
import { planRemoval, remove } from "../../hub/node_remove.js"
import { formatBytes } from "../../tensor/bytes.js"
import { canAsk, confirm } from "../ui/confirm.js"
import { UsageError } from "../ui/errors.js"
import { printLine, printNote } from "../ui/output.js"

export const rmCommand = new Command("rm")
  .argument("<model>", "ORG/NAME, or ORG/NAME@REVISION for a branch, a tag or a commit of it alone")
  .option("-y, --yes", "do not ask")
  .action(async (model: string, { yes }: { readonly yes?: boolean }) => {
    const { repository, revision } = repositoryNamed(model)
    const removal = await planRemoval(repository, revision)
    const size = formatBytes(removal.bytes)
    if (!yes && !canAsk()) throw new UsageError(`this would free ${size}: say --yes, for nobody is here to be asked`)
    if (!yes && !(await confirm(`Remove ${model} (${size}) from the Hugging Face cache?`, false))) {
      return printNote("nothing was removed")
    }
    await remove(removal)
    const shared = removal.shared > 0 ? `; ${removal.shared} files stay, for other models or revisions use them` : ""
    printLine(`removed ${model}: ${size} are free${shared}`)
  })
