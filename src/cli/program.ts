import { Command } from "commander"
import type { DefaultFlags } from "./default_action.js"
import { withChatOptions, withModelOptions, withSamplingOptions } from "./options.js"
import { canAsk } from "./ui/confirm.js"

const TALK = "Talk to a model:"
const KEEP = "Get and keep models:"
const STUDY = "Study a model:"
const MEASURE = "Make and measure:"

/** By name, in the order of the help: where each is shown, and where it is loaded from once it is wanted. */
const COMMANDS: Readonly<Record<string, readonly [group: string, load: () => Promise<Command>]>> = {
  generate: [TALK, async () => (await import("./commands/generate.js")).generateCommand],
  chat: [TALK, async () => (await import("./commands/chat.js")).chatCommand],
  batch: [TALK, async () => (await import("./commands/batch.js")).batchCommand],
  serve: [TALK, async () => (await import("./commands/serve.js")).serveCommand],
  pull: [KEEP, async () => (await import("./commands/pull.js")).pullCommand],
  models: [KEEP, async () => (await import("./commands/models.js")).modelsCommand],
  rm: [KEEP, async () => (await import("./commands/rm.js")).rmCommand],
  inspect: [STUDY, async () => (await import("./commands/inspect.js")).inspectCommand],
  graph: [STUDY, async () => (await import("./commands/graph.js")).graphCommand],
  logits: [STUDY, async () => (await import("./commands/logits.js")).logitsCommand],
  perplexity: [STUDY, async () => (await import("./commands/perplexity.js")).perplexityCommand],
  synth: [MEASURE, async () => (await import("./commands/synth.js")).synthCommand],
  bench: [MEASURE, async () => (await import("./commands/bench/bench.js")).benchCommand],
}

/** The options that the first screen explains; the others stand in `generate --help`. */
const SHOWN = [
  "model",
  "device",
  "memoryLimit",
  "maxTokens",
  "temperature",
  "seed",
  "system",
  "reasoning",
  "json",
  "version",
]

/**
 * The command line.
 *
 * @param first of its words: where that is a command's name, the other commands, and all that they need, are not loaded
 */
export async function createProgram(version: string, first?: string): Promise<Command> {
  const program = withChatOptions(withSamplingOptions(withModelOptions(new Command("minerva"))))
    .description(
      "Runs OpenAI's gpt-oss models from their safetensors: a command and a question is enough, a small model is included.",
    )
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this")
    .helpCommand("help [command]", "print what a command does")
    .argument(
      "[question]",
      "answered at once, with what is piped in after it; without one, a chat on a terminal, or standard input",
    )
    .option("--json", "print the answer as one JSON document")
    .enablePositionalOptions()
    .exitOverride()
    .hook("preAction", async (_, command) => {
      if (canAsk()) await (await import("./commands/pull.js")).offerPull(command)
    })
    .addHelpText(
      "after",
      `
Examples:
  minerva                                                chat with the embedded model
  minerva "What is 17 + 25?"                             one answer
  minerva chat -m ~/models/gpt-oss-20b-MXFP4-Q8          chat with a model of yours
  minerva pull openai/gpt-oss-20b                        bring a model from the Hugging Face Hub
  cat notes.txt | minerva "Summarise these notes:"       one answer about what is piped in
  minerva generate "Name three fruits." --json           the answer with its token counts and speeds
  minerva serve openai/gpt-oss-20b                       a server for clients of OpenAI, Anthropic and Ollama
  minerva inspect openai/gpt-oss-20b                     what is in a checkpoint, and the memory it needs
  minerva synth --preset gpt-oss-20b --out /tmp/20b      random weights in the published layout, to measure with
  minerva bench decode -m /tmp/20b                       tokens per second, and how near the memory's limit

minerva COMMAND --help says more; all options of generate work here too.
Answers go to standard output, reasoning and progress to standard error.
MINERVA_DEBUG=1 prints the stack of an error.`,
    )
    .action(async (question: string | undefined, flags: DefaultFlags) =>
      (await import("./default_action.js")).defaultAction(question, flags),
    )
  for (const option of program.options) if (!SHOWN.includes(option.attributeName())) option.hideHelp()
  const wanted = first !== undefined && Object.hasOwn(COMMANDS, first) ? [COMMANDS[first]] : Object.values(COMMANDS)
  const loaded = await Promise.all(wanted.map(async ([group, load]) => (await load()).helpGroup(group)))
  for (const command of loaded) add(program, command)
  return program
}

function add(program: Command, command: Command): void {
  program.addCommand(command)
  command.copyInheritedSettings(program)
  for (const child of command.commands) child.copyInheritedSettings(program)
}
