import { ParameterError } from "./errors.js"

/** What `ParameterError` expects of a token id. */
export function tokenIdBelow(vocab_size: number): string {
  return `a token id from 0 to ${vocab_size - 1} (vocab_size is ${vocab_size}; a tokenizer with more is another model's)`
}

/**
 * Text, or token ids, as token ids.
 *
 * @param field what they are, for messages
 * @param codec asked for text alone: a model may have none
 * @throws {ParameterError} for anything else
 */
export function tokensOf(
  field: string,
  given: string | ArrayLike<number>,
  codec: () => { encode(text: string): readonly number[] },
): ArrayLike<number> {
  if (typeof given === "string") return codec().encode(given)
  const isList = typeof given === "object" && given !== null && Number.isSafeInteger(given.length)
  if (!isList) throw new ParameterError(field, "text or a list of token ids", given)
  return given
}

/**
 * Token ids from outside, before kernels read rows of the embedding by them.
 *
 * @param field what the tokens are: the error's field is `field.i`
 * @throws {ParameterError} for the first that is no id of the vocabulary
 */
export function checkTokenIds(field: string, tokens: ArrayLike<number>, vocab_size: number): void {
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]
    if (Number.isInteger(token) && token >= 0 && token < vocab_size) continue
    throw new ParameterError(`${field}.${i}`, tokenIdBelow(vocab_size), token)
  }
}
