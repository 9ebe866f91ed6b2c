import { Tokenizer } from "@huggingface/tokenizers"
import { TokenizerError } from "./tokenizer_error.js"
import type { TokenizerSettings } from "./tokenizer_json.js"

/** How GPT-2 cuts text, and every `ByteLevel` that does not say otherwise (openai/gpt-2, src/encoder.py). */
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

const NO_MODEL = { type: "BPE", vocab: {}, merges: [] }

/** Cuts text into the pieces that no token crosses: added tokens, and what normalizer and pre-tokenizer make of the rest. */
export class TextPieces {
  private readonly package: Tokenizer

  /**
   * @param added_tokens those that are read from text
   * @throws TokenizerError for kinds that the tokenizers package does not know
   */
  constructor(settings: TokenizerSettings, added_tokens: TokenizerSettings["added_tokens"], file: string) {
    const pre_tokenizer = { type: "Sequence", pretokenizers: withoutBytes(settings.pre_tokenizer, file) }
    try {
      this.package = new Tokenizer({ ...settings, pre_tokenizer, added_tokens, model: NO_MODEL, post_processor: null }, {})
    } catch (cause) {
      throw new TokenizerError(`${file}: ${(cause as Error).message}`, { cause })
    }
    // Where the package would encode them, it leaves the pieces as they are.
    this.package.model = (pieces: string[]) => pieces
  }

  /** The pieces as text; added tokens as they are called. */
  of(text: string): string[] {
    return this.package.tokenize(text)
  }
}

type PreTokenizer = TokenizerSettings["pre_tokenizer"]

/** The steps of a byte-level pre-tokenizer that cut text. Bytes are spelled in letters by none: there is no need. */
function withoutBytes(given: PreTokenizer, file: string): object[] {
  const steps = given.type === "Sequence" ? (given.pretokenizers ?? []) : [given]
  const bytes = steps.at(-1)
  if (bytes?.type !== "ByteLevel" || steps.slice(0, -1).some(({ type }) => type === "ByteLevel")) {
    throw new TokenizerError(`${file}, field "pre_tokenizer": expected "ByteLevel" as the last step, as gpt-oss has it`)
  }
  return [
    ...steps.slice(0, -1),
    ...(bytes.add_prefix_space ? [{ type: "Replace", pattern: { Regex: "\\A(?! )" }, content: " " }] : []),
    ...(bytes.use_regex ? [{ type: "Split", pattern: { Regex: GPT2 }, behavior: "Isolated", invert: false }] : []),
  ]
}
