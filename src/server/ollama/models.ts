import { cardOf } from "../models/card_of.js"
import { RequestError } from "../request_error.js"
import type { HeldModel, ModelCard, ModelDirectory } from "../served_model.js"

/** Ollama's names have a tag always. */
export function taggedName(name: string): string {
  return name.includes(":") ? name : `${name}:latest`
}

/** @throws {RequestError} see {@link ModelDirectory.hold} */
export async function holdModel(models: ModelDirectory, name: string, signal: AbortSignal): Promise<HeldModel> {
  try {
    return await models.hold(name, signal)
  } catch (error) {
    if (!(error instanceof RequestError && error.kind === "not_found")) throw error
    return models.hold((await cardOf(models, name)).name, signal)
  }
}

/** The model's name in a body; `name` is what older clients say. @throws {RequestError} */
export function modelName(body: Readonly<Record<string, unknown>>): string {
  const name = body.model ?? body.name
  if (typeof name === "string" && name !== "") return name
  throw new RequestError("invalid_request", "model is required", { param: "model" })
}

/** Ollama knows gpt-oss by this name, and clients look for `gptoss.context_length`. */
const architectureOf = ({ model_type }: ModelCard) => model_type.replaceAll("_", "")

function detailsOf(card: ModelCard) {
  const family = architectureOf(card)
  return {
    parent_model: "",
    format: "safetensors",
    family,
    families: [family],
    parameter_size: "",
    quantization_level: card.quantization?.toUpperCase() ?? "unknown",
  }
}

/** A model of `/api/tags`. The digest tells files apart, and is not the hash of them. */
export async function tagOf(card: ModelCard) {
  const name = taggedName(card.name)
  return {
    name,
    model: name,
    modified_at: new Date(card.created * 1000).toISOString(),
    size: card.bytes,
    digest: await digestOf(card),
    details: detailsOf(card),
  }
}

async function digestOf({ name, created, bytes }: ModelCard): Promise<string> {
  const text = new TextEncoder().encode(`${name}\n${created}\n${bytes}`)
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", text))
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")
}

/** When a model that nobody asks for is unloaded: not known here, and far away is what Ollama says of one that stays. */
const EXPIRES = "2318-01-01T00:00:00Z"

/** A model of `/api/ps`. */
export async function runningOf(card: ModelCard) {
  return { ...(await tagOf(card)), expires_at: EXPIRES, size_vram: 0, context_length: card.max_context }
}

/** The answer of `/api/show`. */
export function shownOf(card: ModelCard) {
  const architecture = architectureOf(card)
  return {
    license: "",
    modelfile: "",
    parameters: "",
    template: "",
    system: "",
    details: detailsOf(card),
    messages: [],
    model_info: {
      "general.architecture": architecture,
      "general.basename": card.name,
      [`${architecture}.context_length`]: card.max_context,
    },
    capabilities: ["completion", "tools", "thinking"],
    modified_at: new Date(card.created * 1000).toISOString(),
  }
}
