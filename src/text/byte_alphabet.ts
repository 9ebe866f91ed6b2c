/**
 * The printable characters that stand for bytes in byte-level vocabularies: printable Latin-1 for itself, the rest from
 * U+0100 on (openai/gpt-2, src/encoder.py, bytes_to_unicode). In the order of the bytes.
 */
export function byteAlphabet(): Map<string, number> {
  const alphabet = new Map<string, number>()
  const isPrintable = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad)
  let next = 0x100
  for (let byte = 0; byte < 256; byte++) alphabet.set(String.fromCharCode(isPrintable(byte) ? byte : next++), byte)
  return alphabet
}
