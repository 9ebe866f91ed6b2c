import { Command } from "commander"
import type { DefaultFlags } from "./default_action.js"
import { withChatOptions, withModelOptions, withSamplingOptions } from "./options.js"
import { canAsk } from "./ui/confirm.js"

const TALK = "Talk to a model:"
const KEEP = "Get and keep models:"
const STUDY = "Study a model:"
const MEASURE = "Make and measure:"

interface CommandEntry {
  /** Where the help shows it, and what that says. */
  readonly group: string
  readonly description: string
  /** Loads it, and all that it needs, once it is wanted. */
  load(): Promise<Command>
}

/** By name, in the order of the help. */
const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  generate: {
    group: TALK,
    description: "answer one prompt, given as an argument, on standard input, or both: the argument comes first",
    load: async () => (await import("./commands/generate.js")).generateCommand,
  },
  chat: {
    group: TALK,
    description: "talk with the model; /help inside lists what else can be typed",
    load: async () => (await import("./commands/chat.js")).chatCommand,
  },
  batch: {
    group: TALK,
    description:
      "answer many prompts: a JSON object a line, in OpenAI's batch format or with messages or a prompt alone",
    load: async () => (await import("./commands/batch.js")).batchCommand,
  },
  serve: {
    group: TALK,
    description: "serve models to clients of OpenAI, Anthropic and Ollama: agents, editors, chats",
    load: async () => (await import("./commands/serve.js")).serveCommand,
  },
  pull: {
    group: KEEP,
    description: "bring a model from the Hugging Face Hub into its cache: only the files that running it takes",
    load: async () => (await import("./commands/pull.js")).pullCommand,
  },
  models: {
    group: KEEP,
    description: "list the models on this machine: the embedded one, the Hugging Face cache, ~/.cache/mlx-models",
    load: async () => (await import("./commands/models.js")).modelsCommand,
  },
  rm: {
    group: KEEP,
    description: "take a model out of the Hugging Face cache; what other models use of its files stays",
    load: async () => (await import("./commands/rm.js")).rmCommand,
  },
  inspect: {
    group: STUDY,
    description: "what is in a checkpoint: config, parameters, tensors, and the memory it needs on the device",
    load: async () => (await import("./commands/inspect.js")).inspectCommand,
  },
  graph: {
    group: STUDY,
    description: "the step of a model as traced and as optimised: launches, bytes, and what the passes did and why not",
    load: async () => (await import("./commands/graph.js")).graphCommand,
  },
  logits: {
    group: STUDY,
    description: "write a model's logits for given tokens, to compare with another implementation",
    load: async () => (await import("./commands/logits.js")).logitsCommand,
  },
  perplexity: {
    group: STUDY,
    description: "how well a model predicts a text: lower is better",
    load: async () => (await import("./commands/perplexity.js")).perplexityCommand,
  },
  synth: {
    group: MEASURE,
    description: "write a checkpoint of random weights in the published layout, to measure without a download",
    load: async () => (await import("./commands/synth.js")).synthCommand,
  },
  bench: {
    group: MEASURE,
    description: "measure loading, prefill, decoding, caches, memory, kernels and the optimiser",
    load: async () => (await import("./commands/bench/bench.js")).benchCommand,
  },
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
 * @param words of the command line: commands that are not among them are there by name alone, for the help
 */
export async function createProgram(version: string, words: readonly string[]): Promise<Command> {
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
  program.configureHelp({ subcommandTerm: (command) => command.name() })
  for (const [name, { group, description, load }] of Object.entries(COMMANDS)) {
    const command = words.includes(name) ? await load() : new Command(name)
    add(program, command.description(description).helpGroup(group))
  }
  return program
}

function add(program: Command, command: Command): void {
  program.addCommand(command)
  command.copyInheritedSettings(program)
  for (const child of command.commands) child.copyInheritedSettings(program)
}
