import type { HeldModel, ModelCard, ModelDirectory } from "../served_model.js"
import { RequestError } from "../request_error.js"

/** A model as `GET /v1/models/{id}` tells of it to who sends `anthropic-version`. */
export function anthropicModel({ name, created, max_context }: ModelCard) {
  return {
    type: "model",
    id: name,
    display_name: name,
    created_at: new Date(created * 1000).toISOString(),
    max_input_tokens: max_context,
    max_tokens: max_context,
    capabilities: null,
    lifecycle: "active",
    line: null,
    deprecated_at: null,
  } as const
}

/** `GET /v1/models` in Anthropic's shape: all of them on one page. */
export function anthropicModels(cards: readonly ModelCard[]) {
  const data = cards.map(anthropicModel)
  return { data, has_more: false, first_id: data.at(0)?.id ?? null, last_id: data.at(-1)?.id ?? null }
}

/**
 * Holds a model by its name. Anthropic's own names mean the default model, as Claude Code asks for several of them.
 *
 * @throws {RequestError} see {@link ModelDirectory.hold}
 */
export async function holdModel(models: ModelDirectory, name: string, signal: AbortSignal): Promise<HeldModel> {
  try {
    return await models.hold(name, signal)
  } catch (error) {
    const isTheirs =
      error instanceof RequestError && error.kind === "not_found" && /^(anthropic[/.])?claude-/.test(name)
    if (!isTheirs) throw error
    return models.hold(undefined, signal)
  }
}
