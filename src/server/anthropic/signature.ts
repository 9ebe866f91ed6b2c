/** Signatures are ours if they begin so, once decoded. */
const MARK = "minerva/1\n"

/** A signature that holds a text; it proves nothing, as whoever talks to a model of one's own may put words into its mouth. */
export function signatureOf(text: string): string {
  const bytes = new TextEncoder().encode(MARK + text)
  let binary = ""
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** The text that a signature holds; empty for one that is not ours. */
export function signedText(signature: string): string {
  try {
    const bytes = Uint8Array.from(atob(signature), (unit) => unit.charCodeAt(0))
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    return text.startsWith(MARK) ? text.slice(MARK.length) : ""
  } catch {
    return ""
  }
}
