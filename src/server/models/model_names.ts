import { nearestNames, quote } from "../../checkpoint/errors.js"
import { RequestError } from "../request_error.js"

/** Names said in an error at most. */
const SAID = 5

/** Finds what is meant by the names that clients use. */
export class ModelNames<T> {
  private readonly byName = new Map<string, T>()
  private readonly first: T | undefined
  private readonly official: readonly string[]

  /**
   * @param named what there is with its names, the official one first. The last part of a repository's name stands for it too, unless
   * that is another's name.
   * @throws {RangeError} for a name that is given twice
   */
  constructor(named: readonly (readonly [names: readonly string[], value: T])[]) {
    this.first = named[0]?.[1]
    this.official = named.map(([[name]]) => name)
    for (const [names, value] of named) {
      for (const name of new Set(names.map(key))) {
        if (this.byName.has(name)) throw new RangeError(`two models are named ${name}`)
        this.byName.set(name, value)
      }
    }
    for (const [names, value] of named) {
      const last = key(names[0].split("/").at(-1)!)
      if (!this.byName.has(last)) this.byName.set(last, value)
    }
  }

  /**
   * Upper and lower case are the same, and so are `name` and Ollama's `name:latest`, `gpt-oss-20b` and Ollama's `gpt-oss:20b`.
   *
   * @param name undefined: the first
   * @throws {RequestError} `not_found` with the code `model_not_found`, saying what there is
   */
  find(name: string | undefined): T {
    const spellings = name === undefined ? [] : [name, name.replace(/:latest$/i, ""), name.replace(":", "-")]
    const found = name === undefined ? this.first : spellings.map((name) => this.byName.get(key(name))).find(Boolean)
    if (found !== undefined) return found
    const near = nearestNames(name ?? "", this.official, SAID)
    const more = this.official.length > near.length ? ", and others" : ""
    const offered = near.length > 0 ? `on offer: ${near.join(", ")}${more}` : "none is on offer"
    const message = `${name === undefined ? "there is no model" : `no model is named ${quote(name)}`}; ${offered}`
    throw new RequestError("not_found", message, { param: "model", code: "model_not_found" })
  }
}

function key(name: string): string {
  return name.toLowerCase()
}
