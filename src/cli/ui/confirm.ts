import { createInterface } from "node:readline/promises"

/** Whether somebody is there to be asked. */
export function canAsk(): boolean {
  return Boolean(process.stdin.isTTY && process.stderr.isTTY)
}

/** Asks a question on the terminal. @returns false for anything but yes, `ifEmpty` for an empty answer */
export async function confirm(question: string, ifEmpty: boolean): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  const closed = new Promise<string>((resolve) => lines.once("close", () => resolve("no")))
  try {
    const answer = await Promise.race([lines.question(`${question} ${ifEmpty ? "[Y/n]" : "[y/N]"} `), closed])
    return answer.trim() === "" ? ifEmpty : /^y(es)?$/i.test(answer.trim())
  } finally {
    lines.close()
  }
}
