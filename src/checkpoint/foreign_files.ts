import { CheckpointError, quote } from "./errors.js"

/** What a file is that stands in the place of another, and what to do about it. */
interface Foreign {
  readonly problem: string
  readonly advice: string
}

const AGAIN = "download the file again, for example with minerva pull"

const GIT_LFS: Foreign = {
  problem: "this is a git-lfs pointer: the text that stands for the file until git-lfs has fetched it",
  advice: "run git lfs pull in the folder, or get the model with minerva pull",
}

const WEB_PAGE: Foreign = {
  problem: "this is a web page that was saved in the place of the file",
  advice: `${AGAIN}; on huggingface.co a file's own address says /resolve/ rather than /blob/`,
}

const SERVER_ERROR: Foreign = {
  problem: "this is a server's error message that was saved in the place of the file",
  advice: `check the repository's name and your access to it, then ${AGAIN}`,
}

/** Weights that another program reads; said of files and of folders. */
export const OTHER_WEIGHTS = {
  gguf: {
    problem: "GGUF, llama.cpp's format, is not supported",
    advice: "use the model's safetensors, such as openai/gpt-oss-20b or mlx-community/gpt-oss-20b-MXFP4-Q8",
  },
  pytorch: {
    problem: "PyTorch's format (pickle) is not supported, for reading it would run code from the file",
    advice: "use the model's safetensors, or convert it with safetensors' convert tool",
  },
  metal: {
    problem: "this is OpenAI's Metal format, which is not supported",
    advice: "use the model's safetensors, such as openai/gpt-oss-20b without its metal folder",
  },
  other: {
    problem: "these weights are in a format that is not supported",
    advice: "use the model's safetensors",
  },
} as const satisfies Record<string, Foreign>

const ARCHIVE: Foreign = { problem: "this is an archive", advice: "unpack it, and give the folder" }

/** First bytes, as Latin-1 text. A zip is what PyTorch writes since 1.6, before it was a pickle (protocol 2 to 5). */
const MAGIC: readonly (readonly [readonly string[], Foreign])[] = [
  [["GGUF", "GGML", "lmgg"], OTHER_WEIGHTS.gguf],
  [["PK\x03\x04", "\x80\x02", "\x80\x03", "\x80\x04", "\x80\x05"], OTHER_WEIGHTS.pytorch],
  [["GPT-OSS v"], OTHER_WEIGHTS.metal],
  [["\x89HDF", "\x93NUMPY"], OTHER_WEIGHTS.other],
  [["\x1f\x8b", "\x28\xb5\x2f\xfd", "\xfd7zXZ", "7z\xbc\xaf", "BZh"], ARCHIVE],
]

/** What text begins with. */
const TEXTS: readonly (readonly [RegExp, Foreign])[] = [
  [/^version https:\/\/(git-lfs|hawser)\.github\.com\/spec\//, GIT_LFS],
  [/^(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|!--)/i, WEB_PAGE],
  [/^\s*\{\s*"(error|message|detail)"\s*:/i, SERVER_ERROR],
  [/^\s*((entry|repository|revision|file|page) )?not found/i, SERVER_ERROR],
  [/^\s*(invalid username|access to|unauthori[sz]ed|forbidden|too many requests)/i, SERVER_ERROR],
  [/^\s*(internal server error|bad gateway|service unavailable|(40[134]|429|50[0234])\b)/i, SERVER_ERROR],
]

/** Bytes that are looked at. */
const LOOKED_AT = 300

/**
 * @param first the file's first bytes, which are not those of what it should be
 * @throws CheckpointError `wrong_format` when they are those of something that people often have in its place
 */
export function refuseForeign(first: Uint8Array, { name: file }: { name: string }): void {
  const text = String.fromCharCode(...first.subarray(0, LOOKED_AT))
  const [, foreign] =
    MAGIC.find(([starts]) => starts.some((start) => text.startsWith(start))) ??
    TEXTS.find(([pattern]) => pattern.test(text)) ??
    []
  if (!foreign) return
  const found = isText(first) ? `a file that begins ${JSON.stringify(quote(text).slice(0, 60))}` : undefined
  throw new CheckpointError({ code: "wrong_format", file, ...foreign, found })
}

/** Whether the first bytes are printable: no safetensors file begins like that, for it would have a header of 2^61 bytes. */
export function isText(first: Uint8Array): boolean {
  return first.length > 0 && first.subarray(0, LOOKED_AT).every((byte) => byte >= 0x20 || (byte >= 9 && byte <= 13))
}

/** @throws CheckpointError `wrong_format` for what a server says instead of a file, where that is JSON too */
export function refuseErrorDocument(value: unknown, file: string): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return
  const keys = Object.keys(value)
  const isError = keys.includes("error") && keys.every((key) => /^(error|message|detail|status|statusCode)$/.test(key))
  if (isError) throw new CheckpointError({ code: "wrong_format", file, ...SERVER_ERROR, found: quote(value) })
}
