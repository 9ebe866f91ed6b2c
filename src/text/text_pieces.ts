import { Tokenizer } from "@huggingface/tokenizers"
import { TokenizerError } from "./tokenizer_error.js"
import type { TokenizerSettings } from "./tokenizer_settings.js"

/** How GPT-2 cuts text, and every `ByteLevel` that does not say otherwise (openai/gpt-2, src/encoder.py; \\s as Rust has it). */
const GPT2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu

const NO_MODEL = { type: "BPE", vocab: {}, merges: [] }

/** Cuts text into the pieces that no token crosses: added tokens, and what normalizer and pre-tokenizer make of the rest. */
export class TextPieces {
  private readonly package: Tokenizer

  /**
   * @param added_tokens those that are read from text
   * @throws TokenizerError for kinds that the tokenizers package does not know
   */
  constructor(settings: TokenizerSettings, added_tokens: TokenizerSettings["added_tokens"], file: string) {
    const { steps, cut } = byteLevel(settings.pre_tokenizer, file)
    const pre_tokenizer = { type: "Sequence", pretokenizers: steps }
    try {
      this.package = new Tokenizer(
        { ...settings, pre_tokenizer, added_tokens, model: NO_MODEL, post_processor: null },
        {},
      )
    } catch (cause) {
      throw new TokenizerError(`${file}: ${(cause as Error).message}`, { cause })
    }
    // Where the package would encode them, the pieces stay text.
    this.package.model = (pieces: string[]) => pieces.flatMap(cut)
  }

  /** The pieces as text; added tokens as they are called. */
  of(text: string): string[] {
    return this.package.tokenize(text)
  }
}

/** The steps of a pre-tokenizer before its last, `ByteLevel`, and how that cuts. It spells bytes in letters, too: no need. */
function byteLevel(given: TokenizerSettings["pre_tokenizer"], file: string) {
  const all = given.type === "Sequence" ? (given.pretokenizers ?? []) : [given]
  const steps = all.slice(0, -1)
  const last = all.at(-1)
  if (last?.type !== "ByteLevel" || steps.some(({ type }) => type === "ByteLevel")) {
    throw new TokenizerError(`${file}, field "pre_tokenizer": expected "ByteLevel" as its last step, as gpt-oss has it`)
  }
  const { add_prefix_space, use_regex } = last
  const cut = (piece: string): string[] => {
    const text = add_prefix_space && !piece.startsWith(" ") ? ` ${piece}` : piece
    return use_regex ? (text.match(GPT2) ?? []) : [text]
  }
  return { steps, cut }
}
