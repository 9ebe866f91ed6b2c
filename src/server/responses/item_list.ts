import * as z from "zod"
import { parseBody } from "../body.js"
import { refused } from "../request_error.js"
import type { Item } from "./items.js"

/** OpenAI's `ResponseItemList`. */
export interface ItemList {
  readonly object: "list"
  readonly data: readonly Item[]
  readonly has_more: boolean
  readonly first_id: string
  readonly last_id: string
}

const MOST = "a whole number from 1 to 100"
/** Which page of a list. */
export const itemQuery = z.object({
  limit: z
    .string()
    .regex(/^([1-9]\d?|100)$/, { error: MOST })
    .transform(Number)
    .optional(),
  order: z.enum(["asc", "desc"], { error: "asc or desc" }).optional(),
  after: z.string().optional(),
})

/**
 * A page of items, the newest first unless `order` is `asc`.
 *
 * @param parameters of the request's address
 */
export function itemList(items: readonly Item[], parameters: Readonly<Record<string, string>>): ItemList {
  const { limit = 20, order = "desc", after } = parseBody(itemQuery, parameters)
  const ordered = order === "asc" ? items : items.toReversed()
  const from = after === undefined ? 0 : ordered.findIndex(({ id }) => id === after) + 1
  if (after !== undefined && from === 0) {
    throw refused("after", "expected the id of one of the items")
  }
  const data = ordered.slice(from, from + limit)
  return {
    object: "list",
    data,
    has_more: from + limit < ordered.length,
    first_id: data.at(0)?.id ?? "",
    last_id: data.at(-1)?.id ?? "",
  }
}
