import { refused, RequestError } from "../request_error.js"
import { type GivenItem, identified } from "./input.js"
import { type Item, responseOf } from "./items.js"
import type { PlacedItem } from "./messages.js"
import type { ResponseStore, StoredResponse } from "./store.js"

/**
 * What came before a request: inputs and outputs of the responses that it continues, oldest first.
 *
 * @throws {RequestError} `not_found` where one of them is not kept
 */
export async function earlierItems(store: ResponseStore, id: string | null | undefined): Promise<Item[]> {
  const found: StoredResponse[] = []
  const param = "previous_response_id"
  for (let next = id ?? null; next !== null; ) {
    const stored = await store.get(next)
    if (!stored) {
      const which = next === id ? "" : `, which ${JSON.stringify(id)} continues`
      const message = `no response ${JSON.stringify(next.slice(0, 80))} is kept here${which}: send the conversation as input`
      throw new RequestError("not_found", `${param}: ${message}`, { param, code: "previous_response_not_found" })
    }
    if (stored.response.status === "queued" || stored.response.status === "in_progress") {
      throw refused(param, "the response is still being written")
    }
    found.push(stored)
    next = stored.response.previous_response_id
  }
  return found.reverse().flatMap(({ input, response }) => [...input, ...response.output])
}

/**
 * A request's own items with their ids; references are looked up.
 *
 * @throws {RequestError} `not_found` for a reference to what is not kept
 */
export async function ownItems(
  store: ResponseStore,
  response: string,
  given: readonly GivenItem[],
  earlier: readonly Item[],
): Promise<PlacedItem[]> {
  const placed: PlacedItem[] = []
  const known = new Map(earlier.map((item) => [item.id, item]))
  for (const [i, item] of given.entries()) {
    if (!item) continue
    const place = `input.${i}`
    const isReference = item.type === "item_reference"
    const found = isReference ? (known.get(item.id) ?? (await keptItem(store, item.id))) : identified(item, response, i)
    if (!found) throw unknownItem(item.id ?? "", `${place}.id`)
    known.set(found.id, found)
    placed.push({ item: found, place })
  }
  return placed
}

async function keptItem(store: ResponseStore, id: string): Promise<Item | undefined> {
  const response = responseOf(id)
  const stored = response && (await store.get(response))
  return stored ? [...stored.input, ...stored.response.output].find((item) => item.id === id) : undefined
}

function unknownItem(id: string, param: string): RequestError {
  const message = `${param}: no item ${JSON.stringify(id.slice(0, 80))} is kept here: send the item itself`
  return new RequestError("not_found", message, { param, code: "item_not_found" })
}
