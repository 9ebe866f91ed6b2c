/** @throws the signal's reason, once it is aborted */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", end)
      resolve()
    }, milliseconds)
    if (signal.aborted) end()
    else signal.addEventListener("abort", end, { once: true })
  })
}
