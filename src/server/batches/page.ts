import * as z from "zod"

export interface Page {
  /** The id behind which it begins. */
  readonly after?: string
  readonly limit: number
  readonly order: "asc" | "desc"
}

/** A part of what is in the order of its ids. It need not hold `after`, which may be deleted meanwhile. */
export function page<T extends { readonly id: string }>(
  all: readonly T[],
  { after, limit, order }: Page,
): { items: readonly T[]; has_more: boolean } {
  const ordered = order === "asc" ? all : all.toReversed()
  const rest = ordered.filter(({ id }) => after === undefined || (order === "asc" ? id > after : id < after))
  return { items: rest.slice(0, limit), has_more: rest.length > limit }
}

/** As OpenAI's API lists. */
export function listOf<T extends { readonly id: string }>(list: { items: readonly T[]; has_more: boolean }) {
  const { items, has_more } = list
  return { object: "list", data: items, first_id: items.at(0)?.id ?? "", last_id: items.at(-1)?.id ?? "", has_more }
}

/** A number of a query. */
export function wholeNumber(least: number, most: number) {
  const error = `expected a whole number from ${least} to ${most}`
  return z.coerce.number({ error }).int({ error }).min(least, { error }).max(most, { error })
}
