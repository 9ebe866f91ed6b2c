import { Command } from "commander"
import { batchCommand } from "./commands/batch.js"
import { benchCommand } from "./commands/bench/bench.js"
import { chatCommand } from "./commands/chat.js"
import { generateCommand } from "./commands/generate.js"
import { graphCommand } from "./commands/graph.js"
import { inspectCommand } from "./commands/inspect.js"
import { logitsCommand } from "./commands/logits.js"
import { modelsCommand } from "./commands/models.js"
import { perplexityCommand } from "./commands/perplexity.js"
import { offerPull, pullCommand } from "./commands/pull.js"
import { rmCommand } from "./commands/rm.js"
import { serveCommand } from "./commands/serve.js"
import { synthCommand } from "./commands/synth.js"
import { type DefaultFlags, defaultAction } from "./default_action.js"
import { withChatOptions, withModelOptions, withSamplingOptions } from "./options.js"

const TALK = "Talk to a model:"
const KEEP = "Get and keep models:"
const STUDY = "Study a model:"
const MEASURE = "Make and measure:"

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

/** The whole command line. */
export function createProgram(version: string): Command {
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
    .hook("preAction", (_, command) => offerPull(command))
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
    .action((question: string | undefined, flags: DefaultFlags) => defaultAction(question, flags))
  for (const option of program.options) if (!SHOWN.includes(option.attributeName())) option.hideHelp()
  add(program, TALK, generateCommand, chatCommand, batchCommand, serveCommand)
  add(program, KEEP, pullCommand, modelsCommand, rmCommand)
  add(program, STUDY, inspectCommand, graphCommand, logitsCommand, perplexityCommand)
  add(program, MEASURE, synthCommand, benchCommand)
  return program
}

function add(program: Command, group: string, ...commands: Command[]): void {
  for (const command of commands) {
    program.addCommand(command.helpGroup(group))
    command.copyInheritedSettings(program)
    for (const child of command.commands) child.copyInheritedSettings(program)
  }
}
