import type { ModelCard } from "../served_model.js"

/** What Codex tells a model whose catalog it takes from the server, in place of the words it has for models that it does not know. */
const INSTRUCTIONS = `You are Codex, a coding agent that runs in a terminal on the user's computer and works in their repository.

Work until the task is done: look into the files that matter before you change them, make the smallest change that solves the problem \
at its root, keep to the style of the code around it, and check your work with the tests or commands that the repository has. Use the \
tools you are given for reading, running and editing; never guess what a file holds. Keep a plan of several steps up to date if there is \
a tool for it. Do not commit, create branches or undo changes that are not yours unless you are asked to. Follow the instructions of \
AGENTS.md files for the folders that they are in.

Be brief and precise. When you are done, say what you changed and where, and what you could not check.`

const LEVELS = [
  { effort: "low", description: "Answers fast" },
  { effort: "medium", description: "Thinks as long as most tasks need" },
  { effort: "high", description: "Thinks longest" },
]

/** A model as Codex reads it from `models`: `ModelInfo` in openai/codex, codex-rs/protocol/src/openai_models.rs. */
export function codexModel({ name, max_context }: ModelCard, i: number): object {
  return {
    slug: name,
    display_name: name,
    description: null,
    default_reasoning_level: "medium",
    supported_reasoning_levels: LEVELS,
    shell_type: "default",
    visibility: "list",
    supported_in_api: true,
    priority: i,
    upgrade: null,
    availability_nux: null,
    base_instructions: INSTRUCTIONS,
    supports_reasoning_summaries: true,
    default_reasoning_summary: "auto",
    support_verbosity: false,
    default_verbosity: null,
    apply_patch_tool_type: null,
    truncation_policy: { mode: "bytes", limit: 10_000 },
    supports_parallel_tool_calls: false,
    supports_image_detail_original: false,
    context_window: max_context,
    max_context_window: max_context,
    effective_context_window_percent: 95,
    experimental_supported_tools: [],
    input_modalities: ["text"],
  }
}
