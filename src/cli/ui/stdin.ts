/**
 * All of standard input as text, without the last line break.
 *
 * @param patience_ms how long to wait for the first byte before giving up with undefined; by default for ever
 */
export async function readStdin(patience_ms = Number.POSITIVE_INFINITY): Promise<string | undefined> {
  const chunks: Buffer[] = []
  const timer =
    patience_ms < Number.POSITIVE_INFINITY ? setTimeout(() => process.stdin.destroy(), patience_ms) : undefined
  try {
    for await (const chunk of process.stdin) {
      clearTimeout(timer)
      chunks.push(chunk as Buffer)
    }
  } catch (error) {
    // Destroyed by the timer before anything came, or nothing is attached at all.
    if (chunks.length > 0) throw error
    return undefined
  } finally {
    clearTimeout(timer)
  }
  return Buffer.concat(chunks)
    .toString("utf8")
    .replace(/\r?\n$/, "")
}
