import { Command } from "commander"
import { benchMemory, type HeldMemory, longestConversation, REQUESTS_AT_ONCE } from "../../../bench/memory.js"
import { deviceInfo } from "../../../bench/node_device_info.js"
import { formatBytes } from "../../../tensor/bytes.js"
import { withModel, withProgress } from "../../load.js"
import { type ModelFlags, wholeNumber, withLoadOptions } from "../../options.js"
import { formatFacts, formatTable } from "../../ui/format.js"
import { type BenchFlags, printResult, withBenchOptions } from "./setting.js"

interface MemoryFlags extends Omit<ModelFlags, "context">, BenchFlags {
  readonly conversations: number
  readonly turns: number
  readonly promptLength: number
  readonly tokens: number
}

export const memoryCommand = withBenchOptions(withLoadOptions(new Command("memory")), 5)
  .description("what conversations that share, fork and are left leave behind: pages, copies, resident bytes")
  .option("--conversations <n>", "at once", wholeNumber(1), 4)
  .option("--turns <n>", "questions of each conversation", wholeNumber(1), 3)
  .option("--prompt-length <n>", "tokens that all conversations begin with", wholeNumber(1), 128)
  .option("--tokens <n>", "tokens of each question, and of each answer", wholeNumber(1), 32)
  .action((flags: MemoryFlags) => {
    const { conversations, turns, promptLength: prompt_length, tokens, runs: rounds } = flags
    const options = { conversations, turns, prompt_length, tokens, rounds }
    return withModel(
      { ...flags, text: false },
      async (model, backend) => {
        const result = await withProgress(
          "conversing",
          (onProgress) => benchMemory(model, { ...options, onProgress }),
          (done, total) => `round ${done} of ${total}`,
        )
        const setting = { bench: "memory", device: deviceInfo(backend, flags), model: model.info.name }
        await printResult(flags, setting, { ...options, ...result }, ({ before, rounds }) => {
          const devices = Object.keys(before.resident)
          const heldBy = ({ pages, resident, rss }: HeldMemory) => [
            pages.used,
            pages.cached,
            pages.free,
            ...devices.map((device) => formatBytes(resident[device])),
            formatBytes(rss),
          ]
          const rows = rounds.map(({ most_used, most_shared, copies, bytes_copied, ...held }, i) => {
            return [i + 1, most_used, most_shared, copies, formatBytes(bytes_copied), ...heldBy(held)]
          })
          return [
            formatTable(
              [
                ...["round", "most used", "most shared", "copies", "copied"],
                ...["then used", "cached", "free", ...devices, "process"],
              ],
              [[0, "", "", "", "", ...heldBy(before)], ...rows],
            ),
            "",
            formatFacts([
              ["round", `${conversations} conversations of ${turns} questions; round 0 warms up`],
              ["tokens", `${prompt_length} that all begin with; ${tokens} a question, ${tokens} an answer`],
              ["each question", "two answers at once, of which one goes on, and one that is left as it begins"],
              ["pages", `${model.store.pages} of ${formatBytes(model.store.page_bytes)}`],
            ]),
          ].join("\n")
        })
      },
      { max_context: longestConversation(options), sequences: conversations * REQUESTS_AT_ONCE },
    )
  })
