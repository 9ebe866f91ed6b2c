import { cardOf } from "../models/card_of.js"
import type { ModelCard, ModelDirectory } from "../served_model.js"
import { codexModel } from "./codex_model.js"

/** OpenAI's `ListModelsResponse`, and beside it the models as Codex reads them. */
export async function modelList(directory: ModelDirectory): Promise<object> {
  const cards = await directory.list()
  return { object: "list", data: cards.map((card) => modelObject(card, cards.length)), models: cards.map(codexModel) }
}

/** @throws {RequestError} `not_found` with the code `model_not_found` */
export async function modelNamed(directory: ModelDirectory, name: string): Promise<object> {
  const card = await cardOf(directory, name)
  return modelObject(card, (await directory.list()).length)
}

/** OpenAI's `Model`, and the length of its context under the names that vLLM, OpenRouter and llama-server have for it. */
function modelObject({ name, created, bytes, max_context, loaded }: ModelCard, models: number): object {
  const slash = name.indexOf("/")
  return {
    id: name,
    object: "model",
    created,
    owned_by: slash > 0 ? name.slice(0, slash) : "minerva",
    context_length: max_context,
    max_model_len: max_context,
    meta: { n_ctx: max_context, n_ctx_train: max_context, size: bytes },
    architecture: { input_modalities: ["text"], output_modalities: ["text"] },
    // With it clients of llama-server take the server for one of many models, and ask for the properties of each.
    ...(models > 1 && { status: { value: loaded ? "loaded" : "unloaded" } }),
  }
}
