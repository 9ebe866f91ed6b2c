/** Lets whatever else waits on this thread go first. */
export const othersTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
