/** Milliseconds of work after which a GPU that was idle has raised its clocks. */
const CLOCKS_MS = 1500

/** Work that takes longer was mostly not compiling. */
const LONG_MS = 15_000

/** Does what will be timed, once so that everything is compiled, then until a GPU has raised its clocks. Once if that takes long. */
export async function warmUp(work: () => Promise<unknown>): Promise<void> {
  const start = performance.now()
  await work()
  if (performance.now() - start > LONG_MS) return
  for (const end = performance.now() + CLOCKS_MS; performance.now() < end; ) await work()
}
