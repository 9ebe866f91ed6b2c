import { type Backend, type LoadOptions, OutOfMemoryError } from "../backends/backend.js"
import { WebGpuBackend } from "../backends/webgpu/backend.js"
import { openModel } from "../checkpoint/node_find_model.js"
import { readGenerationConfig } from "../models/generation_config.js"
import { cacheBytesPerToken, weightBytesPerToken } from "../models/gpt_oss_footprint.js"
import { loadGptOss } from "../models/load.js"
import { ParameterError } from "./errors.js"
import { givenOptions, type KnownOptions } from "./given_options.js"
import { loadLanguage } from "./language.js"
import { checkMemory, type MemoryBounds, memoryRanOut } from "./memory_check.js"
import { cacheBytesAt, cacheMemoryAt, type MemoryPlan, planMemory } from "./memory_plan.js"
import { LanguageModel } from "./model.js"
import { BACKEND_OPTIONS, type BackendOptions, openBackend } from "./node_backend.js"
import { Runner } from "./runner.js"
import { checkSessions } from "./session_memory.js"
import type { CausalLM } from "./step.js"

export interface LoadModelOptions extends BackendOptions, LoadOptions {
  /** Longest conversation in tokens, prompt and answer; the model's own limit by default. */
  readonly max_context?: number
  /**
   * Sequences, of `max_context` tokens each, of a `BatchRunner` to come over the same network: its caches count too.
   *
   * @internal
   */
  readonly sequences?: number
  /** Bytes that weights, KV caches at `max_context` and intermediate values may take together; none by default. */
  readonly memory_limit?: number
  /** One that is open already and stays so when the model closes; by default one is opened as the options say. */
  readonly backend?: Backend
}

const OPTIONS: KnownOptions<LoadModelOptions> = {
  ...BACKEND_OPTIONS,
  max_context: true,
  memory_limit: true,
  sequences: true,
  backend: true,
  onProgress: true,
  onCompile: true,
  signal: true,
}

/**
 * Loads a model from a folder with config.json, tokenizer.json and safetensors, in MLX's or Hugging Face's layout.
 *
 *     const model = await loadModel("models/minerva-tiny")
 *
 * @param path a folder, or a repository's name (`openai/gpt-oss-20b`) that is looked up in the Hugging Face cache: see
 * `findModel`
 * @throws {ParameterError} for an option that is not known or out of range
 * @throws {CheckpointError} for a folder that is incomplete, damaged or not supported; {@link MemoryLimitError} before
 * anything is loaded, when it would not fit, and when a GPU turns out to have less memory than that
 */
export async function loadModel(path: string, options?: LoadModelOptions): Promise<LanguageModel> {
  const start = performance.now()
  const given = checkOptions(path, options)
  const { device, threads, precision, memory_limit } = given
  const { name, checkpoint } = await openModel(path)
  const closeCheckpoint = async (error: unknown) => {
    await checkpoint.close()
    throw error
  }
  const backend = given.backend ?? (await openBackend({ device, threads, precision }).catch(closeCheckpoint)).backend
  const close = async () => {
    if (!given.backend) await backend.close()
    await checkpoint.close()
  }
  try {
    const model = await loadGptOss(checkpoint)
    const generation = await readGenerationConfig(checkpoint.directory, model.config.vocab_size)
    const language = await loadLanguage(checkpoint.directory)
    const runner = new Runner(model, backend, { max_context: given.max_context })
    const plan = await checkFits(model, backend, runner.max_context, given)
    await runner
      .prepare({ onProgress: given.onProgress, onCompile: given.onCompile, signal: given.signal })
      .catch((error: Error) => {
        throw plan && error instanceof OutOfMemoryError ? memoryRanOut(plan, error) : error
      })
    const sizes = [...checkpoint.tensors.values()].map(({ name, byteLength }) => [name, byteLength] as const)
    return new LanguageModel({
      info: {
        name,
        model_type: model.config.model_type,
        backend: backend.name,
        load_ms: performance.now() - start,
        weight_bytes: checkpoint.byteLength,
        weight_bytes_per_token: weightBytesPerToken(model.config, sizes),
        cache_bytes_per_token: (context) =>
          cacheBytesPerToken(model.config, context, { dtype: backend.cacheDTypes[0] }),
        layers: model.config.num_hidden_layers,
        max_context: runner.max_context,
      },
      runner,
      network: model,
      speech: {
        name,
        language,
        stopTokens: new Set([
          ...model.config.eos_token_ids,
          ...generation.eos_token_ids,
          ...(language?.stopTokens ?? []),
        ]),
        sampling: generation.sampling,
      },
      openRunner: (max_context, open) => {
        const caches = [...open, max_context].map((context) => cacheBytesAt(model, backend, context))
        if (plan && memory_limit !== undefined) checkSessions(plan, memory_limit, caches)
        return new Runner(model, backend, { max_context })
      },
      close,
    })
  } catch (error) {
    await close()
    throw error
  }
}

function checkOptions(path: string, options: LoadModelOptions | undefined): LoadModelOptions {
  if (typeof path !== "string") throw new ParameterError("path", "a folder, or the name of a repository", path)
  const given = givenOptions(options, OPTIONS)
  const { max_context = 2, memory_limit = 1 } = given
  if (!(Number.isInteger(max_context) && max_context >= 2)) {
    throw new ParameterError("max_context", "a whole number, 2 or more", max_context)
  }
  if (!(typeof memory_limit === "number" && memory_limit > 0)) {
    throw new ParameterError("memory_limit", "a number of bytes above 0", memory_limit)
  }
  return given
}

/** What the arrays of a backend may take. Only a GPU is asked; how much memory it has in all, WebGPU does not say. */
export function boundsOf(backend: Backend): MemoryBounds {
  if (!(backend instanceof WebGpuBackend)) return {}
  const { maxBuffer, maxBinding } = backend.gpu.features
  return { maxArray: maxBuffer, maxCache: maxBinding }
}

/**
 * Refuses a model that is too large before its weights are read.
 *
 * @returns the plan, where one was made
 */
async function checkFits(
  model: CausalLM,
  backend: Backend,
  context: number,
  { memory_limit: limit, sequences }: LoadModelOptions,
): Promise<MemoryPlan | undefined> {
  const bounds = { limit, ...boundsOf(backend) }
  if (limit === undefined && bounds.maxArray === undefined) return undefined
  const plan = await planMemory(model, backend, context, sequences)
  const cachesOf = (n: number) =>
    sequences === undefined ? cacheMemoryAt(model, backend, n) : cacheMemoryAt(model, backend, context, n)
  await checkMemory(plan, bounds, cachesOf)
  return plan
}
