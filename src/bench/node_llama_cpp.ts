import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { stat } from "node:fs/promises"
import { BackendError } from "../backends/backend.js"
import type { GptOssConfig } from "../models/config.js"
import type { Peer, PeerInfo } from "./peer.js"

/** What the process is started with: one argument, as JSON. */
export interface LlamaCppOptions {
  /** A GGUF, such as `tools/write-gguf.mjs` writes. */
  readonly file: string
  readonly threads: number
  /** Tokens of the longest sequence. */
  readonly context: number
  readonly shape: GgufShape
}

/** What a model is, by the GGUF's keys; of a list its `length`. */
export type GgufShape = Readonly<Record<string, number | string>>

/** What the process is asked to time; it answers with milliseconds. Before, it says once what it is. */
export interface LlamaCppWork {
  readonly work: "prefill" | "decode"
  readonly prompt: readonly number[]
  readonly tokens: number
}

export type LlamaCppAnswer = { readonly info: PeerInfo } | { readonly ms: number } | { readonly error: string }

/**
 * Starts llama.cpp on a GGUF: without a GPU, as node-llama-cpp's prebuilt binary, in a process that shares nothing with ours.
 *
 * @throws {BackendError} when node-llama-cpp or its binary is not installed, or the file is missing, unreadable or of another shape
 */
export async function startLlamaCpp(options: LlamaCppOptions): Promise<Peer> {
  const { file } = options
  if (!(await stat(file).catch(() => null))) {
    throw new BackendError(`${file}: there is no such file; \`node tools/write-gguf.mjs MODEL ${file}\` writes it`)
  }
  const child = fork(new URL("./node_llama_cpp_process.js", import.meta.url), [JSON.stringify(options)], {
    // What llama.cpp prints is not ours to show.
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  })
  const close = async () => {
    if (!child.connected) return
    const ended = once(child, "exit")
    child.disconnect()
    await ended
  }
  const { info } = await next<{ info: PeerInfo }>(child).catch(async (error) => {
    await close()
    throw error
  })
  const timed = async (work: LlamaCppWork["work"], prompt: Uint32Array, tokens: number) =>
    (await next<{ ms: number }>(child, { work, prompt: [...prompt], tokens })).ms
  return {
    info,
    prefill: (prompt) => timed("prefill", prompt, 0),
    decode: (prompt, tokens) => timed("decode", prompt, tokens),
    close,
  }
}

/** The next answer, to `work` if that is given. */
async function next<T>(child: ChildProcess, work?: LlamaCppWork): Promise<T> {
  const listening = new AbortController()
  const { signal } = listening
  // Told once the process is gone and all it said is here.
  const ended = once(child, "close", { signal }).then(([code, killer]): [LlamaCppAnswer] => [
    { error: `llama.cpp's process ended unasked (${killer ?? `exit code ${code}`})` },
  ])
  try {
    const answered = once(child, "message", { signal }) as Promise<[LlamaCppAnswer]>
    if (work) child.send(work)
    const [answer] = await Promise.race([answered, ended])
    if ("error" in answer) throw new BackendError(answer.error)
    return answer as T
  } finally {
    listening.abort()
  }
}

/** What a GGUF must say of itself to be the model of a config.json. */
export function ggufShape(config: GptOssConfig): GgufShape {
  const dims = {
    block_count: config.num_hidden_layers,
    embedding_length: config.hidden_size,
    expert_feed_forward_length: config.intermediate_size,
    expert_count: config.num_local_experts,
    expert_used_count: config.num_experts_per_tok,
    "attention.head_count": config.num_attention_heads,
    "attention.head_count_kv": config.num_key_value_heads,
    "attention.key_length": config.head_dim,
    "attention.sliding_window": config.sliding_window,
  }
  return {
    "general.architecture": "gpt-oss",
    "tokenizer.ggml.tokens.length": config.vocab_size,
    ...Object.fromEntries(Object.entries(dims).map(([key, value]) => [`gpt-oss.${key}`, value])),
  }
}
