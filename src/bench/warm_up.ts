/** Milliseconds of work after which a GPU that was idle has raised its clocks. */
const CLOCKS_MS = 1500

/** Does what will be timed, once so that everything is compiled, then until a GPU has raised its clocks. */
export async function warmUp(work: () => Promise<unknown>): Promise<void> {
  await work()
  for (const end = performance.now() + CLOCKS_MS; performance.now() < end; ) await work()
}
