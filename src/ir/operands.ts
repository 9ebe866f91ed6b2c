import type { Role } from "./op_spec.js"
import type { WeightOf } from "./type.js"

/** Operands by name, whatever the operation. */
export type AnyOperands<T> = Readonly<Record<string, T | WeightOf<T> | readonly WeightOf<T>[] | undefined>>

const WEIGHT_PARTS = ["weight", "scales", "biases", "bias"] as const

/** What an operand is: itself, or a part of a weight. */
export type Part = "value" | (typeof WEIGHT_PARTS)[number]

/** What each operand of an operation is, by name. */
export type Roles = Readonly<Record<string, Role>>

/** An operand's name in the description of its operation, and what part of it this is. */
export interface Place {
  readonly name: string
  readonly part: Part
}

/** The parts of a weight that are there, in order. */
export function listParts<T>(weight: WeightOf<T>): { readonly part: Exclude<Part, "value">; readonly value: T }[] {
  return WEIGHT_PARTS.flatMap((part) => {
    const value = weight[part]
    return value === undefined ? [] : [{ part, value }]
  })
}

/** As {@link listParts}, without their names. */
export function partsOf<T>(weight: WeightOf<T>): T[] {
  return listParts(weight).map(({ value }) => value)
}

/** The same weight of other things. */
export function mapWeight<T, U>(weight: WeightOf<T>, map: (value: T, part: Part) => U): WeightOf<U> {
  const mapped: Record<string, unknown> = { quantization: weight.quantization }
  for (const part of WEIGHT_PARTS) {
    const value = weight[part]
    if (value !== undefined) mapped[part] = map(value, part)
  }
  return mapped as unknown as WeightOf<U>
}

/** The same operands of other things, in the order of the description. */
export function mapOperands<T, U>(
  roles: Roles,
  operands: AnyOperands<T>,
  map: (value: T, place: Place) => U,
): AnyOperands<U> {
  const result: Record<string, U | WeightOf<U> | readonly WeightOf<U>[]> = {}
  for (const name in roles) {
    const operand = operands[name]
    if (operand === undefined) continue
    const role = roles[name]
    const mapParts = (weight: WeightOf<T>) => mapWeight(weight, (value, part) => map(value, { name, part }))
    if (role === "weight") result[name] = mapParts(operand as WeightOf<T>)
    else if (role === "weights") result[name] = (operand as readonly WeightOf<T>[]).map(mapParts)
    else result[name] = map(operand as T, { name, part: "value" })
  }
  return result
}

/** Every operand that is there, in the order of the description. */
export function listOperands<T>(roles: Roles, operands: AnyOperands<T>): (Place & { readonly operand: T })[] {
  const list: (Place & { readonly operand: T })[] = []
  mapOperands(roles, operands, (operand, { name, part }) => list.push({ name, part, operand }))
  return list
}
