import type { LlamaContextSequence } from "node-llama-cpp"
import type { GgufShape, LlamaCppAnswer, LlamaCppOptions, LlamaCppWork } from "./node_llama_cpp.js"
import type { PeerInfo } from "./peer.js"

// llama.cpp in a process of its own, which times what its parent asks for, one piece of work after the other.

const GREEDY = { temperature: 0, yieldEogToken: true }

const tell = (answer: LlamaCppAnswer) => process.send!(answer)
const tellError = (error: unknown) => tell({ error: (error as Error).message })

process.on("disconnect", () => process.exit())
try {
  const { info, sequence } = await open(JSON.parse(process.argv[2]) as LlamaCppOptions)
  process.on("message", (work: LlamaCppWork) => {
    timed(sequence, work).then((ms) => tell({ ms }), tellError)
  })
  tell({ info })
} catch (error) {
  tellError(error)
}

async function open({ file, threads, context: contextSize, shape }: LlamaCppOptions) {
  const { getLlama, getModuleVersion, LlamaLogLevel, readGgufFileInfo } = await load()
  const { metadata } = await readGgufFileInfo(file, { sourceType: "filesystem" }).catch((error: Error) => {
    throw new Error(`${file}: not a GGUF that can be read: ${error.message}`)
  })
  checkShape(file, metadata, shape)
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    logLevel: LlamaLogLevel.disabled,
    maxThreads: threads,
  }).catch(() => {
    const { platform, arch } = process
    throw new Error(`node-llama-cpp has no binary of llama.cpp for ${platform} ${arch} in node_modules/@node-llama-cpp`)
  })
  const model = await llama.loadModel({ modelPath: file }).catch((error: Error) => {
    throw new Error(`${file}: llama.cpp does not load it, as if it were broken or cut off: ${error.message}`)
  })
  const context = await model.createContext({
    contextSize,
    threads: { ideal: threads, min: threads },
  })
  const info: PeerInfo = {
    name: "llama.cpp",
    version: `${llama.llamaCppRelease.release}, node-llama-cpp ${await getModuleVersion()}`,
    threads: context.idealThreads,
    file,
    weight_bytes: model.size,
    setting: `float16 caches, flash attention ${context.flashAttention}, batches of ${context.batchSize}`,
  }
  // Where a prompt ends is kept, so that decoding begins there again; sliding windows forget it.
  return { info, sequence: context.getSequence({ checkpoints: { max: 1, interval: false } }) }
}

async function load() {
  try {
    return await import("node-llama-cpp")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error
    throw new Error(
      "llama.cpp comes with node-llama-cpp, which is not installed: npm install --no-save node-llama-cpp@3.22.1",
    )
  }
}

/** @throws Error, naming the first key that differs */
function checkShape(file: string, metadata: object, shape: GgufShape): void {
  for (const [path, expected] of Object.entries(shape)) {
    const found = path
      .split(".")
      .reduce((value: unknown, key) => (value as Record<string, unknown> | undefined)?.[key], metadata)
    if (found === expected) continue
    throw new Error(`${file}: of another model: its ${path} is ${found ?? "missing"}, where ${expected} was expected`)
  }
}

/** @throws Error when other tokens were run than asked for: beyond its context, llama.cpp forgets some and goes on */
async function timed(sequence: LlamaContextSequence, { work, prompt, tokens }: LlamaCppWork): Promise<number> {
  const ms = await (work === "prefill" ? prefill(sequence, prompt) : decode(sequence, prompt, tokens))
  const [length, held] = [prompt.length + tokens, sequence.nextTokenIndex]
  if (held === length) return ms
  throw new Error(
    `llama.cpp holds ${held} tokens instead of ${length}; its context has room for ${sequence.contextSize}`,
  )
}

/** Milliseconds from an empty cache to the token after `prompt`. */
async function prefill(sequence: LlamaContextSequence, prompt: readonly number[]): Promise<number> {
  await sequence.clearHistory()
  const drawn = sequence.evaluate(tokensOf(prompt), GREEDY)
  const start = performance.now()
  await drawn.next()
  const ms = performance.now() - start
  await drawn.return()
  return ms
}

/** Milliseconds of `tokens` tokens after `prompt` and a first token. */
async function decode(sequence: LlamaContextSequence, prompt: readonly number[], tokens: number): Promise<number> {
  await keepOnly(sequence, prompt.slice(0, -1))
  const drawn = sequence.evaluate(tokensOf(prompt.slice(-1)), GREEDY)
  await drawn.next()
  const start = performance.now()
  for (let i = 0; i < tokens; i++) await drawn.next()
  const ms = performance.now() - start
  await drawn.return()
  return ms
}

/** Leaves these tokens in the cache, computing only those that are not there. */
async function keepOnly(sequence: LlamaContextSequence, ids: readonly number[]): Promise<void> {
  const tokens = tokensOf(ids)
  await sequence.adaptStateToTokens(tokens, false)
  if (sequence.nextTokenIndex === tokens.length) return
  await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(sequence.nextTokenIndex))
  await sequence.takeCheckpoint()
}

function tokensOf(ids: readonly number[]) {
  return ids as Parameters<LlamaContextSequence["evaluate"]>[0]
}
