import type { KernelKind } from "../../ir/operations.js"
import * as attention from "../../ir/specs/attention.js"
import * as products from "../../ir/specs/products.js"
import * as rows from "../../ir/specs/rows.js"

/** Operations of a kind, shown in one colour: the files that describe them. */
export type Family = "products" | "attention" | "rows" | "elementwise"

export function familyOf(kind: KernelKind): Family {
  if (kind in products) return "products"
  if (kind in attention) return "attention"
  return kind in rows ? "rows" : "elementwise"
}
