/** A tokenizer.json that cannot be used: not one, or of a kind that gpt-oss models do not have. */
export class TokenizerError extends Error {
  override readonly name = "TokenizerError"
}
